"""The drawn penguins: same seed, same bytes; every box holds its field mark; nobody's files are overwritten."""

from __future__ import annotations

import doctest
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import edgeclf_samples
import numpy as np
import pytest
from edgeclf_samples import SPECIES, SampleData, write_sample_data
from edgeclf_samples.birds import BirdDrawing, draw_bird
from edgeclf_samples.lighting import random_light
from edgeclf_samples.photos import box_of, draw_photo
from edgeclf_samples.postures import Pose, build_skeleton
from edgeclf_samples.species import (
    ADELIE,
    ALL_SPECIES,
    CHINSTRAP,
    EMPEROR,
    GENTOO,
    KING,
    ROCKHOPPER,
    Species,
)
from numpy.typing import NDArray
from PIL import Image

PER_CLASS, SIZE, SEED = 3, 96, 3


def draw_side_view(species: Species, yaw: float = 1.2) -> BirdDrawing:
    """The same posture, light and place for every species; the head fills much of the picture."""
    pose = Pose(yaw=yaw, head_yaw=yaw)
    skeleton = build_skeleton(species, pose)
    origin = (100 - skeleton.head[0] * 500, 80 + skeleton.head[1] * 500)
    light = random_light(np.random.default_rng(1))
    return draw_bird(species, pose, skeleton, light, (200, 200), 500, origin, np.random.default_rng(0))


def marked_colour(bird: BirdDrawing) -> NDArray[np.float64]:
    """Median colour of the pixels that are all mark."""
    return np.median(bird.colour[bird.mark > 0.9], axis=0).astype(np.float64)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> SampleData:
    return write_sample_data(tmp_path_factory.mktemp("sample"), per_class=PER_CLASS, size=SIZE, seed=SEED)


@pytest.fixture(scope="module")
def marks(written: SampleData) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(written.marks_file.read_text())
    return content


def test_layout(written: SampleData) -> None:
    assert written.classes == SPECIES == tuple(sorted(SPECIES))
    assert written.photos == PER_CLASS * 6
    expected = {f"{name}/{name}_{index:04d}.jpg" for name in SPECIES for index in range(1, PER_CLASS + 1)}
    assert set(files_of(written.folder)) == expected | {"marks.json"}  # and so no temporary file is left


def test_marks_file(written: SampleData, marks: dict[str, Any]) -> None:
    assert (marks["schema_version"], marks["seed"], marks["size"]) == (1, SEED, SIZE)
    assert set(marks) == {"schema_version", "seed", "size", "photos"}
    assert set(marks["photos"]) == set(files_of(written.folder)) - {"marks.json"}
    for name, photo in marks["photos"].items():
        assert set(photo) == {"label", "mark", "box", "bird"}
        assert photo["label"] == name.split("/")[0]
    named = {photo["label"]: photo["mark"] for photo in marks["photos"].values()}
    assert named["king_penguin"] == "orange ear patch and bill stripe"
    assert len(set(named.values())) == 6


def test_photos_and_boxes(written: SampleData, marks: dict[str, Any]) -> None:
    shapes = set()
    for name, photo in marks["photos"].items():
        with Image.open(written.folder / name) as image:
            assert (image.format, image.mode) == ("JPEG", "RGB")
            width, height = image.size
        shapes.add((width, height))
        assert max(width, height) == SIZE
        assert min(width, height) >= round(0.70 * SIZE)
        for x0, y0, x1, y1 in (photo["box"], photo["bird"]):
            assert all(type(value) is int for value in (x0, y0, x1, y1))
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= height
        box, bird = photo["box"], photo["bird"]
        assert (np.array(box[:2]) >= np.array(bird[:2]) - 2).all()
        assert (np.array(box[2:]) <= np.array(bird[2:]) + 2).all()
        assert (box[2] - box[0]) * (box[3] - box[1]) < 0.5 * (bird[2] - bird[0]) * (bird[3] - bird[1])
    assert len(shapes) > 5
    assert {width > height for width, height in shapes} == {True, False}


def test_same_arguments_give_the_same_bytes(written: SampleData, tmp_path: Path) -> None:
    again = write_sample_data(tmp_path / "again", per_class=PER_CLASS, size=SIZE, seed=SEED)
    assert files_of(again.folder) == files_of(written.folder)


def test_photo_does_not_depend_on_how_many_are_drawn(written: SampleData, tmp_path: Path) -> None:
    fewer = files_of(write_sample_data(tmp_path / "fewer", per_class=1, size=SIZE, seed=SEED).folder)
    more = files_of(written.folder)
    del fewer["marks.json"]
    assert len(fewer) == 6
    assert all(more[name] == content for name, content in fewer.items())


def test_seed_species_and_number_change_the_photo(written: SampleData, tmp_path: Path) -> None:
    other = files_of(write_sample_data(tmp_path / "other", per_class=PER_CLASS, size=SIZE, seed=SEED + 1).folder)
    this = files_of(written.folder)
    contents = [content for files in (this, other) for name, content in files.items() if name.endswith(".jpg")]
    assert len(set(contents)) == 2 * 6 * PER_CLASS


