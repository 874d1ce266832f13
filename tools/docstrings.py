"""Names public functions, classes and methods without a docstring in the modules that docs/reference shows.

usage: python tools/docstrings.py        ends with 1 if one has none
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).parents[1]
_PACKAGES = [ROOT / folder for folder in ("runtime", "training", "export")]


def referenced() -> list[str]:
    """What the reference pages show: dotted names of modules, classes or functions."""
    pages = sorted((ROOT / "docs" / "reference").glob("*.md"))
    return [name for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text("utf-8"), re.MULTILINE)]


def undocumented(shown: Any) -> Iterator[str]:
    """Dotted names of public functions, classes and methods without a docstring, the object itself included."""
    if shown.docstring is None:
        yield shown.path
    for name, member in shown.members.items():
        if name.startswith("_") or member.is_alias or not (member.is_function or member.is_class):
            continue
        yield from undocumented(member)


def main() -> int:
    """0 if everything has a docstring, else 1 and a line for each on stderr."""
    loader = griffe.GriffeLoader(search_paths=_PACKAGES)
    names = referenced()
    packages = {name: loader.load(name) for name in {name.split(".")[0] for name in names}}
    missing = 0
    for name in names:
        package = packages[name.split(".")[0]]
        shown = package[name.partition(".")[2]] if "." in name else package
        for path in undocumented(shown):
            print(f"no docstring: {path}", file=sys.stderr)
            missing += 1
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
