"""``edgeclf evaluate``: the accuracy of a model file on photos whose classes are known."""

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
from edgeclf.cli.options import Device, Ray, Threads
from edgeclf.cli.print_records import tell_device, tell_heat_maps
from edgeclf.errors import PhotoError, UsageError

if TYPE_CHECKING:
    from edgeclf.evaluation.evaluate import Evaluation
    from edgeclf.evaluation.event_accuracy import EventAccuracy
    from edgeclf.evaluation.labelled_photos import LabelledPhotos

_MAX_MATRIX_CLASSES = 12  # with more classes the most confused pairs are printed, not the matrix
_MAX_NAMES = 10  # in one line
_MAX_MISTAKES = 5  # printed; --json has all


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model file.")],
    data: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATA",
            help="One folder of photos per class, or test/ or val/ with such folders inside; or a list (CSV, TSV, "
            "Parquet) with the columns path and label.",
        ),
    ],
    split: Annotated[
        str | None, typer.Option(metavar="test|val|train", help="Which split; default: test, else val.")
    ] = None,
    ignore_unknown: Annotated[
        bool, typer.Option("--ignore-unknown", help="Leave out folders or labels that are not a class of the model.")
    ] = False,
    events: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0.0, help="Also answer photos together, as `edgeclf predict --events`."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    device: Device = "auto",
    threads: Threads = None,
    ray: Ray = None,
) -> None:
    """Measure the accuracy on photos whose classes are known.

    \b
    edgeclf evaluate birds.onnx photos/
    edgeclf evaluate birds.onnx photos/ --split val
    edgeclf evaluate birds.onnx photos/ --events 5
    edgeclf evaluate birds.onnx labels.csv
    edgeclf evaluate birds.onnx /nas/photos/ --ray HEAD:6379
    edgeclf evaluate birds.onnx field-day/ --ignore-unknown --json > metrics.json

    Folders, or the labels of a list, map to the model's classes by name. Paths of a list count from its folder; with a
    column split, test is used, else val. Intervals are 95 % (Wilson). A photo that cannot be read is reported and left
    out.

    --events says what photos gain if each gets the answer of its event. Class folders do not part events.

    --ray predicts on all CPUs of a Ray cluster, whose nodes all see the photos; the metrics are the same.

    --json prints model, data, split, photos, correct, accuracy, interval [low, high], balanced_accuracy (mean
    recall of the classes with photos), remarks (problems that the accuracy hides), per_class [label, precision,
    recall, f1, support], classes, confusion [true class][predicted class], confused [true, given, photos, of], ece,
    temperature, threshold, answered, wrong, mistakes [path, true, given, probability], absent [class], ignored
    [folder or label], loose, unreadable [path, kind, message]; with --events also events {seconds, events, of_several,
    mixed, correct, accuracy, interval, answered, wrong, photos_correct, gained, lost}.
    Shares are 0 to 1; null: no photos to count.
    """
    from edgeclf.classifier import Classifier
    from edgeclf.evaluation.evaluate import evaluate as run_evaluation
    from edgeclf.evaluation.labelled_list import labelled_photos

    folder = _one_folder(data, model)
    if ray is not None:
        from edgeclf.cli.predict_cluster import refuse

        refuse({"--events": events, "--device": device != "auto"})
    classifier = Classifier(model, device, 1 if ray else threads, for_many=True)
    found = labelled_photos(folder, classifier.labels, split=split, ignore_unknown=ignore_unknown)
    console = Console()
    for line in _reading_notes(found):
        console.line(printable(line))

    def report(error: PhotoError) -> None:
        console.line(f"edgeclf: {printable(str(error))}")

    with console.progress("photos") as progress:
        if ray is not None:
            from edgeclf import cluster

            evaluation = cluster.evaluate(model, found, threads=threads, address=ray, progress=progress, report=report)
        else:
            evaluation = run_evaluation(classifier, found, events=events, progress=progress, report=report)
    tell_heat_maps(evaluation.heat_maps, console)
    tell_device(classifier.device, console)
    if as_json:
        print(json.dumps(_values(model, found, evaluation, classifier.labels), allow_nan=False))
    else:
        for line in _lines(found, evaluation, classifier.labels):
            print(printable(line).rstrip())
    if evaluation.unreadable:
        raise typer.Exit(PhotoError.exit_code)


def _one_folder(data: list[Path], model: str) -> Path:
    """The data folder. With several, which a shell makes of ``photos/*``, the error says what to type instead."""
    if len(data) == 1:
        return data[0]
    above = {os.path.dirname(os.path.abspath(path)) for path in data}
    folder = os.path.relpath(above.pop()) if len(above) == 1 else "DATA"
    raise UsageError(
        f"{len(data)} data folders, first: {data[0]}; evaluate takes one",
        f"edgeclf evaluate {shlex.quote(model)} {shlex.quote(folder)}",
    )


def _reading_notes(found: "LabelledPhotos") -> Iterator[str]:
    """Lines about how the folders were read, and what was left out."""
    yield from found.notes
    if found.ignored:
        yield f"left out, not a class of the model: {_several(found.ignored)}"
    if found.loose:
        yield f"left out, in no class folder: {found.loose} photo{'s' * (found.loose != 1)} in {found.folder}"


def _several(names: Sequence[str]) -> str:
    names = [names[i] for i in natural_order(names)]
    return ", ".join(names[:_MAX_NAMES]) + (f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else "")


