"""``kill -9`` in the middle of sorting, 200 times: no photo lost, none twice, and everything can be undone."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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
    assert counted["operations"] > 100
    assert counted["interrupted"] >= 10, "kills hit operations, not only the time between them"
    if how == "placeholder":
        assert counted["empty"] > 0, "kills hit the instant between the placeholder and the rename"


def test_a_link_and_a_deletion_would_be_found_out(tmp_path: Path) -> None:
    assert run(tmp_path, 60, "link", 1)["twice"] > 0
