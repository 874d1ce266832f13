"""docs/serve.md: its commands, its Python and its Home Assistant snippet run against a service."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from edgeclf.cli.serve import serve
from helpers import ROOT, draw
from typer.main import get_command_name

PAGE = (ROOT / "docs" / "serve.md").read_text("utf-8")
TOKEN = "TOKEN-of-the-guide"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that asks for the token of the guide."""
    pytest.importorskip("uvicorn", reason="needs the extra [serve]")
    command = [sys.executable, "-m", "edgeclf", "serve", "--port", "0", "--token", TOKEN]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path_factory.mktemp("serve")) as child:
        assert child.stderr is not None
        found = re.search(r"http://[\d.:]+", child.stderr.readline())
        assert found
        yield found[0]
        child.terminate()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("photo.jpg", "a.jpg", "b.jpg", "feeder.jpg"):
        draw(len(name)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_curl(line: str, address: str) -> bytes:
    words = shlex.split(line)
    done = subprocess.run([*words, "-f", "-H", f"Authorization: Bearer {TOKEN}"], capture_output=True)
    assert done.returncode == 0, (line, address, done.stderr)
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_lines_answer(address: str, desk: Path) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("curl ")]
    assert len(lines) == 5
    for line in lines:
        output = run_curl(line.replace("http://127.0.0.1:8000", address), address)
        if "-o why.jpg" in line:
            assert (desk / "why.jpg").read_bytes().startswith(b"\xff\xd8")
        else:
            values = [json.loads(text) for text in output.splitlines()]
            assert values
            assert "error" not in json.dumps(values)


def test_the_python_answers(address: str, desk: Path) -> None:
    (code,) = blocks("python")
    code = code.replace("http://127.0.0.1:8000", address).replace("Bearer TOKEN", f"Bearer {TOKEN}")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=desk)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_home_assistants_command_answers_what_its_templates_read(address: str, desk: Path) -> None:
    yaml = pytest.importorskip("yaml")
    (text,) = blocks("yaml")
    settings = yaml.safe_load(text)
    line = settings["shell_command"]["classify_feeder"]
    assert "\n" not in line.strip()
    line = line.replace("http://192.168.1.20:8000", address).replace("/config/www/", f"{desk}/")
    record = json.loads(run_curl(line.replace('-H "Authorization: Bearer TOKEN"', ""), address))
    assert isinstance(record["unknown"], bool)
    assert record["predictions"][0]["label"]
    actions = settings["automation"][0]["actions"]
    assert [action.get("action") for action in actions if "action" in action] == [
        "camera.snapshot",
        "shell_command.classify_feeder",
        "notify.notify",
    ]


def test_every_option_that_the_guide_names_exists() -> None:
    import inspect

    known = {f"--{get_command_name(name)}" for name in inspect.signature(serve).parameters}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", "\n".join(re.findall(r"edgeclf serve.*", PAGE))))
    assert named
    assert named <= known, named - known
