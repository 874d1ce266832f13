"""Shared by all tests: no network, drawn photos, and a two-convolution classifier exported for real."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeclf.telemetry import hush
from helpers import CLASSES, SHARED, SIZE, draw, manifest_for, write_class_folders


def pytest_configure() -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts what runs in the background so
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # and nohup what is to outlive it
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.environ.pop("EDGECLF_MODEL", None)
    hush()  # the tests themselves leave nothing in a home either
    os.environ["EDGECLF_CACHE"] = tempfile.mkdtemp(prefix="edgeclf-test-cache-")


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["EDGECLF_CACHE"], ignore_errors=True)


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
    """Any attempt of the test's own process to connect is a failure."""

    def guard(real: Callable[..., Any]) -> Callable[..., Any]:
        def connect(self: socket.socket, address: object) -> Any:
            if self.family != socket.AF_UNIX:  # worker processes talk through those
                raise AssertionError(f"network access: {address}")
            return real(self, address)

        return connect

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, guard(getattr(socket.socket, name)))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The team's shared folder; tests that use it carry the marker `shared`."""
    return SHARED


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A JPEG of 160 x 120 pixels."""
    path = tmp_path / "photo.jpg"
    draw(1).save(path, quality=95)
    return path


@pytest.fixture(scope="session")
def class_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of ten photos; read-only by agreement."""
    return write_class_folders(tmp_path_factory.mktemp("data") / "photos", 10)


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Exports a small random network for real: make_model(resize="pad", classes=(...), head="mlp", int8=True).

    ``calibration`` is written into the manifest as given; ``golden=True`` embeds drawn photos for the self-test.
    """
    import torch
    from edgeclf.images.contract import ImageContract
    from edgeclf_export.pack.build import export_network
    from edgeclf_export.verify.golden import with_golden
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
        calibration: Any = None,
        golden: bool = False,
    ) -> Path:
        key = (resize, classes, tuple((display or {}).items()), head, int8, calibration, golden)
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
            manifest = manifest_for(SIZE, classes, ImageContract(SIZE, resize), display or {})  # type: ignore[arg-type]
            manifest = replace(manifest, calibration=calibration)
            photos = [np.asarray(draw(i).resize((SIZE, SIZE))) for i in range(8)] if int8 else None
            made[key] = folder / f"model{len(made)}.onnx"
            data = export_network(network, manifest, photos)
            if golden:
                data, _ = with_golden(data, [(draw(i), classes[i % len(classes)]) for i in range(12)])
            made[key].write_bytes(data)
        return made[key]

    return make


@pytest.fixture(scope="session")
def model(make_model: Callable[..., Path]) -> Path:
    """A small FP32 model of three classes; being so small, it carries one heat map a photo."""
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
