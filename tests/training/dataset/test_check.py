"""`edgeclf data check`: all trouble is found and named, photos stay as they are, the quarantine list works."""

import hashlib
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgeclf.errors import DataError, UsageError
from edgeclf.files.atomic_write import check_writable
from edgeclf_training.dataset.check import Report, check_data
from edgeclf_training.dataset.portable_names import odd_names
from edgeclf_training.dataset.quarantine import WHAT, Written, is_list, read_quarantine, write_quarantine
from edgeclf_training.dataset.split import read_split
from helpers import draw, write_class_folders
from PIL import Image

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def troubled(tmp_path: Path) -> Path:
    """One of everything."""
    root = tmp_path / "birds"
    write_class_folders(root / "train", 6)
    write_class_folders(root / "test", 2, seed=500)
    king, gentoo = root / "train" / "king", root / "train" / "gentoo"
    whole = (king / "king_000.jpg").read_bytes()
    (king / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (king / "page.jpg").write_text("<html>404</html>")
    (king / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (king / "notes.txt").write_text("ignored")
    (king / "copy.jpg").write_bytes(whole)
    (gentoo / "conflict.jpg").write_bytes((king / "king_001.jpg").read_bytes())
    (root / "train" / "king" / "leak.jpg").write_bytes((root / "test" / "king" / "king_000.jpg").read_bytes())
    with Image.open(king / "king_002.jpg") as photo:
        photo.save(king / "near.jpg", quality=40)
        photo.save(gentoo / "near_conflict.jpg", quality=30)
    placeholder = Image.new("P", (64, 64), 3)
    placeholder.putpalette([200] * 768)
    placeholder.save(gentoo / "noImage.gif")
    draw(801, 64, 48).save(gentoo / "really.jpg", "PNG")
    frames = [draw(810 + i, 64, 48).convert("P") for i in range(2)]
    frames[0].save(gentoo / "moving.gif", save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 6
    draw(802, 64, 48).save(gentoo / "turned.jpg", exif=exif)
    draw(803, 640, 480).save(gentoo / "large.jpg")
    draw(804, 200, 20).save(gentoo / "strip.jpg")
    return root


def cases(report: Report) -> dict[str, set[str]]:
    return {f.kind: {p.name for item in f.items for p in item.paths} for f in report.findings}


def test_empty_class_folders_and_loose_photos_are_told_and_the_rest_is_checked(tmp_path: Path, edgeclf: Cli) -> None:
    root = write_class_folders(tmp_path / "birds", 6)
    (root / "skua").mkdir()
    shutil.copy(root / "king" / "king_000.jpg", root / "loose.jpg")
    (root / "gentoo" / "cut.jpg").write_bytes((root / "king" / "king_000.jpg").read_bytes()[:200])
    report = check_data([root])
    problems = {f.kind: [item.detail or item.paths[0].name for item in f.items] for f in report.problems}
    assert problems["empty-classes"] == ["skua"]
    assert problems["loose"] == ["loose.jpg"]
    assert "unreadable" in problems
    assert report.classes["skua"]["train"] == 0
    assert edgeclf("data", "check", root, "--quarantine", tmp_path / "q.txt").returncode == 1
    for part in ("train", "val"):
        shutil.copytree(root, tmp_path / "split" / part, ignore=shutil.ignore_patterns("*.jpg"))
    shutil.copytree(root / "king", tmp_path / "split" / "train" / "king", dirs_exist_ok=True)
    shutil.copytree(root / "king", tmp_path / "split" / "val" / "skua", dirs_exist_ok=True)
    assert check_data([tmp_path / "split"]).photos == 12, "those of the class that has none to train with are counted"
    (tmp_path / "none" / "a").mkdir(parents=True)
    (tmp_path / "none" / "b").mkdir()
    with pytest.raises(DataError, match="no images in class folder a, b"):
        check_data([tmp_path / "none"])
    shutil.rmtree(root / "skua")
    (note,) = [note for note in read_split([root]).notes if "class folder" in note]
    assert note == f"left out, in no class folder: 1 photo, first: {root / 'loose.jpg'}"


def test_a_class_nothing_validates_is_told(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "birds", 10)
    for path in sorted((root / "king").iterdir())[1:]:
        path.unlink()
    assert "king: no photo to validate with, nothing will be known about it" in read_split([root]).notes


def test_what_nobody_has_sorted_is_named_and_left_out(class_folders: Path, tmp_path: Path) -> None:
    shutil.copytree(class_folders, tmp_path / "photos")
    shutil.copytree(class_folders, tmp_path / "photos" / "_unsorted")
    report = check_data([tmp_path / "photos"])
    assert report.photos == 30
    assert cases(report).pop("unsorted") == {"_unsorted"}
    assert not report.problems


def test_everything_is_found_and_nothing_is_touched(troubled: Path) -> None:
    def state() -> dict[Path, str]:
        return {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in troubled.rglob("*") if p.is_file()}

    before = state()
    found = cases(check_data([troubled]))
    assert state() == before
    assert found["unreadable"] == {"cut.jpg", "phone.jpg"}
    assert found["not-an-image"] == {"page.jpg"}
    assert found["other-files"] == {"notes.txt"}
    assert found["placeholder"] == {"noImage.gif"}
    assert found["label-conflicts"] == {"king_001.jpg", "conflict.jpg"}
    assert found["exact-duplicates"] == {"king_000.jpg", "copy.jpg", "leak.jpg"}
    assert found["split-leaks"] == {"king_000.jpg", "leak.jpg"}
    assert found["near-label-conflicts"] == {"king_002.jpg", "near.jpg", "near_conflict.jpg"}
    assert found["near-duplicates"] == {"king_002.jpg", "near.jpg", "near_conflict.jpg"}
    assert found["wrong-suffix"] == {"really.jpg"}
    assert found["animated"] == {"moving.gif"}
    assert found["colour-modes"] == {"noImage.gif", "moving.gif"}
    assert found["orientation"] == {"turned.jpg"}
    assert found["very-large"] == {"large.jpg"}
    assert found["very-small"] == {"strip.jpg"}
    assert found["odd-shape"] == {"strip.jpg"}
    assert "few-photos" in found


def test_the_quarantine_list_names_what_is_better_left_out(troubled: Path) -> None:
    report = check_data([troubled])
    assert {p.relative_to(troubled).as_posix() for p in report.quarantine} == {
        *(f"train/king/{name}.jpg" for name in ("cut", "page", "phone", "king_000", "king_001", "leak")),
        "train/gentoo/conflict.jpg",
        "train/gentoo/noImage.gif",
    }
    assert "HEIC" in report.quarantine[troubled / "train" / "king" / "phone.jpg"]
    assert "placeholder" in report.quarantine[troubled / "train" / "gentoo" / "noImage.gif"]
    split = read_split([troubled], quarantine=report.quarantine)
    assert not {s.path for part in ("train", "val", "test") for s in split.part(part)} & set(report.quarantine)
    assert split.notes[0] == "8 photos on the quarantine list left out"
    assert sum("quarantined, " in s.reason for s in split.skipped) == 8


def test_lists_edited_by_hand_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = write_class_folders(tmp_path / "photos", 5)
    odd = root / "king" / "tab\there \udcff.jpg"
    (root / "king" / "king_000.jpg").rename(odd)
    write_quarantine(tmp_path / "list.txt", {odd: "because\nof this"})
    assert read_quarantine(tmp_path / "list.txt") == {odd: "because of this"}
    with (tmp_path / "list.txt").open("ab") as file:
        file.write(b"\n# a comment\r\nphotos/king/king_001.jpg\r\nphotos/king/nowhere.jpg\tgone\n")
    listed = read_quarantine(tmp_path / "list.txt")
    split = read_split([root], quarantine=listed)
    assert {s.path for s in split.skipped} == {odd, root / "king" / "king_001.jpg"}
    assert any("1 entry matches no photo here" in note and "nowhere.jpg" in note for note in split.notes)
    with pytest.raises(DataError, match="--quarantine"):
        read_quarantine(tmp_path / "none.txt")


def test_what_a_person_wrote_in_a_list_is_kept_and_only_what_is_new_is_added(tmp_path: Path) -> None:
    file, photos = tmp_path / "list.txt", [tmp_path / f"{n}.jpg" for n in range(6)]
    assert write_quarantine(file, dict.fromkeys(photos[:4], "blurred")) == Written(4, 0)
    lines = file.read_text().splitlines()
    deleted, edited, off = (next(n for n, line in enumerate(lines) if f"{k}.jpg" in line) for k in (0, 1, 2))
    lines[edited] = f"{photos[1]}\tmy own reason"
    lines[off] = f"# {lines[off]}"
    mine = ["# looked through in May", *lines[:deleted], *lines[deleted + 1 :], "relative.jpg"]
    file.write_text("\n".join(mine))
    assert write_quarantine(file, dict.fromkeys(photos[:5], "blurred")) == Written(1, 4)
    after = file.read_text().splitlines()
    assert after[: len(mine)] == mine
    assert f"{photos[4]}\tblurred" in after
    expected = {photos[1]: "my own reason", photos[3]: "blurred", photos[4]: "blurred"}
    assert read_quarantine(file) == {**expected, Path.cwd() / "relative.jpg": "no reason given"}
    file.write_text("".join(f"{line}\n" for line in after if "4.jpg" not in line))
    state = file.read_bytes()
    assert write_quarantine(file, dict.fromkeys(photos[:5], "blurred")) == Written(0, 5)
    assert file.read_bytes() == state
    file.write_text(f"{photos[3]}\n")  # all by hand, without the head
    assert write_quarantine(file, dict.fromkeys(photos[3:5], "blurred")) == Written(1, 1)


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0\0\x10JFIF", b"milk\nbread\n", b"a,b\n1,2\n", b"a.jpg\0"])
def test_no_file_of_another_kind_is_written_over(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "mine.jpg"
    file.write_bytes(content)
    for ask in (
        lambda: check_writable(file, is_list, WHAT),
        lambda: write_quarantine(file, {tmp_path / "x.jpg": "so"}),
    ):
        with pytest.raises(UsageError, match="is not a quarantine list"):
            ask()
    assert file.read_bytes() == content
    with pytest.raises(UsageError, match="is a folder"):
        write_quarantine(tmp_path, {})


def test_names_that_mean_trouble_elsewhere(tmp_path: Path) -> None:
    names = ["King.jpg", "king.JPG", "cafe\u0301.jpg", "con.jpg", "a.jpg ", "10:30.jpg", "x" * 150 + ".jpg", "fine.jpg"]
    found = {
        kind: {p.name for paths, _ in items for p in paths}
        for kind, _, items in odd_names([tmp_path], [tmp_path / "class" / n for n in names])
    }
    assert found["name-collisions"] == {"King.jpg", "king.JPG"}
    assert found["names-not-nfc"] == {"cafe\u0301.jpg"}
    assert found["names-not-portable"] == {"con.jpg", "a.jpg ", "10:30.jpg", "x" * 150 + ".jpg"}


def test_class_folders_that_collide_are_found(tmp_path: Path) -> None:
    found = {
        k: items for k, _, items in odd_names([tmp_path], [tmp_path / "King" / "a.jpg", tmp_path / "king" / "b.jpg"])
    }
    assert [paths for paths, _ in found["name-collisions"]] == [(tmp_path / "King", tmp_path / "king")]


def few_of(root: Path, **kept: int) -> Path:
    """Class folders of 25 photos, but for those named."""
    write_class_folders(root, 25)
    for label, count in kept.items():
        for path in sorted((root / label).iterdir())[count:]:
            path.unlink()
    return root


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        ({"king": 5}, {"note few-photos": ["king: 5 photos"], "note imbalance": ["king: 5 photos, gentoo: 25"]}),
        ({"king": 6}, {"note few-photos": ["king: 6 photos"]}),
        ({"king": 4}, {"problem tiny-classes": ["king: 4 photos"], "note imbalance": ["king: 4 photos, gentoo: 25"]}),
        (
            {"king": 1, "gentoo": 2},
            {
                "problem tiny-classes": ["king: 1 photo", "gentoo: 2 photos"],
                "problem imbalance": ["king: 1 photo, adelie: 25", "gentoo: 2 photos, adelie: 25"],
                "problem no-validation": ["king"],
            },
        ),
    ],
)
def test_small_and_uneven_classes_are_named(tmp_path: Path, kept: dict[str, int], says: dict[str, list[str]]) -> None:
    report = check_data([few_of(tmp_path / "photos", **kept)])
    assert {f"{f.severity} {f.kind}": [item.detail for item in f.items] for f in report.findings} == says


def test_classes_that_no_figure_will_be_about_are_named_as_training_will_split(tmp_path: Path, edgeclf: Cli) -> None:
    root = few_of(tmp_path / "photos", king=2)
    shutil.copy(root / "king" / "king_000.jpg", root / "king" / "king_001.jpg")  # 2 photos, but of one content
    report = check_data([root])
    assert [i.detail for f in report.problems if f.kind == "no-validation" for i in f.items] == ["king"]
    assert "king: no photo to validate with, nothing will be known about it" in read_split([root]).notes
    for part, label, photos in (("val", "adelie", 5), ("val", "gentoo", 1), ("test", "gentoo", 5)):
        shutil.copytree(
            write_class_folders(tmp_path / f"{part}-{label}", photos, seed=900) / label, root / part / label
        )
    for label in ("adelie", "gentoo", "king"):
        shutil.move(root / label, root / "train" / label)
    done = edgeclf("data", "check", root, "--json", "--quarantine", tmp_path / "q.txt")
    found = {f["kind"]: [item["detail"] for item in f["items"]] for f in json.loads(done.stdout)["findings"]}
    assert found["no-validation"] == ["king"]
    assert found["few-validation"] == ["gentoo: 1 photo"]
    assert found["no-test"] == ["adelie", "king"]
    assert done.returncode == 1


def test_what_training_would_refuse_is_a_problem(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        draw(len(label), 64, 48).save(tmp_path / label / "x.jpg")
    draw(2, 64, 48).save(tmp_path / "b" / "x.jpg")
    (refusal,) = (f for f in check_data([tmp_path]).problems if f.kind == "no-split")
    assert "too few photos to set any aside for validation" in refusal.items[0].detail


def test_check_then_train_from_the_shell(
    edgeclf: Cli, troubled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    done = edgeclf("data", "check", troubled)
    assert done.returncode == 1, done.stderr
    assert "problem: damaged or unreadable photos: 2" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(f"edgeclf train {troubled} --quarantine birds-quarantine.txt")
    assert os.listdir(work) == ["birds-quarantine.txt"]
    done = edgeclf("data", "check", troubled, "--json", "--quarantine", "mine.txt")
    answer = json.loads(done.stdout)
    assert done.returncode == 1
    assert set(answer) == {"schema_version", "data", "photos", "readable", "classes", "findings", "quarantine"}
    assert answer["quarantine"]["file"] == "mine.txt"
    assert len(answer["quarantine"]["entries"]) == 8
    assert answer["classes"]["king"] == {"train": 12, "val": 0, "test": 2}
    assert answer["photos"] - answer["readable"] == 3
    done = edgeclf(
        *("train", troubled, "--quarantine", "mine.txt", "--arch", "cnn4", "--image-size", 64, "--epochs", 1),
        *("--workers", 0, "--batch-size", 8, "--out", "run"),
    )
    assert done.returncode == 0, done.stderr
    assert "8 photos on the quarantine list left out" in done.stderr
    assert len((work / "run" / "split" / "skipped.txt").read_text().splitlines()) == 8
    assert "quarantine list" in (work / "run" / "split" / "notes.txt").read_text()


def test_clean_data_and_zips_answer_0(
    edgeclf: Cli, class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("birds.zip", "w") as archive:
        for path in class_folders.rglob("*.jpg"):
            archive.write(path, Path("wrapped") / path.relative_to(class_folders))
    for data in (class_folders, "birds.zip"):
        done = edgeclf("data", "check", data)
        assert done.returncode == 0, done.stdout
        assert done.stdout.splitlines()[-1] == f"nothing is wrong; next: edgeclf train {data}"
    assert os.listdir() == ["birds.zip"]
    done = edgeclf(
        *("train", "birds.zip", "--arch", "cnn4", "--image-size", 64, "--epochs", 1, "--workers", 0, "--batch-size", 8)
    )
    assert done.returncode == 0, done.stderr
    assert "run: runs/birds-cnn4" in done.stdout.replace(os.sep, "/")


def test_unusable_data_is_one_line_and_5(edgeclf: Cli, class_folders: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.zip").write_bytes(b"PK")
    for data, message in (
        (tmp_path / "empty", "no class folders"),
        (tmp_path / "broken.zip", "not a whole zip file"),
        (class_folders / "king" / "king_000.jpg", "not a folder"),
        (tmp_path / "nowhere", "no such folder"),
    ):
        done = edgeclf("data", "check", data)
        assert done.returncode == 5
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
        assert message in done.stderr


def test_the_data_group_explains_itself(edgeclf: Cli) -> None:
    done = edgeclf("data", "--help")
    assert done.returncode == 0
    assert "check" in done.stdout
    assert edgeclf("data", "nonsense").returncode == 2


@pytest.mark.shared
def test_every_known_quirk_of_the_shared_photos_is_found(shared: Path) -> None:
    insects = cases(check_data([shared / "data" / "hymenoptera"]))
    assert insects["placeholder"] == {"imageNotFound.gif"}
    assert {"Nepenthes_rafflesiana_ant.jpg"} < insects["very-large"]
    assert {"662541407_ff8db781e7.jpg", "36900412_92b81831ad.jpg"} <= insects["odd-shape"]
    flowers = check_data([shared / "data" / "flowers"])
    torn = next(f for f in flowers.findings if f.kind == "label-conflicts")
    assert len(torn.items) == 4
    assert all({p.parent.name for p in item.paths} == {"rose", "tulip"} for item in torn.items)
    assert len(next(f for f in flowers.findings if f.kind == "exact-duplicates").items) == 2
    dishes = cases(check_data([shared / "data" / "food5"]))
    assert dishes["exact-duplicates"] == {"1469191.jpg", "1461580.jpg"}
    assert dishes["split-leaks"] == {"1335350.jpg", "3497633.jpg"}


def test_thermal_photos_are_no_placeholders_and_told(tmp_path: Path) -> None:
    """16 bits of which the camera uses a few: by their high bytes they would be of one colour."""
    rng = np.random.default_rng(0)
    for name, low, high in (("a/thermal", 29_315, 30_815), ("b/twelve", 0, 4095), ("b/full", 0, 65_535)):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        grey = np.asarray(draw(int(rng.integers(99)), 64, 48).convert("L"), np.float64)
        grey = (grey - grey.min()) / np.ptp(grey)
        Image.fromarray((low + grey * (high - low)).astype(np.uint16)).save(path)
    report = check_data([tmp_path])
    assert "placeholder" not in cases(report)
    (found,) = (finding for finding in report.findings if finding.kind == "deep-grey")
    details = {item.paths[0].stem: item.detail for item in found.items}
    assert details.keys() == {"thermal", "twelve"}
    assert "values 29315..30815, stretched" in details["thermal"]


def test_camera_raw_files_are_told_in_one_line(class_folders: Path, tmp_path: Path, edgeclf: Cli) -> None:
    root = shutil.copytree(class_folders, tmp_path / "data")
    for number in range(3):
        (root / "king" / f"DSC_{number}.NEF").write_bytes(b"MM\0*" + bytes(100))
    done = edgeclf("data", "check", root)
    lines = [line for line in done.stdout.splitlines() if "camera raw" in line]
    assert len(lines) == 1
    assert "3 camera raw files left out" in lines[0]


def test_a_photo_is_no_quarantine_list(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    draw(1).save(photo)
    with pytest.raises(DataError, match="is no quarantine list"):
        read_quarantine(photo)
