"""Maps on photos of every shape: the same values as a map enlarged at once, with no more memory than the result."""

import subprocess
import sys

import numpy as np
import pytest
from edgeclf.heatmaps import overlay
from edgeclf.images.placement import Placement, place
from edgeclf.images.resize import resized
from numpy.typing import NDArray
from PIL import Image

# What a process needs beyond the map itself, MiB; the parent of a test run may be larger, so the child asks for itself.
PEAK = """
import sys
import numpy as np
from edgeclf.images.placement import place
from edgeclf.heatmaps.overlay import map_on_photo
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024
cam = np.random.default_rng(0).random((7, 7), dtype=np.float32)
map_on_photo(cam, place(64, 64, 224, "pad", 1.0))
before = peak()
found = map_on_photo(cam, place(int(sys.argv[1]), int(sys.argv[2]), 224, sys.argv[3], 0.875))
assert found.any()
print(peak() - before - found.nbytes / 2**20)
"""


def in_one_piece(cam: NDArray[np.float32], placement: Placement) -> NDArray[np.float32]:
    """The whole network input enlarged to photo pixels, and the photo cut from it."""
    x0, y0, x1, y1 = overlay._rounded(placement.input_on_photo(), (0, 0))
    width, height = placement.photo
    left, top = max(0, -x0), max(0, -y0)
    canvas = np.zeros((top + max(height, y1), left + max(width, x1)), np.float32)
    whole = resized(Image.fromarray(cam / cam.max()), (x1 - x0, y1 - y0))
    canvas[top + y0 : top + y1, left + x0 : left + x1] = np.asarray(whole)
    return canvas[top : top + height, left : left + width]


@pytest.mark.parametrize("block", [2**20, 1000])
@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
def test_maps_in_parts_are_maps_in_one_piece(resize: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay, "_ENLARGED_PIXELS", block)
    rng = np.random.default_rng(3)
    for cells in ((7, 7), (4, 9), (1, 1), (32, 32)):
        cam = rng.random(cells, dtype=np.float32)
        for width, height in ((160, 120), (1, 1), (3, 2), (5, 300), (300, 5), (3000, 3), (3, 3000), (601, 803)):
            for fraction in (1.0, 0.875, 0.1):
                placement = place(width, height, 224, resize, fraction)
                found = overlay.map_on_photo(cam, placement)
                np.testing.assert_allclose(found, in_one_piece(cam, placement), rtol=0, atol=2e-6)


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
@pytest.mark.parametrize("size", [(20000, 1000), (219, 219089), (219089, 219)], ids=str)
def test_map_of_a_panorama_takes_memory_like_the_map(size: tuple[int, int]) -> None:
    done = subprocess.run([sys.executable, "-c", PEAK, *map(str, size), "pad"], capture_output=True, text=True)
    assert float(done.stdout) < 32, done.stderr


def test_dead_and_broken_maps_are_all_zero() -> None:
    for value in (0.0, np.nan):
        found = overlay.map_on_photo(np.full((7, 7), value, np.float32), place(40, 30, 32, "pad", 1.0))
        assert not found.any()
        assert found.shape == (30, 40)
