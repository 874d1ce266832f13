"""One door for validation and the field, and random decisions that depend on (seed, epoch, index) alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from edgeclf import Classifier
from edgeclf.contract import ImageContract, Resize
from edgeclf_training.data import Sample, read_split
from edgeclf_training.dataset import EpochSampler, PhotoDataset, loader
from PIL import Image

CLASSES = ("adelie", "gentoo", "king")


@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
def test_validation_and_runtime_get_the_same_tensor_bit_for_bit(
    resize: Resize, make_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = Classifier(make_model(resize=resize))
    path = tmp_path / "large.jpg"  # large enough to decode at reduced scale, and turned by EXIF
    exif = Image.Exif()
    exif[0x0112] = 6
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((900, 600), Image.Resampling.BICUBIC).save(path, exif=exif)

    fed: list[np.ndarray] = []

    class Session:
        def run(self, names: list[str], feed: dict[str, np.ndarray]) -> Any:
            fed.append(feed["image"])
            return real.run(names, feed)

    real = classifier._session
    monkeypatch.setattr(classifier, "_session", Session())
    classifier.predict(path)
    dataset = PhotoDataset([Sample(path, "king", 0)], CLASSES, classifier.manifest.contract, "none", 0)
    image, label = dataset[0, 0]
    assert label == 2
    assert image.dtype == torch.uint8
    assert np.array_equal(image.numpy(), fed[0][0])


@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
def test_augmentation_depends_on_seed_epoch_and_index_alone(class_folders: Path, resize: Resize) -> None:
    samples = read_split([class_folders]).train
    first, again = (PhotoDataset(samples, CLASSES, ImageContract(48, resize), "default", 5) for _ in range(2))
    other = PhotoDataset(samples, CLASSES, ImageContract(48, resize), "default", 6)
    again[3, 9]  # a draw in between must not matter
    assert torch.equal(first[2, 4][0], again[2, 4][0])
    assert first[2, 4][0].shape == (48, 48, 3)
    assert not torch.equal(first[2, 4][0], first[3, 4][0])
    assert not torch.equal(first[2, 4][0], other[2, 4][0])


def test_workers_change_nothing(class_folders: Path) -> None:
    samples = read_split([class_folders]).train
    dataset = PhotoDataset(samples, CLASSES, ImageContract(32), "default", 1)
    alone, together = (list(loader(dataset, 5, workers, seed=1, shuffle=True)) for workers in (0, 2))
    assert len(alone) == 5
    for (images, labels), (other_images, other_labels) in zip(alone, together, strict=True):
        assert torch.equal(images, other_images)
        assert torch.equal(labels, other_labels)


def test_each_epoch_is_another_permutation_of_everything() -> None:
    sampler = EpochSampler(20, 3, shuffle=True)
    orders = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        keys = list(sampler)
        assert all(e == epoch for e, _ in keys)
        orders.append([i for _, i in keys])
        assert sorted(orders[-1]) == list(range(20))
    sampler.epochs_before = 1
    sampler.set_epoch(0)
    assert [i for _, i in sampler] == orders[1], "a later phase goes on where the earlier one ended"
    assert orders[0] != orders[1]


def test_a_last_batch_of_one_photo_is_left_out_of_training_only(class_folders: Path) -> None:
    samples = read_split([class_folders]).train[:9]
    dataset = PhotoDataset(samples, CLASSES, ImageContract(32), "none", 1)
    assert [len(labels) for _, labels in loader(dataset, 4, 0, shuffle=True)] == [4, 4]
    assert [len(labels) for _, labels in loader(dataset, 4, 0, shuffle=False)] == [4, 4, 1]
