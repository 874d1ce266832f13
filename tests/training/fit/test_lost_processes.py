"""The last resort of a training whose other process is gone, if no step says so."""

import subprocess
import sys

SCRIPT = """
import subprocess, sys, time
from edgeclf_training.fit import lost_processes
lost_processes._EVERY, lost_processes._GRACE = 0.1, 0.5
started, children = [subprocess.Popen([sys.executable, "-c", f"raise SystemExit({sys.argv[1]})"])], []
lost_processes.take_over(started, children, "go on")
assert not started and len(children) == 1
if sys.argv[2] == "noticed":
    children.clear()
time.sleep(3)
"""


def run(*words: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-c", SCRIPT, *words], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr


def test_a_process_that_waits_for_a_lost_one_ends_with_a_line() -> None:
    code, told = run("1", "waits")
    assert (code, told.count("\n")) == (4, 1)
    assert "another process of this training ended" in told
    assert "go on" in told


def test_others_go_on() -> None:
    assert run("0", "waits") == run("1", "noticed") == (0, "")
