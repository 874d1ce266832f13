"""Training, from folders to a finished run."""

import logging
import os
import shutil
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from edgeclf.cli.console import printable
from edgeclf.contract import ImageContract
from edgeclf.errors import BackendError, DataError, UsageError
from edgeclf.manifest import Provenance
from edgeclf.session import usable_threads

from edgeclf_training import augment
from edgeclf_training.calibration import calibrate
from edgeclf_training.console import Console
from edgeclf_training.data import Split, drop_unreadable, read_split, write_lists
from edgeclf_training.dataset import PhotoDataset, loader
from edgeclf_training.evaluation import ask, evaluate, write_confusion
from edgeclf_training.fitting import Epoch, History, Phase, fit_phases
from edgeclf_training.networks import Loaded, Network, build_network, get_architecture
from edgeclf_training.report import write_report
from edgeclf_training.runs import Run, TrainOptions, copy_known_classes, save_run, versions


def train(
    data: Sequence[Path],
    out: Path,
    options: TrainOptions | None = None,
    *,
    start: Run | None = None,
    logger: str = "csv",
    console: Console | None = None,
) -> Run:
    """Fine-tune a classifier on folders of photos.

    Args:
        data: data folders, see ``read_split``.
        out: the run folder; must not exist, or be empty.
        options: what the user decided; the defaults if None. With ``start``, its architecture, head, input size and
            resize rule hold.
        start: an earlier run to go on from: its network, and its split for the photos it knew.
        logger: "csv", or "tensorboard" to write event files as well.
        console: where to report; silent if None.

    Raises:
        DataError: the photos or weights cannot be used.
        UsageError: an option makes no sense, or ``out`` is taken.
        BackendError: the device or tensorboard is not to be had.
    """
    console = console or Console(quiet=True)
    options = _resolve(options or TrainOptions(), start)
    accelerator = _accelerator(options.device)
    contract = ImageContract(_size(options), options.resize, options.crop_fraction or 1.0)
    _claim(out, data)
    split = read_split(
        data,
        seed=options.seed,
        only=options.classes,
        max_per_class=options.max_per_class,
        earlier=start.split if start else None,
    )
    with console.progress("reading photos") as progress:
        split = drop_unreadable(split, contract, progress)
    pl.seed_everything(options.seed, verbose=False)
    network, loaded = _network(options, split, start)
    # Before anything is written: an unknown stage is a usage error.
    phases = _phases(options, network, pretrained=bool(loaded or start))
    log = _logger(logger, out)
    _describe(console, options, contract, split, loaded, start)
    console.line(f"run folder: {out}")

    out.mkdir(parents=True, exist_ok=True)
    write_lists(split, out / "split")
    run = Run(out, options, split.classes, contract, split, (), _provenance(options, split, loaded, start))
    save_run(run)
    history = History(out, network, partial(_report, console, options.epochs))
    if start is not None:
        before = evaluate(network, _batches(run, split.val), len(split.classes), "validation")
        console.line(f"before: {before.correct} of {before.photos} validation photos right ({before.accuracy:.1%})")
        history.start_from(before.accuracy)
    try:
        _fit(network, phases, run, accelerator, log, console, history)
    except KeyboardInterrupt:
        _say_what_is_left(history, out, console)
        raise

    held_out = [("validation", split.val), *([("test", split.test)] if split.test else [])]
    device = "cuda" if accelerator == "gpu" else "cpu"
    answers = [ask(network, samples, run.classes, contract, name, device=device) for name, samples in held_out]
    calibration = calibrate(answers[0].logits, answers[0].labels)
    run = replace(run, figures=tuple(a.figures for a in answers), calibration=calibration)
    save_run(run)
    write_confusion(run.figures[-1], split.classes, out)
    for f in run.figures:
        console.line(f"{f.split}: {f.correct} of {f.photos} photos right ({f.accuracy:.1%})")
    write_report(run, network, answers, console=console)
    console.line(f"report: {out / 'report.html'}")
    return run


