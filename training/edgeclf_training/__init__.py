"""Folders of photos -> trained network: data, augmentation, architectures, training, report.

Needs ``pip install "edgeclf[train]"``. Two classes of noise, one epoch of a small network:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from PIL import Image
    >>> from edgeclf_training import TrainOptions, check_data, load_run, predict, read_split, train, write_report
    >>> temporary = tempfile.TemporaryDirectory()
    >>> folder = Path(temporary.name)
    >>> random = np.random.default_rng(0)
    >>> for label in ("cat", "dog"):
    ...     (folder / "photos" / label).mkdir(parents=True)
    ...     for number in range(6):
    ...         pixels = random.integers(0, 256, (64, 64, 3), np.uint8)
    ...         Image.fromarray(pixels).save(folder / "photos" / label / f"{number}.png")
    >>> check_data(folder / "photos").readable
    12
    >>> split = read_split(folder / "photos", seed=0)
    >>> len(split.train), len(split.val)
    (10, 2)
    >>> options = TrainOptions(arch="cnn4", epochs=1, image_size=64, batch_size=4, workers=2)
    >>> run = train(folder / "photos", folder / "run", options, report=False)
    >>> run.classes
    ('cat', 'dog')
    >>> again = load_run(folder / "run")
    >>> predict(again.network(), again.split.val, again.classes, again.contract, "validation").logits.shape
    (2, 2)
    >>> "splits" in write_report(again)
    True
    >>> temporary.cleanup()

A script needs no ``if __name__ == "__main__"``: the processes that load photos never run the script again, whichever
way they are started. Names are imported when first used, so ``import edgeclf_training`` does not import torch.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgeclf.telemetry import disable_telemetry

if TYPE_CHECKING:
    from edgeclf_training.config.options import TrainOptions
    from edgeclf_training.config.recipe_file import read_recipe
    from edgeclf_training.dataset.check import check_data
    from edgeclf_training.dataset.samples import Split
    from edgeclf_training.dataset.split import read_split
    from edgeclf_training.evaluation.predictions import Predictions, predict
    from edgeclf_training.fit.train import resume, train
    from edgeclf_training.networks.architectures import Architecture
    from edgeclf_training.networks.build import build_network
    from edgeclf_training.networks.registry import architecture_names, get_architecture, register_architecture
    from edgeclf_training.report.write import write_report
    from edgeclf_training.run.run_folder import Run, load_run

_HOME = {
    "TrainOptions": "config.options",
    "read_recipe": "config.recipe_file",
    "check_data": "dataset.check",
    "Split": "dataset.samples",
    "read_split": "dataset.split",
    **dict.fromkeys(("Predictions", "predict"), "evaluation.predictions"),
    **dict.fromkeys(("resume", "train"), "fit.train"),
    "Architecture": "networks.architectures",
    "build_network": "networks.build",
    **dict.fromkeys(("architecture_names", "get_architecture", "register_architecture"), "networks.registry"),
    "write_report": "report.write",
    **dict.fromkeys(("Run", "load_run"), "run.run_folder"),
}

__all__ = [
    "Architecture",
    "Predictions",
    "Run",
    "Split",
    "TrainOptions",
    "architecture_names",
    "build_network",
    "check_data",
    "get_architecture",
    "load_run",
    "predict",
    "read_recipe",
    "read_split",
    "register_architecture",
    "resume",
    "train",
    "write_report",
]

disable_telemetry()  # before torch and its friends are imported
# matplotlib gives advice when the home folder cannot be written: it then keeps its list of fonts elsewhere.
logging.getLogger("matplotlib").setLevel(logging.ERROR)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'edgeclf_training' has no attribute {name!r}")
    return getattr(import_module(f"edgeclf_training.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
