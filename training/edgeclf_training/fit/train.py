"""Training: from photo folders to a finished run, and resuming an interrupted run."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from edgeclf.errors import UsageError
from edgeclf.events import Listener, ignore, log, progress, say
from edgeclf.files.paths import PathLike, as_paths
from edgeclf.images.contract import ImageContract
from edgeclf.model.manifest import Provenance

from edgeclf_training.config.options import TrainOptions
from edgeclf_training.config.resolve import phases_of, resolve, resolve_machine
from edgeclf_training.dataset.known_photos import write_known
from edgeclf_training.dataset.samples import KNOWN_PHOTOS_FILE, Sample, Split, write_lists
from edgeclf_training.dataset.scan import absolute
from edgeclf_training.dataset.split import read_split
from edgeclf_training.dataset.zip_data import open_data
from edgeclf_training.evaluation.predictions import evaluate
from edgeclf_training.fit.cross_validation import photo_sets, shared_features, train_folds
from edgeclf_training.fit.finish import finish
from edgeclf_training.fit.messages import anything_kept, check_heat_maps, describe, report_epoch, say_what_is_left
from edgeclf_training.fit.phases import check_logger, fit_phases, make_logger, quiet_lightning
from edgeclf_training.fit.preflight import claim, discard, need_space, writing
from edgeclf_training.loading.loader_processes import loader_errors
from edgeclf_training.loading.photo_dataset import PhotoDataset, loader
from edgeclf_training.networks import TIMM, Loaded, Network, build_network, get_architecture
from edgeclf_training.run.earlier_run import (
    changes_of,
    check_nothing_to_learn,
    earlier_photos,
    lineage_line,
    start_from,
)
from edgeclf_training.run.history import CHECKPOINT, History, trainer_rank
from edgeclf_training.run.kept_photos import keep_photos
from edgeclf_training.run.lineage import known_photos, run_of_weights
from edgeclf_training.run.relocate import going_on
from edgeclf_training.run.run_folder import Run, load_run, resume_command, save_run, versions


def train(
    data: PathLike | Sequence[PathLike],
    out: PathLike,
    options: TrainOptions | None = None,
    *,
    start: Run | PathLike | None = None,
    quarantine: Mapping[Path, str] | None = None,
    labels: PathLike | None = None,
    logger: str = "csv",
    report: bool = True,
    on_event: Listener = log,
) -> Run:
    """Fine-tune a classifier on folders of photos.

    If several processes train together, only rank 0 writes files, reports events and returns the metrics.

    Args:
        data: one or several data folders (see ``read_split``), or .zip or .tar files of such folders. With ``labels``
            it may be empty: then the photos are where the table says. With ``start`` too: then only the photos of
            ``start`` are used.
        out: the run folder; must not exist, or be empty.
        options: the defaults if None. With ``start``, architecture, head, input size and resize rule are those of
            ``start``.
        start: an earlier run, or its folder. Training starts from its network, and its photos stay in their splits;
            those that are still in their places are used again (``TrainOptions.earlier_photos``). Its classes are
            kept; ``TrainOptions.rename``, ``drop`` and ``merge`` change them.
        quarantine: photos to leave out, see ``read_quarantine``.
        labels: a table that gives the labels instead of the class folders; see ``read_split``.
        logger: "csv", or "tensorboard" to write event files as well.
        report: write report.html and metrics.json.
        on_event: gets a ``Message`` for information and warnings, an ``EpochEnd`` after each epoch, and ``Progress``
            during long steps. An exception that it raises ends the run.

    Returns:
        The finished run, as ``load_run`` reads it from ``out``.

    Raises:
        DataError: the photos or weights cannot be used; or training diverged and the saved weights are unusable (the
            run folder is still complete).
        UsageError: an option is invalid, or ``out`` is not empty or cannot be written.
        BackendError: the device or tensorboard is not available.
    """
    data, out = as_paths(data), Path(out)
    if not data and start is None and labels is None:
        raise UsageError("no photos given", "name a folder with one sub-folder per class")
    start = start if isinstance(start, Run) or start is None else load_run(start)
    on_event = on_event if trainer_rank() == 0 else ignore
    check_logger(logger)
    options = resolve(options or TrainOptions(), start.options if start else None)
    changes = changes_of(options, start) if start else None
    contract = ImageContract(options.image_size or 0, options.resize, options.crop_fraction or 1.0)
    if trainer_rank() == 0:
        claim(out, data)
    with progress(on_event, "unpacking") as update:
        folders = open_data(data, update)
    again = earlier_photos(options, start, changes, on_event) if start and changes else None
    with progress(on_event, "reading photos") as update:
        before = start or run_of_weights(options.weights)
        earlier, unknown = known_photos(before, update) if before else ((), ())
        split = read_split(
            folders,
            seed=options.seed,
            val_split=options.val_split,
            group_near=options.group_near_duplicates,
            group_by=options.group_by,
            only=options.classes,
            max_per_class=options.max_per_class,
            earlier=earlier,
            contract=contract,
            quarantine=quarantine,
            labels=labels,
            folds=options.folds,
            again=again,
            progress=update,
        )
    split = replace(split, notes=(*unknown, *split.notes))
    if changes:
        check_nothing_to_learn(options, changes, split.classes)
    network, loaded = _network(options, split.classes, start)
    check_heat_maps(network, options)
    phases_of(options, network)  # before anything is written: an unknown stage is a usage error
    roots = tuple(path.absolute() for path in data)
    if start and again and again.used_in(split):
        roots = tuple(dict.fromkeys((*roots, *start.data)))
    origin = _provenance(options, split, loaded, start)
    run = Run(
        out,
        roots,
        options,
        split.classes,
        contract,
        split,
        (),
        origin,
        start.folder.absolute() if start else None,
        labels=absolute(Path(labels)) if labels else None,
    )
    if trainer_rank() == 0:
        describe(on_event, run, loaded, start)
        need_space(out, network)
        with writing(out):
            out.mkdir(parents=True, exist_ok=True)
            write_lists(split, out / "split")
            write_known(split.known, out / "split" / KNOWN_PHOTOS_FILE)
            keep_photos(split.test or split.val, contract, out, options.seed)
            save_run(run)
    initial = partial(_initial, options, split.classes, start)
    return _fit(run, network, initial, start, make_logger(logger, out), on_event, resumed=False, report=report)


def resume(
    folder: PathLike,
    data: PathLike | Sequence[PathLike] = (),
    machine: Mapping[str, Any] | None = None,
    *,
    logger: str = "csv",
    report: bool = True,
    on_event: Listener = log,
) -> Run:
    """Resume a run that was interrupted or killed, from its last finished epoch.

    On a CPU, with the same library versions and photos, the final weights are bit-identical to those of a run without
    the interruption.

    Args:
        folder: the run folder.
        data: folders or zips that contain its photos now, if they were moved.
        machine: new values for options in ``MACHINE``; the others keep the values of the run.
        logger, report, on_event: as in ``train``.

    Returns:
        The finished run.

    Raises:
        DataError: not a run folder, many of its photos are gone or changed, or its checkpoint is damaged or not
            a checkpoint; or training diverged, as in ``train``.
        UsageError: the run has finished.
        BackendError: the device or tensorboard is not available.
    """
    folder, data = Path(folder), as_paths(data)
    on_event = on_event if trainer_rank() == 0 else ignore
    check_logger(logger)
    run = load_run(folder)
    if run.metrics:
        raise UsageError(
            f"{folder}: this run has finished", f"--from {shlex.quote(str(folder))} continues from its weights"
        )
    run = going_on(run, data, on_event)
    run = replace(run, options=resolve_machine(replace(run.options, **(machine or {}))))
    # The initial weights of a run that has begun are no longer needed, but by the folds that have not.
    begun = (folder / CHECKPOINT).exists()
    start = load_run(run.start) if run.start and not begun else None
    network, _ = _network(replace(run.options, weights="none") if begun else run.options, run.classes, start)
    need_space(folder, network)
    initial = partial(_initial, run.options, run.classes, start)
    return _fit(run, network, initial, start, make_logger(logger, folder), on_event, resumed=True, report=report)


def _fit(
    run: Run,
    network: Network,
    initial: Callable[[], Network],
    start: Run | None,
    logger: Any,
    on_event: Listener,
    *,
    resumed: bool,
    report: bool,
) -> Run:
    """From a prepared network to a finished run folder; ``initial`` makes the network that folds start from."""
    o, classes = run.options, len(run.classes)
    history = History(run.folder, o.keep or "best", o.early_stopping or 0, partial(report_epoch, on_event, o.epochs))
    continues, resumed = resumed, resumed and history.resume(network)
    if resumed:
        say(on_event, f"resuming after epoch {len(history.epochs)} of {o.epochs}")
    features = None
    try:
        with (
            quiet_lightning(),
            writing(run.folder, f"then resume with `{resume_command(run.folder)}`"),
        ):
            if run.split.folds:
                features = shared_features(run)
                train_folds(run, initial, features, on_event)
                say(on_event, "all folds are finished; now the network of all photos is trained")
            elif start is not None and not resumed:
                with loader_errors(resume_command(run.folder), o.workers or 0):
                    before = evaluate(network, _batches(run, run.split.val), classes, "validation", o.device)
                right = f"{before.correct} of {before.photos} validation photos right ({before.accuracy:.1%})"
                say(on_event, f"before: {right}")
                history.start_from(network, before.correct, before.photos)
            train, val = photo_sets(run)
            fit_phases(
                network,
                phases_of(o, network),
                train,
                None if run.split.folds else val,
                history,
                o,
                classes=classes,
                logger=logger,
                on_event=on_event,
                resumed=resumed,
                features=features,
            )
    except KeyboardInterrupt:
        if trainer_rank() == 0:
            say_what_is_left(on_event, run, history, continues)
        raise
    except UsageError as error:  # so that the corrected command can use the same folder
        kept = continues or anything_kept(run, history) or isinstance(error.__cause__, OSError)
        if trainer_rank() == 0 and not kept:
            discard(run.folder)
        raise
    if trainer_rank() != 0:
        return run
    return finish(run, network, history, on_event, report)


def _network(options: TrainOptions, classes: Sequence[str], start: Run | None) -> tuple[Network, Loaded | None]:
    pl.seed_everything(options.seed, verbose=False)  # initial weights of the head
    network, loaded = build_network(
        options.arch,
        len(classes),
        head=options.head,
        image_size=options.image_size,
        weights=options.weights or "none",
        normalize=options.normalize,
        dropout=options.dropout,
    )
    if start is not None:
        start_from(network, start.network(), changes_of(options, start), classes)
    return network, loaded


def _initial(options: TrainOptions, classes: Sequence[str], start: Run | None) -> Network:
    return _network(options, classes, start)[0]


def _provenance(options: TrainOptions, split: Split, loaded: Loaded | None, start: Run | None) -> Provenance:
    lineage = start.provenance.weights if start else ()
    if loaded is not None:
        lineage = (f"{loaded.source}; sha256 {loaded.sha256}; {loaded.licence}",)
    if options.arch.startswith(TIMM) and start is None:
        lineage = (*lineage, f"{options.arch} as timm configures it: {get_architecture(options.arch).input_text}")
    if start is not None:
        lineage = (*lineage, lineage_line(start, changes_of(options, start), split.classes))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Provenance(now, options.seed, split.fingerprint(), lineage, versions(options.arch))


def _batches(run: Run, samples: Sequence[Sample]) -> Any:
    dataset = PhotoDataset(samples, run.classes, run.contract)
    return loader(dataset, run.options.batch_size, run.options.workers or 0, shuffle=False)