@pytest.mark.parametrize("species", ALL_SPECIES, ids=SPECIES)
def test_mark_box_encloses_what_tells_the_species(species: Species) -> None:
    """The same bird without its species' name is drawn without the mark: they must differ in the box."""
    bird, anonymous = draw_side_view(species), draw_side_view(replace(species, name="anonymous"))
    assert anonymous.mark.sum() < bird.mark.sum()
    x0, y0, x1, y1 = box_of(bird.mark, 0.2)
    assert 0 < x0 < x1 < 200
    assert 0 < y0 < y1 < 200
    outside = np.ones((200, 200), bool)
    outside[y0:y1, x0:x1] = False
    assert bird.mark[outside].max() <= 0.2
    change = np.abs(bird.colour - anonymous.colour).max(axis=2)
    if species == CHINSTRAP:  # its line is as black as any hood: the white around it is what differs
        assert change[y0:y1, x0:x1].mean() > 2 * change[outside].mean()
    else:
        assert change[bird.mark > 0.9].mean() > 0.12
    if species == ADELIE:  # nothing but the ring and the bill's base tells it
        assert (change[outside] > 0.12).mean() < 0.006


def test_marks_have_the_species_colours() -> None:
    adelie, chinstrap, emperor, gentoo, king, rockhopper = (
        marked_colour(draw_side_view(species)) for species in (ADELIE, CHINSTRAP, EMPEROR, GENTOO, KING, ROCKHOPPER)
    )
    for white in (adelie, gentoo):
        assert white.min() > 0.6
        assert np.ptp(white) < 0.1
    assert chinstrap.max() < 0.2
    assert king[0] > 1.6 * king[1] > 2 * king[2]  # orange
    for yellow in (emperor, rockhopper):
        assert yellow[1] > 0.75 * yellow[0]
        assert yellow[2] < 0.75 * yellow[1]
    assert rockhopper[2] < 0.5 * emperor[2]  # sulphur, and pale


def test_chinstrap_line_runs_through_white() -> None:
    bird = draw_side_view(CHINSTRAP, 0.3)
    rows, columns = np.nonzero(bird.mark > 0.9)
    middle = int(np.median(columns))
    line = rows[columns == middle]
    above, below = bird.colour[line.min() - 8, middle], bird.colour[line.max() + 8, middle]
    assert above.min() > 0.5
    assert below.min() > 0.5


def test_rockhopper_plumes_stick_out_of_the_head() -> None:
    bird, crestless = draw_side_view(ROCKHOPPER), draw_side_view(replace(ROCKHOPPER, name="anonymous"))
    assert ((bird.mark > 0.9) & (crestless.cover == 0)).sum() > 100


@pytest.mark.parametrize("yaw", [1.2, -1.2])
def test_bird_faces_where_its_pose_says(yaw: float) -> None:
    bird = draw_side_view(GENTOO, yaw)
    red = (bird.colour[:, :, 0] - bird.colour[:, :, 2] > 0.25) & (np.arange(200)[:, None] < 120)  # the bill
    assert (np.nonzero(red)[1].mean() > 100) == (yaw > 0)


def test_box_fits_the_finished_photo() -> None:
    """End to end: a rockhopper's yellow is in the box, not in as large an area lower down on the bird."""
    found = 0
    for index in range(1, 9):
        photo = draw_photo(ROCKHOPPER, index, 160, 0)
        pixels = photo.pixels.astype(np.float64)
        yellow = pixels[:, :, :2].min(axis=2) - pixels[:, :, 2]
        x0, y0, x1, y1 = photo.mark
        low = (y1 + photo.bird[3]) // 2
        belly = yellow[low : low + y1 - y0, x0:x1]
        found += bool(np.quantile(yellow[y0:y1, x0:x1], 0.95) > 40 + np.quantile(belly, 0.5))
    assert found >= 7  # one may stand in fiery light


def test_progress_counts_every_photo(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    write_sample_data(tmp_path, per_class=1, size=64, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"per_class": 0}, "per_class is 0"),
        ({"size": 63}, "size is 63"),
        ({"size": 2049}, "size is 2049"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_numbers_are_refused(tmp_path: Path, arguments: dict[str, int], complaint: str) -> None:
    folder = tmp_path / "new"
    with pytest.raises(ValueError, match=complaint) as raised:
        write_sample_data(folder, **arguments)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)
    assert not folder.exists()


def test_files_of_others_are_not_touched(tmp_path: Path) -> None:
    kept = tmp_path / "notes.txt"
    kept.write_text("mine")
    with pytest.raises(ValueError, match="not empty"):
        write_sample_data(tmp_path, per_class=1)
    with pytest.raises(ValueError, match="is a file"):
        write_sample_data(kept, per_class=1)
    assert files_of(tmp_path) == {"notes.txt": b"mine"}


def test_failed_write_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: str, target: Path) -> None:
        raise OSError(f"no space for {target}")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="no space"):
        write_sample_data(tmp_path, per_class=1, size=64)
    assert files_of(tmp_path) == {}


def test_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import edgeclf_samples"
    search_path = os.pathsep.join(path for path in sys.path if path)
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": search_path})


def test_the_example_runs() -> None:
    done = doctest.testmod(edgeclf_samples)
    assert (done.failed, done.attempted) == (0, 4)
