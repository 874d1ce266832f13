"""``edgeclf devices``: what a network can be computed on here."""

import json
from dataclasses import asdict
from typing import Annotated

import typer


def devices(
    as_json: Annotated[bool, typer.Option("--json", help="One object: the list of devices.")] = False,
) -> None:
    """List what --device takes on this machine, and which of it "auto" is.

    \b
    edgeclf devices
    edgeclf predict photo.jpg --device cuda

    Every execution provider of the installed onnxruntime is tried with the network in the package. One that is not
    the CPU leaves to the CPU what it cannot compute. `edgeclf predict --json` says on each line which one served.
    """
    from edgeclf.cli.console import printable
    from edgeclf.device.providers import find_devices

    found = find_devices()
    if as_json:
        print(json.dumps({"devices": [asdict(device) for device in found]}, allow_nan=False))
        return
    for device in found:
        state = "does not work: " + printable(device.reason) if not device.works else "auto" if device.auto else ""
        print(f"{device.name:<12} {device.provider:<28} {state}".rstrip())
