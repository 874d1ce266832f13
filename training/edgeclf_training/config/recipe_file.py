"""Recipes: TOML files whose keys are the fields of ``TrainOptions``. Those in ``recipes`` come with edgeclf."""

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from edgeclf.errors import UsageError

from edgeclf_training.config.options import MACHINE, RENAMED, TrainOptions, with_values
from edgeclf_training.dataset.text_files import decoded

_SHIPPED = Path(__file__).parent / "recipes"
START = "from"  # the one key that is no field: what --from says


def recipe_names() -> tuple[str, ...]:
    """The recipes that come with edgeclf."""
    return tuple(sorted(path.stem for path in _SHIPPED.glob("*.toml")))


def read_recipe(name: str) -> TrainOptions:
    """Read the options of a recipe.

    Args:
        name: one of ``recipe_names()``, or the path of a TOML file.

    Returns:
        The options; keys that the recipe leaves out keep their defaults.

    Raises:
        UsageError: as ``recipe_and_start``.
    """
    return recipe_and_start(name)[0]


def recipe_and_start(name: str) -> tuple[TrainOptions, Path | None]:
    """Read a recipe by its name, or from a file.

    Args:
        name: one of ``recipe_names()``, or the path of a TOML file. Keys that it leaves out keep their defaults.

    Returns:
        The options, and the run that the recipe goes on from, as ``--from`` would; None if it begins anew.

    Raises:
        UsageError: no such recipe, not TOML, an unknown key (the nearest one is named), or a value that makes no sense.
    """
    path = _SHIPPED / f"{name}.toml" if name in recipe_names() else Path(name)
    try:
        values = tomllib.loads(decoded(path.read_bytes()).replace("\r\n", "\n"))
    except FileNotFoundError:
        raise UsageError(
            f"--recipe {name}: neither a recipe of that name nor a file", _nearest(name, recipe_names())
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"--recipe {name}: cannot be read ({error})", "give a TOML file") from error
    check_keys(values, str(path))
    start = values.pop(START, None)
    if start is not None and (not isinstance(start, str) or not start):
        raise UsageError(f"{path}: {START} {start!r}: give the folder of a run, in quotes")
    return with_values(TrainOptions(), values, str(path)), Path(start) if start else None


def check_keys(values: Mapping[str, Any], where: str) -> None:
    """Refuse unknown keys and name the nearest known one.

    Raises:
        UsageError: there is one.
    """
    known = [*(f.name for f in fields(TrainOptions)), START]
    for key in values:
        if key not in known and key not in RENAMED:
            raise UsageError(f"{where}: unknown key {key!r}", _nearest(key, [*known, *RENAMED]))


def write_recipe(options: TrainOptions, path: Path, start: Path | None = None, quarantined: int = 0) -> None:
    """Write options as a recipe that gives the same training anywhere: all but what belongs to the machine.

    Args:
        options: resolved.
        path: of the file.
        start: the run that was gone on from.
        quarantined: photos that a quarantine list left out; the recipe says that the list must be given again.
    """
    lines = ["# The resolved recipe of this run: `edgeclf train DATA --recipe recipe.toml` trains likewise.\n"]
    if quarantined:
        photos = "1 photo" if quarantined == 1 else f"{quarantined} photos"
        lines.append(
            f"# A quarantine list left out {photos}, see split/skipped.txt: give it again with --quarantine.\n"
        )
    if start is not None:
        lines.append("# Network and weights are those of this run; if it was moved, give it with --from.\n")
        lines.append(f"{START} = {_toml(str(start))}\n")
    for f in fields(options):
        value = getattr(options, f.name)
        if f.name not in MACHINE and value is not None and not (start and f.name == "weights"):
            lines.append(f"{f.name} = {_toml(value)}\n")
    from edgeclf.files.atomic_write import write_atomically  # not needed to list the flags: --help loads no Pillow

    write_atomically(path, lambda file: file.write("".join(lines).encode("utf-8", "surrogateescape")))


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML forbids a plain DEL
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return repr(value)


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, known, 1, 0.5)
    if close:
        return f"did you mean {RENAMED.get(close[0], close[0])}?"
    return f"choose from {', '.join(each for each in known if each not in RENAMED)}"
