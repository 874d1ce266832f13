"""Compare two model files on the same photos: predictions, heat maps and speed."""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeclf.class_names import finder
from edgeclf.classifier import Classifier
from edgeclf.concurrency import in_order
from edgeclf.errors import PhotoError, UsageError
from edgeclf.evaluation.folder_name_rules import class_of_path
from edgeclf.evaluation.metrics import paired_interval
from edgeclf.heatmaps.similarity import correlation
from edgeclf.images.heatmap_mark import OVERLAY_KIND
from edgeclf.images.preprocess import Photo, fit, upright_with_size
from edgeclf.results import RankedLabel

Raw: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]  # what Classifier.infer gives
Inputs: TypeAlias = tuple[list[NDArray[np.uint8]], tuple[int, int]]  # of each network, and the full size of the photo

_BLOCK_PHOTOS = 8  # decoded by each thread before the models run
_MAX_CLASSES_TOLD = 3  # in a message


@dataclass(frozen=True)
class Changed:
    """A photo with two different predictions; ``true`` is its class, None if no folder in its path is a class."""

    path: str
    first: RankedLabel
    second: RankedLabel
    true: str | None


@dataclass(frozen=True)
class PairedCounts:
    """How many of the same photos each model predicts correctly."""

    both: int
    first_only: int
    second_only: int
    neither: int

    @property
    def photos(self) -> int:
        """Number of photos."""
        return self.both + self.first_only + self.second_only + self.neither

    @property
    def correct(self) -> tuple[int, int]:
        """Photos that the first and the second model predict correctly."""
        return self.both + self.first_only, self.both + self.second_only

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the second's accuracy minus the first's, -1..1 (``metrics.paired_interval``)."""
        return paired_interval(self.second_only, self.first_only, self.photos)


@dataclass(frozen=True)
class MapAgreement:
    """Pearson correlation of both models' heat maps for the class that the first model predicts.

    Attributes:
        compared: photos with two maps that are not constant.
        mean, lowest: of their correlations, -1..1; None if no photo was compared.
        lowest_path: the photo with the lowest correlation, None likewise.
        dead: photos for which a map is constant, so that there is no correlation.
        missing: photos for which a model has no map of that class.
    """

    compared: int
    mean: float | None
    lowest: float | None
    lowest_path: str | None
    dead: int
    missing: int


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        photos: photos that both models predicted.
        agreeing: photos with the same prediction.
        changed: the other photos, in the order of the arguments.
        counts: correct predictions on photos in a folder with the name of a class; None if there are none.
        milliseconds: median time of one inference, of the first and of the second; None without photos.
        maps: how well the heat maps agree.
        unreadable: photos that could not be read; counted nowhere else.
        heat_maps: number of heat maps of edgeclf among the photos; counted nowhere else.
    """

    photos: int
    agreeing: int
    changed: tuple[Changed, ...]
    counts: PairedCounts | None
    milliseconds: tuple[float, float] | None
    maps: MapAgreement
    unreadable: tuple[PhotoError, ...]
    heat_maps: int = 0


def check_comparable(first: Classifier, second: Classifier, names: tuple[str, str]) -> None:
    """Check that two models have the same classes, in any order.

    Args:
        first, second: the models.
        names: what to call them in the message.

    Raises:
        UsageError: a class of one is not in the other.
    """
    sides = []
    for a, b in ((first, second), (second, first)):
        find = finder(b.labels)
        sides.append(sorted(label for label in a.labels if find(label) is None))
    differences = []
    for name, only in zip(names, sides, strict=True):
        if only:
            more = f" and {len(only) - _MAX_CLASSES_TOLD} more" if len(only) > _MAX_CLASSES_TOLD else ""
            differences.append(f"only {name} has {', '.join(only[:_MAX_CLASSES_TOLD])}{more}")
    if differences:
        raise UsageError(
            f"the models have different classes: {'; '.join(differences)}", "compare models of the same classes"
        )


