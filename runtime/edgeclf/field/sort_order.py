"""The order in which photos are sorted: those that teach the model most come first.

These are the photos that the model is least sure about; near-duplicates follow each other, so that one label does for
all of them. The model looks at the photos in a thread, one at a time, beside other work. What it saw is remembered for
at most ``_MAX_LOOKS`` photos: of more, the others are looked at when some of these are sorted.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgeclf.classifier import Classifier
from edgeclf.field.near_duplicates import Groups, difference_hash
from edgeclf.field.sorting import SortFolder
from edgeclf.field.trays import TrayPhoto
from edgeclf.images.photo_bytes import NamedPhoto
from edgeclf.images.preprocess import network_input
from edgeclf.results import RankedLabel

_MAX_LOOKS = 50_000  # that are remembered, about 1 kB each
_TOP_K = 5
_UNREADABLE = 2.0  # in place of the probability: after all others that the model has looked at


@dataclass(frozen=True, slots=True)
class Look:
    """What the model sees in a photo.

    Attributes:
        ranking: the best classes, best first; empty if the photo cannot be read.
        group: the number of its group of near-duplicates, -1 if it cannot be read.
        error: why it cannot be read, else "".
    """

    ranking: tuple[RankedLabel, ...]
    group: int
    error: str = ""

    @property
    def certainty(self) -> float:
        """The probability of the best class."""
        return self.ranking[0].probability if self.ranking else _UNREADABLE


class SortOrder:
    """Looks at the photos of a folder in the background, and puts them in order.

    Args:
        folder: whose photos are sorted.
        classifier: looks at them.
        is_busy: whether the service has other work; then no photo is looked at.
    """

    def __init__(self, folder: SortFolder, classifier: Classifier, is_busy: Callable[[], bool] = lambda: False) -> None:
        self._folder, self._classifier, self._is_busy = folder, classifier, is_busy
        self._looks: dict[str, Look] = {}  # by the photo's id: a replaced file has another one
        self._groups = Groups()
        self._waiting: list[TrayPhoto] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def ordered(self, photos: Sequence[TrayPhoto]) -> list[tuple[TrayPhoto, Look | None]]:
        """Put photos in order, and have those looked at that were not yet, as far as there is room for what is seen.

        Args:
            photos: all that wait for a label.

        Returns:
            The groups with the least sure photo first; in a group the least sure first; then photos that cannot be
            read; then photos that the model has not looked at, without a look.
        """
        with self._lock:
            looks = [self._looks.get(photo.id) for photo in photos]
            unknown = [photo for photo, look in zip(photos, looks, strict=True) if look is None]
            self._make_room(photos, len(unknown))
            self._waiting = unknown[: _MAX_LOOKS - len(self._looks)][::-1]
        if self._waiting:
            self._start()
        least: dict[int, float] = defaultdict(lambda: _UNREADABLE)
        for look in looks:
            if look:
                least[look.group] = min(least[look.group], look.certainty)

        def place(entry: tuple[TrayPhoto, Look | None]) -> tuple[bool, float, int, float]:
            look = entry[1]
            return (False, least[look.group], look.group, look.certainty) if look else (True, 0.0, 0, 0.0)

        return sorted(zip(photos, looks, strict=True), key=place)

    def close(self) -> None:
        """End the thread; waits for the photo that it is looking at."""
        self._closed.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _make_room(self, photos: Sequence[TrayPhoto], count: int) -> None:
        """Forget the oldest looks at photos that are not there any more: an undo brings the latest ones back."""
        if (excess := len(self._looks) + count - _MAX_LOOKS) > 0:
            here = {photo.id for photo in photos}
            for id in [id for id in self._looks if id not in here][:excess]:
                del self._looks[id]

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._run, name="edgeclf-sort-order", daemon=True)
                self._thread.start()
        self._wake.set()

    def _run(self) -> None:
        while not self._closed.is_set():
            with self._lock:
                photo = self._waiting.pop() if self._waiting else None
                known = photo is not None and photo.id in self._looks
            if photo is None:
                self._wake.wait()
                self._wake.clear()
            elif not known:
                while self._is_busy() and not self._closed.is_set():
                    time.sleep(0.05)
                self._look(photo)

    def _look(self, photo: TrayPhoto) -> None:
        try:
            named = NamedPhoto(photo.name, self._folder.trays.bytes_of(photo))
            image = network_input(named, self._classifier.manifest.contract)
            ranking = self._classifier.predict(image, _TOP_K).ranking
            look = Look(ranking, self._groups.join(difference_hash(image)))
        except Exception as error:  # also of a device that failed: the photo can be sorted all the same
            look = Look((), -1, " ".join(str(error).split()) or type(error).__name__)
        with self._lock:
            if len(self._looks) < _MAX_LOOKS:  # it may have been sorted meanwhile, and another took its room
                self._looks[photo.id] = look
