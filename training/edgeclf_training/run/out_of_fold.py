"""What each fold of a cross-validation leaves in the run folder: logits of photos that its network was not trained on.

folds/2/         fold 2 while it is trained, as a run folder; deleted when it is finished
folds/2.npz      its logits, float32, and for each the place of its photo in split/val.txt
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from edgeclf.errors import DataError
from edgeclf.files.atomic_write import write_atomically
from numpy.typing import NDArray

from edgeclf_training.dataset.samples import Sample, read_lists
from edgeclf_training.evaluation.predictions import Predictions
from edgeclf_training.run.history import CHECKPOINT
from edgeclf_training.run.run_folder import Run

_FOLDER = "folds"


def fold_folder(run: Run, fold: int) -> Path:
    """Where a fold is trained."""
    return run.folder / _FOLDER / str(fold)


def has_begun(run: Run, fold: int) -> bool:
    """Whether there is anything of this fold to resume from."""
    return is_finished(run, fold) or (fold_folder(run, fold) / CHECKPOINT).exists()


def is_finished(run: Run, fold: int) -> bool:
    """Whether the logits of a fold are written."""
    return _file(run, fold).exists()


def save_fold(run: Run, fold: int, predictions: Predictions) -> None:
    """Write the logits of one fold.

    Args:
        run: with its folds.
        fold: its number, from 1.
        predictions: for photos of this fold; photos that could not be read may be missing.
    """
    place = {sample: number for number, sample in enumerate(_listed(run))}
    rows = np.array([place[sample] for sample in predictions.samples], np.int64)
    write_atomically(_file(run, fold), partial(_save, rows=rows, logits=predictions.logits))


def out_of_fold(run: Run) -> Predictions:
    """The predictions for all photos, each by the network of its fold.

    Args:
        run: all its folds are finished. Photos that it lists no more are left out.

    Returns:
        In the order of ``run.split.val``.

    Raises:
        DataError: a file is missing or damaged.
    """
    listed = _listed(run)
    logits: dict[Sample, NDArray[np.float32]] = {}
    for fold in range(1, run.options.folds + 1):
        logits |= _read(_file(run, fold), listed, len(run.classes))
    index = {name: number for number, name in enumerate(run.classes)}
    samples = tuple(sample for sample in run.split.val if sample in logits)
    labels = np.array([index[sample.label] for sample in samples], np.int64)
    stacked = np.stack([logits[sample] for sample in samples]) if samples else np.zeros((0, len(index)), np.float32)
    return Predictions("validation", samples, stacked, labels)


def _listed(run: Run) -> tuple[Sample, ...]:
    """All its validation photos; ``run.split`` may lack some that are gone."""
    return read_lists(run.folder / "split", run.classes, run.split.val_origin).val


def _read(file: Path, listed: Sequence[Sample], classes: int) -> dict[Sample, NDArray[np.float32]]:
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            rows, logits = arrays["rows"], arrays["logits"]
        if logits.shape != (len(rows), classes) or logits.dtype != np.float32:
            raise ValueError(f"logits {logits.dtype} {logits.shape}")
        return {listed[row]: one for row, one in zip(rows.tolist(), logits, strict=True)}
    except Exception as error:  # a damaged archive fails anywhere
        raise DataError(f"{file} cannot be read ({type(error).__name__})", "train again") from error


def _file(run: Run, fold: int) -> Path:
    return run.folder / _FOLDER / f"{fold}.npz"


def _save(file: IO[bytes], rows: NDArray[np.int64], logits: NDArray[np.float32]) -> None:
    np.savez(file, rows=rows, logits=logits)
