"""``edgeclf evaluate``: its metrics against a count of their own, and folders of every kind."""

import json
import math
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeclf import Classifier
from edgeclf.evaluation.evaluate import evaluate
from edgeclf.evaluation.labelled_photos import find_labelled_photos
from edgeclf.evaluation.metrics import wilson_interval
from edgeclf.model.manifest import Calibration
from helpers import CLASSES, put

Run = Callable[..., subprocess.CompletedProcess[str]]
Make = Callable[..., Path]


def refused(done: subprocess.CompletedProcess[str], code: int = 2) -> str:
    """The one line on stderr."""
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("edgeclf: ")
    return line


def metrics(done: subprocess.CompletedProcess[str], code: int = 0) -> dict[str, Any]:
    assert done.returncode == code, done.stderr
    values: dict[str, Any] = json.loads(done.stdout)
    return values


@pytest.fixture
def mixed(tmp_path: Path, class_folders: Path) -> Path:
    """Class folders with photos filed so that a network that was never trained is right and wrong about each class."""
    for number, photo in enumerate(sorted(class_folders.glob("*/*.jpg"))):
        target = tmp_path / "mixed" / CLASSES[number % 3] / photo.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, target)
    os.unlink(next((tmp_path / "mixed" / "king").iterdir()))  # so that classes differ in size
    return tmp_path / "mixed"


