"""The photos of all runs before: read from their folders, of this and of older versions, and found by their weights."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from edgeclf.errors import DataError
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.dataset.known_photos import KnownPhoto
from edgeclf_training.dataset.samples import KNOWN_PHOTOS_FILE
from edgeclf_training.dataset.split import read_split
from edgeclf_training.fit.train import train
from edgeclf_training.run.lineage import known_photos, run_of_weights
from edgeclf_training.run.run_folder import Run, load_run
from helpers import write_class_folders
from trainings import photos, pixels, rename_a_class

QUICK = TrainOptions(arch="cnn4", weights="none", epochs=1, image_size=64, batch_size=8, workers=0)


def renumber(root: Path) -> None:
    for number, path in enumerate(photos(root)):
        path.rename(path.with_name(f"IMG_{97 * number % 1000:04}.jpg"))


@pytest.fixture(scope="module")
def chain(class_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """A run, and one that went on from it with other photos only."""
    folder = tmp_path_factory.mktemp("runs")
    grandparent = train([class_folders], folder / "one", QUICK, report=False)
    other = write_class_folders(folder / "other", 6, seed=900)
    return grandparent, train([other], folder / "two", QUICK, start=grandparent, report=False)


def older(run: Run) -> None:
    """Make a run folder what an older version would have left."""
    (run.folder / "split" / KNOWN_PHOTOS_FILE).unlink()
    values = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps({**values, "schema_version": 2}))


@pytest.mark.parametrize("schemas", ["new", "old", "old-new"])
def test_what_a_run_before_the_last_trained_on_never_validates(
    schemas: str, chain: tuple[Run, Run], class_folders: Path, tmp_path: Path
) -> None:
    one, two = (tmp_path / name for name in ("one", "two"))
    for run, folder in zip(chain, (one, two), strict=True):
        shutil.copytree(run.folder, folder)
    values = json.loads((two / "run.json").read_text())
    (two / "run.json").write_text(json.dumps({**values, "start": str(one)}))
    if schemas != "new":
        older(load_run(two))
    if schemas == "old":
        older(load_run(one))
    root = tmp_path / "photos"
    shutil.copytree(class_folders, root)
    renumber(root)
    known, notes = known_photos(load_run(two))
    assert notes == ()
    split = read_split([root], seed=3, earlier=known)
    assert pixels(split, "val") == pixels(chain[0].split, "val")
    if schemas == "old":
        shutil.rmtree(one)
        _, notes = known_photos(load_run(two))
        assert "an earlier run, cannot be read" in notes[0]


def test_an_older_run_whose_photos_moved_is_known_by_name_and_size_and_that_is_told(
    class_folders: Path, tmp_path: Path
) -> None:
    shutil.copytree(class_folders, tmp_path / "photos")
    run = train([tmp_path / "photos"], tmp_path / "run", QUICK, report=False)
    older(run)
    (tmp_path / "photos").rename(tmp_path / "moved")
    rename_a_class(tmp_path / "moved")
    sizes = Counter(path.stat().st_size for path in photos(tmp_path / "moved"))
    alone = [path for path in photos(tmp_path / "moved") if sizes[path.stat().st_size] == 1]
    assert len(alone) > 5
    for path in alone:
        path.rename(path.with_stem(f"renamed-{path.stem}"))
    on = train([tmp_path / "moved"], tmp_path / "on", replace(QUICK, seed=8), start=load_run(run.folder), report=False)
    assert {s.path.name.removeprefix("renamed-") for s in on.split.val} == {s.path.name for s in run.split.val}
    assert "30 of its photos were moved or deleted" in on.split.notes[0]
    assert any("by file size and name only: their content was not stored" in note for note in on.split.notes)


def test_weights_out_of_a_run_bring_its_photos_along(
    chain: tuple[Run, Run], class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a network has seen them, whatever option named its weights."""
    assert run_of_weights("imagenet") is run_of_weights("none") is run_of_weights(None) is None
    run = run_of_weights(str(chain[0].folder / "network.pt"))
    assert run is not None
    seen: list[int] = []

    def stop(*_: object, earlier: tuple[KnownPhoto, ...], **__: object) -> None:
        seen.append(len(earlier))
        raise DataError("enough")

    monkeypatch.setattr("edgeclf_training.fit.train.read_split", stop)
    with pytest.raises(DataError, match="enough"):
        train([class_folders], tmp_path / "run", replace(QUICK, weights=str(run.folder / "network.pt")))
    assert seen == [30]
