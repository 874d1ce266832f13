"""The modules that a photo passes from the command line to the printed ranking, as docs/architecture.md lists them."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

DOCUMENT = Path(__file__).parents[3] / "docs" / "architecture.md"
MAX_MODULES = 8


def listed() -> list[str]:
    rows = re.findall(r"^\| \d+ \| `([\w.]+)` \| `([\w.]+)` \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    return [".".join(row) for row in rows]


def calls(run: Callable[[], Any]) -> list[str]:
    """Functions of edgeclf in the order of their first call in this thread."""
    found: dict[str, None] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        name = f"{frame.f_globals.get('__name__', '')}.{frame.f_code.co_qualname}"
        if event == "call" and name.startswith("edgeclf."):
            found.setdefault(name)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(before)
    return list(found)


def test_a_photo_passes_these_functions(model: Path, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from edgeclf.cli.predict import predict

    steps = listed()
    assert 0 < len(steps) <= MAX_MODULES
    called = calls(lambda: predict([str(photo)], str(model)))
    passed = [name for name in called if name in steps]
    assert set(passed) == set(steps)
    # Photos are found lazily, after the classifier was called: the order is that of the table from there on.
    assert passed[-4:] == steps[-4:]
    assert capsys.readouterr().out.startswith(str(photo))
