"""Shared by all tests: no network, drawn photos, and a two-convolution classifier exported for real."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

SHARED = Path(__file__).parents[2] / "shared"
CLASSES = ("adelie", "gentoo", "king")
SIZE = 32


def pytest_configure() -> None:
    os.environ.pop("EDGECLF_MODEL", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what needs a GPU or the team's shared photos."""
    skip_shared = pytest.mark.skip(reason="needs the shared photos and weights beside the checkout")
    for item in items:
        if "shared" in item.keywords and not SHARED.is_dir():
            item.add_marker(skip_shared)
        if "gpu" in item.keywords:
            import torch

            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any attempt to connect is a failure of the test."""

    def refuse(*args: object) -> None:
        raise AssertionError(f"network access: {args[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The team's shared folder; tests that use it carry the marker `shared`."""
    return SHARED


def draw(seed: int, width: int = 160, height: int = 120, hue: tuple[int, int, int] | None = None) -> Image.Image:
    """A photo-like picture: smooth noise, a bright corner (so that orientations differ), and optionally a tint."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 200, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    image.paste((250, 240, 230), (0, 0, width // 4, height // 4))
    if hue is not None:
        image = Image.blend(image, Image.new("RGB", image.size, hue), 0.5)
    return image


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A JPEG of 160 x 120 pixels."""
    path = tmp_path / "photo.jpg"
    draw(1).save(path, quality=95)
    return path


def write_class_folders(root: Path, per_class: int, *, seed: int = 0) -> Path:
    """Class folders of small JPEGs whose tint tells the class."""
    hues = {"adelie": (200, 40, 40), "gentoo": (40, 200, 40), "king": (40, 40, 200)}
    for number, (label, hue) in enumerate(hues.items()):
        (root / label).mkdir(parents=True)
        for index in range(per_class):
            name = root / label / f"{label}_{index:03}.jpg"
            draw(seed + 1000 * number + index, 64, 48, hue).save(name, quality=90)
    return root


@pytest.fixture(scope="session")
def class_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of ten photos; read-only by agreement."""
    return write_class_folders(tmp_path_factory.mktemp("data") / "photos", 10)


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Exports a small random network for real: make_model(resize="pad", classes=(...), head="mlp", int8=True)."""
    import torch
    from edgeclf.image import ImageContract
    from edgeclf.manifest import SCHEMA_VERSION, Provenance
    from edgeclf_export.packing import draft_manifest, export_network
    from edgeclf_training.networks import Head, Network
    from torch import nn

    folder = tmp_path_factory.mktemp("models")
    made: dict[Any, Path] = {}

    def make(
        *,
        resize: str = "crop",
        classes: tuple[str, ...] = CLASSES,
        display: dict[str, str] | None = None,
        head: str = "linear",
        int8: bool = False,
    ) -> Path:
        key = (resize, classes, tuple((display or {}).items()), head, int8)
        if key not in made:
            torch.manual_seed(7)
            stages = [
                ("one", nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())),
                ("two", nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())),
            ]
            hidden = (12,) if head == "mlp" else ()
            network = Network(
                stages, None, Head(16, (SIZE // 4) ** 2, hidden, len(classes)), (127.0,) * 3, (64.0,) * 3
            ).eval()
            contract = ImageContract(SIZE, resize)  # type: ignore[arg-type]
            manifest = draft_manifest(
                schema_version=SCHEMA_VERSION,
                classes=classes,
                display_names=display or {},
                contract=contract,
                contract_sha256=contract.digest(),
                architecture="tiny",
                head=head,
                provenance=Provenance("2026-01-01T00:00:00+00:00"),
            )
            photos = [np.asarray(draw(i).resize((SIZE, SIZE))) for i in range(8)] if int8 else None
            made[key] = folder / f"model{len(made)}.onnx"
            made[key].write_bytes(export_network(network, manifest, photos))
        return made[key]

    return make


@pytest.fixture(scope="session")
def model(make_model: Callable[..., Path]) -> Path:
    """A small FP32 model of three classes with every class's heat map."""
    return make_model()


@pytest.fixture
def edgeclf() -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Runs the command line in a child process."""

    def run(*arguments: object, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "edgeclf", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            env={**os.environ, "PYTHONUTF8": "1", **environment},
            timeout=300,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace")
        )

    return run
