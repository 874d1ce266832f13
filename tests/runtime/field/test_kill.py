"""A few of the kills that benchmarks/kill.py does by the hundred."""

import json
import subprocess
import sys

import pytest
from helpers import ROOT

SCRIPT = ROOT / "benchmarks" / "kill.py"


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
@pytest.mark.parametrize("command", ["watch", "predict"])
def test_kill_minus_9_loses_no_photo_and_repeats_none(command: str) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--only", command, "--kills", "6", "--photos", "240"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for line in done.stdout.splitlines():
        figures = json.loads(line)
        assert figures["kills"] == 3
        assert figures["records"] == figures["photos"] >= 100
        assert (figures["lost"], figures["twice"], figures["foreign"], figures["errors"]) == (0, 0, 0, 0)