def test_figures_are_those_of_a_count_of_their_own(edgeclf: Run, make_model: Make, mixed: Path) -> None:
    photos = [(photo, photo.parent.name) for photo in sorted(mixed.glob("*/*.jpg"))]
    plain = make_model()

    def shares(photo: Path) -> list[float]:
        logits = Classifier(plain).predict(photo, logits=True).logits
        assert logits is not None
        weights = [math.exp(float(x) / 0.05) for x in logits]
        return [w / sum(weights) for w in weights]

    all_shares = [shares(photo) for photo, _ in photos]
    best = [max(s) for s in all_shares]
    given = [CLASSES[s.index(max(s))] for s in all_shares]
    true = [label for _, label in photos]
    threshold = sorted(best)[len(best) // 3]
    model = make_model(calibration=Calibration(0.05, threshold, 60, 50, 2, 0.08, 0.03))
    found = metrics(edgeclf("evaluate", model, mixed, "--json"))

    right = [a == b for a, b in zip(true, given, strict=True)]
    assert 0 < sum(right) < len(right) == 29, "else there is little to count"
    assert (found["photos"], found["correct"]) == (29, sum(right))
    assert found["accuracy"] == pytest.approx(sum(right) / 29)
    assert found["interval"] == list(wilson_interval(sum(right), 29))
    recalls = [sum(a == b == name for a, b in zip(true, given, strict=True)) / true.count(name) for name in CLASSES]
    assert found["balanced_accuracy"] == pytest.approx(sum(recalls) / 3)
    pairs = Counter(zip(true, given, strict=True))
    assert found["confusion"] == [[pairs[t, g] for g in CLASSES] for t in CLASSES]
    for row, name in zip(found["per_class"], CLASSES, strict=True):
        answered_so, there = given.count(name), true.count(name)
        assert row["label"] == name
        assert row["support"] == there
        assert row["recall"] == pytest.approx(pairs[name, name] / there)
        assert row["precision"] == (pytest.approx(pairs[name, name] / answered_so) if answered_so else None)
    told = {(p["true"], p["given"]): p["photos"] for p in found["confused"]}
    assert told == {pair: n for pair, n in pairs.items() if pair[0] != pair[1]}
    gap = 0.0
    for step in range(15):
        inside = [i for i, p in enumerate(best) if step / 15 < p <= (step + 1) / 15]
        gap += abs(sum(best[i] for i in inside) - sum(right[i] for i in inside)) / len(best)
    assert found["ece"] == pytest.approx(gap)
    kept = [i for i, p in enumerate(best) if p >= threshold]
    assert (found["temperature"], found["threshold"]) == (0.05, threshold)
    assert 0 < len(kept) < 29
    assert (found["answered"], found["wrong"]) == (len(kept), sum(not right[i] for i in kept))
    told_mistakes = {m["path"]: (m["true"], m["given"], pytest.approx(m["probability"])) for m in found["mistakes"]}
    wrong = [i for i, fine in enumerate(right) if not fine]
    assert {str(photos[i][0]): (true[i], given[i], best[i]) for i in wrong} == told_mistakes
    sureness = [m["probability"] for m in found["mistakes"]]
    assert sureness == sorted(sureness, reverse=True)


def test_json_keys_are_those_the_help_documents(edgeclf: Run, model: Path, mixed: Path) -> None:
    done = edgeclf("evaluate", model, mixed, "--json", "--threads", 1, "--device", "cpu")
    assert done.stderr == ""
    found = metrics(done)
    text = " ".join(edgeclf("evaluate", "--help").stdout.split())
    documented = text.split("--json prints ")[1].split("Shares are")[0]
    for key in found:
        assert key in documented
    assert (found["model"], found["data"], found["split"]) == (str(model), str(mixed), "all")
    assert (found["classes"], found["absent"], found["ignored"], found["loose"]) == (list(CLASSES), [], [], 0)
    assert found["unreadable"] == []


def test_people_read_the_same_metrics(edgeclf: Run, make_model: Make, mixed: Path) -> None:
    model = make_model(calibration=Calibration(0.05, 0.6, 60, 50, 2, 0.08, 0.03))
    found = metrics(edgeclf("evaluate", model, mixed, "--json"))
    done = edgeclf("evaluate", model, mixed)
    assert (done.returncode, done.stderr) == (0, "")
    low, high = found["interval"]
    assert f"{found['correct']} of 29 photos right, 95 % interval {low:.1%} to {high:.1%}" in done.stdout
    assert f"balanced     {found['balanced_accuracy']:.1%}: " in done.stdout
    assert found["remarks"], "a network that was never trained guesses"
    assert [f"note         {line}" for line in found["remarks"]] == [
        line for line in done.stdout.splitlines() if line.startswith("note ")
    ]
    assert f"expected error {found['ece']:.1%}" in done.stdout
    assert f"below 0.6: {found['answered']} of 29 photos answered, {found['wrong']} of them wrong" in done.stdout
    for mistake in found["mistakes"][:5]:
        assert f"{mistake['given']}, not {mistake['true']}: {mistake['path']}" in done.stdout
    lines = [line.split() for line in done.stdout.splitlines()]
    for number, (name, row) in enumerate(zip(CLASSES, found["confusion"], strict=True), 1):
        assert [str(number), name, *map(str, row)] in lines
        (share,) = (line[1] for line in lines if line and line[0] == name)
        assert share == f"{found['per_class'][number - 1]['recall']:.1%}"
    assert "every photo is answered" in edgeclf("evaluate", make_model(), mixed).stdout


def test_of_many_classes_the_confused_pairs_are_told_in_words(edgeclf: Run, make_model: Make, tmp_path: Path) -> None:
    classes = tuple(f"species {letter}" for letter in "abcdefghijklm")
    model = make_model(classes=classes)
    photos = [put(tmp_path / "x" / f"{n}.png", n) for n in range(4)]
    given = Counter(Classifier(model).predict(photo).best.label for photo in photos)
    true = next(name for name in classes if name not in given)
    (tmp_path / "x").rename(tmp_path / "photos")
    (tmp_path / "data").mkdir()
    (tmp_path / "photos").rename(tmp_path / "data" / true)
    done = edgeclf("evaluate", model, tmp_path / "data")
    for name, photos_so in given.items():
        assert f"{true} confused with {name}: {photos_so} of 4" in done.stdout.splitlines()
    assert "true \\" not in done.stdout
    assert "and 7 more" in done.stdout, "of 13 classes 12 have no photos"


def test_splits(edgeclf: Run, model: Path, tmp_path: Path) -> None:
    for count, part in enumerate(("train", "valid", "test"), 1):
        for number in range(count):
            for name in CLASSES:
                put(tmp_path / "data" / part / name / f"{number}.png", number)

    def counted(*options: str) -> tuple[str, str, int]:
        found = metrics(edgeclf("evaluate", model, tmp_path / "data", "--json", *options))
        return found["split"], found["data"], found["photos"]

    assert counted() == ("test", str(tmp_path / "data" / "test"), 9)
    assert counted("--split", "val") == ("validation", str(tmp_path / "data" / "valid"), 6)
    assert counted("--split", "train") == ("training", str(tmp_path / "data" / "train"), 3)
    assert f"{tmp_path / 'data' / 'test'} (test)" in edgeclf("evaluate", model, tmp_path / "data").stdout
    shutil.rmtree(tmp_path / "data" / "test")
    assert counted()[0] == "validation"
    assert "no folder test" in refused(edgeclf("evaluate", model, tmp_path / "data", "--split", "test"))
    shutil.rmtree(tmp_path / "data" / "valid")
    assert "--split train" in refused(edgeclf("evaluate", model, tmp_path / "data"))
    assert "split is 'all'" in refused(edgeclf("evaluate", model, tmp_path / "data", "--split", "all"))


def test_an_unknown_folder_is_refused_or_left_out(edgeclf: Run, model: Path, mixed: Path) -> None:
    before = metrics(edgeclf("evaluate", model, mixed, "--json"))
    put(mixed / "Knig" / "x.png")
    line = refused(edgeclf("evaluate", model, mixed))
    assert "no class Knig (nearest: king)" in line
    for name in ("walrus", "seal", "whale"):
        put(mixed / name / "x.png")
    line = refused(edgeclf("evaluate", model, mixed))
    assert "and 1 more" in line
    done = edgeclf("evaluate", model, mixed, "--json", "--ignore-unknown")
    after = metrics(done)
    assert done.stderr == "left out, not a class of the model: Knig, seal, walrus, whale\n"
    assert after["ignored"] == ["Knig", "seal", "walrus", "whale"]
    assert {**after, "ignored": []} == before


def test_a_class_without_photos_is_told_and_has_no_recall(edgeclf: Run, model: Path, mixed: Path) -> None:
    shutil.rmtree(mixed / "gentoo")
    (mixed / "king").rename(mixed.parent / "away")
    (mixed / "king").mkdir()
    done = edgeclf("evaluate", model, mixed, "--json")
    found = metrics(done)
    assert done.stderr == ""
    assert "no photos: accuracy is unknown: gentoo, king" in found["remarks"]
    assert found["absent"] == ["gentoo", "king"]
    assert [row["recall"] is None for row in found["per_class"]] == [False, True, True]
    assert [sum(row) for row in found["confusion"]] == [10, 0, 0]
    assert edgeclf("evaluate", model, mixed).returncode == 0


def test_unreadable_photos_are_reported_and_the_rest_counted(edgeclf: Run, model: Path, mixed: Path) -> None:
    before = metrics(edgeclf("evaluate", model, mixed, "--json"))
    bad = [mixed / "adelie" / "0.jpg", mixed / "king" / "zz.png"]
    bad[0].write_bytes(b"")
    bad[1].write_bytes(b"shopping list")
    done = edgeclf("evaluate", model, mixed, "--json")
    after = metrics(done, 1)
    assert [str(path) in line for path, line in zip(bad, done.stderr.splitlines(), strict=True)] == [True, True]
    assert [(e["path"], e["kind"]) for e in after["unreadable"]] == [
        (str(bad[0]), "empty"),
        (str(bad[1]), "not-an-image"),
    ]
    assert {**after, "unreadable": []} == before
    human = edgeclf("evaluate", model, mixed)
    assert (human.returncode, len(human.stderr.splitlines())) == (1, 2)


def test_when_no_photo_can_be_read_there_is_no_accuracy(edgeclf: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "king").mkdir()
    (tmp_path / "king" / "x.jpg").write_bytes(b"")
    found = metrics(edgeclf("evaluate", model, tmp_path, "--json"), 1)
    assert (found["photos"], found["accuracy"], found["ece"], found["interval"]) == (0, None, None, [0.0, 1.0])
    human = edgeclf("evaluate", model, tmp_path)
    assert human.returncode == 1
    assert "no photo could be read" in human.stdout
    assert "Traceback" not in human.stderr


def test_errors_take_one_line(edgeclf: Run, model: Path, mixed: Path) -> None:
    assert "no such folder" in refused(edgeclf("evaluate", model, mixed / "missing"))
    assert "missing.onnx" in refused(edgeclf("evaluate", "missing.onnx", mixed), 3)
    assert "nonsense" in refused(edgeclf("evaluate", model, mixed, "--device", "nonsense"), 4)


def test_progress_counts_every_photo(model: Path, mixed: Path) -> None:
    (mixed / "king" / "zz.png").write_bytes(b"")
    calls: list[tuple[int, int]] = []
    found = find_labelled_photos(mixed, CLASSES)
    counted = evaluate(Classifier(model), found, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(n, 30) for n in range(1, 31)]
    assert (counted.metrics.photos, len(counted.unreadable)) == (29, 1)
