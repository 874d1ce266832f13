"""Writes docs/reference/cli.md from the commands themselves. ``--check`` only says whether it is up to date.

usage: python tools/cli_reference.py [--check]
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from edgeclf.cli.app import EPILOG, _app

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"
_HEAD = (
    "# Command line\n\n"
    "Written by `python tools/cli_reference.py` from the help of the commands, which `--help` prints, too.\n"
)


def commands() -> Iterator[tuple[str, Any]]:
    """Name ("data check") and command, in the order of ``edgeclf --help``; groups give their commands."""
    root: Any = typer.main.get_command(_app)
    context = root.make_context("edgeclf", [], resilient_parsing=True)
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, command
        else:
            yield from ((f"{name} {child}", each) for child, each in inner.items())


def page() -> str:
    """The whole page, as Markdown."""
    sections = [_section(name, command) for name, command in commands()]
    ends = EPILOG.removeprefix("Exit codes: ").rstrip(".")
    codes = re.findall(r"(?:^|, )(\d+) (.*?)(?=,\s+\d+ |$)", ends)
    rows = "".join(f"| {code} | {_cell(meaning)} |\n" for code, meaning in codes)
    return "\n".join([_HEAD, *sections, f"## Exit codes\n\n| code | meaning |\n|---|---|\n{rows}"])


def _section(name: str, command: Any) -> str:
    shown = [param for param in command.params if not getattr(param, "hidden", False)]
    arguments = [param for param in shown if param.param_type_name == "argument"]
    options = [param for param in shown if param.param_type_name == "option"]
    usage = " ".join(["edgeclf", name, *(_metavar(param) for param in arguments), "[OPTIONS]"])
    parts = [f"## edgeclf {name}\n", f"```\n{usage}\n```\n", _prose(command.help or "")]
    if arguments:
        rows = "".join(f"| `{_cell(_metavar(param))}` | {_cell(_help(param))} |\n" for param in arguments)
        parts.append(f"| argument | |\n|---|---|\n{rows}")
    if options:
        rows = "".join(f"| {_names(param)} | {_cell(_help(param))} |\n" for param in options)
        parts.append(f"| option | |\n|---|---|\n{rows}")
    return "\n".join(parts)


def _prose(text: str) -> str:
    r"""Paragraphs as Markdown; those behind a line of ``\b`` are examples or tables, shown as they are."""
    parts = []
    for paragraph in text.strip().split("\n\n"):
        if paragraph.startswith("\b\n"):
            lines = paragraph.removeprefix("\b\n")
            kind = "sh" if re.match(r"(curl .*)?edgeclf ", lines) else "text"
            parts.append(f"```{kind}\n{lines}\n```\n")
        else:
            parts.append(_outside_code(" ".join(paragraph.split())) + "\n")
    return "\n".join(parts)


def _metavar(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _names(param: Any) -> str:
    value = f" {param.metavar}" if param.metavar else ""
    on, off = (", ".join(f"`{name}`" for name in names) for names in (param.opts, param.secondary_opts))
    named = f"{on[:-1]}{_cell(value)}`" if value else on
    return f"{named} / {off}" if off else named


def _help(param: Any) -> str:
    text = _outside_code(" ".join((param.help or "").split()))
    default = param.default
    stated = re.search(r"\bdefault\b", text, re.IGNORECASE) is not None
    if param.required:
        text += " Required."
    elif not stated and not callable(default) and default not in (None, False, True, (), []):
        text += f" Default: `{default}`."
    return text.strip()


def _outside_code(text: str) -> str:
    """Text in which only `code` is Markdown, options made code: no emphasis by asterisks and underscores, no tags."""
    pieces = re.split(r"(`[^`]*`|(?<![\w-])--[a-z][a-z0-9-]*)", text)
    return "".join(_piece(piece) for piece in pieces)


def _piece(piece: str) -> str:
    if piece.startswith("`"):
        return piece
    return f"`{piece}`" if piece.startswith("--") else re.sub(r"([\\*_<>\[\]])", r"\\\1", piece)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """0 if the page is written or up to date, 1 if ``--check`` finds that it is not."""
    wanted = page()
    if "--check" not in sys.argv[1:]:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(wanted, "utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text("utf-8") == wanted:
        return 0
    print(f"{PAGE} differs from the commands' help: run python tools/cli_reference.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
