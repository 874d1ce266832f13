"""The command line as the tests call it: in this process, or in a child where only that will do."""

import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

Done = subprocess.CompletedProcess[str]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def in_child(*arguments: object, stdin: bytes = b"", **environment: str) -> Done:
    """``edgeclf ARGUMENTS`` in a process of its own: what a user meets, start and end of Python included."""
    done = subprocess.run(
        [sys.executable, "-m", "edgeclf", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        env={**os.environ, "PYTHONUTF8": "1", **environment},
        timeout=300,
    )
    return Done(done.args, done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace"))


def in_process(*arguments: object, stdin: bytes = b"", **environment: str) -> Done:
    """The same command without the start of a process, which is most of what a short one costs.

    Streams are real files, so that their encoding, their number and their flushing are those of a shell's redirection.
    An exception that a child would show as a traceback passes through to the test.
    """
    from edgeclf.cli.app import run

    words = ["edgeclf", *map(str, arguments)]
    with _streams(stdin) as (out, err), _left_as_it_was(), patch.dict(os.environ, environment):
        with patch.object(sys, "argv", words):
            try:
                run()
            except SystemExit as end:
                code = end.code
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for file in (out, err):
            file.seek(0)
        texts = out.read().decode(), err.read().decode(errors="replace")
    return Done(words, code if isinstance(code, int) else int(code is not None), *texts)


@contextmanager
def _streams(stdin: bytes) -> Iterator[tuple[tempfile._TemporaryFileWrapper, tempfile._TemporaryFileWrapper]]:
    """Standard input from bytes; standard output and standard error into files, which are given."""
    with ExitStack() as stack:
        given, out, err = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        given.write(stdin)
        given.seek(0)
        for name, file, mode in (("stdin", given, "r"), ("stdout", out, "w"), ("stderr", err, "w")):
            text = stack.enter_context(open(os.dup(file.fileno()), mode, encoding="utf-8"))
            stack.enter_context(patch.object(sys, name, text))
        yield out, err


@contextmanager
def _left_as_it_was() -> Iterator[None]:
    """Signal handlers, warning filters and the environment are put back: what ends with a process in real use."""
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        with warnings.catch_warnings(), patch.dict(os.environ):
            yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
