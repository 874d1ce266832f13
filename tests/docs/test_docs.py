"""What the documents and --help say about the command line is what the command line does."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from edgeclf.cli.app import _app, _plugins
from helpers import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHELL = re.compile(r"```(?:sh|console|bash)\n(.*?)```", re.DOTALL)
FENCED = re.compile(r"```.*?```", re.DOTALL)
INLINE = re.compile(r"`([^`]+)`")
# Options of other programs that documents name: pip's, systemd's, docker's.
FOREIGN = {"--no-index", "--find-links", "--platform", "--only-binary", "--no-deps", "--now", "--user", "--reload"}


def root() -> tuple[Any, Any]:
    """The command line's parser and a context to ask it in."""
    group: Any = typer.main.get_command(_app)
    return group, group.make_context("edgeclf", [], resilient_parsing=True)


def find_command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that a line calls, groups descended into, and the words after its name."""
    command, context = root()
    while hasattr(command, "get_command"):
        names = [word for word in words if not word.startswith("-")]
        assert names, f"no command in {words}"
        found = command.get_command(context, names[0])
        assert found is not None, f"no command {names[0]!r}"
        words = words[words.index(names[0]) + 1 :]
        command, context = found, found.make_context(names[0], [], resilient_parsing=True)
    return command, words


def options_of(command: Any) -> set[str]:
    names = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    return {"--help", "--debug", "--version", *(name for name in names if name.startswith("-"))}


def all_commands() -> Iterator[Any]:
    group, context = root()
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield command
        inner = getattr(command, "commands", {})
        yield from inner.values()


def command_lines(text: str) -> Iterator[list[str]]:
    """The words of every `edgeclf ...` in a document, as the shell would give them, up to a pipe or a redirection."""
    blocks = "\n".join(SHELL.findall(text)).replace("\\\n", " ")
    spans = [span.replace("\n", " ") for span in INLINE.findall(FENCED.sub("", text))]
    for line in (*blocks.splitlines(), *spans):
        if (found := re.search(r"(?:^|[ /;])edgeclf (.+)", line)) is None or line.lstrip().startswith(
            ("pip", "sudo", "#")
        ):
            continue
        lexer = shlex.shlex(found[1], posix=True, punctuation_chars="|<>;&")
        lexer.whitespace_split, lexer.commenters = True, "#"
        words = []
        for word in lexer:
            if set(word) <= set("|<>;&"):
                break
            words.append(word)
        if words and words[0] != "...":
            yield words


def test_the_test_sees_lines_and_wrong_ones_among_them() -> None:
    text = "Use `edgeclf info\nMODEL` and\n```sh\nA=1 edgeclf predict a.jpg \\\n  --top-k 3 | head  # why\n```\n"
    assert list(command_lines(text)) == [["predict", "a.jpg", "--top-k", "3"], ["info", "MODEL"]]
    with pytest.raises(AssertionError, match="no command"):
        find_command(["classify", "a.jpg"])
    command, words = find_command(["data", "check", "photos/", "--jsn"])
    assert (command.name, words, "--jsn" in options_of(command)) == ("check", ["photos/", "--jsn"], False)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_line_in_the_documents_exists(document: Path) -> None:
    for words in command_lines(document.read_text("utf-8")):
        command, rest = find_command(words) if not words[0].startswith("-") else (root()[0], words)
        flags = {word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        assert flags <= options_of(command), f"{document.name}: edgeclf {' '.join(words)}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_option_named_in_the_documents_exists(document: Path) -> None:
    known = set().union(*map(options_of, all_commands())) | FOREIGN
    prose = FENCED.sub("", document.read_text("utf-8"))
    for span in INLINE.findall(prose):
        if re.match(r"(\.venv/bin/)?(pip|python|yolo|make|torchrun|docker|systemctl|journalctl)\b", span):
            continue
        for word in span.split():
            if re.fullmatch(r"--[a-z][a-z0-9-]*", word):
                assert word in known, f"{document.name}: {span}"


def test_readme_mentions_every_command() -> None:
    group, context = root()
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in group.list_commands(context):
        assert re.search(rf"edgeclf {name}\b", readme), name
    assert _plugins().keys() <= set(group.list_commands(context))


def test_examples_in_the_help_exist() -> None:
    group, _ = root()
    for command in (group, *all_commands()):
        lines = [line.strip() for line in (command.help or "").splitlines() if "edgeclf " in line]
        examples = "\n".join(line for line in lines if re.match(r"(curl .*)?edgeclf ", line))
        for words in command_lines(f"```sh\n{examples}\n```"):
            called, rest = find_command(words)
            assert {word for word in rest if re.match(r"--?[a-z]", word)} <= options_of(called), words


def test_defaults_quoted_in_the_help_are_the_real_ones() -> None:
    """``train`` gives None for what the recipe says; there the recipe's own defaults count."""
    from edgeclf_training.config.options import TrainOptions

    recipe, quoted = TrainOptions(), 0
    for command in all_commands():
        for param in command.params:
            real = getattr(recipe, param.name, None) if command.name == "train" else param.default
            found = re.search(r"[Dd]efault: ([^\s;,]+?)[.;,]?(\s|$)", getattr(param, "help", None) or "")
            if found is None or real is None:
                continue
            quoted += 1
            told = str(real).lower() if isinstance(real, bool) else str(real)
            assert found[1] == told, f"{command.name} {param.opts}: {param.help}"
    assert quoted > 15, "the test sees none"


def test_exit_codes_are_documented() -> None:
    from edgeclf import errors
    from edgeclf.cli.app import EPILOG

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.EdgeclfError)]
    for code in {kind.exit_code for kind in kinds}:
        assert re.search(rf"\b{code} ", EPILOG), code
