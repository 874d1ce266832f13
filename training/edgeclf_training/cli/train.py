"""``edgeclf train`` and ``edgeclf sample-data``. torch and its friends are imported only inside the commands."""

import csv
import inspect
import os
import shlex
import signal
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from edgeclf.cli.extras import require
from edgeclf.errors import DataError, UsageError

from edgeclf_training.config.options import CLASS_CHANGES, MACHINE, RENAMED, TrainOptions, flag, value_type, with_values
from edgeclf_training.config.recipe_file import recipe_and_start, recipe_names

_LIST_HINT = """separate names by commas; put a name that contains a comma in double quotes: --classes 'A,"B, small"'"""


def train(
    data: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="DATA...", help="Folders with one sub-folder per class, or a .zip or .tar.", show_default=False
        ),
    ] = None,
    quarantine: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Leave out the photos on this list; see `edgeclf data check`.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE",
            help="A table with the columns path and label, optionally split and group: CSV, TSV or Parquet.",
        ),
    ] = None,
    recipe: Annotated[
        str, typer.Option(metavar="NAME|FILE", help=f"{', '.join(recipe_names())}, or a TOML file.")
    ] = "default",
    start: Annotated[
        Path | None,
        typer.Option("--from", metavar="RUN", help="Continue training the network of an earlier run, on these photos."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Resume an interrupted run after its last finished epoch."),
    ] = None,
    moved: Annotated[
        list[Path] | None,
        typer.Option("--data", metavar="DATA", help="With --resume: where its photos are now, if they were moved."),
    ] = None,
    logger: Annotated[Literal["csv", "tensorboard"], typer.Option(help="tensorboard also writes event files.")] = "csv",
    report: Annotated[bool, typer.Option(help="Write report.html and metrics.json.")] = True,
    out: Annotated[Path | None, typer.Option(metavar="RUN", help="Run folder; default: runs/DATA-ARCH.")] = None,
    **given: Any,
) -> None:
    """Fine-tune a classifier on folders of photos.

    \b
    edgeclf train photos/
    edgeclf train photos/ --arch resnet50 --epochs 12 --freeze-epochs 3 --unfreeze layer3
    edgeclf train photos/ --arch cnn4 --resize pad --epochs 50
    edgeclf train photos/ --recipe food5-resnet50 --seed 1
    edgeclf train photos/ --labels labels.csv
    edgeclf train --labels /nas/labels.parquet
    edgeclf train shards/train-*.tar shards/val-*.tar
    edgeclf train photos/ --group-by folder:1
    edgeclf train new-photos/ --from runs/photos-resnet50
    edgeclf train --from runs/photos-resnet50 --rename old=new --drop blurred --epochs 0
    edgeclf train --resume runs/photos-resnet50

    DATA holds train/ and optionally val/ and test/, each with one folder per class; or only class folders. Names such
    as Validation, dev and Test_set also work. If the folders can be read in more than one way, training refuses them.
    Without val/, 20 % of the training photos are set aside for validation, chosen by the seed. The same or nearly the
    same photo is never in two of these parts. Photos are only read. The weights that are kept are those of the epoch
    that did best on the validation photos.

    A .tar of such folders is not unpacked: its photos are read where they lie.

    With --labels the labels come from a table, not from folder names. Paths in it start at DATA or at the table's
    folder; without DATA they may lead anywhere. Photos that it does not name are left out. If it has mistakes, one
    message tells all of them; `edgeclf data check DATA --labels TABLE` lists each.

    With --from, the network of RUN learns on: its classes are kept, classes with a new folder are added, and the photos
    of RUN that are still in their places are used again, unless --no-earlier-photos is given. --rename, --drop and
    --merge change the classes of RUN; with --epochs 0 nothing else is done, and DATA may be left out. The report says
    how the earlier classes fare.

    Exits with 5 if the photos cannot be used, or if training diverged and left no usable weights: lower the rates.

    A recipe is a TOML file; its keys are the flags below --out, with underscores. Flags override it.

    \b
    Then: edgeclf export RUN -o MODEL.onnx
    """
    chosen = {name: value for name, value in given.items() if value is not None and value != []}
    for old in [name for name in RENAMED if name in chosen]:
        typer.echo(f"note: {flag(old)} is now called {flag(RENAMED[old])}", err=True)
    if "classes" in chosen:
        chosen["classes"] = _names(chosen["classes"])
    base, start_of_recipe = recipe_and_start(recipe)
    options = with_values(base, chosen)
    data = [*(data or []), *(moved or [])]
    others = {
        "--from": start,
        "--out": out,
        "--quarantine": quarantine,
        "--labels": labels,
        "--recipe": recipe != "default",
    }
    start = start or (start_of_recipe if resume is None else None)
    _check_combination(data, resume, others, chosen, start)
    if start is not None and start is start_of_recipe and not start.is_dir():
        raise DataError(f"{recipe} continues the run {start}, which does not exist", "name that run with --from")
    require("train", "torch", "torchvision", "pytorch_lightning", "torchmetrics", "albumentations", "matplotlib")
    from edgeclf.cli.console import Console, printable
    from edgeclf.cli.signals import loading

    from edgeclf_training.dataset.find_photos import find_photos
    from edgeclf_training.dataset.group_rules import effective_rule, group_column, parse_rule
    from edgeclf_training.dataset.labels_table import read_labels
    from edgeclf_training.dataset.quarantine import read_quarantine
    from edgeclf_training.dataset.zip_data import data_name, open_data

    console = Console()
    left_out = read_quarantine(quarantine) if quarantine else None
    with console.progress("unpacking") as progress:
        folders = open_data(data, progress, lambda line: console.line(printable(line)))
    if (folders or labels) and resume is None and start is None:
        table = read_labels(labels, group_column(parse_rule(options.group_by))) if labels else None
        effective_rule(options.group_by, table)
        find_photos(folders, only=options.classes, labels=table)  # a wrong folder is reported before torch is loaded
    with loading("torch"):
        from edgeclf_training.fit import train as training
        from edgeclf_training.run.history import trainer_rank
        from edgeclf_training.run.run_folder import load_run

    signal.signal(signal.SIGTERM, _interrupt)
    reporting: dict[str, Any] = {"logger": logger, "report": report, "on_event": console.listener}
    if resume is not None:
        run = training.resume(resume, data, chosen, **reporting)
    else:
        earlier = load_run(start) if start else None
        if earlier is not None:
            defaults = TrainOptions()
            changed = {f.name for f in fields(options) if getattr(options, f.name) != getattr(defaults, f.name)}
            _check_against(earlier.options, options, changed - {"weights"} | set(chosen), start)
            if options.weights is not None:
                console.line(f"the weights in the recipe are not used: the network comes from {start}")
        name = (earlier.options.arch if earlier else options.arch).replace(":", "-")  # no colons in names on Windows
        named = data or ([labels] if labels else [])
        out = out or _unused(Path("runs") / (f"{data_name(named[0])}-{name}" if named else _start_name(start)))
        run = training.train(data, out, options, start=earlier, quarantine=left_out, labels=labels, **reporting)
    if trainer_rank() == 0:
        folder, file = (shlex.quote(name) for name in (str(run.folder), f"{run.folder.resolve().name}.onnx"))
        typer.echo(f"run: {run.folder}\nnext: edgeclf export {folder} -o {file} --int8")


