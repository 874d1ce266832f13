"""``predict --events`` and ``--no-exif`` from the shell: records, continued files, heat maps, and evaluate."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeclf.classifier import Classifier
from exif_photos import SERIAL, SOUTH, TAKEN, with_exif
from helpers import CLASSES, draw
from record_files import recorded

Run = Callable[..., subprocess.CompletedProcess[str]]
EVENT = ("event", "event_photos", "event_label", "event_probability", "event_unknown")
FACTS = ("taken", "latitude", "longitude", "camera")
SECONDS = {"a": 30, "b": 2, "c": 0, "d": 4, "e": 33}


def put(folder: Path, name: str, seed: int, **options: Any) -> Path:
    folder.mkdir(exist_ok=True)
    exif = {TAKEN: f"2026:11:27 03:26:{SECONDS[name]:02}", SERIAL: "7"}
    path = folder / f"{name}.jpg"
    path.write_bytes(with_exif(exif, photo=draw(seed), **options))
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Events: a and e; c, b and d, of which d is damaged."""
    for seed, name in enumerate(SECONDS):
        put(tmp_path / "in", name, seed, gps=SOUTH if name == "a" else None)
    os.truncate(tmp_path / "in" / "d.jpg", 2000)
    draw(9).save(tmp_path / "in" / "z.png")
    return tmp_path / "in"


