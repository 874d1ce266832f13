"""Several ES modules as one script, for a page in one file: browsers load no module from a disk or an e-mail.

It understands what the page's modules use: static imports of names, `await import("./name.js")`, and exports of
functions, classes and constants at the start of a line. Anything else is an error, when the page is made.
"""

import re
from collections.abc import Mapping

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w.-]+)";$', re.MULTILINE)
_DYNAMIC = re.compile(r'\bawait import\("\./([\w.-]+)"\)')
_EXPORT = re.compile(r"^export ((?:async )?function\*?|class|const) (\w+)", re.MULTILINE)
_LEFT = re.compile(r"^\s*(?:import\b\s*[\w{*\"']|export\b).*", re.MULTILINE)
_RENAMED = re.compile(r"(\w+) as (\w+)")


def bundle(modules: Mapping[str, str], entry: str) -> str:
    """Put a module and all modules that it imports into one module.

    Args:
        modules: name -> text.
        entry: name of the first module. What it exports is dropped.

    Returns:
        A module without static imports. An ``await import`` of what is not among ``modules`` stays as it is.

    Raises:
        ValueError: a module that is imported is missing, two import each other, or one has a form that is not
            understood.
    """
    order: list[str] = []
    _visit(entry, modules, order, ())
    parts = [_wrapped(name, modules[name], modules) for name in order[:-1]]
    return "\n".join((*parts, _joined(entry, modules[entry], modules)))  # may await, as the others must not


def _visit(name: str, modules: Mapping[str, str], order: list[str], above: tuple[str, ...]) -> None:
    """Append a module to the order, after those that it imports."""
    if name in above:
        raise ValueError(f"{name} is imported by what it imports: {' > '.join((*above, name))}")
    if name in order:
        return
    if name not in modules:
        raise ValueError(f"{above[-1] if above else 'the page'} imports {name}, which is missing")
    text = modules[name]
    wanted = [found[2] for found in _IMPORT.finditer(text)]
    wanted += [found[1] for found in _DYNAMIC.finditer(text) if found[1] in modules]
    for other in wanted:
        _visit(other, modules, order, (*above, name))
    order.append(name)


def _wrapped(name: str, text: str, modules: Mapping[str, str]) -> str:
    """A module as a constant: an object of what it exports."""
    exports = ", ".join(found[2] for found in _EXPORT.finditer(text))
    return f"const {_constant(name)} = (() => {{\n{_joined(name, text, modules)}\nreturn {{ {exports} }};\n}})();"


def _joined(name: str, text: str, modules: Mapping[str, str]) -> str:
    """The text of a module, which takes what it imports from constants."""
    text = _IMPORT.sub(_taken, text)
    text = _DYNAMIC.sub(lambda found: _constant(found[1]) if found[1] in modules else found[0], text)
    text = _EXPORT.sub(r"\1 \2", text)
    if left := _LEFT.search(text):
        raise ValueError(f"{name}: cannot be put into one file: {left[0].strip()}")
    return text


def _taken(found: re.Match[str]) -> str:
    names = _RENAMED.sub(r"\1: \2", found[1])
    return f"const {{{names}}} = {_constant(found[2])};"


def _constant(name: str) -> str:
    return "$" + re.sub(r"\W", "_", name.removesuffix(".js"))
