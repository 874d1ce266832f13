"""The run folder: everything a training run leaves behind, and reading it back.

run.json         data, options, classes, preprocessing, seed, versions, metrics
recipe.toml      the options as a recipe that repeats the training
network.pt       state dict of the best weights by validation
checkpoint.pt    state to resume from; deleted when the run has finished
metrics.csv      one row per epoch
split/*.txt      which photo was trained on, validated with, tested, skipped; notes on duplicates
folds/*.npz      with --folds: logits of each photo by a network that was not trained on it
doubtful-labels.txt  with --folds: photos that are probably labelled wrong, a quarantine list
split/known.jsonl  content hashes of these photos and of those of earlier runs, to recognise them
kept/*.jpg       small copies of a few held-out photos, to check an export without the originals
confusion.csv    counts on the test photos, or on the validation photos where there is no test folder
report.html      metrics, mistakes with heat maps, calibration; one self-contained file
metrics.json     the report's metrics, for programs
"""

import json
import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from edgeclf.errors import DataError, EdgeclfError
from edgeclf.files.atomic_write import write_atomically
from edgeclf.files.paths import PathLike
from edgeclf.images.contract import ImageContract
from edgeclf.model.manifest import Calibration, Metrics, Provenance
from torch import Tensor

from edgeclf_training.config.options import TrainOptions, with_values
from edgeclf_training.config.recipe_file import write_recipe
from edgeclf_training.dataset.exclusion_counts import QUARANTINED, count_left_out
from edgeclf_training.dataset.samples import Split, read_lists
from edgeclf_training.evaluation.forgetting import Forgetting
from edgeclf_training.networks import TIMM, Network, build_network, read_state

RUN_SCHEMA = 3
_READABLE_SCHEMAS = (2, 3)  # schema 2 has no split/known.jsonl


@dataclass(frozen=True)
class Run:
    """A training run; without metrics it is unfinished.

    Attributes:
        folder: the run folder.
        data: the data arguments it was started with, absolute.
        options: with every None resolved.
        classes: class names in index order.
        contract: how photos become network input.
        split: the photos.
        metrics: counted with the best weights: validation, and test where there is a test folder.
        provenance: date, seed, data fingerprint, weights, versions.
        start: folder of the run that this one started from, or None.
        calibration: temperature and "unknown" threshold, chosen on the validation photos; None if interrupted.
        checkpoint: checkpoint to read the best weights from, instead of ``network.pt``.
        best_epoch: epoch whose weights were saved, 0 for the initial weights; None if interrupted, or not recorded.
        labels: the table that the labels came from, absolute; None for class folders.
        forgetting: how the classes of ``start`` fare; None without ``start``, or if it could not be measured.
    """

    folder: Path
    data: tuple[Path, ...]
    options: TrainOptions
    classes: tuple[str, ...]
    contract: ImageContract
    split: Split
    metrics: tuple[Metrics, ...]
    provenance: Provenance
    start: Path | None = None
    calibration: Calibration | None = None
    checkpoint: Path | None = None
    best_epoch: int | None = None
    labels: Path | None = None
    forgetting: Forgetting | None = None

    def network(self) -> Network:
        """The trained network, in eval mode.

        Raises:
            DataError: ``network.pt`` (or the checkpoint) is missing, damaged or of another network.
        """
        o = self.options
        network, _ = build_network(
            o.arch, len(self.classes), head=o.head, image_size=o.image_size, normalize=o.normalize, dropout=o.dropout
        )
        path = self.checkpoint or self.folder / "network.pt"
        if not self.metrics and not path.exists():
            raise DataError(
                f"{self.folder}: no network is kept yet, the run has not finished",
                f"finish it: {resume_command(self.folder)}",
            )
        try:
            network.load_state_dict(_best_weights(path) if self.checkpoint else read_state(path))
        except (RuntimeError, EdgeclfError) as error:
            raise DataError(f"{path} cannot be used ({_first_line(error)})", "train again") from error
        return network.eval()


def save_run(run: Run) -> None:
    """Write ``run.json`` and ``recipe.toml``; the metrics are empty until the run has finished."""
    values = {
        "schema_version": RUN_SCHEMA,
        "data": [str(path) for path in run.data],
        "start": str(run.start) if run.start else None,
        "options": asdict(run.options),
        "classes": run.classes,
        "contract": run.contract.to_dict(),
        "val_origin": run.split.val_origin,
        "figures": [asdict(f) for f in run.metrics],
        "provenance": asdict(run.provenance),
        "calibration": asdict(run.calibration) if run.calibration else None,
        "best_epoch": run.best_epoch,
        "labels": str(run.labels) if run.labels else None,
        "forgetting": run.forgetting.to_dict() if run.forgetting else None,
    }
    text = json.dumps(values, indent=2, sort_keys=True, allow_nan=False)
    quarantined = count_left_out(run.split.skipped).get(QUARANTINED, 0)
    write_recipe(run.options, run.folder / "recipe.toml", run.start, quarantined, run.labels)
    write_atomically(run.folder / "run.json", lambda f: f.write(f"{text}\n".encode("utf-8", "surrogateescape")))