def _resolve(options: TrainOptions, start: Run | None) -> TrainOptions:
    """Fill in what the user left open."""
    if start is not None:
        kept = start.options
        options = replace(
            options,
            architecture=kept.architecture,
            head=kept.head,
            image_size=kept.image_size,
            resize=kept.resize,
            crop_fraction=kept.crop_fraction,
            weights="none",
        )
    spec = get_architecture(options.architecture)
    weights = options.weights or ("imagenet" if spec.imagenet else "none")
    pretrained = weights != "none" or start is not None
    # From scratch a deep network without batch norm (VGG16) only starts to learn at a low rate.
    scratch_rate = 1e-4 if options.architecture == "vgg16" else 5e-4
    for valid, message in (
        (options.epochs >= 1, f"--epochs {options.epochs}: give at least 1"),
        (
            0 <= (options.freeze_epochs or 0) <= options.epochs,
            f"--freeze-epochs {options.freeze_epochs}: not within 0..epochs",
        ),
        (options.batch_size >= 2, f"--batch-size {options.batch_size}: give at least 2"),
        (options.max_per_class is None or options.max_per_class >= 2, "--max-per-class: give at least 2"),
        (options.head in (None, "linear", "mlp"), f"--head {options.head}: give linear or mlp"),
        (options.augment in augment.KINDS, f"--augment {options.augment}: give {' or '.join(augment.KINDS)}"),
        (0 <= options.seed < 2**32, f"--seed {options.seed}: not within 0..4294967295"),
        ((options.workers or 0) >= 0, f"--workers {options.workers}: give 0 or more"),
    ):
        if not valid:
            raise UsageError(message)
    return replace(
        options,
        weights=weights,
        head=options.head or spec.default_head,
        image_size=_size(options),
        crop_fraction=(options.crop_fraction or 0.875) if options.resize == "crop" else 1.0,
        freeze_epochs=min(1 if pretrained else 0, options.epochs - 1)
        if options.freeze_epochs is None
        else options.freeze_epochs,
        head_rate=options.head_rate or (3e-3 if pretrained else scratch_rate),
        base_rate=options.base_rate or (2e-4 if pretrained else scratch_rate),
        workers=min(8, usable_threads()) if options.workers is None else options.workers,
    )


def _size(options: TrainOptions) -> int:
    size = options.image_size or get_architecture(options.architecture).image_size
    if not 32 <= size <= 1024:
        raise UsageError(f"--image-size {size}: not within 32..1024")
    return size


def _accelerator(device: str) -> str:
    if device == "cuda" and not torch.cuda.is_available():
        raise BackendError("device cuda is not to be had: torch sees no GPU", "check the driver, or use --device cpu")
    return {"auto": "gpu" if torch.cuda.is_available() else "cpu", "cuda": "gpu", "cpu": "cpu"}[device]


def _claim(out: Path, data: Sequence[Path]) -> None:
    """Find a used, unwritable or badly placed run folder before any work is done."""
    if inside := [root for root in data if out.resolve().is_relative_to(root.resolve())]:
        raise UsageError(f"{out} lies inside the photos in {inside[0]}", "choose an --out elsewhere")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} already exists and is not empty", "choose another --out")
    parent = next(p for p in (out, *out.absolute().parents) if p.exists())
    if not os.access(parent, os.W_OK):
        raise UsageError(f"{out} cannot be created: {parent} is not writable", "choose another --out")


def _network(options: TrainOptions, split: Split, start: Run | None) -> tuple[Network, Loaded | None]:
    network, loaded = build_network(
        options.architecture,
        len(split.classes),
        head=options.head,
        image_size=options.image_size,
        weights=options.weights or "none",
    )
    if start is not None:
        copy_known_classes(network, start.network(), split.classes, start.classes)
    return network, loaded


def _phases(options: TrainOptions, network: Network, *, pretrained: bool) -> list[Phase]:
    if options.unfreeze not in ("all", *network.stages):
        raise UsageError(
            f"--unfreeze {options.unfreeze}: {options.architecture} has no such stage",
            f"give all, or one of {', '.join(network.stages)}",
        )
    frozen = options.freeze_epochs or 0
    rates = (options.head_rate or 0.0, options.base_rate or 0.0)
    phases = [Phase("frozen", frozen, None, *rates, pretrained)] if frozen else []
    if options.epochs > frozen:
        phases.append(Phase("fine-tune", options.epochs - frozen, options.unfreeze, *rates, pretrained))
    return phases


