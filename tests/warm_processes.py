"""Child processes that have training imported already: the import is most of what a short training costs.

A signal then meets the training rather than an import, too.
"""

import multiprocessing
import os
import runpy
import sys
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

_IMPORTED = ["edgeclf_training.fit.train", "matplotlib.figure"]


def warm_process(target: Any, *arguments: object) -> Any:
    """A started process that runs the function so."""
    context = multiprocessing.get_context("forkserver")
    server: Any = forkserver._forkserver  # type: ignore[attr-defined]
    if server._preload_modules != _IMPORTED:
        server._stop()  # another test may have started it without
        context.set_forkserver_preload(_IMPORTED)
    process = context.Process(target=target, args=arguments)
    process.start()
    return process


def run_command(errors: Path, *words: object) -> None:
    """For a process: ``python -m edgeclf WORDS``, its standard error into a file or a FIFO that is there."""
    _redirect(errors)
    from edgeclf import __main__ as command

    sys.modules["__main__"] = command  # Lightning starts that once more for each further device
    sys.argv = ["edgeclf", *map(str, words)]
    command.main()


def run_script(output: Path, script: Path, *words: object) -> None:
    """For a process: ``python SCRIPT WORDS``, both its streams into a file that is there."""
    _redirect(output)
    os.dup2(2, 1)
    sys.argv = [str(script), *map(str, words)]
    runpy.run_path(str(script), run_name="__main__")


def _redirect(errors: Path) -> None:
    os.dup2(os.open(errors, os.O_WRONLY), 2)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8")
