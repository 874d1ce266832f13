"""The report of a real run: its metrics computed anew, its page parsed as a browser would."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
import torch
from edgeclf.classifier import Classifier
from edgeclf.cli.console import Console
from edgeclf.errors import DataError
from edgeclf.images.preprocess import network_input
from edgeclf.model.manifest import Calibration
from edgeclf_export.api.export_run import export_run
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.fit.messages import describe
from edgeclf_training.fit.train import train
from edgeclf_training.report import write_report
from edgeclf_training.run.run_folder import Run, load_run
from helpers import write_class_folders
from numpy.typing import NDArray

HOSTILE = {"adelie": "<script>alert(1)", "gentoo": "\"'><img src=x onerror=y>", "king": "$a_b$ & ペンギン"}
QUICK = TrainOptions(
    arch="cnn4", weights="none", epochs=3, image_size=64, resize="pad", batch_size=8, workers=0, head_lr=2e-3
)


@pytest.fixture(scope="module")
def run(once: Callable[..., Path]) -> Run:
    """Three classes with dangerous names, a test folder with photos in the wrong place, a file that is no photo."""

    def make(path: Path) -> None:
        data = path / "data"
        for part, count, seed in (("train", 8, 0), ("test", 5, 100)):
            write_class_folders(data / part, count, seed=seed)
        for number in range(3):
            shutil.move(data / "test" / "king" / f"king_{number:03}.jpg", data / "test" / "gentoo")
        for part in ("train", "test"):
            for plain, name in HOSTILE.items():
                (data / part / plain).rename(data / part / name)
        (data / "train" / HOSTILE["king"] / "<b>broken.jpg").write_bytes(b"\xff\xd8 not a photo")
        for number in range(2):
            king = data / "train" / HOSTILE["king"]
            shutil.copy(king / f"king_{number:03}.jpg", king / f"copy, under another class {number}.jpg")
        train([data], path / "run", QUICK)

    return load_run(once("reported", make) / "run")


@pytest.fixture(scope="module")
def metrics(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.folder / "metrics.json").read_text())
    return found


def logits_of(run: Run, part: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """One photo at a time, as nobody would do it."""
    network, rows = run.network(), []
    with torch.inference_mode():
        for sample in run.split.part(part):
            rows.append(network(torch.from_numpy(network_input(sample.path, run.contract))[None])[0].numpy())
    return np.array(rows, float), np.array([run.classes.index(s.label) for s in run.split.part(part)])


class Page(HTMLParser):
    """Tags with their attributes, and the text outside of style."""

    VOID = frozenset(("meta", "img", "br", "link", "hr"))

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.open = "", list[str]()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def page_of(run: Run) -> Page:
    return Page((run.folder / "report.html").read_text("utf-8"))


def test_figures_are_those_of_a_count_by_hand(run: Run, metrics: dict[str, Any]) -> None:
    assert metrics["headline"] == "test"
    assert list(metrics["splits"]) == ["test", "validation"]
    for split, part in (("validation", "val"), ("test", "test")):
        found = metrics["splits"][split]
        logits, labels = logits_of(run, part)
        given = logits.argmax(1)
        assert (found["photos"], found["correct"]) == (len(labels), int((given == labels).sum()))
        low, high = found["interval"]
        assert low < found["accuracy"] < high
        for index, row in enumerate(found["per_class"]):
            hits = int(((given == index) & (labels == index)).sum())
            assert row["label"] == run.classes[index]
            assert row["support"] == int((labels == index).sum())
            assert row["recall"] == pytest.approx(hits / row["support"])
            if (given == index).any():
                precision = hits / int((given == index).sum())
                assert row["precision"] == pytest.approx(precision)
                if hits:
                    assert row["f1"] == pytest.approx(2 * precision * row["recall"] / (precision + row["recall"]))
        for pair in found["confused"]:
            true, other = run.classes.index(pair["true"]), run.classes.index(pair["given"])
            assert pair["photos"] == int(((labels == true) & (given == other)).sum()) > 0
            assert pair["of"] == int((labels == true).sum())
        assert sum(pair["photos"] for pair in found["confused"]) == found["photos"] - found["correct"]


def test_calibration_is_the_runs_and_is_counted_on_both_splits(run: Run, metrics: dict[str, Any]) -> None:
    c = run.calibration
    assert c is not None
    assert metrics["calibration"]["temperature"] == c.temperature
    for split, part in (("validation", "val"), ("test", "test")):
        logits, labels = logits_of(run, part)
        shares = np.exp(logits / c.temperature)
        best = (shares / shares.sum(1, keepdims=True)).max(1)
        kept, found = best >= c.threshold, metrics["splits"][split]["calibration"]
        assert (found["answered"], found["wrong"]) == (kept.sum(), (kept & (logits.argmax(1) != labels)).sum())
        assert sum(b["photos"] for b in found["reliability"]["after"]) == len(labels)
        if split == "validation":
            assert (c.photos, c.answered, c.wrong) == (len(labels), found["answered"], found["wrong"])
            assert c.ece_after == pytest.approx(found["ece_after"], abs=1e-6)


def test_photos_curves_and_recipe_are_told(run: Run, metrics: dict[str, Any]) -> None:
    split = run.split
    assert metrics["photos"] == {
        "train": len(split.train),
        "validation": len(split.val),
        "test": 15,
        "validation_origin": split.val_origin,
        "skipped": 3,
        "left_out": {"duplicate": 2, "unreadable": 1},
        "notes": list(split.notes),
        "missing": 0,
        "per_class": {
            name: {
                "train": sum(s.label == name for s in split.train),
                "validation": sum(s.label == name for s in split.val),
                "test": {"adelie": 5, "gentoo": 8, "king": 2}[plain],
            }
            for plain, name in HOSTILE.items()
        },
    }
    assert sum(one["train"] for one in metrics["photos"]["per_class"].values()) == len(split.train) > 0
    with (run.folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [e["val_loss"] for e in metrics["curves"]] == pytest.approx([float(r["val_loss"]) for r in rows])
    best = max(rows, key=lambda r: (float(r["val_accuracy"]), -float(r["val_loss"])))
    assert metrics["best_epoch"] == int(best["epoch"])
    assert metrics["recipe"]["arch"] == "cnn4"
    assert metrics["run"]["versions"] == dict(run.provenance.versions)
    text = (run.folder / "metrics.json").read_text()
    assert text == json.dumps(metrics, indent=1, sort_keys=True, allow_nan=False) + "\n"


def test_what_was_left_out_comes_back_and_each_reason_is_told_by_its_name(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    skipped = load_run(run.folder).split.skipped
    assert skipped == run.split.skipped
    assert {one.path.name for one in skipped} > {"<b>broken.jpg"}
    text = page_of(run).text
    assert all(one.reason in text for one in skipped)
    assert "2 duplicates of photos in the same class, 1 cannot be read" in text
    assert all(note in text for note in run.split.notes)
    assert "2 photos left out: copies of a training photo" in run.split.notes
    describe(Console().listener, run, None)
    assert "left out: 2 duplicates of photos in the same class, 1 cannot be read" in capsys.readouterr().err


def test_the_page_is_whole_and_fetches_nothing(run: Run) -> None:
    page = page_of(run)
    assert page.open == []
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert "http:" not in (value or ""), (tag, name)
            assert "https:" not in (value or ""), (tag, name)
            if name in ("src", "href", "xlink:href", "srcset", "data", "poster", "action"):
                assert re.match(r"data:image/(jpeg|png);base64,|#", value or ""), (tag, name, value)
    style = (run.folder / "report.html").read_text("utf-8")
    assert not re.search(r"@import|url\((?!#)", style)


def test_names_are_shown_and_never_become_markup(run: Run) -> None:
    html = (run.folder / "report.html").read_text("utf-8")
    assert "<script" not in html
    assert "<img src=x" not in html
    assert "<b>broken" not in html
    text = page_of(run).text
    for name in HOSTILE.values():
        assert text.count(name) >= 3, "table, confusion matrix, mistakes"


def test_mistakes_are_drawn_three_times_with_alternative_texts(run: Run, metrics: dict[str, Any]) -> None:
    images = [attributes for tag, attributes in page_of(run).tags if tag == "img"]
    wrong = metrics["splits"]["test"]["photos"] - metrics["splits"]["test"]["correct"]
    assert wrong >= 3, "three photos lie in the wrong folder"
    assert len(images) == 3 * wrong
    assert all(a["alt"] for a in images)
    assert len({a["src"] for a in images}) > 2 * wrong
    drawings = [attributes for tag, attributes in page_of(run).tags if tag == "svg"]
    assert len(drawings) == 5
    assert all(a["aria-label"] and a["role"] == "img" for a in drawings)
    ids = [a["id"] for _, a in page_of(run).tags if "id" in a]
    assert len(ids) == len(set(ids))


def test_photos_that_vanished_are_told_and_the_rest_goes_on(
    run: Run, tmp_path: Path, edgeclf: Callable[..., CompletedProcess[str]]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    lists = folder / "split" / "test.txt"
    lists.write_text(lists.read_text().replace("adelie_000.jpg", "adelie_gone.jpg"))
    done = edgeclf("report", folder, "--json")
    assert done.returncode == 0, done.stderr
    assert "adelie_gone.jpg: no such file" in done.stderr
    assert "Traceback" not in done.stderr
    printed = json.loads(done.stdout)
    assert printed == json.loads((folder / "metrics.json").read_text())
    assert (printed["photos"]["missing"], printed["splits"]["test"]["photos"]) == (1, 14)
    assert "adelie_gone.jpg" in page_of(replace(run, folder=folder)).text


def test_nothing_to_report_on_is_one_clear_error(run: Run, tmp_path: Path) -> None:
    gone = replace(run.split, val=tuple(replace(s, path=tmp_path / "x") for s in run.split.val), test=())
    with pytest.raises(DataError, match="none of its"):
        write_report(replace(run, split=gone, folder=tmp_path), run.network())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("share_traces")
def test_an_interrupted_run_is_reported_and_exported_without_calibration(run: Run, tmp_path: Path) -> None:
    interrupted = replace(run, metrics=(), calibration=None, folder=tmp_path)
    found = write_report(interrupted, run.network())
    assert found["run"]["interrupted"]
    assert found["calibration"]["temperature"] == pytest.approx(run.calibration.temperature)  # type: ignore[union-attr]
    assert "interrupted" in page_of(interrupted).text
    export_run(replace(run, metrics=(), calibration=None), tmp_path / "model.onnx")
    assert Classifier(tmp_path / "model.onnx").manifest.calibration is None


@pytest.mark.usefixtures("share_traces")
def test_calibration_survives_the_run_folder_and_reaches_the_model_file(run: Run, tmp_path: Path) -> None:
    assert isinstance(run.calibration, Calibration)
    assert load_run(run.folder) == run
    for int8 in (False, True):
        export_run(run, tmp_path / "model.onnx", int8=int8)
        assert Classifier(tmp_path / "model.onnx").manifest.calibration == run.calibration


def test_the_page_tells_photos_per_class_and_where_mistakes_lie(run: Run, metrics: dict[str, Any]) -> None:
    page = page_of(run)
    for name, parts in metrics["photos"]["per_class"].items():
        row = rf"{re.escape(name)}\s*{parts['train']}\s*{parts['validation']}\s*{parts['test']}\s"
        assert re.search(row, page.text), name
    told = [attributes["alt"] or "" for tag, attributes in page.tags if tag == "img"][::3]
    (root,) = run.data
    files = {path.relative_to(root.parent).as_posix() for path in (s.path for s in run.split.test)}
    assert all(any(f"photo {file}," in alt for file in files) for alt in told)
    assert any(f"{root.name}/test/" in alt for alt in told)


def test_no_percent_sign_stands_alone_on_a_line(run: Run) -> None:
    text = page_of(run).text
    assert "95\N{NO-BREAK SPACE}%" in text
    assert not re.search(r"\d[ \n]%", text)
