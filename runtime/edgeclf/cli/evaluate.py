"""``edgeclf evaluate``: how well a model file answers photos whose classes are known."""

import json
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeclf.class_names import natural_order
from edgeclf.cli.console import Console, printable
from edgeclf.cli.options import Device, Threads
from edgeclf.cli.print_records import tell_heat_maps
from edgeclf.errors import PhotoError, UsageError

if TYPE_CHECKING:
    from edgeclf.evaluation.evaluate import Evaluation
    from edgeclf.evaluation.labelled_photos import LabelledPhotos

_MATRIX = 12  # classes up to which the confusion matrix is printed
_NAMED = 10  # names told in a line
_MISTAKES = 5  # printed; --json has all


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model file.")],
    data: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATA", help="One folder of photos per class, or test/ or val/ with such folders inside."
        ),
    ],
    split: Annotated[
        str | None, typer.Option(metavar="test|val|train", help="Which split; default: test, else val.")
    ] = None,
    ignore_unknown: Annotated[
        bool, typer.Option("--ignore-unknown", help="Leave out folders that are no class of the model.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Count right and wrong answers on photos whose classes are known.

    \b
    edgeclf evaluate birds.onnx photos/
    edgeclf evaluate birds.onnx photos/ --split val
    edgeclf evaluate birds.onnx field-day/ --ignore-unknown --json > figures.json

    Folders map to the model's classes by name. Intervals are 95 % (Wilson). A photo that cannot be read is reported
    and the rest go on.

    --json prints model, data, split, photos, correct, accuracy, interval [low, high], balanced_accuracy (mean
    recall of the classes with photos), remarks (what the accuracy hides), per_class [label, precision, recall, f1,
    support], classes, confusion [true class][answered class], confused [true, given, photos, of], ece, temperature,
    threshold, answered, wrong, mistakes [path, true, given, probability], absent [class], ignored [folder], loose,
    unreadable [path, kind, message].
    Shares are 0 to 1; null is a share of nothing.
    """
    from edgeclf.classifier import Classifier
    from edgeclf.evaluation.evaluate import evaluate as count
    from edgeclf.evaluation.labelled_photos import find_labelled_photos

    folder = _one(data, model)
    classifier = Classifier(model, device, threads, for_many=True)
    found = find_labelled_photos(folder, classifier.labels, split=split, ignore_unknown=ignore_unknown)
    console = Console()
    for line in _decided(found):
        console.line(printable(line))
    with console.progress("photos") as progress:
        counted = count(
            classifier,
            found,
            progress=progress,
            report=lambda error: console.line(f"edgeclf: {printable(str(error))}"),
        )
    tell_heat_maps(counted.heat_maps, console)
    if as_json:
        print(json.dumps(_values(model, found, counted, classifier.labels), allow_nan=False))
    else:
        for line in _lines(found, counted, classifier.labels):
            print(printable(line).rstrip())
    if counted.unreadable:
        raise typer.Exit(PhotoError.exit_code)


def _one(data: list[Path], model: str) -> Path:
    """The data folder; of several, as a shell makes of ``photos/*``, what to type instead."""
    if len(data) == 1:
        return data[0]
    above = {os.path.dirname(os.path.abspath(path)) for path in data}
    folder = os.path.relpath(above.pop()) if len(above) == 1 else "DATA"
    raise UsageError(
        f"{len(data)} data folders given, first: {data[0]}; figures are of one",
        f"edgeclf evaluate {shlex.quote(model)} {shlex.quote(folder)}",
    )


def _decided(found: "LabelledPhotos") -> Iterator[str]:
    """How the folders were read, and what was left out."""
    yield from found.notes
    if found.ignored:
        yield f"left out, no class of the model: {_several(found.ignored)}"
    if found.loose:
        yield f"left out, in no class folder: {found.loose} photo{'s' * (found.loose != 1)} in {found.folder}"


def _several(names: Sequence[str]) -> str:
    names = [names[i] for i in natural_order(names)]
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _values(model: str, found: "LabelledPhotos", counted: "Evaluation", classes: Sequence[str]) -> dict[str, Any]:
    figures = counted.figures
    return {
        "model": model,
        "data": str(found.folder),
        "split": figures.split,
        "photos": figures.photos,
        "correct": figures.correct,
        "accuracy": figures.accuracy if figures.photos else None,
        "interval": list(counted.interval),
        "balanced_accuracy": counted.balanced,
        "remarks": list(counted.remarks),
        "per_class": [asdict(one) for one in counted.per_class],
        "classes": list(classes),
        "confusion": [list(row) for row in figures.confusion],
        "confused": [asdict(pair) for pair in counted.confused],
        "ece": counted.ece,
        "temperature": counted.temperature,
        "threshold": counted.threshold,
        "answered": counted.answered,
        "wrong": counted.wrong,
        "mistakes": [asdict(mistake) for mistake in counted.mistakes],
        "absent": list(found.absent),
        "ignored": list(found.ignored),
        "loose": found.loose,
        "unreadable": [{"path": e.path, "kind": e.kind, "message": str(e)} for e in counted.unreadable],
    }


def _lines(found: "LabelledPhotos", counted: "Evaluation", classes: Sequence[str]) -> Iterator[str]:
    figures = counted.figures
    yield f"photos       {found.folder} ({'not split' if figures.split == 'all' else figures.split})"
    if not figures.photos or counted.ece is None:
        yield "accuracy     no photo could be read"
        return
    low, high = counted.interval
    yield (
        f"accuracy     {figures.accuracy:.1%}: {figures.correct} of {figures.photos} photos right, "
        f"95 % interval {low:.1%} to {high:.1%}"
    )
    yield f"balanced     {_share(counted.balanced)}: the mean recall of the classes, each counted alike"
    for line in counted.remarks:
        yield f"note         {line}"
    yield f"calibration  expected error {counted.ece:.1%} with temperature {counted.temperature:.3g}"
    if counted.threshold > 0:
        share = f" ({counted.wrong / counted.answered:.1%})" if counted.answered else ""
        yield (
            f"unknown      below {counted.threshold:.4g}: {counted.answered} of {figures.photos} photos answered, "
            f"{counted.wrong} of them wrong{share}"
        )
    else:
        yield "unknown      the model has no threshold: every photo is answered"
    yield ""
    yield from _table(counted, classes)
    yield ""
    yield from _matrix(figures.confusion, classes) if len(classes) <= _MATRIX else _pairs(counted)
    if counted.mistakes:
        yield ""
        yield f"wrong and surest of it, of {len(counted.mistakes)}"
    for one in counted.mistakes[:_MISTAKES]:
        yield f"  {one.probability:6.1%}  {one.given}, not {one.true}: {one.path}"


def _table(counted: "Evaluation", classes: Sequence[str]) -> Iterator[str]:
    """Each class that has photos."""
    width = min(40, max(5, *map(len, classes)))
    yield f"{'class':<{width}} {'recall':>8} {'precision':>10} {'photos':>7}"
    for one in (counted.per_class[i] for i in natural_order(classes)):
        if one.support:
            yield f"{one.label:<{width}} {_share(one.recall):>8} {_share(one.precision):>10} {one.support:>7}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _matrix(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> Iterator[str]:
    """Columns are numbered like the rows: names would not fit."""
    order = natural_order(classes)
    names = [f"{number:>2} {classes[i]}" for number, i in enumerate(order, 1)]
    confusion = [[confusion[i][j] for j in order] for i in order]
    corner = "true \\ taken for"
    width = min(40, max(len(corner), *map(len, names)))
    digits = max(3, *(len(str(value)) + 1 for row in confusion for value in row))
    yield f"{corner:<{width}} {''.join(f'{n:>{digits}}' for n in range(1, len(classes) + 1))}"
    for name, row in zip(names, confusion, strict=True):
        yield f"{name:<{width}} {''.join(f'{value:>{digits}}' for value in row)}"


def _pairs(counted: "Evaluation") -> Iterator[str]:
    if not counted.confused:
        yield "nothing was confused"
    for pair in counted.confused:
        yield f"{pair.true} taken for {pair.given}: {pair.photos} of {pair.of}"
