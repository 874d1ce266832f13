"""One door for validation and the field, and random decisions that depend on (seed, epoch, index) alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from edgeclf import Classifier
from edgeclf.images.contract import ImageContract, Resize
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.config.resolve import resolve
from edgeclf_training.dataset.samples import Sample
from edgeclf_training.dataset.split import read_split
from edgeclf_training.loading.photo_dataset import EpochSampler, PhotoDataset, loader
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
    monkeypatch.setattr(classifier._sessions, "_first", (Session(), classifier.device))
    classifier.predict(path)
    dataset = PhotoDataset([Sample(path, "king", 0)], CLASSES, classifier.manifest.contract)
    image, label = dataset[0, 0]
    assert label == 2
    assert image.dtype == torch.uint8
    assert np.array_equal(image.numpy(), fed[0][0])


@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
def test_augmentation_depends_on_seed_epoch_and_index_alone(class_folders: Path, resize: Resize) -> None:
    samples = read_split([class_folders]).train

    def dataset(seed: int) -> PhotoDataset:
        options = resolve(TrainOptions(resize=resize, seed=seed))
        return PhotoDataset(samples, CLASSES, ImageContract(48, resize), options)

    first, again, other = dataset(5), dataset(5), dataset(6)
    again[3, 9]  # a draw in between must not matter
    assert torch.equal(first[2, 4][0], again[2, 4][0])
    assert first[2, 4][0].shape == (48, 48, 3)
    assert not torch.equal(first[2, 4][0], first[3, 4][0])
    assert not torch.equal(first[2, 4][0], other[2, 4][0])


def test_workers_change_nothing(class_folders: Path) -> None:
    samples = read_split([class_folders]).train
    dataset = PhotoDataset(samples, CLASSES, ImageContract(32), resolve(TrainOptions(seed=1)))
    alone, together = (list(loader(dataset, 5, workers, seed=1, shuffle=True)) for workers in (0, 2))
    assert len(alone) == 5
    for (images, labels), (other_images, other_labels) in zip(alone, together, strict=True):
        assert torch.equal(images, other_images)
        assert torch.equal(labels, other_labels)


def test_each_epoch_is_another_permutation_of_everything() -> None:
    sampler = EpochSampler(20, 3, shuffle=True, epochs_before=0, rank=0, world=1)
    orders = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        keys = list(sampler)
        assert all(e == epoch for e, _ in keys)
        orders.append([i for _, i in keys])
        assert sorted(orders[-1]) == list(range(20))
    later = EpochSampler(20, 3, shuffle=True, epochs_before=1, rank=0, world=1)
    later.set_epoch(0)
    assert [i for _, i in later] == orders[1], "a later phase goes on where the earlier one ended"
    assert orders[0] != orders[1]


def test_a_last_batch_of_one_photo_is_left_out_of_training_only(class_folders: Path) -> None:
    samples = read_split([class_folders]).train[:9]
    dataset = PhotoDataset(samples, CLASSES, ImageContract(32))
    assert [len(labels) for _, labels in loader(dataset, 4, 0, shuffle=True)] == [4, 4]
    assert [len(labels) for _, labels in loader(dataset, 4, 0, shuffle=False)] == [4, 4, 1]


def test_processes_together_see_each_step_what_one_would_see() -> None:
    def keys(shuffle: bool, rank: int, world: int) -> list[tuple[int, int]]:
        return list(EpochSampler(21, 3, shuffle=shuffle, epochs_before=2, rank=rank, world=world))

    alone, shared = keys(True, 0, 1), [keys(True, rank, 2) for rank in range(2)]
    assert [len(part) for part in shared] == [10, 10], "equally many, or one process would wait for ever"
    for step in range(5):
        together = [key for part in shared for key in part[2 * step : 2 * step + 2]]
        assert sorted(together) == sorted(alone[4 * step : 4 * step + 4])
    validated = [key for rank in range(2) for key in keys(False, rank, 2)]
    assert sorted(validated) == keys(False, 0, 1), "every validation photo once, also of an odd number"
