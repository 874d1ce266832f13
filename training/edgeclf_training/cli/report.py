"""``edgeclf report``: rebuild a run's report. torch and matplotlib are imported only inside the command."""

import json
from pathlib import Path
from typing import Annotated

import typer
from edgeclf.cli.extras import require


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder made by `edgeclf train`.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(metavar="DATA", help="Folder or .zip where its photos are now, if they were moved."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the content of metrics.json.")] = False,
) -> None:
    """Write a run's report again.

    \b
    edgeclf report runs/birds
    edgeclf report runs/birds --json

    report.html shows accuracy, curves, the confusion matrix, the most confident mistakes with heat maps, and
    calibration, in one file that works offline. metrics.json holds the same for programs. Photos that can no longer be
    read are listed and left out.
    """
    require("train", "torch", "torchvision", "matplotlib", "jinja2")
    from edgeclf.cli.console import Console, printable
    from edgeclf.cli.signals import loading

    console = Console()
    with loading("torch"):
        from edgeclf_training.report import write_report
        from edgeclf_training.run.relocate import relocated
        from edgeclf_training.run.run_folder import load_run
    trained = relocated(load_run(run), data or (), console.listener)
    metrics = write_report(trained, on_event=console.listener)
    if as_json:
        print(json.dumps(metrics, sort_keys=True, allow_nan=False))
        return
    counted = metrics["splits"][metrics["headline"]]
    low, high = counted["interval"]
    print(
        f"{metrics['headline']}: {counted['correct']} of {counted['photos']} photos right "
        f"({counted['accuracy']:.1%}, 95 % interval {low:.1%} to {high:.1%}); "
        f"balanced accuracy {counted['balanced_accuracy']:.1%} (mean recall of the classes)"
    )
    if metrics["diverged"]:
        print(metrics["diverged"])
    for split, counts in metrics["splits"].items():
        for line in counts["remarks"]:
            print(printable(f"{split}: {line}"))
    print(f"wrote {run / 'report.html'} and metrics.json")