def load_run_or_checkpoint(path: PathLike) -> Run:
    """Read a run folder, or the checkpoint of an unfinished run in its folder: then the best weights so far are used.

    Raises:
        DataError: as ``load_run``.
    """
    path = Path(path)
    if path.suffix == ".pt" and not path.exists() and path.parent.is_dir():
        hint = f"a finished run has none: give {path.parent}"
        raise DataError(f"{path}: no such file", hint)
    from edgeclf_training.run.history import CHECKPOINT

    return replace(load_run(path.parent), checkpoint=path) if path.name == CHECKPOINT else load_run(path)


def _best_weights(checkpoint: Path) -> dict[str, Tensor]:
    from edgeclf_training.run.history import History, read_checkpoint

    saved = read_checkpoint(checkpoint)
    try:
        weights: dict[str, Tensor] = saved["callbacks"][History.__qualname__]["weights"]
    except (KeyError, TypeError) as error:
        raise DataError(f"{checkpoint}: not a checkpoint of a run", "give a run folder or its checkpoint.pt") from error
    if not weights:
        raise DataError(
            f"{checkpoint}: no epoch with a finite loss has finished yet", "resume with `edgeclf train --resume`"
        )
    return weights


def load_run(folder: PathLike) -> Run:
    """Read a run folder.

    Args:
        folder: as ``train`` makes it, of this version of edgeclf or an earlier one.

    Returns:
        The run; without metrics if it is unfinished. Its network is read when ``Run.network`` is called.

    Raises:
        DataError: it is not a run folder, or its version is not supported.
    """
    folder = Path(folder)
    path = folder / "run.json"
    if not folder.is_dir():
        if folder.exists() and (folder.parent / "run.json").is_file():
            raise DataError(f"{folder}: is a file in a run folder, not the folder", f"give its folder, {folder.parent}")
        what = "is a file" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {what}", "give a run folder, as `edgeclf train` makes it")
    try:
        values = json.loads(path.read_text("utf-8"))
        if values["schema_version"] not in _READABLE_SCHEMAS:
            raise DataError(f"{path}: written by another version of edgeclf", "pip install --upgrade edgeclf")
        options = with_values(TrainOptions(), {k: v for k, v in values["options"].items() if v is not None}, str(path))
        provenance = {**values["provenance"], "weights": tuple(values["provenance"]["weights"])}
        return Run(
            folder,
            tuple(Path(root) for root in values["data"]),
            options,
            tuple(values["classes"]),
            ImageContract(**values["contract"]),
            read_lists(folder / "split", values["classes"], values["val_origin"]),
            tuple(Metrics(**{**f, "confusion": tuple(map(tuple, f["confusion"]))}) for f in values["figures"]),
            Provenance(**provenance),
            Path(values["start"]) if values["start"] else None,
            Calibration(**values["calibration"]) if values.get("calibration") else None,
            best_epoch=values.get("best_epoch"),
            labels=Path(values["labels"]) if values.get("labels") else None,
            forgetting=Forgetting.from_dict(values["forgetting"]) if values.get("forgetting") else None,
        )
    except FileNotFoundError as error:
        raise DataError(f"{folder}: not a run folder (no run.json)", "give a folder made by `edgeclf train`") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({_first_line(error)})", "train again") from error


def versions(arch: str = "") -> dict[str, str]:
    """Versions of Python and of the libraries used in training, timm's too if the network comes from there."""
    import platform
    from importlib.metadata import version

    import albumentations
    import edgeclf
    import PIL
    import pytorch_lightning
    import torchvision

    return {
        "python": platform.python_version(),
        **{
            name: str(module.__version__)
            for name, module in (
                ("edgeclf", edgeclf),
                ("torch", torch),
                ("torchvision", torchvision),
                ("pytorch-lightning", pytorch_lightning),
                ("albumentations", albumentations),
                ("pillow", PIL),
            )
        },
        **({"timm": version("timm")} if arch.startswith(TIMM) else {}),
    }


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def resume_command(folder: Path) -> str:
    """The shell command that resumes a run."""
    return f"edgeclf train --resume {shlex.quote(str(folder))}"
