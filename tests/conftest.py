"""Shared by all tests: no network, drawn photos, and a two-convolution classifier in a file."""

import fcntl
import os
import shutil
import signal
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from command_line import Done, in_child, in_process
from edgeclf.telemetry import disable_telemetry
from helpers import SHARED, draw, write_class_folders
from small_models import Small, committed, exported

if TYPE_CHECKING:  # the runtime's tests run without torch
    import onnx
    from edgeclf_training.config.options import TrainOptions
    from edgeclf_training.networks import Network
    from edgeclf_training.run.run_folder import Run

Once = Callable[[str, Callable[[Path], object]], Path]


def pytest_configure() -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts what runs in the background so
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # and nohup what is to outlive it
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    for name in ("EDGECLF_MODEL", "EDGECLF_TOKEN"):  # of who runs the tests
        os.environ.pop(name, None)
    disable_telemetry()  # the tests themselves leave nothing in a home either
    os.environ["EDGECLF_CACHE"] = tempfile.mkdtemp(prefix="edgeclf-test-cache-")
    os.fsync = _without_waiting(os.fsync)


def _without_waiting(really: Callable[[int], None]) -> Callable[[int], None]:
    """``os.fsync`` that leaves files and folders to the system: no test pulls the plug, and disks are slow."""

    def fsync(number: int) -> None:
        kind = os.fstat(number).st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            really(number)

    return fsync


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["EDGECLF_CACHE"], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what needs a GPU or the team's shared photos."""
    skip_shared = pytest.mark.skip(reason="needs the shared photos and weights beside the checkout")
    for item in items:
        if "shared" in item.keywords and not SHARED.is_dir():
            item.add_marker(skip_shared)
        if "gpu" in item.keywords:
            try:
                import torch

                found = torch.cuda.is_available()
            except ModuleNotFoundError:
                found = False
            if not found:
                item.add_marker(pytest.mark.skip(reason="needs torch and a CUDA device"))


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    """Any attempt of the test's own process to connect is a failure.

    Not by the fixture ``monkeypatch``: what a test changes is put back before its folder is deleted.
    """

    def guard(real: Callable[..., Any]) -> Callable[..., Any]:
        def connect(self: socket.socket, address: object) -> Any:
            if self.family != socket.AF_UNIX:  # worker processes talk through those
                raise AssertionError(f"network access: {address}")
            return real(self, address)

        return connect

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, guard(getattr(socket.socket, name)))
        yield


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
def class_folders(once: Once) -> Path:
    """Three classes of ten photos; read-only by agreement."""
    return once("photos", lambda path: write_class_folders(path, 10))


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Gives a small random network as a file: make_model(resize="pad", classes=(...), head="mlp", int8=True).

    The keywords are those of ``small_models.Small``. The files are those committed; the tests of training and of the
    export get fresh ones.
    """
    return _maker(tmp_path_factory.mktemp("models"), committed)


@pytest.fixture(scope="session")
def export_model(tmp_path_factory: pytest.TempPathFactory, once: Once) -> Callable[..., Path]:
    """``make_model`` through torch and the exporter, each file once for all processes of a run."""

    def export(wanted: Small) -> bytes:
        name = f"{sha256(repr(wanted).encode()).hexdigest()[:16]}.onnx"
        return once(name, lambda path: path.write_bytes(exported(wanted))).read_bytes()

    return _maker(tmp_path_factory.mktemp("exported"), export)


def _maker(folder: Path, data_of: Callable[[Small], bytes]) -> Callable[..., Path]:
    made: dict[str, Path] = {}

    def make(**options: Any) -> Path:
        wanted = Small(**options)
        key = repr(wanted)
        if key not in made:
            path = folder / f"model{len(made)}.onnx"
            path.write_bytes(data_of(wanted))
            made[key] = path
        return made[key]

    return make


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Makes a file or folder that all processes of a run share: once(name, make), where make(path) makes it.

    Whoever comes first makes it while the others wait; read-only by agreement.
    """
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "once"
    folder.mkdir(exist_ok=True)

    def get(name: str, make: Callable[[Path], object]) -> Path:
        path, made = folder / name, folder / f"{name}.made"
        with open(folder / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # let go at the latest when its process ends
            if not made.exists():
                shutil.rmtree(path, ignore_errors=True)  # of a process that did not get to the end
                make(path)
                made.touch()
        return path

    return get


@pytest.fixture(scope="session")
def trained(class_folders: Path, once: Once) -> "Callable[..., Run]":
    """A run on the class folders, trained once for all processes with the same options: trained(), trained(options).

    Without options: four epochs of the smallest network. Read-only by agreement.
    """

    def get(options: "TrainOptions | None" = None) -> "Run":
        from edgeclf_training.fit.train import train
        from edgeclf_training.run.run_folder import load_run
        from trainings import QUICK

        wanted = options or QUICK
        name = f"run-{sha256(repr(wanted).encode()).hexdigest()[:16]}"
        return load_run(once(name, lambda path: train([class_folders], path, wanted)))

    return get


@pytest.fixture(scope="session")
def traced(once: Once) -> "Callable[[Network, int], onnx.ModelProto]":
    """``to_onnx``, once for all processes of a run for the same network with the same weights: seconds each."""
    from edgeclf_export.graph.to_onnx import to_onnx

    def trace(network: "Network", size: int) -> "onnx.ModelProto":
        import onnx

        known = sha256(f"{size} {network.training} {network!r}".encode())
        for module in network.modules():
            known.update(type(module).forward.__code__.co_code)
        for name, tensor in (*network.named_parameters(), *network.named_buffers()):
            known.update(name.encode())
            known.update(tensor.detach().contiguous().numpy().tobytes())
        return onnx.load(once(f"{known.hexdigest()[:16]}.traced", lambda path: onnx.save(to_onnx(network, size), path)))

    return trace


@pytest.fixture
def share_traces(traced: "Callable[[Network, int], onnx.ModelProto]", monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports of this process take the graphs of ``traced``."""
    for module in ("export_network", "export_run"):
        monkeypatch.setattr(f"edgeclf_export.api.{module}.to_onnx", traced)


@pytest.fixture(scope="session")
def model(make_model: Callable[..., Path]) -> Path:
    """A small FP32 model of three classes; being so small, it carries one heat map a photo."""
    return make_model()


@pytest.fixture(scope="session")
def edgeclf() -> Callable[..., Done]:
    """Runs the command line in this process: edgeclf("predict", photo, stdin=b"", EDGECLF_MODEL="...")."""
    return in_process


@pytest.fixture(scope="session")
def edgeclf_child() -> Callable[..., Done]:
    """Runs it in a child process, for what depends on how Python starts or ends."""
    return in_child
