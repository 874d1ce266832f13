"""Messages for arguments that the parser refuses: one line, like every other error."""

import os
import shlex
from typing import Any

import typer

from edgeclf.errors import UsageError

# The parser's own UsageError, which typer does not export: base of BadParameter and of all its other errors.
ParserError: Any = typer.BadParameter.__base__


def wants_help(error: Any) -> bool:
    """Whether the parser raised this to show the help of a command that was called without arguments."""
    return type(error).__name__ == "NoArgsIsHelpError"


def in_one_line(error: Any, command: str) -> UsageError:
    """The parser's error as a ``UsageError`` of one line.

    Args:
        error: a ``ParserError``.
        command: the command, such as "predict", for errors that do not name it.
    """
    path = error.ctx.command_path if error.ctx else f"edgeclf {command}".strip()
    close = getattr(error, "possibilities", None) or ()  # options with a similar name
    text = (error.message if close else error.format_message()).rstrip(".")
    where = path.removeprefix("edgeclf").strip()
    return UsageError(
        f"{where}: {text[:1].lower()}{text[1:]}" if where else f"{text[:1].lower()}{text[1:]}",
        (f"did you mean {' or '.join(sorted(close))}; " if close else "") + f"see `{path} --help`",
    )


def no_such_command(name: str, known: list[str]) -> UsageError:
    """The error for a command that does not exist."""
    import difflib

    close = difflib.get_close_matches(name, known, 2)
    hint = f"did you mean {' or '.join(close)}; " if close else ""
    if os.path.exists(name):
        hint = f"did you mean `edgeclf predict {shlex.quote(name)}`; "
    return UsageError(f"no such command: {name}", f"{hint}see `edgeclf --help`")
