"""Accuracy after the same epochs on the same photos: edgeclf, fastai's `fine_tune`, and a plain one-cycle loop.

All three start from the same ImageNet weights of EfficientNet-Lite0, with the same photo size, batch size and number of
epochs, and never see the test photos. fastai needs an environment of its own::

    pip install fastai
    python benchmarks/few_photos/against_fastai.py ../shared/data

fastai: its own head, default `aug_transforms`, `fine_tune(epochs - 1, freeze_epochs=1)` with its default rate of 2e-3.
One-cycle: SGD with momentum, peak 1e-2, label smoothing 0.1, flips and random crops, a linear head, as published
fine-tuning loops do it. edgeclf: its defaults; it sets a fifth of the photos aside, on which the others train.
"""

import argparse
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torchvision
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import network_input
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.fit.train import train
from edgeclf_training.networks import build_network
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

BATCH = 32
FOLDERS = {"food5": ("food5/train",), "flowers": ("flowers",), "hymenoptera": ("hymenoptera/train", "hymenoptera/val")}


@dataclass(frozen=True)
class Task:
    """Photos to learn and to be tested on: (path, class index); and the settings that all share."""

    train: list[tuple[Path, int]]
    test: list[tuple[Path, int]]
    classes: list[str]
    epochs: int
    side: int
    seed: int


def make_task(name: str, data: Path, per_class: int, epochs: int, side: int, seed: int) -> Task:
    """A random choice of photos; at most 100 of each class test."""
    roots = [data / folder for folder in FOLDERS[name]]
    classes = sorted(folder.name for folder in roots[0].iterdir() if folder.is_dir())
    learn, test = [], []
    for index, label in enumerate(classes):
        photos = sorted(p for root in roots for p in (root / label).iterdir() if p.suffix.lower() in (".jpg", ".jpeg"))
        random.Random(f"{seed} {label}").shuffle(photos)  # noqa: S311
        count = min(per_class, len(photos) // 2)
        learn += [(p, index) for p in photos[:count]]
        test += [(p, index) for p in photos[count : count + 100]]
    return Task(learn, test, classes, epochs, side, seed)


def accuracy(predict: Callable[[torch.Tensor], torch.Tensor], task: Task) -> float:
    """Share of the test photos that are right; ``predict``: uint8 ``[N, side, side, 3]`` -> logits ``[N, classes]``."""
    contract, right = ImageContract(task.side, "crop", 0.875), 0
    with torch.inference_mode():
        for start in range(0, len(task.test), BATCH):
            part = task.test[start : start + BATCH]
            images = torch.from_numpy(np.stack([network_input(path, contract) for path, _ in part]))
            right += int((predict(images).argmax(1) == torch.tensor([label for _, label in part])).sum())
    return right / len(task.test)


def edgeclf(task: Task) -> float:
    """edgeclf's defaults. It validates on a fifth of the photos, which the others train on."""
    with TemporaryDirectory() as made:
        for path, index in task.train:
            folder = Path(made) / "photos" / task.classes[index]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / path.name).symlink_to(path.resolve())
        options = TrainOptions(epochs=task.epochs, image_size=task.side, seed=task.seed, workers=0, device="cpu")
        run = train([Path(made) / "photos"], Path(made) / "run", options, report=False, on_event=lambda _: None)
        return accuracy(run.network(), task)


class _Photos(Dataset[tuple[torch.Tensor, int]]):
    def __init__(self, task: Task) -> None:
        t = torchvision.transforms
        self._photos = task.train
        self._transform = t.Compose(
            [t.RandomResizedCrop(task.side, (0.35, 1)), t.RandomHorizontalFlip(), t.PILToTensor()]
        )

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        path, label = self._photos[index]
        return self._transform(Image.open(path).convert("RGB")).permute(1, 2, 0), label


def one_cycle(task: Task) -> float:
    """A plain loop: SGD, one cycle, all layers from the start."""
    torch.manual_seed(task.seed)
    network, _ = build_network("efficientnet_lite0", len(task.classes), image_size=task.side, weights="imagenet")
    batches = DataLoader(_Photos(task), BATCH, shuffle=True, drop_last=len(task.train) % BATCH == 1)
    optimizer = torch.optim.SGD(network.parameters(), 1e-2, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=task.epochs * len(batches))
    network.train()
    for _ in range(task.epochs):
        for images, labels in batches:
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images), labels, label_smoothing=0.1).backward()
            optimizer.step()
            schedule.step()
    return accuracy(network.eval(), task)


def fastai(task: Task) -> float:
    """fastai's `fine_tune` with its own head, augmentation and rates."""
    from fastai.vision import all as fv

    fv.set_seed(task.seed)
    network, _ = build_network("efficientnet_lite0", len(task.classes), image_size=task.side, weights="imagenet")
    labels = dict(task.train)
    block = fv.DataBlock(
        blocks=(fv.ImageBlock, fv.CategoryBlock(vocab=task.classes, sort=False)),
        get_y=lambda path: task.classes[labels[path]],
        splitter=lambda items: (list(range(len(items))), []),
        item_tfms=fv.RandomResizedCrop(task.side, min_scale=0.35),
        batch_tfms=[*fv.aug_transforms(), fv.Normalize.from_stats([127 / 255] * 3, [128 / 255] * 3)],
    )
    loaders = block.dataloaders(list(labels), bs=BATCH, num_workers=0, device="cpu")
    body = network.features
    head = fv.create_head(1280, len(task.classes))
    fv.apply_init(head, nn.init.kaiming_normal_)
    model = nn.Sequential(body, head)
    learner = fv.Learner(
        loaders, model, loss_func=fv.CrossEntropyLossFlat(), splitter=lambda m: fv.L(m[0], m[1]).map(fv.params)
    )
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(task.epochs - 1, freeze_epochs=1)
    model.eval()
    return accuracy(lambda images: model(network.normalize(images)), task)


METHODS = {"edgeclf": edgeclf, "fastai fine_tune": fastai, "one-cycle": one_cycle}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with food5, flowers and hymenoptera")
    parser.add_argument("--sets", nargs="+", default=list(FOLDERS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--per-class", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| data set | method | accuracy by seed | mean |\n|---|---|---|---|")
    for name in given.sets:
        found: dict[str, list[float]] = {method: [] for method in given.methods}
        for seed in range(given.seeds):
            task = make_task(name, given.data, given.per_class, given.epochs, given.side, seed)
            for method, values in found.items():
                values.append(METHODS[method](task))
        for method, values in found.items():
            by_seed = ", ".join(f"{value:.1%}" for value in values)
            print(f"| {name} | {method} | {by_seed} | {statistics.mean(values):.1%} |", flush=True)


if __name__ == "__main__":
    main()
