"""``edgeclf devices``: the devices that can run a network on this machine."""

import json
from dataclasses import asdict
from typing import Annotated

import typer


def devices(
    as_json: Annotated[bool, typer.Option("--json", help="One object: the list of devices.")] = False,
) -> None:
    """List the values of --device on this machine, and which of them "auto" is.

    \b
    edgeclf devices
    edgeclf predict photo.jpg --device cuda

    Every execution provider of the installed onnxruntime is tried with the network in the package. What another
    provider cannot compute runs on the CPU. Each line of `edgeclf predict --json` names the provider that was used.
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
