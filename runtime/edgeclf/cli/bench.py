"""``edgeclf bench``: the speed of model files on this machine."""

import json
import platform
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeclf.cli.options import Device, Threads
from edgeclf.errors import UsageError

if TYPE_CHECKING:
    from edgeclf.device.benchmark import ModelBench, Photos
    from edgeclf.device.thermal import ThermalState

_MAX_PHOTOS = 50
_DOT_PRODUCTS = ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")  # what makes INT8 fast


def bench(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL ...] [PHOTOS]",
            help="One or two .onnx files, default: $EDGECLF_MODEL, else the network in the package; and photos, "
            f"folders or globs, of which {_MAX_PHOTOS} photos are used, default: two drawn ones.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line to share.")] = False,
    seconds: Annotated[
        float, typer.Option(metavar="S", min=1, max=3600, help="About how long to measure; slow machines take longer.")
    ] = 20,
    device: Device = "auto",
    against: Annotated[
        str | None,
        typer.Option(metavar="DEVICE", help="Measure one model on this device too, such as openvino, in turns."),
    ] = None,
    threads: Threads = None,
) -> None:
    """Measure the speed of a model on this machine, or of two models or devices in turns.

    \b
    edgeclf bench
    edgeclf bench birds.onnx field-day/
    edgeclf bench birds.onnx birds-int8.onnx
    edgeclf bench birds-int8.onnx --json >> results.jsonl
    edgeclf bench birds-int8.onnx --against openvino

    Prints the median and 95th percentile of each step, photos per second, the time and peak memory of
    `edgeclf predict` in a new process, inference with other threads and batches and beside a busy process, and whether
    the processor got too hot. "explain" is the time from a photo to its overlay; the heat map itself is part of
    every inference, and a model without heat maps has no such step. --json prints the machine, its processor's
    features, versions, the models' digests and the results; no paths, host or user names.
    """
    from edgeclf.cli.console import Console
    from edgeclf.device.benchmark import bench, drawn_photos
    from edgeclf.device.thermal import thermal_state
    from edgeclf.model.default_model import default_model

    models = [word for word in arguments or [] if word.lower().endswith(".onnx")]
    words = [word for word in arguments or [] if word not in models]
    if len(models) > 2:
        raise UsageError(f"{len(models)} models are too many", "give one, or two to compare")
    if against is not None and len(models) > 1:
        raise UsageError("--against measures one model on two devices", "give one model, or leave out --against")
    photos = (_photos(words),) if words else drawn_photos()
    before = thermal_state()
    with Console().progress("measuring") as update:
        found = bench(
            models or [default_model()],
            photos,
            device=device,
            against=against,
            threads=threads,
            seconds=seconds,
            progress=update,
        )
    after = thermal_state()
    if as_json:
        print(json.dumps(_shareable(found, before, after), allow_nan=False))
        return
    for number, one in enumerate(found):
        if number:
            print()
        _table(one)
    print()
    for line in (_comparison(found), _thermal_text(before, after)):
        if line:
            print(line)


def _photos(words: list[str]) -> "Photos":
    from edgeclf.device.benchmark import Photos
    from edgeclf.errors import PhotoError
    from edgeclf.field.find_photos import find_photos
    from edgeclf.files.photo_names import FoundPath
    from edgeclf.images.heatmap_mark import is_overlay

    sources = []
    for found in find_photos(words):
        if isinstance(found.source, PhotoError):
            raise found.source
        if isinstance(found.source, FoundPath) and is_overlay(found.source):
            continue
        sources.append(found.source)
        if len(sources) == _MAX_PHOTOS:
            break
    if not sources:
        raise UsageError("all of these are heat maps made by edgeclf, not photos", "name photos")
    return Photos(f"{len(sources)} photo{'s' * (len(sources) > 1)} given", tuple(sources))


