"""The run folder: everything a training run leaves behind, and reading it back.

run.json         architecture, classes, preprocessing, options, seed, versions, figures
network.pt       state dict of the best weights by validation
metrics.csv      one row per epoch
split/*.txt      which photo was trained on, validated with, tested, skipped
confusion.csv    counts on the test photos, or on the validation photos where there is no test folder
confusion.png    the same as a picture
report.html      what to look at: figures, mistakes with heat maps, calibration; one self-contained file
metrics.json     the report's figures, for programs
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from edgeclf.contract import ImageContract, Resize
from edgeclf.errors import DataError, EdgeclfError
from edgeclf.files import write_atomically
from edgeclf.manifest import Calibration, Figures, Provenance

from edgeclf_training.data import Split, read_lists
from edgeclf_training.networks import Network, build_network, read_state

RUN_SCHEMA = 1


@dataclass(frozen=True)
class TrainOptions:
    """What a user decides about a run; the defaults suit a few hundred photos per class.

    Attributes:
        architecture: a key of ``networks.ARCHITECTURES``.
        weights: "imagenet", "none" or a file with a state dict; None means "imagenet" where the architecture has it.
        head: "linear" or "mlp"; None means the architecture's own.
        augment: "default" or "none".
        epochs: in all, the frozen ones included.
        freeze_epochs: epochs with the base frozen; None means 1 with pretrained weights, else 0.
        unfreeze: first stage trained after that, or "all".
        image_size: pixels; None means the architecture's own.
        resize, crop_fraction: see ``ImageContract``; a crop_fraction of None means 0.875 with "crop".
        batch_size: photos per step.
        head_rate, base_rate: peak learning rates; None means 3e-3 and 2e-4 with pretrained weights, else 5e-4 (1e-4
            for networks without batch norm).
        classes: class folders to use; all if empty.
        max_per_class: training photos per class, None for all.
        seed: of every random decision.
        device: "auto", "cpu" or "cuda".
        workers: loader processes; None means the CPUs this process may use, at most 8.
    """

    architecture: str = "efficientnet_lite0"
    weights: str | None = None
    head: str | None = None
    augment: str = "default"
    epochs: int = 8
    freeze_epochs: int | None = None
    unfreeze: str = "all"
    image_size: int | None = None
    resize: Resize = "crop"
    crop_fraction: float | None = None
    batch_size: int = 32
    head_rate: float | None = None
    base_rate: float | None = None
    classes: tuple[str, ...] = ()
    max_per_class: int | None = None
    seed: int = 0
    device: str = "auto"
    workers: int | None = None


@dataclass(frozen=True)
class Run:
    """A training run; without figures it was interrupted.

    Attributes:
        folder: the run folder.
        options: with every None resolved.
        classes: class names in index order.
        contract: how photos become network input.
        split: the photos.
        figures: counted with the best weights: validation, and test where there is a test folder.
        provenance: date, seed, data fingerprint, weights, versions.
        calibration: temperature and "unknown" threshold, chosen on the validation photos; None if interrupted.
    """

    folder: Path
    options: TrainOptions
    classes: tuple[str, ...]
    contract: ImageContract
    split: Split
    figures: tuple[Figures, ...]
    provenance: Provenance
    calibration: Calibration | None = None

    def network(self) -> Network:
        """The trained network, in eval mode.

        Raises:
            DataError: ``network.pt`` is missing, damaged or of another network.
        """
        o = self.options
        network, _ = build_network(o.architecture, len(self.classes), head=o.head, image_size=o.image_size)
        path = self.folder / "network.pt"
        try:
            network.load_state_dict(read_state(path))
        except (RuntimeError, EdgeclfError) as error:
            raise DataError(f"{path} cannot be used ({_first_line(error)})", "train again") from error
        return network.eval()


def save_run(run: Run) -> None:
    """Write ``run.json``; the figures are empty until the run has finished."""
    values = {
        "schema_version": RUN_SCHEMA,
        "options": asdict(run.options),
        "classes": run.classes,
        "contract": run.contract.to_dict(),
        "val_origin": run.split.val_origin,
        "figures": [asdict(f) for f in run.figures],
        "provenance": asdict(run.provenance),
        "calibration": asdict(run.calibration) if run.calibration else None,
    }
    text = json.dumps(values, indent=2, sort_keys=True)
    write_atomically(run.folder / "run.json", lambda f: f.write(f"{text}\n".encode()))


def load_run(folder: Path) -> Run:
    """Read a run folder.

    Raises:
        DataError: it is not one, or not of this version.
    """
    path = folder / "run.json"
    try:
        values = json.loads(path.read_text("utf-8"))
        if values["schema_version"] != RUN_SCHEMA:
            raise DataError(f"{path}: written by another version of edgeclf", "pip install --upgrade edgeclf")
        options = TrainOptions(**{**values["options"], "classes": tuple(values["options"]["classes"])})
        provenance = {**values["provenance"], "weights": tuple(values["provenance"]["weights"])}
        return Run(
            folder,
            options,
            tuple(values["classes"]),
            ImageContract(**values["contract"]),
            read_lists(folder / "split", values["classes"], values["val_origin"]),
            tuple(Figures(**{**f, "confusion": tuple(map(tuple, f["confusion"]))}) for f in values["figures"]),
            Provenance(**provenance),
            Calibration(**values["calibration"]) if values.get("calibration") else None,
        )
    except FileNotFoundError as error:
        raise DataError(f"{folder}: not a run folder (no run.json)", "give a folder made by `edgeclf train`") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read ({_first_line(error)})", "train again") from error


def copy_known_classes(network: Network, earlier: Network, classes: Sequence[str], known: Sequence[str]) -> None:
    """Start ``network`` from an earlier one: all weights, and the last layer's rows of the classes it knew.

    Args:
        network: changed in place; same architecture and head as ``earlier``.
        earlier: the network to go on from.
        classes, known: class names in index order of each.
    """
    state = earlier.state_dict()
    last = f"head.linears.{len(network.head.linears) - 1}"
    own = network.state_dict()
    for name in (f"{last}.weight", f"{last}.bias"):
        rows = own[name].clone()
        for index, label in enumerate(classes):
            if label in known:
                rows[index] = state[name][known.index(label)]
        state[name] = rows
    network.load_state_dict(state)


def versions() -> dict[str, str]:
    """Versions of what takes part in training."""
    import platform

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
    }


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
