"""Moving a file within a file system, never over another one."""

import errno
from pathlib import Path

import pytest
from edgeclf.files import move_new as moving
from edgeclf.files.move_new import move_new, numbered


@pytest.mark.parametrize("code", [0, errno.EINVAL, errno.ENOSYS])
def test_moving_is_exclusive_on_every_file_system(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if code:
        monkeypatch.setattr(moving, "_exclusive_rename", lambda: lambda source, target: code)
    for name in "ab":
        (tmp_path / name).write_text(name)
    assert not move_new(tmp_path / "a", tmp_path / "b")
    assert move_new(tmp_path / "a", tmp_path / "c")
    with pytest.raises(FileNotFoundError):
        move_new(tmp_path / "a", tmp_path / "d")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"b": "b", "c": "a"}


def test_numbers_in_names() -> None:
    assert [numbered("a.b.jpg", n) for n in (1, 2, 12)] == ["a.b.jpg", "a.b-2.jpg", "a.b-12.jpg"]
    long = numbered("ペ" * 84 + ".jpg", 100)
    assert (len(long.encode()) <= 255, long.endswith("ペ-100.jpg")) == (True, True)
