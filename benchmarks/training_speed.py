"""Training photos per second: edgeclf from JPEG files, the same network on photos that lie in memory, a plain loop.

    python benchmarks/training_speed.py [--arch resnet50] [--image-size 224] [--batch-size 128] [--photos 4096]

All in one run, on the GPU where there is one. The first ratio says whether loading keeps up (1: it costs nothing); the
second compares with torchvision's usual pipeline: ImageFolder, RandomResizedCrop, autocast, SGD.
"""

import argparse
import csv
import itertools
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.config.resolve import resolve
from edgeclf_training.fit.lightning_module import FineTuning, Phase
from edgeclf_training.fit.train import train
from edgeclf_training.networks import build_network
from PIL import Image
from torchvision import datasets, transforms

CLASSES = 4


def write_photos(folder: Path, count: int) -> None:
    """JPEGs of 500 x 375 pixels, smooth as photos are, in class folders; a few to validate."""
    rng = np.random.default_rng(0)
    for part, number in (("train", count), ("val", CLASSES)):
        for index in range(number):
            place = folder / part / f"class{index % CLASSES}"
            place.mkdir(parents=True, exist_ok=True)
            coarse = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC).save(
                place / f"{index}.jpg", quality=90
            )


def ours(data: Path, out: Path, options: TrainOptions, photos: int) -> float:
    """Photos per second of the fastest epoch after the first, as a user's run has them."""
    run = train([data], out, options, report=False)
    with (run.folder / "metrics.csv").open() as file:
        seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    return photos / min(seconds[1:])


def in_memory(options: TrainOptions, photos: int) -> float:
    """The same training steps on one batch that is on the device already."""
    device = torch.device(options.device)
    network, _ = build_network(options.arch, CLASSES, image_size=options.image_size)
    if options.device == "cuda":
        network.to(memory_format=torch.channels_last)
    size = options.image_size or 0
    module = FineTuning(network, Phase("fine-tune", 1, "all", 1e-3), options, (1,) * CLASSES).to(device)
    images = torch.randint(0, 255, (options.batch_size, size, size, 3), dtype=torch.uint8, device=device)
    labels = torch.randint(0, CLASSES, (options.batch_size,), device=device)
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, weight_decay=1e-2)
    module.on_train_epoch_start()

    def step() -> None:
        with _autocast(options):
            loss = module.training_step((images, labels), 0)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        module.on_train_batch_end(None, None, 0)

    return _rate(step, photos // options.batch_size, options)


def plain_loop(data: Path, options: TrainOptions, photos: int) -> float:
    """torchvision's usual pipeline, hand-written."""
    size, device = options.image_size or 0, torch.device(options.device)
    steps = transforms.Compose(
        [
            transforms.RandomResizedCrop(size),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(0.25, 0.25, 0.25),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    loader = torch.utils.data.DataLoader(
        datasets.ImageFolder(str(data / "train"), steps),
        options.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=options.workers or 0,
        persistent_workers=bool(options.workers),
        pin_memory=device.type == "cuda",
    )
    import torchvision

    network = getattr(torchvision.models, options.arch)(num_classes=CLASSES).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))

    def step() -> None:
        images, labels = next(batches)
        with _autocast(options):
            loss = torch.nn.functional.cross_entropy(network(images.to(device, non_blocking=True)), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(len(loader)):  # an epoch to start the workers
        step()
    return _rate(step, photos // options.batch_size, options)


def _autocast(options: TrainOptions) -> Any:
    kind = torch.bfloat16 if options.precision == "bf16" else torch.float16
    return torch.autocast(options.device, kind, enabled=options.precision != "32")


def _rate(step: Any, count: int, options: TrainOptions) -> float:
    for _ in range(3):
        step()
    if options.device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(count):
        step()
    if options.device == "cuda":
        torch.cuda.synchronize()
    return count * options.batch_size / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--arch", default="resnet50")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--photos", type=int, default=4096)
    given = parser.parse_args()
    options = resolve(
        TrainOptions(
            arch=given.arch,
            weights="none",
            epochs=3,
            image_size=given.image_size,
            batch_size=given.batch_size,
            mix_share=0.0,
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "photos"
        write_photos(data, given.photos)
        rates = {
            "edgeclf, from files": ours(data, Path(folder) / "run", options, given.photos),
            "the same, in memory": in_memory(options, given.photos),
            "plain torchvision loop": plain_loop(data, options, given.photos),
        }
    print(f"{given.arch}, {given.image_size} px, batch {given.batch_size}, {options.device}, {options.precision}")
    for name, rate in rates.items():
        print(f"  {name:<24} {rate:8.1f} photos/s")
    first, memory, plain = rates.values()
    print(f"  loading keeps up: {first / memory:.2f}; against the plain loop: {first / plain:.2f}")


if __name__ == "__main__":
    main()