def _logger(kind: str, out: Path) -> Any:
    """metrics.csv is always written; this is what comes on top."""
    if kind == "csv":
        return False
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: F401
    except ImportError as error:
        raise BackendError("tensorboard is not installed", "pip install tensorboard") from error
    return pl.loggers.TensorBoardLogger(save_dir=str(out), name="tensorboard", version="")


def _provenance(options: TrainOptions, split: Split, loaded: Loaded | None, start: Run | None) -> Provenance:
    lineage = start.provenance.weights if start else ()
    if loaded is not None:
        lineage = (f"{loaded.source}; sha256 {loaded.sha256}; {loaded.licence}",)
    if start is not None:
        lineage = (
            *lineage,
            f"an earlier run, {start.folder.resolve().name}",
        )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Provenance(now, options.seed, split.fingerprint(), lineage, versions())


def _batches(run: Run, samples: Sequence[Any]) -> Any:
    o = run.options
    dataset = PhotoDataset(samples, run.classes, run.contract, "none", o.seed)
    return loader(dataset, o.batch_size, o.workers or 0, shuffle=False)


def _report(console: Console, epochs: int, epoch: Epoch) -> None:
    console.line(
        f"epoch {epoch.epoch}/{epochs} ({epoch.phase}): "
        f"loss {epoch.train_loss:.3f}, accuracy {epoch.train_accuracy:.1%}; "
        f"validation loss {epoch.val_loss:.3f}, accuracy {epoch.val_accuracy:.1%}; {epoch.seconds:.0f} s"
    )


def _say_what_is_left(history: History, out: Path, console: Console) -> None:
    if history.best is None:
        shutil.rmtree(out)  # made by this run, and nothing in it is of use
        console.line("interrupted before the first epoch was finished: nothing is kept")
    else:
        console.line(
            f"interrupted: the best weights so far (epoch {history.best.epoch}) are in {out}; "
            f"`edgeclf export {out}` takes them, `--from {out}` goes on from them"
        )


def _fit(
    network: Network,
    phases: list[Phase],
    run: Run,
    accelerator: str,
    log: Any,
    console: Console,
    history: History,
) -> None:
    o = run.options
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    dataset = PhotoDataset(run.split.train, run.classes, run.contract, o.augment, o.seed)
    batches = loader(dataset, o.batch_size, o.workers or 0, seed=o.seed, shuffle=True)
    with warnings.catch_warnings():
        # Lightning's advice on worker counts, idle GPUs and step counts is for people who call it themselves.
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        fit_phases(
            network,
            phases,
            batches,
            _batches(run, run.split.val),
            history,
            classes=len(run.classes),
            accelerator=accelerator,
            logger=log,
            progress_bar=not console.quiet and sys.stdout.isatty() and sys.stderr.isatty(),  # it writes to stdout
        )
    if history.best is None:
        raise DataError("training diverged: no epoch has a finite validation loss", "check the photos and the weights")
    which = f"epoch {history.best.epoch}" if history.best.epoch else "what the run started from"
    console.line(f"best: {which}; its weights are kept")


def _describe(
    console: Console, o: TrainOptions, contract: ImageContract, split: Split, loaded: Loaded | None, start: Run | None
) -> None:
    origin = f"from {start.folder}" if start else f"weights: {loaded.source if loaded else 'none (from scratch)'}"
    console.line(f"{o.architecture}, {o.head} head, {contract.size} px {contract.resize}, {origin}")
    console.line(
        f"{len(split.classes)} classes: {len(split.train)} photos to train, {len(split.val)} to validate "
        f"({split.val_origin})" + (f", {len(split.test)} to test" if split.test else "")
    )
    for skipped in split.skipped[:5]:
        console.line(f"skipped: {printable(skipped.reason)}")
    if len(split.skipped) > 5:
        console.line(f"skipped: {len(split.skipped) - 5} more, see split/skipped.txt")
