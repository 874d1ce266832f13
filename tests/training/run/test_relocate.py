"""A run outlives its photos: moved folders, unpacked zips that were tidied away, deleted photos, another machine."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from edgeclf.classifier import Classifier
from edgeclf.errors import DataError
from edgeclf.events import Listener, Message
from edgeclf_export.api.export_run import export_run
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.dataset.samples import KNOWN_PHOTOS_FILE
from edgeclf_training.fit.train import resume, train
from edgeclf_training.report import write_report
from edgeclf_training.run.kept_photos import FOLDER, kept_photos
from edgeclf_training.run.relocate import is_there, relocated, with_photos
from edgeclf_training.run.run_folder import Run, load_run
from PIL import Image
from test_resume import stop_after

OPTIONS = TrainOptions(arch="cnn4", weights="none", epochs=2, image_size=64, batch_size=8, workers=0)
Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def heard(said: list[str]) -> Listener:
    """Keeps the texts of messages in a list."""
    return lambda event: said.append(event.text) if isinstance(event, Message) else None


@pytest.fixture(scope="module")
def trained(class_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A finished run and the photos it was trained on; to be copied."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(class_folders, folder / "photos")
    train([folder / "photos"], folder / "run", OPTIONS, report=False)
    return folder / "run", folder / "photos"


@pytest.fixture
def away(trained: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """A copy of that run on a machine that has the photos somewhere else."""
    run, photos = tmp_path / "run", tmp_path / "elsewhere"
    shutil.copytree(trained[0], run)
    shutil.copytree(trained[1], photos)
    values = json.loads((run / "run.json").read_text())
    for file in (run / "split").glob("*.txt"):
        file.write_text(file.read_text().replace(str(trained[1]), "/nowhere/photos"))
    (run / "run.json").write_text(json.dumps({**values, "data": ["/nowhere/photos"]}))
    return run, photos


def every(run: Run) -> list[Path]:
    return [s.path for part in ("train", "val") for s in run.split.part(part)]


def as_it_was(root: Path) -> None:
    pass


def renamed(root: Path) -> None:
    (root / "king").rename(root / "emperor")
    for number, path in enumerate(sorted((root / "gentoo").iterdir())):
        path.rename(path.with_name(f"IMG_{number:03}.jpg"))


def flat_with_strangers(root: Path) -> None:
    for number, path in enumerate(sorted(root.rglob("*.jpg"))):
        path.rename(root / f"{number}.jpg")
        (root / f"stranger{number}.jpg").write_bytes(os.urandom((root / f"{number}.jpg").stat().st_size))


def edited(root: Path) -> None:
    for path in sorted(root.rglob("*.jpg")):
        data = path.read_bytes()
        path.write_bytes(data[:2] + b"\xff\xfe\x00\x07hello" + data[2:])


@pytest.mark.parametrize("change", [as_it_was, renamed, flat_with_strangers, edited], ids=lambda f: f.__name__)
def test_photos_are_found_by_content_and_the_run_knows_them_from_then_on(
    change: Callable[[Path], None], away: tuple[Path, Path]
) -> None:
    folder, photos = away
    change(photos)
    run, said = load_run(folder), list[str]()
    found = relocated(run, [photos], heard(said))
    assert said == [f"30 of 30 photos found in {photos}"]
    assert all(path.is_relative_to(photos) and path.is_file() for path in every(found))
    assert [s.label for s in found.split.train] == [s.label for s in run.split.train], "the run's own classes and order"
    again = load_run(folder)
    assert again == found
    moved = photos.rename(photos.with_name("moved again"))
    for number, path in enumerate(sorted(moved.rglob("*.jpg"), reverse=True)):
        path.rename(path.with_name(f"again{number}.jpg"))
    assert every(relocated(again, [moved])) != every(again)
    assert len(with_photos(load_run(folder)).split.train) == 24


def test_without_content_name_and_size_count(away: tuple[Path, Path]) -> None:
    folder, photos = away
    (folder / "split" / KNOWN_PHOTOS_FILE).unlink()
    (photos / "king").rename(photos / "emperor")
    assert all(is_there(s) for s in relocated(load_run(folder), [photos]).split.train)


def test_a_folder_without_the_photos_is_refused(away: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="none of its 30 photos is in"):
        relocated(load_run(away[0]), [tmp_path / "empty"])
    assert len(with_photos(load_run(away[0])).split.train) == 0


@pytest.mark.usefixtures("share_traces")
def test_single_photos_that_are_gone_are_told_and_left_out(away: tuple[Path, Path], tmp_path: Path) -> None:
    folder, photos = away
    run = relocated(load_run(folder), [photos])
    run.split.val[0].path.unlink()
    run.split.train[0].path.write_bytes(b"something else")
    said: list[str] = []
    done = export_run(load_run(folder), tmp_path / "model.onnx", int8=True, force=True, on_event=heard(said))
    assert done.photos == 5
    (line,) = [line for line in said if line.startswith("left out")]
    assert line.startswith("left out: 2 of 30 photos are gone or changed, the first is ")
    assert len(load_run(folder).split.val) == 6, "the lists keep what was used"


@pytest.mark.usefixtures("share_traces")
def test_a_run_without_any_photo_still_exports_and_int8_says_what_it_needs(
    away: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, photos = away
    out, said = tmp_path / "model.onnx", list[str]()
    for fp16 in (False, True):
        done = export_run(load_run(folder), out, fp16=fp16, force=True, on_event=heard(said))
        assert (done.photos, done.split) == (6, "validation")
        assert done.rows[1].difference < 1e-4
    assert sum("6 small copies" in line and "too few to measure a loss" in line for line in said) == 2
    assert Classifier(out, device="cpu").manifest.golden is not None
    with pytest.raises(DataError, match=r"INT8 needs training photos.*--data"):
        export_run(load_run(folder), out, int8=True)
    assert export_run(load_run(folder), out, data=[photos], int8=True, force=True).photos == 6
    shutil.rmtree(photos)
    shutil.rmtree(folder / FOLDER)
    with pytest.raises(DataError, match=r"keeps no copies.*--data"):
        export_run(load_run(folder), out)


def test_the_small_copies_are_small_upright_and_tell_nothing_else(trained: tuple[Path, Path]) -> None:
    kept = kept_photos(trained[0])
    assert {s.label for s in kept} == {"adelie", "gentoo", "king"}
    for sample in kept:
        with Image.open(sample.path) as photo:
            assert min(photo.size) <= 74
            assert not photo.getexif()


def test_an_interrupted_run_goes_on_where_its_photos_are_now(class_folders: Path, tmp_path: Path, edgeclf: Cli) -> None:
    whole = train([class_folders], tmp_path / "whole", OPTIONS, report=False)
    photos, moved, out = tmp_path / "photos", tmp_path / "moved", tmp_path / "run"
    shutil.copytree(class_folders, photos)
    with pytest.raises(KeyboardInterrupt):
        train([photos], out, OPTIONS, on_event=stop_after(1))
    photos.rename(moved)
    shutil.copytree(out, tmp_path / "other")
    with pytest.raises(DataError, match=r"30 of 30 photos .*gone.*edgeclf train --resume .* --data PHOTOS"):
        resume(out)
    on = resume(out, [moved], report=False)
    for name, tensor in whole.network().state_dict().items():
        assert torch.equal(tensor, on.network().state_dict()[name]), name
    next((moved / "king").iterdir()).unlink()
    done = edgeclf("train", "--resume", tmp_path / "other", "--data", moved, "--no-report")
    assert done.returncode == 0, done.stderr
    assert load_run(tmp_path / "other").metrics
    assert "left out: 1 of 30 photos" in done.stderr


def test_a_run_from_a_zip_finds_it_again_when_the_cache_was_cleared(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edgeclf: Cli
) -> None:
    monkeypatch.setenv("EDGECLF_CACHE", str(tmp_path / "cache"))
    archive = Path(shutil.make_archive(str(tmp_path / "photos"), "zip", class_folders))
    run = train([archive], tmp_path / "run", replace(OPTIONS, epochs=1), report=False)
    assert run.data == (archive,)
    monkeypatch.setenv("EDGECLF_CACHE", str(tmp_path / "another"))
    shutil.rmtree(tmp_path / "cache")
    assert len(with_photos(run).split.train) == 24
    shutil.rmtree(tmp_path / "another")
    archive.rename(tmp_path / "renamed.zip")
    with pytest.raises(DataError, match=r"none of its 6 held-out photos.*--data"):
        write_report(relocated(run))
    done = edgeclf("report", tmp_path / "run", "--data", tmp_path / "renamed.zip")
    assert done.returncode == 0, done.stderr
    assert "30 of 30 photos found in" in done.stderr
    assert load_run(tmp_path / "run").data == (tmp_path / "renamed.zip",)


def test_older_runs_come_back_and_are_written_in_this_version(trained: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(trained[0], tmp_path / "run")
    values = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps({**values, "schema_version": 2}))
    assert replace(load_run(tmp_path / "run"), folder=trained[0]) == load_run(trained[0])


def test_a_run_with_the_earlier_names_of_the_learning_rates_is_read(trained: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(trained[0], tmp_path / "run")
    values = json.loads((tmp_path / "run" / "run.json").read_text())
    for old, new in (("head_rate", "head_lr"), ("frozen_rate", "frozen_head_lr"), ("base_rate", "backbone_lr")):
        values["options"][old] = values["options"].pop(new)
    (tmp_path / "run" / "run.json").write_text(json.dumps(values))
    assert load_run(tmp_path / "run").options == load_run(trained[0]).options
