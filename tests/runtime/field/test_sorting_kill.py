"""``kill -9`` in the middle of sorting, 200 times: no photo lost, none twice, and everything can be undone."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from edgeclf.field.sorting import SortFolder

SCRIPT = Path(__file__).with_name("sorting_until_killed.py")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks, and kill -9")


def run(folder: Path, kills: int, how: str, seed: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), str(kills), how, str(seed)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counted: dict[str, Any] = json.loads(done.stdout)
    return counted


@pytest.mark.parametrize("how", ["exclusive", "placeholder"])
def test_200_kills_lose_no_photo_and_leave_none_twice(how: str, tmp_path: Path) -> None:
    counted = run(tmp_path, 100, how, 1)
    assert (counted["lost"], counted["twice"], counted["still_empty"]) == (0, 0, 0)
    assert counted["back"] == counted["photos"], "every label of every child is undone"
    assert counted["operations"] >= 100
    assert counted["interrupted"] >= 10, "kills hit operations, not only the time between them"


def test_a_kill_between_the_placeholder_and_the_rename_leaves_the_photo_in_its_tray(tmp_path: Path) -> None:
    tray = tmp_path / "_unsorted" / "king"
    tray.mkdir(parents=True)
    (tmp_path / "king").mkdir()
    (tray / "a.jpg").write_bytes(b"a photo")
    code = """
import errno, os, signal, sys
from pathlib import Path
from edgeclf.field.sorting import SortFolder
from edgeclf.files import move_new
move_new._exclusive_rename = lambda: lambda source, target: errno.ENOSYS
rename = os.rename
def killed(source, target):
    assert os.path.getsize(target) == 0, "the placeholder"
    os.kill(os.getpid(), signal.SIGKILL)
os.rename = os.replace = killed
folder = SortFolder(Path(sys.argv[1]), ("king",))
folder.label([folder.photos()[0].id], "king")
"""
    child = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert (tmp_path / "king" / "a.jpg").read_bytes() == b""
    folder = SortFolder(tmp_path, ("king",))
    (photo,) = folder.photos()
    assert not (tmp_path / "king" / "a.jpg").exists(), "the placeholder is taken away"
    assert folder.label([photo.id], "king").moved == (photo.id,)
    assert (tmp_path / "king" / "a.jpg").read_bytes() == b"a photo"


def test_a_link_and_a_deletion_would_be_found_out(tmp_path: Path) -> None:
    assert run(tmp_path, 60, "link", 1)["twice"] > 0
