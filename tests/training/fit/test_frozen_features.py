"""A frozen base is run once per photo and view, and the head sees what it would have seen."""

from pathlib import Path

import pytest
import torch
from edgeclf.images.contract import ImageContract
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.config.resolve import resolve
from edgeclf_training.dataset.split import read_split
from edgeclf_training.fit.frozen_features import PooledFeatures, class_counts
from edgeclf_training.fit.train import train
from edgeclf_training.loading.photo_dataset import PhotoDataset
from edgeclf_training.networks import Network, build_network
from helpers import CLASSES

CONTRACT = ImageContract(64)


def features(network: Network, photos: PhotoDataset, views: int, folder: Path) -> PooledFeatures:
    return PooledFeatures(
        network, photos, views, batch_size=4, workers=0, device="cpu", folder=folder, progress=lambda done, total: None
    )


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_the_head_answers_as_the_whole_network_would(head: str, class_folders: Path, tmp_path: Path) -> None:
    samples = read_split([class_folders]).train
    photos = PhotoDataset(samples, CLASSES, CONTRACT)
    network, _ = build_network("cnn4", 3, head=head, image_size=64)
    found = features(network, photos, 1, tmp_path)
    assert len(found) == len(samples)
    for index in (0, 7, len(samples) - 1):
        pooled, label = found[5, index]
        photo, true = photos[0, index]
        with torch.no_grad():
            whole, part = network(photo[None]), network.head(pooled[None])
        assert torch.allclose(whole, part, atol=1e-5)
        assert label == true


def test_epochs_take_turns_with_the_views(class_folders: Path, tmp_path: Path) -> None:
    samples = read_split([class_folders]).train
    photos = PhotoDataset(samples, CLASSES, CONTRACT, resolve(TrainOptions(arch="cnn4", image_size=64)))
    network, _ = build_network("cnn4", 3, image_size=64)
    found = features(network, photos, 2, tmp_path)
    assert torch.equal(found[0, 3][0], found[2, 3][0])
    assert not torch.equal(found[0, 3][0], found[1, 3][0])
    with torch.no_grad():
        again = network.pool(network.features(network.normalize(photos[1, 3][0][None])))
    assert torch.allclose(found[3, 3][0], again[0], atol=1e-5), "the second view is epoch 1's augmentation"


def test_frozen_epochs_run_the_base_once(class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos_run = 0
    real = Network.normalize

    def counted(self: Network, image: torch.Tensor) -> torch.Tensor:
        nonlocal photos_run
        photos_run += len(image)
        return real(self, image)

    monkeypatch.setattr(Network, "normalize", counted)
    options = TrainOptions(
        arch="cnn4", weights="none", image_size=64, epochs=6, freeze_epochs=6, augment="none", workers=0
    )
    run = train([class_folders], tmp_path / "run", options, report=False)
    held_out = len(run.split.val)
    assert photos_run == len(run.split.train) + held_out + held_out, "both splits once, then the final count"


def test_photos_are_counted_by_class() -> None:
    assert class_counts([2, 0, 2], 4) == (1, 0, 2, 0)


def test_features_leave_no_file_behind(class_folders: Path, tmp_path: Path) -> None:
    photos = PhotoDataset(read_split([class_folders]).val, CLASSES, CONTRACT)
    features(build_network("cnn4", 3, image_size=64)[0], photos, 1, tmp_path)
    assert not list(tmp_path.iterdir())
