"""Words of the command line as values: what newer typers would import pydantic for, said as typer 0.28 says it."""

import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import typer
from edgeclf.cli.typer_types import convert_without_pydantic
from helpers import ROOT
from packaging.requirements import Requirement


def coerced(
    kind: Any, value: Any, low: float | None = None, high: float | None = None, *, several: bool = False
) -> Any:
    """As typer 0.29 goes about it, whichever typer is installed."""
    of = SimpleNamespace(annotation=kind, parameter_info=SimpleNamespace(min=low, max=high))
    param = SimpleNamespace(
        type_descriptor=of, multiple=several, nargs=1, get_runtime_param=lambda: pytest.fail("typer's own is asked")
    )
    command = convert_without_pydantic(SimpleNamespace(params=[], get_params=lambda ctx: [param]))
    (found,) = command.get_params(None)
    return found.get_runtime_param().coerce(value, found, None)


@pytest.mark.parametrize(
    ("kind", "word", "value"),
    [
        (str, "ünï\udcff", "ünï\udcff"),
        (int, "007", 7),
        (float, "5e-1", 0.5),
        (Path, "a b", Path("a b")),
        (Literal["csv", "tensorboard"], "csv", "csv"),
        (bool, True, True),
        (int, None, None),
    ],
)
def test_words_become_values(kind: Any, word: Any, value: Any) -> None:
    assert coerced(kind, word) == value
    assert type(coerced(kind, word)) is type(value)


def test_lists() -> None:
    assert coerced(list[Path], ("a", "b"), several=True) == [Path("a"), Path("b")]
    assert coerced(list[str], None, several=True) == ()


@pytest.mark.parametrize(
    ("kind", "word", "low", "high", "says"),
    [
        (int, "many", None, None, "'many' is not a valid integer."),
        (int, "1.5", None, None, "'1.5' is not a valid integer."),
        (float, "1,5", None, None, "'1,5' is not a valid float."),
        (int, "0", 1, None, "0 is not in the range x>=1."),
        (float, "1.1", 0.0, 1.0, "1.1 is not in the range 0.0<=x<=1.0."),
        (float, "3", None, 2, "3.0 is not in the range x<=2."),
        (Literal["csv", "tensorboard"], "CSV", None, None, "'CSV' is not one of 'csv', 'tensorboard'."),
    ],
)
def test_words_that_make_no_value(kind: Any, word: str, low: float | None, high: float | None, says: str) -> None:
    with pytest.raises(typer.BadParameter) as caught:
        coerced(kind, word, low, high)
    assert caught.value.message == says


def test_dependencies_have_ranges_that_others_can_live_with() -> None:
    """A runtime dependency with an upper bound cannot be installed beside what needs a newer one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = [Requirement(line) for line in (*project["dependencies"], *extras["cpu"], *extras["gpu"], *extras["heic"])]
    for one in needed:
        assert [str(bound) for bound in one.specifier if bound.operator not in (">=", "!=")] == []
    (typers,) = (one.specifier for one in needed if one.name == "typer")
    assert {"0.26.0", "0.28.0", "0.29.1", "0.29.2"} == set(typers.filter(["0.26.0", "0.28.0", "0.29.1", "0.29.2"]))