def _values(model: str, found: "LabelledPhotos", evaluation: "Evaluation", classes: Sequence[str]) -> dict[str, Any]:
    metrics = evaluation.metrics
    return {
        "model": model,
        "data": str(found.folder),
        "split": metrics.split,
        "photos": metrics.photos,
        "correct": metrics.correct,
        "accuracy": metrics.accuracy if metrics.photos else None,
        "interval": list(evaluation.interval),
        "balanced_accuracy": evaluation.balanced,
        "remarks": list(evaluation.remarks),
        "per_class": [asdict(one) for one in evaluation.per_class],
        "classes": list(classes),
        "confusion": [list(row) for row in metrics.confusion],
        "confused": [pair.to_dict() for pair in evaluation.confused],
        "ece": evaluation.ece,
        "temperature": evaluation.temperature,
        "threshold": evaluation.threshold,
        "answered": evaluation.answered,
        "wrong": evaluation.wrong,
        "mistakes": [mistake.to_dict() for mistake in evaluation.mistakes],
        "absent": list(found.absent),
        "ignored": list(found.ignored),
        "loose": found.loose,
        "unreadable": [{"path": e.path, "kind": e.kind, "message": str(e)} for e in evaluation.unreadable],
        **({} if evaluation.events is None else {"events": evaluation.events.to_dict()}),
    }


def _lines(found: "LabelledPhotos", evaluation: "Evaluation", classes: Sequence[str]) -> Iterator[str]:
    metrics = evaluation.metrics
    yield f"photos       {found.folder} ({'not split' if metrics.split == 'all' else metrics.split})"
    if not metrics.photos or evaluation.ece is None:
        yield "accuracy     no photo could be read"
        return
    low, high = evaluation.interval
    yield (
        f"accuracy     {metrics.accuracy:.1%}: {metrics.correct} of {metrics.photos} photos right, "
        f"95 % interval {low:.1%} to {high:.1%}"
    )
    yield f"balanced     {_share(evaluation.balanced)}: the mean recall of the classes"
    for line in evaluation.remarks:
        yield f"note         {line}"
    yield f"calibration  expected error {evaluation.ece:.1%} with temperature {evaluation.temperature:.3g}"
    if evaluation.threshold > 0:
        share = f" ({evaluation.wrong / evaluation.answered:.1%})" if evaluation.answered else ""
        yield (
            f"unknown      below {evaluation.threshold:.4g}: {evaluation.answered} of {metrics.photos} photos "
            f"answered, {evaluation.wrong} of them wrong{share}"
        )
    else:
        yield "unknown      the model has no threshold: every photo is answered"
    if evaluation.events is not None:
        yield from _event_lines(evaluation.events, metrics.photos)
    yield ""
    yield from _table(evaluation, classes)
    yield ""
    yield from _matrix(metrics.confusion, classes) if len(classes) <= _MAX_MATRIX_CLASSES else _pairs(evaluation)
    if evaluation.mistakes:
        yield ""
        yield f"most confident mistakes, of {len(evaluation.mistakes)}"
    for one in evaluation.mistakes[:_MAX_MISTAKES]:
        yield f"  {one.probability:6.1%}  {one.predicted}, not {one.true}: {one.path}"


def _event_lines(found: "EventAccuracy", photos: int) -> Iterator[str]:
    low, high = found.interval
    yield (
        f"events       {_share(found.correct / found.events)}: {found.correct} of {found.events} events right, "
        f"95 % interval {low:.1%} to {high:.1%}; {found.of_several} have several photos"
    )
    yield (
        f"             with the answers of their events {found.photos_correct} of {photos} photos are right "
        f"({found.photos_correct / photos:.1%}): {found.gained} gained, {found.lost} lost"
    )
    if found.mixed:
        yield f"note         events of more than one class: {found.mixed}; the class of most photos counts"


def _table(evaluation: "Evaluation", classes: Sequence[str]) -> Iterator[str]:
    """Recall and precision of each class that has photos."""
    width = min(40, max(5, *map(len, classes)))
    yield f"{'class':<{width}} {'recall':>8} {'precision':>10} {'photos':>7}"
    for one in (evaluation.per_class[i] for i in natural_order(classes)):
        if one.support:
            yield f"{one.label:<{width}} {_share(one.recall):>8} {_share(one.precision):>10} {one.support:>7}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _matrix(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> Iterator[str]:
    """The confusion matrix; columns have the numbers of the rows, since names would not fit."""
    order = natural_order(classes)
    names = [f"{number:>2} {classes[i]}" for number, i in enumerate(order, 1)]
    confusion = [[confusion[i][j] for j in order] for i in order]
    corner = "true \\ predicted"
    width = min(40, max(len(corner), *map(len, names)))
    digits = max(3, *(len(str(value)) + 1 for row in confusion for value in row))
    yield f"{corner:<{width}} {''.join(f'{n:>{digits}}' for n in range(1, len(classes) + 1))}"
    for name, row in zip(names, confusion, strict=True):
        yield f"{name:<{width}} {''.join(f'{value:>{digits}}' for value in row)}"


def _pairs(evaluation: "Evaluation") -> Iterator[str]:
    if not evaluation.confused:
        yield "nothing was confused"
    for pair in evaluation.confused:
        yield f"{pair.true} confused with {pair.predicted}: {pair.photos} of {pair.of}"
