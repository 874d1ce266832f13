"""``predict --events``: photos put into events, and their records with the event's answer."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING

from edgeclf.errors import PhotoError
from edgeclf.field.photo_columns import RecordedEvent
from edgeclf.field.record import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeclf.classifier import Classifier
    from edgeclf.cli.console import Console
    from edgeclf.field.find_photos import Found


@dataclass(frozen=True)
class PredictedPhoto:
    """The record of a photo, and its logits, float32 ``[classes]``: None if they are not needed or there are none."""

    record: Record
    logits: "NDArray[np.float32] | None" = None


def find_events(found: Iterable["Found"], seconds: float, console: "Console", live: bool) -> list[list["Found"]]:
    """Put photos into events. Reads the EXIF of all of them, from the beginning of each file.

    Args:
        found: the photos; all are kept in memory, without their content.
        seconds: longest time from one photo of an event to the next.
        console: shows how many were read.
        live: whether it shows that while it goes on.

    Returns:
        The events in the order of their first photos, each in the order of time.
    """
    from edgeclf.field.find_photos import each_once
    from edgeclf.images.photo_facts import NO_FACTS, PhotoFacts
    from edgeclf.photo_events import facts_or_none, folder_of, group_by_event

    with console.progress("times read", live=live) as progress:

        def with_progress() -> Iterator["Found"]:
            for done, one in enumerate(each_once(found), 1):
                photos.append(one)
                yield one
                progress(done, 0)

        def folder_and_facts(one: "Found") -> tuple[str, PhotoFacts]:
            if isinstance(one.source, PhotoError):
                return "", NO_FACTS
            return folder_of(one.source) if isinstance(one.source, str) else "", facts_or_none(one.source)

        photos: list[Found] = []
        events = group_by_event(map(folder_and_facts, with_progress()), seconds)
    return [[photos[position] for position in event] for event in events]


class Groups:
    """Photos of one event after another as one stream, and the records that come of it as events again.

    Args:
        groups: the photos of each event; without events, each photo alone.
        stopping: true if no more photos should be taken; an event that is not complete then has no records.
    """

    def __init__(self, groups: Iterable[Sequence["Found"]], stopping: object) -> None:
        self._groups, self._stopping = groups, stopping
        self._sizes: deque[int] = deque()

    def photos(self) -> Iterator["Found"]:
        """The photos; may be taken ahead of ``records``."""
        for group in self._groups:
            self._sizes.append(len(group))
            for one in group:
                if self._stopping:
                    return
                yield one

    def records(
        self, predicted: Iterable[PredictedPhoto], classifier: "Classifier | None"
    ) -> Generator[list[Record], None, None]:
        """The records of each event.

        Args:
            predicted: for each of ``photos``.
            classifier: ranks the mean of the logits, for the records; None: without events.
        """
        results = iter(predicted)
        for first in results:
            size, records = self._sizes.popleft(), list[Record]()
            logits = _collected(islice(chain((first,), results), size), records)
            if classifier is None:
                deque(logits, maxlen=0)
                yield records
                continue
            from edgeclf.photo_events import event_prediction

            answer = event_prediction(classifier, logits, 1)
            if len(records) < size:
                return
            count = sum(bool(record.predictions) for record in records)
            event = RecordedEvent.of(records[0].path, count, answer)
            yield [replace(record, event=event) for record in records]


def _collected(predicted: Iterable[PredictedPhoto], records: list[Record]) -> "Iterator[NDArray[np.float32]]":
    """The logits, one at a time, while the records are put into a list."""
    for one in predicted:
        records.append(one.record)
        if one.logits is not None:
            yield one.logits
