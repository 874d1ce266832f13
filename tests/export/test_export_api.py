"""The names of the package: all are there, cost nothing until used, and do what the docstring shows."""

import doctest
import inspect
import subprocess
import sys

import edgeclf_export
import pytest


def test_the_example_of_the_package_runs() -> None:
    result = doctest.testmod(edgeclf_export)
    assert result.attempted > 5
    assert result.failed == 0


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, edgeclf_export; print(sorted({'torch', 'onnx', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", edgeclf_export.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    found = getattr(edgeclf_export, name)
    assert name in dir(edgeclf_export)
    assert inspect.getdoc(found)
    if inspect.isfunction(found) and name != "draft_manifest":
        assert "Returns:" in found.__doc__
        assert "Raises:" in found.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'export_all'"):
        edgeclf_export.export_all  # noqa: B018
