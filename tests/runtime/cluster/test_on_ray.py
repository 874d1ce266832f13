"""A real cluster on this machine: the answers of ``predict``, a killed actor, no telemetry, no open port.

Needs the extra [ray], which [dev] does not have: 700 MB for this file. CI runs it in a job of its own.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from command_line import Done
from edgeclf.classifier import Classifier
from edgeclf.evaluation.evaluate import evaluate
from edgeclf.evaluation.labelled_list import read_labelled_list
from edgeclf.evaluation.labelled_photos import find_labelled_photos
from helpers import write_class_folders

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'edgeclf[ray]'"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc"),
]
CHILD = Path(__file__).with_name("cluster_child.py")
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
Run = Callable[..., Done]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cluster")
    photos = write_class_folders(folder / "photos", 8)
    (photos / "king" / "cut.jpg").write_bytes((photos / "king" / "king_000.jpg").read_bytes()[:300])
    (folder / "home").mkdir()
    return folder


@pytest.fixture(scope="module")
def found(work: Path, model: Path) -> dict[str, Any]:
    """What the child found."""
    done = subprocess.run(
        [sys.executable, CHILD, work / "photos", model, work],
        cwd=work,
        env={**os.environ, "HOME": str(work / "home")},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_every_record_is_that_of_predict(
    found: dict[str, Any], work: Path, model: Path, edgeclf: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although an actor was killed on the way."""
    monkeypatch.chdir(work)
    edgeclf("predict", work / "photos", "-m", model, "--out", work / "predict.jsonl")
    wanted = sorted((work / "predict.jsonl").read_text().splitlines())
    assert found["killed"] == 1
    assert sorted(found["lines"]) == wanted
    assert sorted(found["rows"]) == wanted
    assert found["counts"] == found["again"] == [25, 1]
    manifest = json.loads((work / "answers" / "job.json").read_text())
    assert manifest["complete"]
    assert manifest["counts"]["photos"] == 25
    assert manifest["counts"]["blocks"] == found["files"]


def test_the_evaluation_is_that_of_one_machine(found: dict[str, Any], work: Path, model: Path) -> None:
    classifier = Classifier(model, threads=1)
    labelled = find_labelled_photos(work / "photos", classifier.labels)
    assert found["evaluated"] == repr(evaluate(classifier, labelled))
    listed = evaluate(classifier, read_labelled_list(work / "labels.csv", classifier.labels))
    assert found["listed"] == repr(listed)
    assert sorted(error.kind for error in listed.unreadable) == ["damaged", "not-found"]


def test_another_rule_is_refused_by_its_own_error(found: dict[str, Any]) -> None:
    assert found["refused"][0] == "RecordError"
    assert "--threshold" in found["refused"][1]


def test_nothing_listens_or_speaks_beyond_this_machine(found: dict[str, Any]) -> None:
    assert found["listening"]
    assert {*found["listening"], *found["connected"]} <= set(LOOPBACK)


def test_no_telemetry_no_dashboard_nothing_in_the_home_folder(found: dict[str, Any]) -> None:
    assert found["usage_stats"] is False
    assert found["home"] == []
    assert any("raylet" in title for title in found["titles"])
    agents = [title for title in found["titles"] if "dashboard" in title and "--modules-to-load" not in title]
    assert not [title for title in agents if "dashboard.py" in title]


@pytest.mark.campaign
@pytest.mark.parametrize("seconds", [0.0, 0.7, 2.5])
def test_a_killed_run_is_continued(work: Path, model: Path, tmp_path: Path, edgeclf_child: Run, seconds: float) -> None:
    photos, out = tmp_path / "photos", tmp_path / "answers"
    for number in range(40):
        shutil.copytree(work / "photos", photos / str(number))
    command = ["predict", str(photos), "-m", str(model), "--ray", "--out", str(out), "--batch", "16"]
    with subprocess.Popen(
        [sys.executable, "-m", "edgeclf", *command],
        env={**os.environ, "HOME": str(tmp_path)},
        stderr=subprocess.DEVNULL,
    ) as run:
        deadline = time.monotonic() + 300
        while not list(out.glob("parquet/*.parquet")) and run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(seconds)
        run.send_signal(signal.SIGKILL)
    before = len(list(out.glob("parquet/*.parquet")))
    assert before
    done = edgeclf_child(*command, "--resume", HOME=str(tmp_path))
    assert done.returncode == 1, done.stderr
    paths = [json.loads(line)["path"] for path in out.glob("jsonl/*") for line in path.read_text().splitlines()]
    assert sorted(paths) == sorted(map(str, photos.rglob("*.jpg")))
    assert {path.stem for path in out.glob("jsonl/*")} == {path.stem for path in out.glob("parquet/*")}


@pytest.mark.campaign
def test_ray_is_started_again_if_a_helper_of_it_was_too_slow(tmp_path: Path) -> None:
    """Ray's node process ends itself then, and its own start fails."""
    script = "from edgeclf.cluster.session import connected\nwith connected('local', cpus=1): print('started')"
    mark = f"EDGECLF_TEST={tmp_path}"
    environment = {**os.environ, "HOME": str(tmp_path), "EDGECLF_TEST": str(tmp_path)}
    stopped = []
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env={**environment, "RAY_raylet_start_wait_time_s": "25"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        deadline = time.monotonic() + 120
        while not stopped and time.monotonic() < deadline:
            stopped = [pid for pid in processes_with(mark) if "dashboard/agent.py" in command_of(pid)]
            time.sleep(0.02)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        out, errors = run.communicate(timeout=300)
        for pid in stopped:
            os.kill(pid, signal.SIGKILL)
    assert stopped
    assert run.returncode == 0, errors
    assert out == "started\n"
    time.sleep(5)
    assert [command_of(pid) for pid in processes_with(mark)] == []


def processes_with(mark: str) -> list[int]:
    """Processes that have this in their environment."""
    return [pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if mark in _told(pid, "environ")]


def command_of(pid: int) -> str:
    return " ".join(_told(pid, "cmdline"))


def _told(pid: int, name: str) -> list[str]:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []
