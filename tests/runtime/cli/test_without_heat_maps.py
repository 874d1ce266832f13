"""A model file without heat maps (``--no-cam``): commands work as always, and those that draw maps say why not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Done
from helpers import write_class_folders

Run = Callable[..., Done]


@pytest.fixture
def mapless(make_model: Callable[..., Path]) -> Path:
    return make_model(cam=False, golden=True)


def test_it_predicts_as_the_same_network_with_maps(
    edgeclf: Run, mapless: Path, make_model: Callable[..., Path], photo: Path
) -> None:
    plain, usual = (edgeclf("predict", photo, "-m", one, "--json") for one in (mapless, make_model()))
    assert plain.returncode == 0
    assert plain.stdout == usual.stdout
    assert "heat maps    none" in edgeclf("info", mapless).stdout


@pytest.mark.parametrize("more", [(), ("--cam-class", "king"), ("--json",), ("--out", "answers.csv")])
def test_maps_are_refused_before_any_photo_is_read(
    edgeclf: Run, mapless: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(photo.parent, "in", ignore=shutil.ignore_patterns("in"))
    before = sorted(tmp_path.rglob("*"))
    done = edgeclf("predict", "in", "-m", mapless, "--cam", "why", *more)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert f"{mapless} has no heat maps" in line
    assert "leave out --cam" in line
    assert sorted(tmp_path.rglob("*")) == before


def test_commands_that_draw_no_maps_do_not_mind(
    edgeclf: Run, mapless: Path, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    write_class_folders(photos, 2)
    assert edgeclf("doctor", mapless).returncode == 0
    assert json.loads(edgeclf("evaluate", mapless, photos, "--json").stdout)["photos"] == 6
    suggested = edgeclf("suggest", mapless, photos, "-n", 2, "--json")
    assert (suggested.returncode, len(suggested.stdout.splitlines())) == (0, 2)
    for other in (mapless, make_model()):
        compared = edgeclf("compare", mapless, other, photos)
        assert "heat maps    not in both models" in compared.stdout, compared.stderr
    watched = edgeclf("watch", photos, "-m", mapless, "--out", tmp_path / "answers.jsonl", "--once", "--settle", 0)
    assert watched.returncode == 0
    assert (tmp_path / "answers.jsonl").read_text().count('"maps_of": null') == 6
