"""The names of the package: all are there, cost nothing until used, and do what the docstrings show."""

import asyncio
import doctest
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import edgeclf_training
import pytest
from edgeclf_training import networks
from warm_processes import run_script, warm_process

# No main guard: a loader process that ran this script once more would start processes of its own.
SCRIPT = """
import multiprocessing, sys
multiprocessing.set_start_method("spawn", force=True)
print("begun", flush=True)
from edgeclf_training import TrainOptions, train
options = TrainOptions(arch="cnn4", epochs=1, image_size=64, batch_size=8, workers=1)
print(train(sys.argv[1], sys.argv[2], options, report=False).best_epoch)
"""
FROM_A_PIPE = """
import multiprocessing
multiprocessing.set_start_method("spawn")
print("begun", flush=True)
from edgeclf_training.loading.loader_processes import BatchLoader
from torch import arange
from torch.utils.data import TensorDataset
print([labels.tolist() for _, labels in BatchLoader(TensorDataset(arange(4), arange(4)), 2, 1)])
"""


@pytest.fixture(autouse=True)
def fresh_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks.registry, "_registered", {})


def test_the_example_of_the_package_runs() -> None:
    result = doctest.testmod(edgeclf_training)
    assert result.attempted > 15
    assert result.failed == 0


def test_the_examples_of_the_registry_run() -> None:
    result = doctest.testmod(import_module("edgeclf_training.networks.registry"))
    assert result.attempted >= 5
    assert result.failed == 0


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = "sorted({'torch', 'numpy', 'matplotlib'} & set(sys.modules))"
    code = f"import sys, edgeclf_training; edgeclf_training.TrainOptions; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", edgeclf_training.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    found = getattr(edgeclf_training, name)
    assert name in dir(edgeclf_training)
    assert inspect.getdoc(found)
    if inspect.isfunction(found):
        assert "Returns:" in found.__doc__ or name == "register_architecture"
        assert "Raises:" in found.__doc__ or name == "architecture_names"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'train_all'"):
        edgeclf_training.train_all  # noqa: B018


def test_a_script_without_a_main_guard_trains_with_loaders_under_spawn(class_folders: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    output = tmp_path / "output"
    output.touch()
    process = warm_process(run_script, output, script, class_folders, tmp_path / "run")
    process.join(300)
    assert (process.exitcode, output.read_text()) == (0, "begun\n1\n")


def test_a_script_from_standard_input_has_loaders_under_spawn() -> None:
    done = subprocess.run([sys.executable, "-"], input=FROM_A_PIPE, capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == ("begun\n[[0, 1], [2, 3]]\n", "")


def test_training_works_where_an_event_loop_runs_as_in_a_notebook(class_folders: Path, tmp_path: Path) -> None:
    """Emulated: cells share one namespace without a file, and run inside an event loop, as ipykernel runs them."""
    cells = [
        "from edgeclf_training import TrainOptions, load_run, train",
        "options = TrainOptions(arch='cnn4', epochs=1, image_size=64, batch_size=8, workers=2)",
        f"run = train({str(class_folders)!r}, {str(tmp_path / 'run')!r}, options, report=False)",
        "again = load_run(run.folder)",
    ]
    namespace: dict[str, object] = {"__name__": "__main__"}

    async def kernel() -> None:
        for cell in cells:
            exec(cell, namespace)

    asyncio.run(kernel())
    assert namespace["again"].metrics == namespace["run"].metrics  # type: ignore[attr-defined]
