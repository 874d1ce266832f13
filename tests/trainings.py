"""What tests of trainings share: options, and what happens to folders between two of them."""

from pathlib import Path

from edgeclf_training.config.options import TrainOptions
from edgeclf_training.dataset.samples import Split
from edgeclf_training.dataset.scan import scan_one

QUICK = TrainOptions(arch="cnn4", weights="none", epochs=4, image_size=64, batch_size=8, workers=0, head_lr=2e-3)


def pixels(split: Split, *parts: str) -> set[str]:
    return {scan_one(s.path).pixels for part in parts for s in split.part(part)}


def photos(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def rename_a_class(root: Path) -> None:
    (root / "king").rename(root / "emperor")
