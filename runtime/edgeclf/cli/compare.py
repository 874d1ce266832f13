"""``edgeclf compare``: two model files on the same photos."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeclf.cli.console import Console, printable
from edgeclf.cli.options import Device, Threads
from edgeclf.cli.print_records import tell_device, tell_heat_maps
from edgeclf.errors import PhotoError

if TYPE_CHECKING:
    from edgeclf.classifier import Classifier
    from edgeclf.evaluation.compare import Changed, Comparison
    from edgeclf.results import RankedLabel

Models = tuple[tuple[str, "Classifier"], tuple[str, "Classifier"]]


def compare(
    first: Annotated[str, typer.Argument(metavar="A.onnx", help="A model file.")],
    second: Annotated[str, typer.Argument(metavar="B.onnx", help="Another one with the same classes.")],
    photos: Annotated[
        list[str], typer.Argument(metavar="PHOTO...", help='Photos, folders (searched recursively), globs, or "-".')
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Compare two models on the same photos.

    \b
    edgeclf compare birds.onnx birds-int8.onnx photos/test/
    edgeclf compare old.onnx new.onnx 'card/**/*.JPG' --json > difference.json

    Lists the photos whose prediction changed, and shows how many agree, the accuracy of each on photos in folders with
    the name of a class (with a paired 95 % interval of the difference, Tango 1998), the median time of one inference
    (measured in turns), the file sizes, and the correlation of the heat maps. A photo that cannot be read is reported
    and left out.

    --json prints models [path, bytes, correct, accuracy, milliseconds] of A and of B, photos, agreeing, changed [path,
    true, first, second [label, probability]], labelled (photos whose class is known), difference (B's accuracy minus
    A's) and its interval [low, high], time_ratio and size_ratio (B over A), maps [compared, mean, lowest, lowest_path,
    dead, missing], unreadable [path, kind, message]. Shares are 0 to 1; null is unknown.
    """
    from edgeclf.classifier import Classifier
    from edgeclf.evaluation.compare import check_comparable
    from edgeclf.evaluation.compare import compare as run
    from edgeclf.field.find_photos import find_photos
    from edgeclf.images.camera_raw import Tally

    models: Models = (
        (first, Classifier(first, device, threads)),
        (second, Classifier(second, device, threads)),
    )
    check_comparable(models[0][1], models[1][1], (first, second))
    console, raws = Console(), Tally()
    found = list(find_photos(photos, raws))
    for line in raws.lines:
        console.line(line)
    with console.progress("photos") as progress:
        compared = run(
            models[0][1],
            models[1][1],
            ((one.path, one.source) for one in found),
            progress=lambda done: progress(done, len(found)),
            report=lambda error: console.line(f"edgeclf: {printable(str(error))}"),
        )
    tell_heat_maps(compared.heat_maps, console)
    tell_device(models[0][1].device, console)
    values = _values(models, compared)
    if as_json:
        print(json.dumps(values, allow_nan=False))
    else:
        for line in _lines(models, compared, values):
            print(printable(line))
    if compared.unreadable:
        raise typer.Exit(PhotoError.exit_code)


def _values(models: Models, compared: "Comparison") -> dict[str, Any]:
    counts, times = compared.counts, compared.milliseconds
    sides: list[dict[str, Any]] = []
    for side, (path, _) in enumerate(models):
        correct = counts.correct[side] if counts else None
        sides.append(
            {
                "path": path,
                "bytes": os.path.getsize(path),
                "correct": correct,
                "accuracy": correct / counts.photos if counts and correct is not None else None,
                "milliseconds": round(times[side], 3) if times else None,
            }
        )
    a, b = sides
    return {
        "models": sides,
        "photos": compared.photos,
        "agreeing": compared.agreeing,
        "changed": [_changed(one) for one in compared.changed],
        "labelled": counts.photos if counts else 0,
        "difference": (counts.second_only - counts.first_only) / counts.photos if counts else None,
        "interval": list(counts.interval) if counts else None,
        "time_ratio": times[1] / times[0] if times else None,
        "size_ratio": b["bytes"] / a["bytes"],
        "maps": asdict(compared.maps),
        "unreadable": [{"path": e.path, "kind": e.kind, "message": str(e)} for e in compared.unreadable],
    }


def _changed(one: "Changed") -> dict[str, Any]:
    return {"path": one.path, "true": one.true, "first": _ranked(one.first), "second": _ranked(one.second)}


def _ranked(ranked: "RankedLabel") -> dict[str, Any]:
    return {"label": ranked.label, "probability": round(ranked.probability, 6)}


def _lines(models: Models, compared: "Comparison", values: dict[str, Any]) -> Iterator[str]:
    for letter, side, (_, model) in zip("AB", values["models"], models, strict=True):
        m = model.manifest
        spent = "" if side["milliseconds"] is None else f", {side['milliseconds']:.3g} ms an inference"
        yield (
            f"{letter:<12} {side['path']} ({m.architecture}, {m.precision}, {m.contract.size} px {m.contract.resize}, "
            f"{side['bytes'] / 1e6:.3g} MB{spent})"
        )
    if not compared.photos:
        yield "photos       no photo could be read"
        return
    yield f"B over A     time {values['time_ratio']:.2f}, size {values['size_ratio']:.2f}"
    yield f"agree        {compared.agreeing} of {compared.photos} photos ({compared.agreeing / compared.photos:.1%})"
    yield f"accuracy     {_accuracy(compared, values)}"
    yield f"heat maps    {_maps(compared)}"
    for one in compared.changed:
        true = f" (is {one.true})" if one.true else ""
        yield (
            f"{one.path}: {one.first.label} {one.first.probability:.1%} -> "
            f"{one.second.label} {one.second.probability:.1%}{true}"
        )


def _accuracy(compared: "Comparison", values: dict[str, Any]) -> str:
    counts = compared.counts
    if counts is None:
        return "unknown: no folder has the name of a class"
    low, high = counts.interval
    shares = ", ".join(
        f"{letter} {side['correct']} of {counts.photos} ({side['accuracy']:.1%})"
        for letter, side in zip("AB", values["models"], strict=True)
    )
    return (
        f"{shares}; B minus A {100 * values['difference']:+.1f} points, 95 % interval "
        f"{100 * low:+.1f} to {100 * high:+.1f}"
    )


def _maps(compared: "Comparison") -> str:
    maps = compared.maps
    parts = []
    if maps.mean is not None:
        parts.append(
            f"correlation {maps.mean:.3f} on average, {maps.lowest:.3f} at lowest ({maps.lowest_path}), "
            f"on {maps.compared} photos"
        )
    if maps.dead:
        parts.append(f"constant on {maps.dead}")
    if maps.missing:
        parts.append(f"not in both models for {maps.missing}")
    return "; ".join(parts)
