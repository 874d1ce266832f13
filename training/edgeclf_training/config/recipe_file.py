"""Recipes: TOML files whose keys are the fields of ``TrainOptions``. The folder ``recipes`` holds edgeclf's own."""

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from edgeclf.errors import UsageError

from edgeclf_training.config.options import CLASS_CHANGES, MACHINE, RENAMED, TrainOptions, with_values
from edgeclf_training.dataset.text_files import decoded

_SHIPPED = Path(__file__).parent / "recipes"
START = "from"  # the only key that is not a field of TrainOptions; same meaning as --from


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
        The options, and the folder of the run to start from (as with ``--from``), or None.

    Raises:
        UsageError: no such recipe, not TOML, an unknown key (the message names the nearest one), or an invalid value.
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
    """Refuse unknown keys.

    Raises:
        UsageError: a key is unknown; the message names the nearest known one.
    """
    known = [*(f.name for f in fields(TrainOptions)), START]
    for key in values:
        if key not in known and key not in RENAMED:
            raise UsageError(f"{where}: unknown key {key!r}", _nearest(key, [*known, *RENAMED]))


def write_recipe(
    options: TrainOptions,
    path: Path,
    start: Path | None = None,
    quarantined: int = 0,
    labels: Path | None = None,
) -> None:
    """Write options as a recipe that repeats this training; the options in ``MACHINE`` are left out.

    Args:
        options: resolved.
        path: of the file to write.
        start: folder of the run that this run started from (``--from``), or None.
        quarantined: number of photos that a quarantine list left out; above 0, a comment in the recipe says that the
            list must be given again.
        labels: the table that the labels came from, or None; a comment says that it must be given again.
    """
    lines = ["# The resolved recipe of this run: `edgeclf train DATA --recipe recipe.toml` repeats the training.\n"]
    if quarantined:
        photos = "1 photo" if quarantined == 1 else f"{quarantined} photos"
        lines.append(
            f"# A quarantine list left out {photos}, see split/skipped.txt: give it again with --quarantine.\n"
        )
    if labels is not None:
        lines.append(f"# The labels came from a table: give it again with --labels {_toml(str(labels))}.\n")
    if start is not None:
        lines.append(
            "# Starts from the network of this run; if its folder was moved, give the new folder with --from.\n"
        )
        lines.append(f"{START} = {_toml(str(start))}\n")
    for f in fields(options):
        value = getattr(options, f.name)
        unused = (f.name in CLASS_CHANGES and not value) or (f.name == "earlier_photos" and not start)
        if f.name not in MACHINE and value is not None and not unused and not (start and f.name == "weights"):
            lines.append(f"{f.name} = {_toml(value)}\n")
    from edgeclf.files.atomic_write import write_atomically  # imported late: --help must not import Pillow

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
