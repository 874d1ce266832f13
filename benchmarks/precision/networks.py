"""The networks of the table, and the photos they learn and are counted on."""

import random
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torchvision
from edgeclf.errors import DataError
from edgeclf_samples import write_sample_data
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.fit.train import train
from edgeclf_training.run.run_folder import Run, load_run

# Photos of each class: drawn penguins, and of food5 and flowers together.
TRAIN, TEST = (100, 120), (140, 200)


@dataclass(frozen=True)
class Trained:
    """One row: its options, and what its first weights are if not those of the options."""

    options: TrainOptions
    start: str = ""  # a file in the weights folder, or a row whose convolutions it starts with


_SCRATCH = TrainOptions(weights="none", batch_size=32, head_lr=3e-4, backbone_lr=3e-4, label_smoothing=0.0)
_TUNED = TrainOptions(image_size=128, epochs=4, frozen_views=1, crop_fraction=1.0)
ROWS = {
    "efficientnet_lite0": Trained(replace(_TUNED, arch="efficientnet_lite0")),
    "squeezenet1_1": Trained(replace(_TUNED, arch="squeezenet1_1"), "squeezenet1_1.pth"),
    "mobilenet_v2": Trained(replace(_TUNED, arch="mobilenet_v2"), "mobilenet_v2-features-bnfolded.pth"),
    "cnn4": Trained(replace(_SCRATCH, arch="cnn4", image_size=128, epochs=15, head_lr=1e-3, backbone_lr=1e-3)),
    "resnet50": Trained(replace(_SCRATCH, arch="resnet50", image_size=64, epochs=12, crop_fraction=1.0)),
    "vgg16 linear": Trained(
        replace(_SCRATCH, arch="vgg16", image_size=64, epochs=12, crop_fraction=1.0, precision="bf16", backbone_lr=1e-4)
    ),
    "vgg16 mlp": Trained(
        replace(_TUNED, arch="vgg16", head="mlp", image_size=64, epochs=10, freeze_epochs=10), "vgg16 linear"
    ),
}


def photos_folder(data: Path, made: Path) -> Path:
    """16 classes in train/ and test/: six drawn penguins, tested on another seed's, five dishes, five flowers."""
    target = made / "photos"
    if target.exists():
        return target
    temporary = made / "photos-unfinished"
    shutil.rmtree(temporary, ignore_errors=True)
    for part, seed, count in (("train", 31, TRAIN[0]), ("test", 32, TEST[0])):
        write_sample_data(temporary / part, per_class=count, size=160, seed=seed)
        (temporary / part / "marks.json").unlink()
    for folder in (data / "food5" / "train", data / "flowers"):
        for label in sorted(path.name for path in folder.iterdir() if path.is_dir()):
            photos = sorted((folder / label).iterdir())
            random.Random(f"0 {label}").shuffle(photos)  # noqa: S311
            for part, chosen in (("train", photos[TEST[1] :][: TRAIN[1]]), ("test", photos[: TEST[1]])):
                (temporary / part / label).mkdir()
                for photo in chosen:
                    (temporary / part / label / photo.name).symlink_to(photo.resolve())
    temporary.rename(target)
    return target


def trained(name: str, photos: Path, weights: Path, runs: Path) -> Run:
    """The run of a row, trained if it has not been."""
    row, folder = ROWS[name], runs / name.replace(" ", "-")
    try:
        run = load_run(folder)
        if run.metrics:
            return run
    except DataError:
        pass
    shutil.rmtree(folder, ignore_errors=True)
    options = replace(row.options, device="cpu", workers=0)
    if row.start in ROWS:
        options = replace(options, weights=str(_convolutions(trained(row.start, photos, weights, runs), runs)))
    elif row.start:
        options = replace(options, weights=str(weights / row.start))
    return train([photos], folder, options, report=False)


def _convolutions(run: Run, runs: Path) -> Path:
    """VGG16's convolutions, under torchvision's names."""
    path = runs / f"{run.folder.name}-features.pth"
    names = [name for name in torchvision.models.vgg16().state_dict() if name.startswith("features")]
    tensors = [tensor for name, tensor in run.network().state_dict().items() if name.startswith("features")]
    torch.save(dict(zip(names, tensors, strict=True)), path)
    return path
