"""A site, and a site as one page from the disk, in Firefox: the self-test is exact, the records are Python's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import in_process
from edgeclf.errors import BackendError
from edgeclf.model.file import read_model_file
from edgeclf.model.manifest import Calibration
from edgeclf.web.browser_runtime import read_browser_runtime
from edgeclf.web.folder import write_site
from edgeclf.web.one_file import make_page
from edgeclf.web.site import Site, make_site
from firefox_page import answers_of_page, answers_of_site, program
from helpers import draw
from page_browser import comparable, static_host
from PIL import Image


@pytest.fixture(scope="module")
def model(make_model: Callable[..., Path]) -> Path:
    program()
    calibration = Calibration(1.3, 0.3395, 10, 8, 1, 0.1, 0.05)
    return make_model(resize="pad", int8=True, golden=True, calibration=calibration)


@pytest.fixture(scope="module")
def site(model: Path) -> Site:
    try:
        return make_site(read_model_file(model), read_browser_runtime(), "Penguins")
    except BackendError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two codings of JPEG, one of them large, a damaged JPEG, a PNG, a lossy WebP, and a transparent PNG."""
    folder = tmp_path_factory.mktemp("photos")
    draw(1, 320, 240).save(folder / "a.jpg", quality=92)
    draw(2, 1601, 1200).save(folder / "b.jpg", quality=80, progressive=True)
    (folder / "c.jpg").write_bytes((folder / "a.jpg").read_bytes()[:700])
    draw(3, 200, 331).save(folder / "d.png")
    draw(4, 201, 150).save(folder / "e.webp")
    # Firefox multiplies colours by their opacity: these have no rest that could be rounded.
    colours = np.asarray(draw(5, 120, 90)) // 5 * 5
    opacity = np.resize(np.array([0, 51, 255], np.uint8), (90, 120, 1))
    Image.fromarray(np.concatenate([colours, opacity], 2)).save(folder / "f.png")
    return sorted(folder.iterdir())


def _check(found: dict[str, Any], photos: list[Path], model: Path, out: Path) -> None:
    in_process("predict", *photos, "-m", model, "--device", "cpu", "--out", out)
    expected = [comparable(json.loads(line)) for line in out.read_text().splitlines() if '"path"' in line]
    records = [comparable(json.loads(line)) for line in found["records"].splitlines()]
    assert len(records) == len(photos)
    assert sorted(records, key=lambda one: one["path"]) == sorted(expected, key=lambda one: one["path"])
    assert found["tested"].startswith("Exact on this device")
    marked = [card for card in found["cards"] if "pixels not proved" in card]
    assert [photo.name for photo in photos if any(photo.name in card for card in marked)] == [
        "d.png",
        "e.webp",
        "f.png",
    ]


def test_a_site(site: Site, model: Path, photos: list[Path], tmp_path: Path) -> None:
    write_site(site, tmp_path / "host" / "penguins")
    with static_host(tmp_path / "host") as host:
        found = answers_of_site(host, tmp_path / "host", "penguins", photos)
    _check(found, photos, model, tmp_path / "out.jsonl")


def test_one_page_from_the_disk(site: Site, model: Path, photos: list[Path], tmp_path: Path) -> None:
    with static_host(tmp_path) as host:
        found = answers_of_page(host, make_page(site), tmp_path / "Pages #1, 100 %.html", photos)
        assert host.asked == []  # nothing but what the test sends
    _check(found, photos, model, tmp_path / "out.jsonl")
