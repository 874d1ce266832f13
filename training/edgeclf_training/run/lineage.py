"""The photos that a run and its earlier runs have used, so that none of them is treated as new."""

from collections.abc import Callable
from pathlib import Path

from edgeclf.errors import DataError
from edgeclf.evaluation.folder_name_rules import SPLITS
from edgeclf.files.in_tar import size_and_time

from edgeclf_training.dataset.known_photos import KnownPhoto, as_known, merge_known, read_known
from edgeclf_training.dataset.samples import KNOWN_PHOTOS_FILE
from edgeclf_training.dataset.scan import scan
from edgeclf_training.run.run_folder import Run, load_run

Progress = Callable[[int, int], None]


def known_photos(run: Run, progress: Progress | None = None) -> tuple[tuple[KnownPhoto, ...], tuple[str, ...]]:
    """The photos of a run and of those it went on from, and notes on missing information.

    A run of an older version did not record the content of its photos: the photos themselves are read if they still
    exist.

    Args:
        run: a run; only its folder, lists and start are used.
        progress: called with (photos looked at, photos in all) for a run of an older version.

    Raises:
        DataError: what the run keeps is damaged.
    """
    try:
        return read_known(run.folder / "split" / KNOWN_PHOTOS_FILE), ()
    except FileNotFoundError:
        pass
    notes: tuple[str, ...] = ()
    earlier: tuple[KnownPhoto, ...] = ()
    if run.start is not None:
        try:
            earlier, notes = known_photos(load_run(run.start), progress)
        except DataError:
            notes = (
                f"{run.start}, an earlier run, cannot be read: photos that only that run used cannot be recognised",
            )
    used = [(part, sample) for part in SPLITS for sample in run.split.part(part)]
    there = [sample.path for _, sample in used if _as_it_was(sample.path, sample.size)]
    scans = {path: found for path, found in scan(there, progress=progress).items() if not found.kind}
    if lost := len({sample.path for _, sample in used} - set(scans)):
        notes = (
            *notes,
            f"{run.folder} is of an older version and {lost} of its photos were moved or deleted: these "
            "are recognised by file size and name only, and not at all if saved again",
        )
    return merge_known(earlier, (as_known(part, sample, scans.get(sample.path)) for part, sample in used)), notes


def run_of_weights(weights: str | None) -> Run | None:
    """The run whose folder contains a weight file: a network with these weights was trained on its photos.

    Args:
        weights: "imagenet", "none", or a file.

    Raises:
        DataError: that run cannot be read.
    """
    folder = Path(weights or "none").parent
    return load_run(folder) if weights not in (None, "imagenet", "none") and (folder / "run.json").is_file() else None


def _as_it_was(path: Path, size: int) -> bool:
    try:
        return size_and_time(path)[0] == size
    except (OSError, DataError):
        return False
