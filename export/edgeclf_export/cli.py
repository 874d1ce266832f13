"""``edgeclf export``: a run folder becomes one model file. Heavy packages are imported only inside the command."""

import errno
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from edgeclf.cli.extras import require

_FEW_PHOTOS = 100  # below it one held-out photo is more than a point of accuracy


def export(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run folder made by `edgeclf train`, or its checkpoint.pt (best so far)."),
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="MODEL.onnx", help="The file to write; default: RUN's name.")
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(metavar="DATA", help="Folder or .zip where the run's photos are now, if they were moved."),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="8-bit integers: a quarter of the size, faster on CPUs.")
    ] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="Store weights in 16 bits: half the size.")] = False,
    max_drop: Annotated[
        float, typer.Option(metavar="POINTS", min=0, help="Accuracy that the file may lose on the held-out photos.")
    ] = 0.5,
    max_class_drop: Annotated[
        float, typer.Option(metavar="POINTS", min=0, help="Accuracy that it may lose in any one class.")
    ] = 2.0,
    force: Annotated[bool, typer.Option("--force", help="Write the file even if it is out of budget.")] = False,
    calibration_photos: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Training photos for INT8 activation ranges, at most."),
    ] = 256,
    check_photos: Annotated[
        int, typer.Option(metavar="N", min=1, help="Held-out photos with which the file is checked, at most.")
    ] = 1000,
    golden: Annotated[
        bool, typer.Option("--golden/--no-golden", help="Embed a few small held-out photos, for `edgeclf doctor`.")
    ] = True,
    cam: Annotated[
        bool,
        typer.Option("--cam/--no-cam", help="With heat maps, as the run was trained; networks of tokens have none."),
    ] = True,
    author: Annotated[str | None, typer.Option(metavar="TEXT", help="Written into the file.")] = None,
    licence: Annotated[str | None, typer.Option("--license", metavar="TEXT", help="Written into the file.")] = None,
    description: Annotated[str | None, typer.Option(metavar="TEXT", help="Written into the file.")] = None,
    display_names: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help='Names for people: {"class folder": "name", ...}.')
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Write a trained network as one self-describing .onnx file.

    \b
    edgeclf export runs/birds -o birds.onnx
    edgeclf export runs/birds -o birds-int8.onnx --int8
    edgeclf export runs/birds -o birds.onnx --fp16
    edgeclf export runs/birds -o birds.onnx --display-names names.json --author "A. Birder"

    Before the file is written, it predicts held-out photos as on a device; size, accuracy and agreement with the
    trained network are printed side by side. A file that loses more than the budget is not written (exit code 6): INT8
    is first tried with other activation ranges, then with the most sensitive layers in float.

    \b
    A drop beyond the budget fails
    - if its paired 95 % interval lies above 0 (the loss is not chance), or
    - if it is more than two photos and one point (in a class: ten points) beyond the budget.
    """
    require("export", "torch", "torchvision", "onnx", "onnxscript")
    from edgeclf.cli.console import Console
    from edgeclf.cli.signals import loading
    from edgeclf.errors import DataError, ExportError, UsageError
    from edgeclf.evaluation.calibration_text import calibration_text

    # Checks that need no torch come first: importing it takes seconds.
    if int8 and fp16:
        raise UsageError("INT8 and FP16 at once", "choose one of --int8 and --fp16")
    if out is not None and (out.suffix != ".onnx" or out.is_dir()):
        raise UsageError(f"{out}: not a name for a model file", "give -o NAME.onnx")
    if not run.exists():
        raise DataError(f"{run}: no such run folder", "give a folder that `edgeclf train` made")
    console = Console()
    with loading("torch"):
        from edgeclf_training.run.run_folder import load_run_or_checkpoint

        from edgeclf_export.api.display_names import read_display_names
        from edgeclf_export.api.export_run import Card, export_run
        from edgeclf_export.verify.gate import Budget, verdict

    trained = load_run_or_checkpoint(run)
    names = read_display_names(display_names, trained.classes) if display_names else {}
    try:
        done = export_run(
            trained,
            out or Path(f"{trained.folder.resolve().name}{'-int8' if int8 else '-fp16' if fp16 else ''}.onnx"),
            data=data or (),
            int8=int8,
            fp16=fp16,
            card=Card(author, licence, description, names),
            calibration_photos=calibration_photos,
            check_photos=check_photos,
            golden=golden,
            cam=cam,
            budget=Budget(max_drop, max_class_drop),
            force=force,
            on_event=console.listener,
        )
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        what = f"{error.filename or tempfile.gettempdir()}: {error.strerror}; nothing was written"
        raise ExportError(what, "free some space there, or set TMPDIR to another folder") from error
    if as_json:
        facts = {**asdict(done), "path": str(done.path)}
        facts["harms"] = facts.pop("sensitivities")  # the key of version 0.1
        print(json.dumps(facts, allow_nan=False))
        return
    print(f"{'':<12} {'size':>9}  {done.split + ' right':>18}  {'agrees':>11}  largest difference")
    for row in done.rows:
        print(
            f"{row.name:<12} {row.size / 1e6:>6.1f} MB  {row.correct:>6} of {done.photos:<4} "
            f"{row.correct / done.photos:>6.1%}  {row.agreeing:>4} of {done.photos:<4}  {row.difference:.1e}"
        )
    print(verdict(done.gate))
    if done.photos < _FEW_PHOTOS:
        print(f"{done.photos} photos are too few to detect a small loss; add test photos")
    if trained.calibration:
        print(f"calibrated: {calibration_text(trained.calibration)}")
    print(f"wrote {done.path}{'' if done.gate.passed else ', forced'}")
