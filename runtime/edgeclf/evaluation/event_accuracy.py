"""Accuracy with events: photos of one camera within seconds are answered together (``edgeclf.photo_events``)."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeclf.errors import UsageError
from edgeclf.evaluation.labelled_photos import LabelledPhotos
from edgeclf.evaluation.metrics import wilson_interval
from edgeclf.files.table_cells import TABLES
from edgeclf.photo_events import facts_or_none, group_by_event
from edgeclf.results import Prediction


@dataclass(frozen=True)
class EventAccuracy:
    """How good the common answers of events are, and what single photos gain by them.

    Attributes:
        seconds: longest time from one photo of an event to the next.
        events: number of events with a photo that could be read.
        of_several: of them, those of more than one photo.
        mixed: of them, those whose photos have different classes; the class of most photos counts as theirs.
        correct: events whose answer is right.
        interval: 95 % interval of the share of these (Wilson).
        answered: events whose answer reaches the threshold.
        wrong: wrong answers among those.
        photos_correct: photos that are right if each gets the answer of its event.
        gained: photos that are right only so.
        lost: photos that are right only with their own answer.
    """

    seconds: float
    events: int
    of_several: int
    mixed: int
    correct: int
    interval: tuple[float, float]
    answered: int
    wrong: int
    photos_correct: int
    gained: int
    lost: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; ``accuracy`` is null without events."""
        values = asdict(self) | {"interval": list(self.interval)}
        return values | {"accuracy": self.correct / self.events if self.events else None}


def find_labelled_events(photos: LabelledPhotos, seconds: float) -> list[list[int]]:
    """The positions of each event's photos. Class folders do not part events: that would tell the answer.

    Raises:
        UsageError: ``seconds`` is negative or not a number; or the photos are those of a list, whose folders may be
            classes or cameras.
    """
    if Path(photos.folder).suffix.lower() in TABLES and not os.path.isdir(photos.folder):
        what = f"{photos.folder}: a list does not say which of its folders are cameras, so it has no events"
        raise UsageError(what, "give class folders, or leave out --events")

    def folder(path: str) -> str:
        parts = os.path.relpath(path, photos.folder).split(os.sep)
        return os.sep.join(parts[1:-1])

    return group_by_event(((folder(path), facts_or_none(path)) for path, _ in photos.photos), seconds)


class EventTally:
    """Counts events one after another."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._counts: Counter[str] = Counter()

    def add(self, labels: Sequence[int], predicted: Sequence[int], answer: Prediction | None) -> None:
        """Count an event.

        Args:
            labels: class index of each photo that could be read.
            predicted: what was predicted for it alone.
            answer: the common answer; None if no photo could be read.
        """
        if answer is None:
            return
        best, ((truth, _),) = answer.best.index, Counter(labels).most_common(1)
        pairs = [(label == best, label == alone) for label, alone in zip(labels, predicted, strict=True)]
        self._counts.update(
            events=1,
            of_several=len(labels) > 1,
            mixed=len(set(labels)) > 1,
            correct=truth == best,
            answered=not answer.unknown,
            wrong=not answer.unknown and truth != best,
            photos_correct=sum(together for together, _ in pairs),
            gained=sum(together and not alone for together, alone in pairs),
            lost=sum(alone and not together for together, alone in pairs),
        )

    def result(self) -> EventAccuracy:
        """What was counted."""
        names = ("events", "of_several", "mixed", "correct", "answered", "wrong", "photos_correct", "gained", "lost")
        counts = {name: self._counts[name] for name in names}
        return EventAccuracy(self._seconds, interval=wilson_interval(counts["correct"], counts["events"]), **counts)
