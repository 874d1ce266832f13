"""Models and data folders for the tests of training."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import draw, write_class_folders
from PIL import Image


@pytest.fixture(scope="session")
def make_model(export_model: Callable[..., Path]) -> Callable[..., Path]:
    """The small model, exported by the code of today."""
    return export_model


@pytest.fixture
def troubled(tmp_path: Path) -> Path:
    """One of everything."""
    root = tmp_path / "birds"
    write_class_folders(root / "train", 6)
    write_class_folders(root / "test", 2, seed=500)
    king, gentoo = root / "train" / "king", root / "train" / "gentoo"
    whole = (king / "king_000.jpg").read_bytes()
    (king / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (king / "page.jpg").write_text("<html>404</html>")
    (king / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (king / "notes.txt").write_text("ignored")
    (king / "copy.jpg").write_bytes(whole)
    (gentoo / "conflict.jpg").write_bytes((king / "king_001.jpg").read_bytes())
    (root / "train" / "king" / "leak.jpg").write_bytes((root / "test" / "king" / "king_000.jpg").read_bytes())
    with Image.open(king / "king_002.jpg") as photo:
        photo.save(king / "near.jpg", quality=40)
        photo.save(gentoo / "near_conflict.jpg", quality=30)
    placeholder = Image.new("P", (64, 64), 3)
    placeholder.putpalette([200] * 768)
    placeholder.save(gentoo / "noImage.gif")
    draw(801, 64, 48).save(gentoo / "really.jpg", "PNG")
    frames = [draw(810 + i, 64, 48).convert("P") for i in range(2)]
    frames[0].save(gentoo / "moving.gif", save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 6
    draw(802, 64, 48).save(gentoo / "turned.jpg", exif=exif)
    draw(803, 640, 480).save(gentoo / "large.jpg")
    draw(804, 200, 20).save(gentoo / "strip.jpg")
    return root
