"""Events: photos of one camera within a few seconds show one scene, and are answered together.

The answer of an event is the mean of its photos' logits, ranked like those of one photo: the same temperature, the same
threshold. A bird that turns away in one photo, or is blurred in it, is told by the others.

Photos are sorted by camera and time; one that was taken at most ``seconds`` after the one before belongs to its event.
A camera is told by the name and serial number in its EXIF; without a serial number, by its name and the folder, since
two cameras of one model write the same name. A photo without a time is an event of its own.
"""

from collections.abc import Generator, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from os import PathLike, fspath
from os.path import abspath, dirname
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeclf.argument_checks import check_whole, number
from edgeclf.classifier import Classifier
from edgeclf.errors import PhotoError, UsageError
from edgeclf.images.photo_facts import NO_FACTS, PhotoFacts, is_within, photo_facts
from edgeclf.results import Prediction

_Camera: TypeAlias = tuple[str | None, str | None, bool]  # name, folder, and whether it knows its offset from UTC


@dataclass(frozen=True)
class PhotoEvent:
    """Photos of one scene, and their common answer.

    Attributes:
        photos: their paths, in the order in which they were taken.
        results: the prediction or the error of each.
        prediction: the common answer; None if no photo could be read.
    """

    photos: tuple[str, ...]
    results: tuple[Prediction | PhotoError, ...]
    prediction: Prediction | None


def group_by_event(photos: Iterable[tuple[str, PhotoFacts]], seconds: float) -> list[list[int]]:
    """Find the photos that belong together.

    Args:
        photos: the folder of each, and its facts.
        seconds: longest time from one photo to the next one of an event, at least 0.

    Returns:
        The positions of each event's photos, in the order in which they were taken; the events in the order of their
        first positions.

    Raises:
        UsageError: ``seconds`` is negative or not a number.
    """
    if not number("seconds", seconds) >= 0:
        raise UsageError(f"seconds is {seconds}", "give the longest time between two photos of an event, 0 or more")
    events: list[list[int]] = []
    taken: dict[_Camera, list[tuple[float, int]]] = {}
    for position, (folder, facts) in enumerate(photos):
        if (time := facts.seconds) is None:
            events.append([position])
        else:
            taken.setdefault(_camera(folder, facts), []).append((time, position))
    for times in taken.values():
        times.sort()
        before = None
        for time, position in times:
            if before is None or not is_within(seconds, before, time):
                events.append([])
            events[-1].append(position)
            before = time
    return sorted(events, key=min)


def event_prediction(
    classifier: Classifier, logits: Iterable[NDArray[np.float32]], top_k: int = 5
) -> Prediction | None:
    """The common answer of photos: their mean logits, ranked as those of one photo.

    Args:
        classifier: of the logits.
        logits: float32 ``[classes]`` of each photo; only their sum is kept.
        top_k: how many classes to rank.

    Returns:
        The prediction; None without photos. That of one photo is the photo's own, bit for bit.
    """
    total, photos = np.zeros(len(classifier.labels)), 0
    for one in logits:
        total += one
        photos += 1
    return classifier.rank((total / photos).astype(np.float32), top_k) if photos else None


def facts_or_none(photo: str | bytes) -> PhotoFacts:
    """``photo_facts``; those of a photo that cannot be read are empty: predicting it tells the error."""
    with suppress(PhotoError):
        return photo_facts(photo)
    return NO_FACTS


def folder_of(path: str) -> str:
    """The folder of a photo, for ``group_by_event``: the same one, in whichever way it is named."""
    return dirname(abspath(path))


def predict_events(
    classifier: Classifier, photos: Iterable[str | PathLike[str]], seconds: float, top_k: int = 5
) -> Generator[PhotoEvent, None, None]:
    """Predict photos event by event, lazily.

    The photos are read twice: first the EXIF of all, from the beginning of each file, then each in full. All paths are
    kept in memory, and the results of one event.

    Args:
        classifier: predicts each photo as in ``predict_many``, in parallel.
        photos: paths.
        seconds: longest time from one photo to the next one of an event, at least 0.
        top_k: how many classes to rank.

    Returns:
        The events, in the order of their first photos among ``photos``.

    Raises:
        ModelError, UsageError: as ``Classifier.predict_many`` and ``group_by_event``.
    """
    check_whole("top_k", top_k)
    paths = [fspath(path) for path in photos]
    events = group_by_event(((folder_of(path), facts_or_none(path)) for path in paths), seconds)
    ordered = (paths[position] for event in events for position in event)
    with closing(classifier.predict_many(ordered, top_k, logits=True, facts=True)) as results:
        for event in events:
            found = tuple(next(results) for _ in event)
            logits = (one.logits for one in found if isinstance(one, Prediction) and one.logits is not None)
            answer = event_prediction(classifier, logits, top_k)
            without = tuple(replace(one, logits=None) if isinstance(one, Prediction) else one for one in found)
            yield PhotoEvent(tuple(paths[position] for position in event), without, answer)


def _camera(folder: str, facts: PhotoFacts) -> _Camera:
    has_offset = facts.taken is not None and facts.taken[19:].lstrip(".0123456789") != ""
    return facts.camera, None if facts.serial and facts.camera else folder, has_offset