def compare(
    first: Classifier,
    second: Classifier,
    photos: Iterable[tuple[str, Photo | PhotoError]],
    *,
    progress: Callable[[int], None] | None = None,
    report: Callable[[PhotoError], None] | None = None,
) -> Comparison:
    """Predict every photo with both models, each with its own preprocessing.

    The models take turns, and another one begins with each photo, so that a machine that slows down slows both. For
    fair times nothing is decoded while they run (nor should they be opened with ``spin=True``): photos are decoded in
    parallel, a block at a time. The first photo is predicted once before, untimed, to warm the models up.

    Args:
        first, second: models of the same classes (see ``check_comparable``).
        photos: a path, whose folders may name the true class, and the photo or the error that stands for it.
        progress: called with the number of photos done.
        report: called at once with the error of each photo that cannot be read; the others are still compared.
    """
    pair, find, place = (first, second), finder(first.labels), finder(second.labels)
    predicted, heat_maps, changed, unreadable = 0, 0, [], []
    counts = np.zeros((2, 2), np.int64)  # [first right][second right]
    times: tuple[list[float], list[float]] = ([], [])
    maps: list[tuple[float | None, str]] = []
    missing = 0
    for done, (path, decoded) in enumerate(_decoded(photos, pair), 1):
        if progress:
            progress(done)
        if isinstance(decoded, PhotoError) and decoded.kind == OVERLAY_KIND:
            heat_maps += 1
            continue
        if isinstance(decoded, PhotoError):
            unreadable.append(decoded)
            if report:
                report(decoded)
            continue
        inputs, size = decoded
        if not predicted:
            for model, image in zip(pair, inputs, strict=True):
                model.infer(image)
        raw = _take_turns(pair, inputs, predicted % 2, times)
        predicted += 1
        one, two = (model.rank(scores, 1).best for model, (scores, _, _) in zip(pair, raw, strict=True))
        true = class_of_path(path, find)
        if true is not None:
            counts[int(one.index == true), int(two.index == place(first.labels[true]))] += 1
        if two.index != place(one.label):
            changed.append(Changed(path, one, two, None if true is None else first.labels[true]))
        cam, other = (_map_of(c, output) for c, output in zip((one.index, place(one.label)), raw, strict=True))
        if cam is None or other is None:
            missing += 1
        else:
            contracts = first.manifest.contract, second.manifest.contract
            maps.append((correlation((cam, other), contracts, size), path))
    return Comparison(
        predicted,
        predicted - len(changed),
        tuple(changed),
        PairedCounts(*(int(counts[a, b]) for a, b in ((1, 1), (1, 0), (0, 1), (0, 0)))) if counts.any() else None,
        (statistics.median(times[0]), statistics.median(times[1])) if predicted else None,
        _agreement(maps, missing),
        tuple(unreadable),
        heat_maps,
    )


def _decoded(
    photos: Iterable[tuple[str, Photo | PhotoError]], pair: tuple[Classifier, Classifier]
) -> Iterator[tuple[str, Inputs | PhotoError]]:
    """The result of ``_inputs`` for each photo, or its error; between blocks no thread is at work."""

    def decode(one: tuple[str, Photo | PhotoError]) -> tuple[str, Inputs | PhotoError]:
        path, photo = one
        try:
            return path, photo if isinstance(photo, PhotoError) else _inputs(photo, pair)
        except PhotoError as error:
            return path, error.alone()

    source = iter(photos)
    while block := list(islice(source, _BLOCK_PHOTOS * pair[0].threads)):
        yield from list(in_order(decode, block, pair[0].threads))


def _inputs(photo: Photo, pair: tuple[Classifier, Classifier]) -> Inputs:
    """The input of each network, decoded once if the contracts are equal, and the full size of the photo."""
    inputs: list[NDArray[np.uint8]] = []
    size = (0, 0)
    for model in pair:
        contract = model.manifest.contract
        if inputs and contract == pair[0].manifest.contract:
            inputs.append(inputs[0])
            continue
        upright, size = upright_with_size(photo, contract)
        inputs.append(fit(upright, contract))
    return inputs, size


def _take_turns(
    pair: tuple[Classifier, Classifier], inputs: list[NDArray[np.uint8]], begins: int, times: tuple[list[float], ...]
) -> tuple[Raw, Raw]:
    """The outputs of both networks; ``begins`` (0 or 1) runs first. Appends the milliseconds of each to ``times``."""
    raw: dict[int, Raw] = {}
    for turn in (begins, 1 - begins):
        started = time.perf_counter()
        raw[turn] = pair[turn].infer(inputs[turn])
        times[turn].append((time.perf_counter() - started) * 1000)
    return raw[0], raw[1]


def _map_of(index: int | None, raw: Raw) -> NDArray[np.float32] | None:
    _, cams, explained = raw
    found = np.flatnonzero(explained == index)
    return cams[int(found[0])] if len(found) else None


def _agreement(maps: list[tuple[float | None, str]], missing: int) -> MapAgreement:
    known = [(value, path) for value, path in maps if value is not None]
    if not known:
        return MapAgreement(0, None, None, None, len(maps), missing)
    lowest, path = min(known, key=lambda one: one[0])
    mean = math.fsum(value for value, _ in known) / len(known)
    return MapAgreement(len(known), mean, lowest, path, len(maps) - len(known), missing)
