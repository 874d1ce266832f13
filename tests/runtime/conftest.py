"""Models and files for the runtime's tests."""

import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from edgeclf.model.file import SEAL_LENGTH, seal

NPM_PACKAGES = ("typescript@7.0.2", "axe-core@4.14.1")


@pytest.fixture(scope="session")
def every_map(make_model: Callable[..., Path]) -> Callable[..., Path]:
    """``make_model`` for models that carry the heat maps of all their classes, however small the network."""

    def make(**options: object) -> Path:
        return make_model(classes=("adelie", "gentoo", "king", "emperor"), every_map=True, **options)

    return make


@pytest.fixture(scope="session")
def png_of_zeros() -> Callable[[int], bytes]:
    """Makes whole one-bit PNGs of ``side`` x ``side`` pixels, never held in memory."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def make(side: int) -> bytes:
        packer = zlib.compressobj(9)
        row = bytes(1 + (side + 7) // 8)
        data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
        header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")

    return make


@pytest.fixture
def rebuild(model: Path, tmp_path: Path) -> Callable[..., Path]:
    """Changes the good model as an attacker would, and seals it again."""

    def build(change: Callable[[onnx.ModelProto], object]) -> Path:
        proto = onnx.load_from_string(model.read_bytes()[:-SEAL_LENGTH])
        change(proto)
        path = tmp_path / "changed.onnx"
        path.write_bytes(seal(proto.SerializeToString()))
        return path

    return build


@pytest.fixture(scope="session")
def npm_packages(once: Callable[..., Path]) -> Path:
    """The folder ``node_modules`` with TypeScript and axe-core; skips where npm cannot get them."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm")

    def install(folder: Path) -> None:
        folder.mkdir()
        options = ("--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0")
        command = [npm, "install", "--prefix", str(folder), *options, *NPM_PACKAGES]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
            problem = done.stderr.strip() if done.returncode else ""
        except subprocess.TimeoutExpired:
            problem = "no answer"
        (folder / "problem.txt").write_text(problem)

    folder = once("page-npm", install)
    if problem := (folder / "problem.txt").read_text():
        pytest.skip(f"npm cannot get {' and '.join(NPM_PACKAGES)}: {problem.splitlines()[-1]}")
    return folder / "node_modules"
