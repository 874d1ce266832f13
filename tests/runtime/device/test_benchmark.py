"""``edgeclf bench``: consistent numbers, and a line without private data."""

import getpass
import json
import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from edgeclf.cli.bench import _comparison
from edgeclf.device.benchmark import STEPS, ModelBench, Photos, bench, drawn_photos
from edgeclf.errors import PhotoError, UsageError
from edgeclf.images.preprocess import upright_rgb
from edgeclf.model.file import read_model_file

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_the_line_has_the_figures_and_no_paths_or_names(
    edgeclf: Run, model: Path, make_model: Callable[..., Path], photo: Path
) -> None:
    small = make_model(int8=True)
    done = edgeclf("bench", model, small, photo, "--seconds", 1, "--threads", 2, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    told = json.loads(line)
    assert told["edgeclf_bench"] == 1
    assert [one["sha256"] for one in told["models"]] == [read_model_file(path).sha256 for path in (model, small)]
    assert [one["precision"] for one in told["models"]] == ["fp32", "int8"]
    for one in told["models"]:
        assert (one["device"], one["threads"]) == ("CPUExecutionProvider", 2)
        assert one["cold_start"]["seconds"] > 0.05  # no Python starts faster
        assert 10 < one["cold_start"]["peak_mib"] < 500
        (group,) = one["photos"]
        steps = group["steps"]
        assert set(steps) == set(STEPS)
        assert all(0 < times["p50_ms"] <= times["p95_ms"] for times in steps.values())
        assert len({times["count"] for times in steps.values()}) == 1
        assert steps["end to end"]["count"] >= 3
        assert group["photos_per_second"] > 0
        for neighbours in (0, 1):
            threads = {point["threads"] for point in one["sweep"] if point["busy_neighbours"] == neighbours}
            assert threads == {1, 2}
        assert all(point["photos_per_second"] > 0 for point in one["sweep"])
    assert told["comparison"]
    for private in (str(photo), str(model.parent), photo.name, str(Path.home()), socket.gethostname()):
        assert private not in line
    if len(getpass.getuser()) > 4:  # "root" may well be a part of a word
        assert getpass.getuser() not in line


def test_the_table_names_every_step(edgeclf: Run, model: Path, make_model: Callable[..., Path], photo: Path) -> None:
    mapless = make_model(cam=False, golden=True)
    done = edgeclf("bench", model, mapless, photo, "--seconds", 1, "--threads", 1)
    assert (done.returncode, done.stderr) == (0, "")
    for word in (*STEPS, str(model), "1 photo given", "fresh process", "photos/s", "batch 1", "beside a busy process"):
        assert word in done.stdout
    steps = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert (steps.count("decode"), steps.count("explain")) == (2, 1), "a model without heat maps draws none"


def test_drawn_photos_decode_at_reduced_scale_as_camera_photos_do() -> None:
    from edgeclf.images.contract import ImageContract

    large, small = drawn_photos()
    assert [group.name for group in (large, small)] == ["12 MP", "500 px"]
    (data,) = large.photos
    assert isinstance(data, bytes)
    assert 2e6 < len(data) < 12e6, "as large as a camera's"
    assert upright_rgb(data).size == (4000, 3000)
    assert upright_rgb(data, ImageContract(224)).size == (1000, 750)


def test_a_photo_that_cannot_be_read_ends_it_at_once(edgeclf: Run, model: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no photo")
    with pytest.raises(PhotoError):
        bench([str(model)], [Photos("bad", (str(bad),))], seconds=1)
    for name in (bad, tmp_path / "missing.jpg"):
        done = edgeclf("bench", model, name)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
        assert str(name) in done.stderr


def test_three_models_are_refused(edgeclf: Run, model: Path) -> None:
    done = edgeclf("bench", model, model, model)
    assert (done.returncode, len(done.stderr.splitlines())) == (UsageError.exit_code, 1)


def test_slow_int8_is_told_with_what_to_do(model: Path, photo: Path) -> None:
    """Which model is faster depends on the machine; the sentence does not."""
    (wide,) = bench([str(model)], [Photos("one", (photo.read_bytes(),))], seconds=1)
    eight = replace(wide, file=replace(wide.file, manifest=replace(wide.file.manifest, precision="int8")))

    def taking(one: ModelBench, milliseconds: float) -> ModelBench:
        (group,) = one.photos
        steps = {**group.steps, "inference": replace(group.steps["inference"], p50_ms=milliseconds)}
        return replace(one, photos=(replace(group, steps=steps),))

    slow = _comparison((taking(wide, 10.0), taking(eight, 20.0)))
    assert slow is not None
    assert slow.startswith("An inference is 2.00 times as fast with the first (fp32).")
    assert "Use the fp32 file here" in slow
    assert _comparison((taking(wide, 30.0), taking(eight, 10.0))) == (
        "An inference is 3.00 times as fast with the second (int8)."
    )
    assert "same time" in (_comparison((taking(wide, 10.0), taking(eight, 10.1))) or "")
    assert _comparison((wide,)) is None