def _table(one: "ModelBench") -> None:
    from edgeclf.cli.console import printable

    m, start = one.file.manifest, one.cold_start
    size = f"{one.file.size / 1e6:.1f} MB"
    memory = f", {start.peak_mib:.0f} MiB at most" if start.peak_mib is not None else ""
    print(f"{printable(one.file.path)}: {m.architecture}, {m.precision}, {m.contract.size} pixels, {size}")
    print(f"{one.device}, {one.threads} thread{'s' * (one.threads > 1)}")
    print(f"fresh process, one photo: {start.seconds:.2f} s{memory}")
    for group in one.photos:
        print(f"\n{group.photos:<24} {'p50 ms':>10} {'p95 ms':>10}")
        for step, times in group.steps.items():
            print(f"  {step:<22} {times.p50_ms:>10.1f} {times.p95_ms:>10.1f}")
        print(f"  {'photos/s':<22} {group.photos_per_second:>10.1f}")
    if one.sweep:
        quiet = [point for point in one.sweep if not point.busy_neighbours]
        busy = {point.threads: point.photos_per_second for point in one.sweep if point.busy_neighbours}
        batches = sorted({point.batch for point in quiet})
        rates = {(point.threads, point.batch): point.photos_per_second for point in quiet}
        heads = [*(f"batch {batch}" for batch in batches), "beside a busy process"]
        print(f"\n{'inference, photos/s':<24} " + " ".join(f"{head:>10}" for head in heads))
        for count in sorted({point.threads for point in quiet}):
            cells = [f"{rates[count, batch]:.1f}" if (count, batch) in rates else "" for batch in batches]
            cells.append(f"{busy[count]:.1f}".rjust(len(heads[-1])) if count in busy else "")
            print((f"  {count:>2} thread{'s' * (count > 1):<14} " + " ".join(f"{cell:>10}" for cell in cells)).rstrip())
        most = max(quiet, key=lambda point: point.photos_per_second)
        print(f"  most with {most.threads} thread{'s' * (most.threads > 1)} and batches of {most.batch}")


def _comparison(found: "tuple[ModelBench, ...]") -> str | None:
    """Which of two models or devices is faster here, and what to do if INT8 is not."""
    from edgeclf.model.session import OPENVINO

    if len(found) < 2:
        return None
    first, second = (one.photos[0].steps["inference"].p50_ms for one in found)
    kinds = [one.file.manifest.precision for one in found]
    faster, ratio = (0, second / first) if first < second else (1, first / second)
    if ratio < 1.05:
        return "Both need the same time for an inference here, within 5 %."
    if found[0].device != found[1].device:
        device = found[faster].device
        text = f"An inference is {ratio:.2f} times as fast with {device}."
        return text if device != OPENVINO else f"{text} Its probabilities can differ a little from those of the others."
    text = f"An inference is {ratio:.2f} times as fast with the {('first', 'second')[faster]} ({kinds[faster]})."
    eighths = [kind in ("int8", "mixed") for kind in kinds]
    if eighths[1 - faster] and not eighths[faster]:
        text += f" {_why_slow()} Use the {kinds[faster]} file here, or a smaller network in INT8."
    return text


def _why_slow() -> str:
    from edgeclf.hardware import processor

    features = processor().features
    if features is not None and not set(_DOT_PRODUCTS) & set(features):
        return "INT8 is slower: this processor has no INT8 dot-product instructions."
    return "INT8 is slower, though this processor has INT8 dot-product instructions: is onnxruntime up to date?"


def _thermal_text(before: "ThermalState", after: "ThermalState") -> str | None:
    from edgeclf.device.thermal import slowed_down

    parts = []
    if after.celsius is not None:
        start = f"{before.celsius:.0f} to " if before.celsius is not None else ""
        parts.append(f"processor {start}{after.celsius:.0f} degrees Celsius")
    if after.mhz is not None and after.max_mhz is not None:
        parts.append(f"{after.mhz:.0f} of {after.max_mhz:.0f} MHz")
    if (slowed := slowed_down(before, after)) is not None:
        parts.append(
            "slowed down: too hot, or the power supply is too weak; cool it and measure again"
            if slowed
            else "not slowed down"
        )
    text = ", ".join(parts)
    return f"{text[:1].upper()}{text[1:]}" if parts else None


def _shareable(found: "tuple[ModelBench, ...]", before: "ThermalState", after: "ThermalState") -> dict[str, Any]:
    import numpy
    import PIL

    from edgeclf import __version__
    from edgeclf.device.thermal import slowed_down
    from edgeclf.hardware import memory, processor
    from edgeclf.model.session import import_onnxruntime

    cpu = processor()
    return {
        "edgeclf_bench": 1,
        "machine": {
            "processor": cpu.name,
            "architecture": cpu.machine,
            "features": cpu.features,
            "cpus": cpu.count,
            "memory": memory().total,
            "system": platform.system(),
        },
        "versions": {
            "edgeclf": __version__,
            "python": platform.python_version(),
            "onnxruntime": import_onnxruntime().__version__,
            "numpy": numpy.__version__,
            "pillow": PIL.__version__,
        },
        "heat": {"before": asdict(before), "after": asdict(after), "slowed_down": slowed_down(before, after)},
        "models": [_results(one) for one in found],
        "comparison": _comparison(found),
    }


def _results(one: "ModelBench") -> dict[str, Any]:
    m = one.file.manifest
    return {
        "sha256": one.file.sha256,
        "bytes": one.file.size,
        "architecture": m.architecture,
        "precision": m.precision,
        "size": m.contract.size,
        "device": one.device,
        "threads": one.threads,
        "cold_start": asdict(one.cold_start),
        "photos": [asdict(group) for group in one.photos],
        "sweep": [asdict(point) for point in one.sweep],
    }
