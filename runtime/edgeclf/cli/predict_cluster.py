"""``--ray``: its optional address, and ``edgeclf predict`` into a folder of answer files."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from edgeclf.cli.console import Console
from edgeclf.cli.extras import require
from edgeclf.errors import PhotoError, UsageError

if TYPE_CHECKING:
    from edgeclf.cluster import Counts

LOCAL = "local"
_ONE_SLASH = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):/(?!/)")  # pathlib makes one of the two slashes of s3://


def with_address(arguments: Sequence[str]) -> list[str]:
    """Arguments of a command where a --ray without an address has one: this machine.

    What follows it is an address if it is local, auto or HOST:PORT.
    """
    found: list[str] = []
    for place, word in enumerate(arguments):
        found.append(word)
        if word == "--":
            return [*found, *arguments[place + 1 :]]
        if word == "--ray" and not _is_address(arguments[place + 1] if place + 1 < len(arguments) else ""):
            found.append(LOCAL)
    return found


def _is_address(word: str) -> bool:
    host, _, port = word.rpartition(":")
    return word in (LOCAL, "auto") or bool(host and port.isdecimal())


def refuse(options: Mapping[str, Any]) -> None:
    """Refuse options that do not work on a cluster, if they are given.

    Raises:
        UsageError: one is.
    """
    for name, value in options.items():
        if value not in (None, False):
            raise UsageError(f"{name}: does not work with --ray", f"leave out {name} or --ray")


def predict_on_cluster(
    photos: Sequence[str],
    model: str | None,
    address: str,
    out: Path | None,
    *,
    resume: bool,
    options: Mapping[str, Any],
) -> None:
    """Predict, and print how many photos were answered; ``options`` are those of ``edgeclf.cluster.predict``."""
    if out is None:
        raise UsageError("--ray: no folder for the answers", "name one with --out, such as --out answers/")
    require("ray", "ray", "pyarrow")
    from edgeclf.cluster import predict_into

    console = Console()
    where = _ONE_SLASH.sub(r"\1://", str(out))
    with console.progress("answered") as progress:

        def tell(counts: "Counts") -> None:
            progress(counts.photos, 0)

        counts = predict_into(where, list(photos), model, resume=resume, address=address, progress=tell, **options)
    heat_maps = f", {counts.heat_maps} heat maps left out" if counts.heat_maps else ""
    errors = f", {counts.errors} with errors" if counts.errors else ""
    console.line(f"{where}: {counts.photos} photos{errors}, {counts.unknown} unknown{heat_maps}")
    if counts.errors:
        raise typer.Exit(PhotoError.exit_code)
