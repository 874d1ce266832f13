"""What gets imported when: a command-line call must not pay for training, export or pretty printing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import edgeclf
import pytest
from helpers import OLD_MODELS

HEAVY = ["torch", "torchvision", "cv2", "scipy", "matplotlib", "rich", "pydantic", "albumentations", "onnx", "pandas"]

# Runs the command line, then says on the last line of stdout what was imported and how it ended.
PROBE = """
import json, sys
from edgeclf.cli.app import run
code = 0
try:
    run()
except SystemExit as end:
    code = end.code or 0
finally:
    print()
    print(json.dumps([code, sorted({name.split(".")[0] for name in sys.modules})]))
"""


def child(code: str, *arguments: object) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    ending, modules = json.loads(done.stdout.splitlines()[-1])
    return ending, modules


def test_the_probe_can_see_heavy_modules() -> None:
    """Else the tests below could not fail."""
    _, modules = child(PROBE.replace("import json", "import onnx, json", 1), "--version")
    assert "onnx" in modules


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["predict", "--help"], 0),
        (["predict", "PHOTO"], 0),
        (["predict", "PHOTO", "--cam", "FOLDER"], 0),
        (["predict", "PHOTO", "--out", "RECORDS"], 0),
        (["watch", "--help"], 0),
        (["watch", "CLASS_FOLDERS", "--out", "RECORDS", "-m", "MODEL", "--once", "--settle", "0"], 0),
        (["info"], 0),
        (["evaluate", "--help"], 0),
        (["evaluate", "MODEL", "CLASS_FOLDERS"], 0),
        (["compare", "--help"], 0),
        (["compare", "MODEL", "MODEL", "PHOTO"], 0),
        (["predict"], 2),
        (["predict", "PHOTO", "--nonsense"], 2),
        (["predict", "missing.jpg"], 1),
        (["predict", "PHOTO", "-m", "missing.onnx"], 3),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_command_line_loads_nothing_heavy(
    arguments: list[str], code: int, photo: Path, class_folders: Path, tmp_path: Path
) -> None:
    model = OLD_MODELS / "schema2.onnx"
    places = {
        "PHOTO": photo,
        "RECORDS": tmp_path / "answers.csv",
        "FOLDER": tmp_path / "why",
        "CLASS_FOLDERS": class_folders,
        "MODEL": model,
    }
    given = [str(places.get(word, word)) for word in arguments]
    ended, modules = child(PROBE, *given)
    assert ended == code
    assert [name for name in HEAVY if name in modules] == []


def test_usage_errors_and_help_do_not_load_the_network_runtime() -> None:
    for arguments in (["--help"], ["predict"], ["predict", "--help"], ["watch", "--help"], ["compare", "--help"]):
        _, modules = child(PROBE, *arguments)
        assert not {"numpy", "onnxruntime", "PIL"} & set(modules)
        assert "logging" not in modules or arguments == ["--help"]  # which lists training's commands, too


def test_bare_import_costs_next_to_nothing() -> None:
    _, modules = child("import json, sys, edgeclf; print(json.dumps([0, sorted(sys.modules)]))")
    assert "edgeclf" in modules
    assert not {"numpy", "onnxruntime", "PIL", "typer", "edgeclf.classifier"} & set(modules)


def test_every_public_name_resolves_and_nothing_else_does() -> None:
    assert set(edgeclf.__all__) == {*edgeclf._HOME, "__version__"}
    assert edgeclf.__all__ == sorted(edgeclf.__all__)
    for name in edgeclf._HOME:
        value = getattr(edgeclf, name)
        assert value.__name__ == name
        assert value.__module__ == f"edgeclf.{edgeclf._HOME[name]}"
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        edgeclf.Nonsense  # noqa: B018
