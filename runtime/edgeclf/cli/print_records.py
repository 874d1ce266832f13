"""Records on standard output: as JSON, as a ranking with bars, or as one line."""

import sys
from typing import TYPE_CHECKING

from edgeclf.cli.console import Console, printable

if TYPE_CHECKING:
    from edgeclf.field.record import Record

_BAR = 20  # characters for a probability of 1


def print_json(record: "Record") -> None:
    """Print a record as one JSON object."""
    print(f"{record.to_json()}\n", end="", flush=True)  # one write: a kill leaves no half of a line


def print_ranking(record: "Record", console: Console) -> None:
    """Print the ranked classes of a photo below each other; an error goes to the console."""
    if record.predictions:
        print(printable(record.path) + (": unknown" if record.unknown else ""))
        width = min(40, max(len(one.name) for one in record.predictions))
        for one in record.predictions:
            print(f"  {one.name:<{width}} {one.probability:7.1%}  {_bar(one.probability)}".rstrip())
    if record.cam is not None:
        padding = record.padding_share or 0.0
        note = f" ({padding:.0%} of the evidence lies on padding)" if padding >= 0.01 else ""
        print(f"  heat map of {record.cam_class}: {printable(record.cam)}{note}")
    if record.predictions and (event := record.event) is not None and event.photos > 1:
        answer = f"{event.name} {event.probability:.1%}"
        text = f"unknown ({answer})" if event.unknown else answer
        print(f"  event of {event.photos} photos from {printable(event.event)} on: {text}")
    sys.stdout.flush()
    _print_error(record, console)


def print_line(record: "Record", console: Console) -> None:
    """Print the best class of a photo in one line; an error goes to the console."""
    if record.error is None:
        best = record.predictions[0]
        name = f"{best.name} {best.probability:.1%}"
        text = f"unknown ({name})" if record.unknown else name
        copied = "" if record.copy is None else f", copied to {printable(record.copy)}"
        print(f"{printable(record.path)}: {text}{copied}\n", end="", flush=True)
    _print_error(record, console)


def is_heat_map(record: "Record") -> bool:
    """Whether the photo is not a photo, but a heat map that edgeclf made."""
    from edgeclf.images.heatmap_mark import OVERLAY_KIND  # loads Pillow

    return record.error is not None and record.error.kind == OVERLAY_KIND


def tell_heat_maps(count: int, console: Console) -> None:
    """Say how many heat maps were found among photos, and left out."""
    if count:
        console.line(f"left out: {count} heat map{'s' * (count != 1)} made by edgeclf")


def tell_device(device: str, console: Console) -> None:
    """Say so if the device's results are not bit-exact."""
    from edgeclf.model.session import OPENVINO

    if device == OPENVINO:
        console.line("OpenVINO: probabilities can differ a little from those of other devices")


def _print_error(record: "Record", console: Console) -> None:
    if record.error is not None:
        console.line(f"edgeclf: {printable(record.error.message)}")


def _bar(share: float) -> str:
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    return ("\N{FULL BLOCK}" if encoding.startswith(("utf", "gb1")) else "#") * round(share * _BAR)
