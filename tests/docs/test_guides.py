"""The guides' code runs: Python as it stands, commands of the runtime one by one, in a folder with what they name.

What trains, exports, waits for photos or measures for seconds is tested elsewhere; its options are in test_docs.py.
"""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from edgeclf.classifier import default_model
from helpers import ROOT, draw, write_class_folders

FENCES = re.compile(r"```(python|sh)\n(.*?)```", re.DOTALL)
SHORT = ("predict", "info", "devices", "doctor", "evaluate", "compare")
PAGES = [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("start", "predict", "evaluate", "python"))]


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in FENCES.findall(page.read_text("utf-8")) if kind == language]


def short_commands(page: Path) -> list[list[str]]:
    """The words of each `edgeclf ...` line of the page that takes a second or two."""
    lines = "\n".join(blocks(page, "sh")).splitlines()
    called = [shlex.split(line, comments=True) for line in lines]
    return [words for words in called if words[:1] == ["edgeclf"] and words[1] in SHORT]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the photos and model files that the guides name."""
    for name in ("photo.jpg", "a.jpg", "b.jpg"):
        draw(len(name)).save(tmp_path / name)
    for folder in ("card", "photos/test/king penguin"):
        (tmp_path / folder).mkdir(parents=True)
        draw(3).save(tmp_path / folder / "one.jpg")
        draw(4).save(tmp_path / folder / "two.jpg")
    for name in ("penguins.onnx", "penguins-int8.onnx", "demo/penguins-int8.onnx", "first.onnx"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(default_model(), tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_commands_of_a_guide_do_what_it_says(page: Path, desk: Path) -> None:
    for words in short_commands(page):
        done = subprocess.run([sys.executable, "-m", *words], cwd=desk, capture_output=True, text=True)
        assert done.returncode == 0, f"{page.name}: {shlex.join(words)}\n{done.stderr}"
        assert done.stdout or "--out" in words


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "python.md"], ids=lambda path: path.name)
def test_the_python_of_a_guide_runs(page: Path, desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_class_folders(desk / "birds", 10)
    for code in blocks(page, "python"):
        exec(compile(code, str(page), "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out
    made = ("why.jpg", "birds.onnx") if page.name == "python.md" else ()
    assert all((desk / name).stat().st_size > 0 for name in made)


def test_the_guides_have_code_to_run() -> None:
    assert sum(len(short_commands(page)) for page in PAGES) > 8
    assert all(blocks(page, "python") for page in PAGES if page.name in ("README.md", "python.md"))
