"""The quarantine list: what a person wrote in it stays, and no other file is taken for one."""

from pathlib import Path

import pytest
from edgeclf.errors import DataError, UsageError
from edgeclf.files.atomic_write import check_writable
from edgeclf_training.dataset.quarantine import FILE_KIND, Written, is_list, read_quarantine, write_quarantine
from edgeclf_training.dataset.split import read_split
from helpers import draw, write_class_folders


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
        lambda: check_writable(file, is_list, FILE_KIND),
        lambda: write_quarantine(file, {tmp_path / "x.jpg": "so"}),
    ):
        with pytest.raises(UsageError, match="is not a quarantine list"):
            ask()
    assert file.read_bytes() == content
    with pytest.raises(UsageError, match="is a folder"):
        write_quarantine(tmp_path, {})


def test_a_photo_is_no_quarantine_list(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    draw(1).save(photo)
    with pytest.raises(DataError, match="is not a quarantine list"):
        read_quarantine(photo)
