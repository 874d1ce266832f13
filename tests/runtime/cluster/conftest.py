"""Photos for the cluster's tests, good ones and bad ones."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import draw

pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'edgeclf[parquet]'")


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Nine photos in two folders, a cut one, an empty one, and what is no photo."""
    root = tmp_path / "card"
    for number in range(9):
        path = root / ("a" if number < 5 else "b") / f"p{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(number, 60, 40).save(path)
    (root / "a" / "cut.jpg").write_bytes((root / "a" / "p0.jpg").read_bytes()[:400])
    (root / "b" / "empty.jpg").touch()
    (root / "b" / "notes.txt").write_text("no photo")
    return root


@pytest.fixture
def tar_of(tmp_path: Path) -> Callable[[Path], Path]:
    """Packs a folder into a .tar."""

    def pack(folder: Path) -> Path:
        path = tmp_path / "shard.tar"
        with tarfile.open(path, "w") as tar:
            tar.add(folder, ".")
        return path

    return pack
