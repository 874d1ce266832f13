"""The workflows call targets that the Makefile has, on the Python versions that the package says it takes."""

import re
import tomllib

import pytest
from helpers import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_make_target_in_a_workflow_exists(workflow) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    called = re.findall(r"run: make ([a-z-]+)", workflow.read_text("utf-8"))
    assert called
    assert set(called) <= targets


def test_the_matrix_begins_with_the_oldest_python_that_the_package_takes() -> None:
    text = (ROOT / ".github" / "workflows" / "checks.yml").read_text("utf-8")
    found = re.search(r"python: \[(.*)\]", text)
    assert found
    versions = re.findall(r"3\.\d+", found[1])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["requires-python"] == f">={versions[0]}"
    assert versions == [f"3.{minor}" for minor in range(11, 11 + len(versions))]
    assert len(versions) >= 4


def test_only_the_job_that_publishes_may_have_an_identity() -> None:
    text = "\n".join(path.read_text("utf-8") for path in WORKFLOWS)
    assert text.count("id-token: write") == 1
    assert "secrets." not in text


def test_the_citation_names_the_version_of_the_package() -> None:
    from edgeclf import __version__

    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
