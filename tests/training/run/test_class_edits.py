"""Classes come and go: what a run that starts from another one keeps, adds, renames, drops and merges."""

import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from edgeclf.errors import DataError, UsageError
from edgeclf.events import Event, Message
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.config.recipe_file import recipe_and_start
from edgeclf_training.dataset.samples import Split
from edgeclf_training.fit.messages import EpochEnd
from edgeclf_training.fit.train import resume, train
from edgeclf_training.run.run_folder import Run, load_run
from helpers import draw, write_class_folders
from trainings import pixels

OPTIONS = TrainOptions(epochs=1, batch_size=8, workers=0)
EDIT = replace(OPTIONS, epochs=0)


@pytest.fixture
def first(trained: Callable[..., Run]) -> Run:
    return trained()


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of one new class."""
    root = tmp_path_factory.mktemp("new")
    (root / "macaroni").mkdir()
    for number in range(10):
        draw(7000 + number, 64, 48, (200, 200, 40)).save(root / "macaroni" / f"{number}.jpg", quality=90)
    return root


def last_layer(run: Run) -> tuple[torch.Tensor, torch.Tensor]:
    linear = run.network().head.linears[-1]
    return linear.weight.detach(), linear.bias.detach()


def counts(split: Split, part: str) -> dict[str, int]:
    return dict(sorted(Counter(s.label for s in split.part(part)).items()))


def test_a_new_class_alone_is_added_and_the_earlier_photos_are_used_again(
    first: Run, new: Path, tmp_path: Path
) -> None:
    lines: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Message):
            lines.append(event.text)

    run = train([new], tmp_path / "run", OPTIONS, start=first, on_event=listen)
    assert run.classes == ("adelie", "gentoo", "king", "macaroni")
    assert counts(run.split, "train") == dict.fromkeys(run.classes, 8)
    assert {s for s in run.split.val if s.label != "macaroni"} == set(first.split.val), "held-out photos stay held out"
    assert run.split.val_origin.endswith(", and 6 photos that validated the earlier run")
    assert any(line.startswith("30 photos of") and "used again (adelie 10" in line for line in lines)
    assert "new classes, trained from random weights: macaroni" in lines
    (said,) = [line for line in lines if line.startswith("earlier classes, on 6 held-out photos of")]
    assert run.forgetting is not None
    assert said == run.forgetting.lines()[0]
    assert run.forgetting.before == first.metrics[0].correct
    assert load_run(run.folder).forgetting == run.forgetting
    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert metrics["earlier_classes"]["new"] == ["macaroni"]
    assert "The classes of the earlier run" in (run.folder / "report.html").read_text()
    assert run.provenance.weights[-1] == f"an earlier run, {first.folder.name}; new: macaroni"


def test_only_the_data_folders_are_used_on_request(first: Run, new: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only one class, macaroni"):
        train([new], tmp_path / "run", replace(OPTIONS, earlier_photos=False), start=first)
    for label in ("adelie", "macaroni"):
        folder = new / label if label == "macaroni" else first.data[0] / label
        shutil.copytree(folder, tmp_path / "two" / label)
    run = train([tmp_path / "two"], tmp_path / "run", replace(OPTIONS, earlier_photos=False), start=first)
    assert run.classes == ("adelie", "macaroni")
    assert run.forgetting is not None
    assert [c.label for c in run.forgetting.classes] == ["adelie"]


def test_other_classes_may_begin_from_the_network_alone(first: Run, tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "photos", 5, seed=300)
    for number, label in enumerate(("adelie", "gentoo", "king")):
        (root / label).rename(root / f"other{number}")
    options = replace(OPTIONS, earlier_photos=False)
    run = train([root], tmp_path / "run", options, start=first, report=False)
    assert run.classes == ("other0", "other1", "other2")
    assert run.forgetting is None
    assert load_run(tmp_path / "run").metrics == run.metrics
    with pytest.raises(UsageError, match="--no-earlier-photos: no photos are left"):
        train([], tmp_path / "none", options, start=first)


def test_a_class_whose_photos_are_gone_is_an_error_that_says_what_to_do(
    trained: Callable[..., Run], new: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained().data[0], tmp_path / "photos")
    first = train([tmp_path / "photos"], tmp_path / "first", replace(OPTIONS, arch="cnn4", image_size=64), report=False)
    shutil.rmtree(tmp_path / "photos" / "king")
    for data in ([new], []):
        with pytest.raises(DataError, match=r"no photos of king: .*--drop; or use --no-earlier-photos"):
            train(data, tmp_path / "run", OPTIONS, start=first)
    assert not (tmp_path / "run").exists()
    run = train([new], tmp_path / "run", replace(OPTIONS, drop=("king",)), start=first, report=False)
    assert run.classes == ("adelie", "gentoo", "macaroni")
    assert not any("are gone" in note for note in run.split.notes)
    for path in sorted((tmp_path / "photos" / "adelie").iterdir())[:2]:
        path.unlink()
    # A renamed folder is known by its photos, and told: the class begins anew unless the user says that it is the same.
    (tmp_path / "photos" / "gentoo").rename(tmp_path / "photos" / "emperor")
    options = replace(OPTIONS, drop=("king",))
    run = train([tmp_path / "photos"], tmp_path / "renamed", options, start=first, report=False)
    assert run.classes == ("adelie", "emperor")
    assert any("10 photos of it are now in emperor; --rename 'gentoo=emperor' keeps" in n for n in run.split.notes)
    assert any(note.startswith("2 of 20 photos of") and "are gone: name" in note for note in run.split.notes)
    options = replace(EDIT, drop=("king",), rename=("gentoo=emperor",))
    run = train([tmp_path / "photos"], tmp_path / "same", options, start=first, report=False)
    assert torch.equal(last_layer(run)[0][1], last_layer(first)[0][1])


def test_classes_change_without_training_and_without_data(first: Run, tmp_path: Path) -> None:
    options = replace(EDIT, rename=("king=emperor",), merge=("adelie,gentoo=brush-tailed",))
    run = train([], tmp_path / "run", options, start=first, report=False)
    assert run.classes == ("brush-tailed", "emperor")
    assert run.best_epoch == 0
    assert run.data == first.data
    (weight, bias), (before, bias_before) = last_layer(run), last_layer(first)
    assert torch.equal(weight[1], before[2])
    assert torch.equal(bias[1], bias_before[2])
    assert torch.allclose(weight[0], before[:2].mean(0))
    assert torch.allclose(bias[0], bias_before[:2].mean() + 0.6931472)
    for name, tensor in first.network().features.state_dict().items():
        assert torch.equal(run.network().features.state_dict()[name], tensor), name
    assert pixels(run.split, "val") == pixels(first.split, "val")
    assert pixels(run.split, "train") == pixels(first.split, "train")
    assert run.calibration is not None
    assert run.provenance.weights[-1].endswith("; king=emperor; adelie,gentoo=brush-tailed")


def test_a_dropped_class_is_left_out_with_its_folder_and_its_photos(first: Run, tmp_path: Path) -> None:
    for name, data in (("again", []), ("given", [first.data[0]])):
        run = train(data, tmp_path / name, replace(EDIT, drop=("gentoo",)), start=first, report=False)
        assert run.classes == ("adelie", "king")
        assert counts(run.split, "val") == {"adelie": 2, "king": 2}
        assert torch.equal(last_layer(run)[0], last_layer(first)[0][[0, 2]])
        assert run.forgetting is not None
        assert run.forgetting.before == run.forgetting.now, "the rest of the network is the same"
    assert any("gentoo: left out, the class is dropped" in note for note in run.split.notes)


@pytest.mark.parametrize("folder", ["king", "emperor"])
def test_folders_may_have_the_earlier_or_the_new_name(folder: str, first: Run, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    shutil.copytree(first.data[0], root)
    (root / "king").rename(root / "moved")
    (root / "moved").rename(root / folder)
    run = train([root], tmp_path / "run", replace(EDIT, rename=("king=emperor",)), start=first, report=False)
    assert run.classes == ("adelie", "emperor", "gentoo")
    assert torch.equal(last_layer(run)[0][1], last_layer(first)[0][2])
    assert pixels(run.split, "val") == pixels(first.split, "val")


def test_edits_that_cannot_be_are_refused_before_anything_is_written(first: Run, new: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot teach the new class macaroni"):
        train([new], tmp_path / "run", EDIT, start=first)
    with pytest.raises(UsageError, match="--epochs 0 trains nothing"):
        train([first.data[0]], tmp_path / "run", EDIT)
    with pytest.raises(UsageError, match=r"--rename, --drop: changes the classes of an earlier run; name .*--from"):
        train([first.data[0]], tmp_path / "run", replace(OPTIONS, rename=("a=b",), drop=("c",)))
    with pytest.raises(UsageError, match="leave --folds out"):
        train([], tmp_path / "run", replace(EDIT, folds=3), start=first)
    with pytest.raises(UsageError, match="no photos given"):
        train([], tmp_path / "run", OPTIONS)
    with pytest.raises(DataError, match=r"^no class folder king; check --classes"):
        train([], tmp_path / "run", replace(EDIT, rename=("king=konge",), classes=("king", "gentoo")), start=first)
    with pytest.raises(DataError, match="only one class, king"):
        train([], tmp_path / "run", replace(EDIT, drop=("adelie,gentoo",)), start=first)
    (tmp_path / "photos").mkdir()
    shutil.copytree(new / "macaroni", tmp_path / "photos" / "King")
    with pytest.raises(DataError, match="'King' and the class 'king' of the earlier run are too similar"):
        train([tmp_path / "photos"], tmp_path / "run", OPTIONS, start=first)
    assert not (tmp_path / "run").exists()


def test_a_photo_that_lies_in_another_class_now_is_of_that_class(first: Run, tmp_path: Path) -> None:
    (tmp_path / "photos" / "gentoo").mkdir(parents=True)
    moved = next(s for s in first.split.val if s.label == "king")
    shutil.copy(moved.path, tmp_path / "photos" / "gentoo" / "it.jpg")
    run = train([tmp_path / "photos"], tmp_path / "run", EDIT, start=first, report=False)
    assert [s.label for s in run.split.val if s.path.name == "it.jpg"] == ["gentoo"]
    assert moved.path not in {s.path for s in run.split.val}
    assert len(run.split.val) == len(first.split.val)
    assert run.forgetting is not None
    assert {c.label: c.photos for c in run.forgetting.classes} == {"adelie": 2, "gentoo": 3, "king": 1}


def test_quarantine_and_the_number_of_photos_hold_for_earlier_photos_too(first: Run, new: Path, tmp_path: Path) -> None:
    bad = first.split.train[0]
    options = replace(OPTIONS, max_per_class=4)
    run = train([new], tmp_path / "run", options, start=first, quarantine={bad.path: "blurred"}, report=False)
    assert bad.path not in {s.path for s in (*run.split.train, *run.split.val)}
    assert counts(run.split, "train") == {"adelie": 4, "gentoo": 4, "king": 4, "macaroni": 3}
    assert counts(run.split, "val") == {"adelie": 2, "gentoo": 2, "king": 2, "macaroni": 1}
    # A photo that is quarantined where it lies now is not taken from where it was.
    (tmp_path / "photos" / bad.label).mkdir(parents=True)
    for sample in first.split.train[:2]:
        shutil.copy(sample.path, tmp_path / "photos" / bad.label)
    now = tmp_path / "photos" / bad.label / bad.path.name
    run = train([tmp_path / "photos"], tmp_path / "moved", EDIT, start=first, quarantine={now: "blurred"}, report=False)
    assert bad.path.name not in {s.path.name for s in (*run.split.train, *run.split.val)}
    assert len(run.split.train) == 23


def test_photos_that_are_trained_on_now_do_not_measure_forgetting(first: Run, tmp_path: Path) -> None:
    """The user may train on what validated; then it says nothing about forgetting."""
    for sample in first.split.val[:3]:
        (tmp_path / "photos" / "train" / sample.label).mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.path, tmp_path / "photos" / "train" / sample.label)
    for number, label in enumerate(first.classes):
        for part in ("train", "val"):
            (tmp_path / "photos" / part / label).mkdir(parents=True, exist_ok=True)
            draw(9000 + number + 10 * (part == "val"), 64, 48).save(tmp_path / "photos" / part / label / "x.jpg")
    run = train([tmp_path / "photos"], tmp_path / "run", OPTIONS, start=first, report=False)
    assert run.forgetting is not None
    assert (run.forgetting.photos, run.forgetting.missing) == (3, 3)
    assert len(run.split.val) == 3 + 3


def test_an_interrupted_run_with_changed_classes_ends_in_the_same_weights(
    first: Run, new: Path, tmp_path: Path
) -> None:
    options = replace(OPTIONS, epochs=2, rename=("king=emperor",), merge=("adelie,gentoo=brush",))

    def stop(event: Event) -> None:
        if isinstance(event, EpochEnd) and event.epoch.epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)

    whole = train([new], tmp_path / "whole", options, start=first, report=False)
    with pytest.raises(KeyboardInterrupt):
        train([new], tmp_path / "run", options, start=first, report=False, on_event=stop)
    torch.manual_seed(5)
    run = resume(tmp_path / "run", report=False)
    assert run.classes == ("brush", "emperor", "macaroni")
    assert run.forgetting == whole.forgetting
    for name, tensor in whole.network().state_dict().items():
        assert torch.equal(run.network().state_dict()[name], tensor), name


def test_the_shell_and_the_recipe_make_the_same_changes(
    first: Run, new: Path, tmp_path: Path, edgeclf: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    flags = ("--rename", "king=emperor", "--drop", "adelie", "--epochs", 1, "--workers", 0, "--no-report")
    done = edgeclf("train", new, "--from", first.folder, *flags, "--out", tmp_path / "one")
    assert done.returncode == 0, done.stderr
    assert "renamed: king is now emperor" in done.stderr + done.stdout
    run = load_run(tmp_path / "one")
    assert run.classes == ("emperor", "gentoo", "macaroni")
    recipe, start = recipe_and_start(str(run.folder / "recipe.toml"))
    assert (recipe.rename, recipe.drop, recipe.merge) == (("king=emperor",), ("adelie",), ())
    assert start == first.folder
    again = train([new], tmp_path / "two", replace(recipe, workers=0), start=start, report=False)
    for name, tensor in run.network().state_dict().items():
        assert torch.equal(again.network().state_dict()[name], tensor), name
    assert "earlier_photos" not in (first.folder / "recipe.toml").read_text(), "a run without --from has no such key"
    edit = ("--from", first.folder, "--rename", "kin=a", "--rename", "gentoo=", "--epochs", 0)
    wrong = edgeclf("train", *edit, "--out", tmp_path / "three")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "2 mistakes in the changes of classes: --rename kin=a: the earlier run has no class kin" in wrong.stderr
    wrong = edgeclf("train", "--resume", run.folder, "--drop", "gentoo")
    assert "--drop contradicts --resume" in wrong.stderr