@pytest.fixture(params=[".jsonl", ".csv"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"answers{request.param}"


def names(records: list[dict[str, Any]]) -> str:
    return "".join(Path(record["path"]).stem for record in records)


def printed(done: subprocess.CompletedProcess[str], code: int = 1) -> list[dict[str, Any]]:
    assert done.returncode == code, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_records_hold_the_answer_of_the_event(edgeclf: Run, model: Path, photos: Path) -> None:
    records = printed(edgeclf("predict", photos, "-m", model, "--json", "--events", 5))
    assert names(records) == "aecbdz"
    assert [Path(record["event"]).stem for record in records] == ["a", "a", "c", "c", "c", "z"]
    assert [record["event_photos"] for record in records] == [2, 2, 2, 2, 2, 1]
    classifier = Classifier(model)
    for pair in ("ae", "cb"):
        logits = [classifier.predict(photos / f"{name}.jpg", logits=True).logits for name in pair]
        best = classifier.rank(np.mean(np.array(logits, np.float64), axis=0).astype(np.float32)).best
        for record in records:
            if Path(record["event"]).stem == pair[0]:
                assert (record["event_label"], record["event_probability"]) == (best.label, round(best.probability, 6))
    assert "predictions" not in records[4], "a damaged photo has the answer of its event"
    single = {record["path"]: record for record in printed(edgeclf("predict", photos, "-m", model, "--json"))}
    for record in records:
        assert {key: value for key, value in record.items() if key not in EVENT} == single[record["path"]]
    assert [records[0][key] for key in FACTS] == ["2026-11-27T03:26:30", -54.51, -36.75125, "Canon EOS R7 (7)"]
    said = edgeclf("predict", photos, "-m", model, "--events", 5).stdout
    assert said.count(f"event of 2 photos from {photos / 'c.jpg'} on: ") == 2


def test_no_exif_leaves_facts_out_and_groups_all_the_same(edgeclf: Run, model: Path, photos: Path, out: Path) -> None:
    whole = printed(edgeclf("predict", photos, "-m", model, "--json", "--events", 5))
    done = edgeclf("predict", photos, "-m", model, "--out", out, "--events", 5, "--no-exif")
    assert done.returncode == 1, done.stderr
    records = recorded(out)
    assert names(records) == names(whole)
    assert not any(key in record for record in records for key in FACTS)
    assert [record["event"] for record in records] == [record["event"] for record in whole]
    plain = printed(edgeclf("predict", photos, "-m", model, "--json", "--no-exif"))
    assert not any(key in record for record in plain for key in (*FACTS, *EVENT))


def test_a_file_goes_on_with_whole_events(edgeclf: Run, model: Path, photos: Path, out: Path) -> None:
    """What came later is answered with the photos of its event that the file has already."""
    run = ("predict", photos, "-m", model, "--out", out, "--events", 5, "--resume")
    late = {name: (photos / f"{name}.jpg").read_bytes() for name in "be"}
    for name in late:
        (photos / f"{name}.jpg").unlink()
    assert edgeclf(*run).returncode == 1
    assert names(recorded(out)) == "acdz"
    first = out.read_bytes()
    for name, data in late.items():
        (photos / f"{name}.jpg").write_bytes(data)
    done = edgeclf(*run)
    assert "2 recorded, 4 there already" in done.stderr
    assert out.read_bytes().startswith(first)
    records = recorded(out)
    assert names(records) == "acdzeb"
    whole = {one["path"]: one for one in printed(edgeclf("predict", photos, "-m", model, "--json", "--events", 5))}
    for record in records[4:]:
        expected = whole[record["path"]]
        assert [str(record[key]).lower() for key in EVENT] == [str(expected[key]).lower() for key in EVENT]
        assert float(record["events"]) == 5
    last = out.read_bytes()
    assert edgeclf(*run).returncode == 0
    for events, says in (((), "with --events"), (("--events", 6), "with --events 5, now it is 6; give --events 5")):
        done = edgeclf("predict", photos, "-m", model, "--out", out, "--resume", *events)
        assert (done.returncode, done.stdout) == (7, "")
        assert says in done.stderr
    assert out.read_bytes() == last


def test_a_torn_event_is_made_whole(edgeclf: Run, model: Path, photos: Path, out: Path) -> None:
    """After a power cut in the middle of an event, the rest of it is recorded, with the answer of all."""
    run = ("predict", photos, "-m", model, "--out", out, "--events", 5, "--resume")
    edgeclf(*run)
    whole = out.read_bytes()
    lines = whole.splitlines(keepends=True)
    head = len(lines) - 6
    for kept in range(1, len(lines)):
        out.write_bytes(b"".join(lines[:kept]) + lines[kept][:-5])
        assert edgeclf(*run).returncode in (0, 1)
        assert out.read_bytes() == whole, f"after {kept - head} records"


def test_files_without_events_take_none(edgeclf: Run, model: Path, photos: Path, out: Path) -> None:
    edgeclf("predict", photos / "a.jpg", "-m", model, "--out", out)
    before = out.read_bytes()
    done = edgeclf("predict", photos, "-m", model, "--out", out, "--resume", "--events", 5)
    assert done.returncode == 7
    assert "without --events" in done.stderr
    assert out.read_bytes() == before


def test_heat_maps_and_a_photo_that_is_named_twice(edgeclf: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    run = ("predict", photos, photos / "a.jpg", "-m", model, "--json", "--events", 5, "--cam", tmp_path / "maps")
    records = printed(edgeclf(*run))
    assert names(records) == "aecbdz"
    assert len(list((tmp_path / "maps").iterdir())) == 5
    plain = printed(edgeclf("predict", photos, "-m", model, "--json", "--events", 5))
    for drawn, record in zip(records, plain, strict=True):
        assert [drawn[key] for key in EVENT] == [record[key] for key in EVENT]


def test_a_folder_named_in_two_ways_is_one_camera(
    edgeclf: Run, model: Path, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a later run names it in another way, and the cameras have no serial number."""
    for seed, name in enumerate("cbd"):
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(with_exif({TAKEN: f"2026:11:27 03:26:{SECONDS[name]:02}"}, photo=draw(seed)))
    monkeypatch.chdir(tmp_path)
    mixed = ["c.jpg", os.path.join(".", "b.jpg"), tmp_path / "d.jpg"]
    records = printed(edgeclf("predict", *mixed, "-m", model, "--json", "--events", 5), 0)
    assert [(record["path"], record["event"], record["event_photos"]) for record in records] == [
        (str(name), "c.jpg", 3) for name in mixed
    ]
    run = ("-m", model, "--out", out, "--events", 5, "--resume")
    assert edgeclf("predict", *mixed[:2], *run).returncode == 0
    done = edgeclf("predict", tmp_path / "c.jpg", "b.jpg", mixed[2], *run)
    assert "1 recorded, 2 there already" in done.stderr
    assert [int(record["event_photos"]) for record in recorded(out)] == [2, 2, 3]


def test_people_read_display_names_and_files_hold_labels(
    edgeclf: Run, make_model: Callable[..., Path], photos: Path, out: Path
) -> None:
    named = {label: f"{label} penguin" for label in CLASSES}
    model = make_model(display=named)
    run = ("predict", photos / "c.jpg", photos / "b.jpg", "-m", model, "--events", 5)
    record, _ = printed(edgeclf(*run, "--json"), 0)
    assert record["event_label"] in CLASSES
    assert "event_display_name" not in record
    said = edgeclf(*run, "--threshold", 0).stdout
    answer = f"{named[record['event_label']]} {record['event_probability']:.1%}"
    assert said.count(f"event of 2 photos from {photos / 'c.jpg'} on: {answer}\n") == 2
    assert f"on: unknown ({answer})\n" in edgeclf(*run, "--threshold", 1).stdout
    assert edgeclf(*run, "--out", out).returncode == 0
    assert {one["event_label"] for one in recorded(out)} == {record["event_label"]}


def test_standard_input_and_wrong_seconds(edgeclf: Run, model: Path, photos: Path) -> None:
    data = (photos / "a.jpg").read_bytes()
    (record,) = printed(edgeclf("predict", "-", "-m", model, "--json", "--events", 5, stdin=data), 0)
    assert (record["event"], record["event_photos"], record["taken"]) == ("-", 1, "2026-11-27T03:26:30")
    for seconds in ("-1", "nan", "inf", "soon"):
        assert edgeclf("predict", photos, "-m", model, f"--events={seconds}").returncode == 2


def test_evaluate_with_events(edgeclf: Run, model: Path, tmp_path: Path) -> None:
    """Against a count by hand: class folders do not part an event, and its class is that of most photos."""
    data, classifier = tmp_path / "data", Classifier(model)
    for seed, (name, label) in enumerate(zip("abcde", [0, 1, 1, 0, 1], strict=True)):
        data.mkdir(exist_ok=True)
        put(data / CLASSES[label], name, seed)
    done = edgeclf("evaluate", model, data, "--events", 5, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    truth = {"a": 0, "b": 1, "c": 1, "d": 0, "e": 1}
    photos = {path.stem: path for path in data.glob("*/*.jpg")}
    logits = {name: classifier.predict(path, logits=True).logits for name, path in photos.items()}
    events = ["ae", "cbd"]
    best = [int(np.argmax(np.mean([logits[name] for name in event], axis=0))) for event in events]
    alone = {name: int(np.argmax(one)) for name, one in logits.items() if one is not None}
    together = {name: label for event, label in zip(events, best, strict=True) for name in event}
    counts = found["events"]
    assert (counts["events"], counts["of_several"], counts["mixed"]) == (2, 2, 2)
    assert counts["correct"] == (best[0] == 0) + (best[1] == 1)
    assert counts["accuracy"] == counts["correct"] / 2
    right = {name for name in truth if together[name] == truth[name]}
    right_alone = {name for name in truth if alone[name] == truth[name]}
    assert counts["photos_correct"] == len(right)
    assert (counts["gained"], counts["lost"]) == (len(right - right_alone), len(right_alone - right))
    assert found["correct"] == len(right_alone)
    without = json.loads(edgeclf("evaluate", model, data, "--json").stdout)
    assert "events" not in without
    assert found["confusion"] == without["confusion"]
    assert found["ece"] == pytest.approx(without["ece"])
    said = edgeclf("evaluate", model, data, "--events", 5).stdout
    assert f"{counts['correct']} of 2 events right" in said
    assert "events of more than one class: 2" in said
