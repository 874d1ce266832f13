"""``edgeclf doctor``: is this device ready, and does it predict as the exporting machine did?"""

import json
from dataclasses import asdict
from typing import Annotated

import typer


def doctor(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Default: $EDGECLF_MODEL, else the network in the package.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object with all facts.")] = False,
) -> None:
    """Check this device, and that a model predicts here as it did where it was exported.

    \b
    edgeclf doctor
    edgeclf doctor birds.onnx
    edgeclf doctor birds.onnx --json

    Checks Python, processor, memory, onnxruntime and Pillow, then runs the photos in the model file on the CPU: an
    INT8 network must give exactly the same bits. Parts that could crash run in a child process. Ends with 0 if all
    checks pass (warnings included), 4 if onnxruntime or Pillow fails, else 3 if the model file or its self-test fails.
    """
    from edgeclf.cli.console import printable
    from edgeclf.device.doctor import diagnose

    found = diagnose(model)
    if as_json:
        checks = [asdict(check) for check in found.checks]
        print(
            json.dumps(
                {"passed": found.exit_code == 0, "exit_code": found.exit_code, "checks": checks, **found.facts},
                allow_nan=False,
            )
        )
    else:
        for check in found.checks:
            print(f"{check.name:<12} {check.status:<8} {printable(check.detail)}")
            if check.remedy:
                print(f"{'':<12} {'':<8} -> {printable(check.remedy)}")
    raise typer.Exit(found.exit_code)