def _names(text: str) -> tuple[str, ...]:
    """Names separated by commas; a name that contains a comma is in double quotes."""
    try:
        (names,) = csv.reader([text], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError) as error:
        raise UsageError(f"--classes {text}: not a list of names ({error})", _LIST_HINT) from error
    return tuple(name.strip() for name in names if name.strip())


def _check_combination(
    data: list[Path],
    resume: Path | None,
    others: Mapping[str, object],
    chosen: dict[str, Any],
    start: Path | None,
) -> None:
    if resume is None:
        if not data and start is None and not others["--labels"]:
            raise UsageError("no photos given", "name a folder with one sub-folder per class")
        return
    fixed = [flag(name) for name in chosen if name not in MACHINE]
    fixed += [name for name, used in others.items() if used]
    if fixed:
        raise UsageError(
            f"{fixed[0]} contradicts --resume: a run is resumed with its own options", f"leave {fixed[0]} out"
        )


def _check_against(earlier: TrainOptions, options: TrainOptions, changed: set[str], start: Path | None) -> None:
    for key in ("arch", "head", "image_size", "resize", "crop_fraction", "normalize", "weights"):
        value = getattr(options, key)
        if key in changed and (key == "weights" or value != getattr(earlier, key)):
            raise UsageError(f"{flag(key)} {value} contradicts --from {start}", "leave it out, also in the recipe")


def _interrupt(*_: Any) -> None:
    """SIGTERM ends a run as Ctrl-C does: finished epochs are kept, and a message says how to resume."""
    raise KeyboardInterrupt


def _add_flags() -> None:
    """Give ``train`` a flag for every field of ``TrainOptions``; one that is not given leaves the recipe's value."""
    shape = inspect.signature(train)
    parameters = [p for p in shape.parameters.values() if p.kind is not p.VAR_KEYWORD]
    for f in fields(TrainOptions):
        kind, choices = value_type(f.name)
        help_text, names, extra = f.metadata["help"], [flag(f.name)], {"metavar": f.metadata["metavar"]}
        if choices:
            extra["metavar"] = "|".join(choices)
        if f.name in CLASS_CHANGES:
            kind = list[str]  # may be given several times
        if kind is bool:
            names, extra = [f"{flag(f.name)}/--no-{flag(f.name)[2:]}"], {}
        if f.default not in (None, (), "") and "default" not in help_text.lower():
            help_text += f" Default: {str(f.default).lower() if kind is bool else f.default}."
        option = typer.Option(*names, help=help_text, show_default=False, **extra)
        hint: Any = Annotated[(str if kind is tuple else kind) | None, option]
        parameters.append(inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint))
    for old, name in RENAMED.items():
        hint = Annotated[value_type(name)[0] | None, typer.Option(flag(old), hidden=True)]
        parameters.append(inspect.Parameter(old, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint))
    train.__signature__ = shape.replace(parameters=parameters)  # type: ignore[attr-defined]
    train.__annotations__ = {p.name: p.annotation for p in parameters}


_add_flags()


def _start_name(start: Path | None) -> str:
    return os.path.basename(os.path.abspath(start or "run"))


def _unused(folder: Path) -> Path:
    number, candidate = 1, folder
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate
