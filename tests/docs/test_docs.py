"""What the documents and --help say about the command line is what the command line does."""

import importlib
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from edgeclf.cli.app import _app, _plugins
from helpers import ROOT

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
SHELL = re.compile(r"```(?:sh|console|bash)\n(.*?)```", re.DOTALL)
FENCED = re.compile(r"```.*?```", re.DOTALL)
INLINE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
DOTTED = re.compile(r"\bedgeclf(?:_training|_export|_samples)?(?:\.[A-Za-z_]\w*)+")
# Options of other programs that documents name: pip's, systemd's, docker's.
FOREIGN = {
    "--no-index",
    "--find-links",
    "--platform",
    "--python-version",
    "--only-binary",
    "--no-deps",
    "--now",
    "--user",
    "--reload",
}


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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_linked_file_exists(document: Path) -> None:
    for target in LINK.findall(FENCED.sub("", document.read_text("utf-8"))):
        assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_module_named_in_the_documents_exists(document: Path) -> None:
    for dotted in DOTTED.findall(document.read_text("utf-8")):
        if not dotted.endswith((".commands", ".architectures", ".md", ".html", ".js", ".ts")):  # groups, files
            assert resolves(dotted), f"{document.name}: {dotted}"


def resolves(dotted: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    module, _, attribute = dotted.rpartition(".")
    try:
        importlib.import_module(dotted)
    except ModuleNotFoundError as error:
        if not dotted.startswith(str(error.name)):
            raise
        return bool(module) and "." in dotted and hasattr(importlib.import_module(module), attribute)
    return True


def test_the_test_sees_names_that_do_not_exist() -> None:
    assert DOTTED.findall("see `edgeclf.files.walk` and edgeclf_export.api.") == [
        "edgeclf.files.walk",
        "edgeclf_export.api",
    ]
    assert resolves("edgeclf.files.walk")
    assert resolves("edgeclf.classifier.Classifier")
    assert not resolves("edgeclf.classifier.Clasifier")
    assert LINK.findall("[a](b.md#c), [d](https://e.f), [g](#h)") == ["b.md"]


@pytest.mark.parametrize("document", [ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")], ids=lambda p: p.name)
def test_every_path_named_in_the_documents_exists(document: Path) -> None:
    for span in INLINE.findall(FENCED.sub("", document.read_text("utf-8"))):
        if re.fullmatch(r"(runtime|training|export|tests|tools|benchmarks)/[\w/.]+", span):
            assert (ROOT / span).exists(), f"{document.name}: {span}"


def test_the_folders_shown_in_the_architecture_are_those_that_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    shown: dict[str, set[str]] = {}
    for line in FENCED.findall(text)[0].splitlines():
        if found := re.match(r"((?:runtime|training|export)/\w+)/", line):
            package = found[1]
            shown[package] = set()
        elif found := re.match(r"  (\w+)/", line):
            shown[package].add(found[1])
    for package, rooms in shown.items():
        real = {path.parent.name for name in ("__init__.py", "*.html") for path in (ROOT / package).glob(f"*/{name}")}
        assert rooms == real, package
    assert len(shown) == 4


def test_the_reference_of_the_command_line_is_what_the_commands_say() -> None:
    """Mended by ``python tools/cli_reference.py``."""
    tool = runpy.run_path(str(ROOT / "tools" / "cli_reference.py"))
    assert tool["PAGE"].read_text("utf-8") == tool["page"]()


def test_the_reference_of_the_command_line_has_every_option_that_is_not_hidden() -> None:
    page = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
    sections = dict(re.findall(r"^## edgeclf ([a-z -]+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    seen = 0
    for command in all_commands():
        for section in (text for name, text in sections.items() if name.split()[-1] == command.name):
            shown = [param for param in command.params if not getattr(param, "hidden", False)]
            for name in {name for param in shown for name in param.opts if name.startswith("--")}:
                assert re.search(rf"`{name}[ `]", section), f"{command.name} {name}"
                seen += 1
    assert seen > 80, "the test sees none"


def test_public_names_in_the_reference_have_docstrings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import griffe

    tool = runpy.run_path(str(ROOT / "tools" / "docstrings.py"))
    assert tool["main"]() == 0
    (tmp_path / "bare.py").write_text(
        '"""A module."""\nclass A:\n    """A."""\n    def b(self): ...\n    def _c(self): ...\n'
    )
    assert list(tool["undocumented"](griffe.load("bare", search_paths=[tmp_path]))) == ["bare.A.b"]


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
