"""``edgeclf suggest``: the list in three forms, the copies for the sorting page, and what is refused."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Done
from edgeclf.classifier import Classifier
from helpers import draw
from PIL import ImageEnhance

Run = Callable[..., Done]


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """Twelve photos, one of them twice, and a broken one."""
    folder = tmp_path / "card"
    (folder / "sub").mkdir(parents=True)
    for seed in range(12):
        draw(seed).save(folder / ("sub" if seed % 3 else "") / f"{seed}.png")
    ImageEnhance.Brightness(draw(4)).enhance(1.02).save(folder / "like 4.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    return folder


def lines(done: Done) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_three_forms_of_one_list(edgeclf: Run, model: Path, card: Path) -> None:
    done = edgeclf("suggest", model, card, "-n", 5, "--json")
    assert done.returncode == 1, "a photo could not be read"
    assert "broken.jpg" in done.stderr
    assert "without --known DIR" in done.stderr
    found = lines(done)
    assert [one["rank"] for one in found] == [1, 2, 3, 4, 5]
    assert len({one["path"] for one in found}) == 5
    classifier = Classifier(model)
    for one in found:
        wanted = classifier.predict(str(one["path"]))
        assert one["label"] == wanted.best.label
        assert one["probability"] == pytest.approx(wanted.best.probability, abs=1e-6)
        gap = wanted.ranking[0].probability - wanted.ranking[1].probability
        assert one["unsure"] == pytest.approx(1 - gap, abs=1e-5)
        assert set(one) == {"rank", "path", "label", "probability", "unsure", "gain", "alike"}
    table = edgeclf("suggest", model, card, "-n", 5, "--csv")
    rows = list(csv.DictReader(io.StringIO(table.stdout)))
    assert list(rows[0]) == ["rank", "path", "label", "probability", "gain", "similarity"]
    assert [row["path"] for row in rows if row["gain"]] == [one["path"] for one in found]
    assert [row["path"] for row in rows if not row["gain"]] == [
        alike["path"]
        for one in found
        for alike in one["alike"]  # type: ignore[attr-defined]
    ]
    text = edgeclf("suggest", model, card, "-n", 5)
    assert [line.split(": ")[0].split("  ")[-1] for line in text.stdout.splitlines()] == [one["path"] for one in found]


def test_people_read_display_names(edgeclf: Run, make_model: Callable[..., Path], card: Path) -> None:
    model = make_model(display={"king": "キングペンギン"})
    kings = sum(one["label"] == "king" for one in lines(edgeclf("suggest", model, card, "--json")))
    assert kings
    assert edgeclf("suggest", model, card).stdout.count(": キングペンギン ") == kings
    assert "キングペンギン" not in edgeclf("suggest", model, card, "--csv").stdout


def test_photos_like_known_ones_are_not_suggested_first(edgeclf: Run, model: Path, card: Path, tmp_path: Path) -> None:
    (card / "broken.jpg").unlink()
    known, waiting = tmp_path / "photos" / "king", tmp_path / "photos" / "_unsorted" / "king"
    known.mkdir(parents=True)
    waiting.mkdir(parents=True)
    for seed in range(11):
        draw(seed).save(known / f"{seed}.png")
    draw(11).save(waiting / "11.png")  # what waits for a label is not labelled
    done = edgeclf("suggest", model, card, "-n", 1, "--known", tmp_path / "photos", "--json")
    assert done.returncode == 0
    assert done.stderr == ""
    assert Path(str(lines(done)[0]["path"])).name == "11.png"


def test_copies_for_the_sorting_page(edgeclf: Run, model: Path, card: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in card.rglob("*.*")}
    review = tmp_path / "photos"
    done = edgeclf("suggest", model, card, "-n", 3, "--review", review, "--json")
    copies = [Path(str(copy)) for one in lines(done) for copy in one["copies"]]  # type: ignore[attr-defined]
    assert sorted(copies) == sorted((review / "_unsorted").rglob("*.png"))
    for one in lines(done):
        (copy,) = one["copies"]  # type: ignore[misc]
        assert Path(copy).parent == review / "_unsorted" / str(one["label"])
        assert Path(copy).read_bytes() == Path(str(one["path"])).read_bytes()
    assert {path: path.read_bytes() for path in card.rglob("*.*")} == before
    again = edgeclf("suggest", model, card, "-n", 3, "--review", review, "--alike", "--json")
    with_alike = sum(1 + len(one["alike"]) for one in lines(again))  # type: ignore[arg-type]
    assert sum(len(one["copies"]) for one in lines(again)) == with_alike  # type: ignore[arg-type]
    names = {path.name for path in (review / "_unsorted").rglob("*.png")}
    assert len(names) == with_alike, "a photo that is there already is not copied again"


def test_copies_are_told_and_not_copied_for_review(edgeclf: Run, model: Path, tmp_path: Path) -> None:
    card, known = tmp_path / "card", tmp_path / "photos" / "king"
    card.mkdir()
    known.mkdir(parents=True)
    for seed in range(3):
        draw(seed).save(card / f"{seed}.png")
    for number in range(2):
        (card / f"again {number}.png").write_bytes((card / "1.png").read_bytes())
    (known / "labelled.png").write_bytes((card / "2.png").read_bytes())
    review = tmp_path / "photos"
    done = edgeclf("suggest", model, card, "--known", review, "--review", review, "--alike", "--json")
    assert done.returncode == 0
    assert done.stderr == "3 of 5 photos are nearly the same as labelled or suggested ones\n"
    found = lines(done)
    names = [{Path(str(one["path"])).name, *(Path(like["path"]).name for like in one["alike"])} for one in found]  # type: ignore[attr-defined]
    assert sorted(map(sorted, names)) == [["0.png"], ["1.png", "again 0.png", "again 1.png"]]
    copies = [path.name for path in (review / "_unsorted").rglob("*.png")]
    assert sorted(copies) == ["0.png", "1.png", "again 0.png", "again 1.png"], "not 2.png, which is labelled"


def test_a_photo_named_twice_counts_once(
    edgeclf: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "card").mkdir()
    for seed in range(3):
        draw(seed).save(tmp_path / "card" / f"{seed}.png")
    done = edgeclf("suggest", model, "card", "card/0.png", tmp_path / "card" / "1.png", "card/../card/*.png", "--json")
    assert done.returncode == 0
    assert "3 photos to choose from, fewer than 60" in done.stderr
    assert sorted(str(one["path"]) for one in lines(done)) == ["card/0.png", "card/1.png", "card/2.png"]
    assert all(one["alike"] == [] for one in lines(done))


@pytest.mark.parametrize(
    "photos", ["photos", "photos/*.png", "photos/0.png", "photos/_unsorted/king/1.png", "**/1.png"]
)
def test_review_is_refused_where_the_photos_lie_however_they_are_named(
    edgeclf: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photos: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "_unsorted" / "king").mkdir(parents=True)
    (tmp_path / "photos" / "king").mkdir()
    for name in ("0.png", "king/2.png", "_unsorted/king/1.png"):
        draw(int(name[-5])).save(tmp_path / "photos" / name)
    done = edgeclf("suggest", model, photos, "--review", "photos")
    assert done.returncode == 2
    assert "would be watched" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    for allowed in ("photos/king", "photos/king/*.png", "photos/king/2.png"):
        assert edgeclf("suggest", model, allowed, "--review", "photos").returncode == 0
        assert edgeclf("suggest", model, photos, allowed, "--review", "photos").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--json", "--csv"), "choose one of them"),
        (("--alike",), "give --review too"),
        (("--known", "nowhere"), "--known nowhere: is not a folder"),
        (("-",), "suggest chooses among files"),
        (("other.onnx",), "a model file among the photos"),
        (("--review", "card"), "would be watched"),
        (("-n", "0"), "0"),
    ],
)
def test_what_is_refused(
    edgeclf: Run, model: Path, card: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(card.parent)
    done = edgeclf("suggest", model, "card", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_nothing_to_choose_from(edgeclf: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = edgeclf("suggest", model, tmp_path / "empty", tmp_path / "nowhere.jpg", "--json")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "no images in this folder" in done.stderr
    assert "nowhere.jpg" in done.stderr
