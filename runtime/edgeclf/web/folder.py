"""Writing a site into a folder: all of it or none, and never over a file that edgeclf did not make.

`edgeclf-site.json` lists every file with its hash. It is written last, so a folder with it holds a whole site. While a
site is written, `edgeclf-site.unfinished.json` lists the files of the site before and of the new one; what was
interrupted is written again by the next call.
"""

import contextlib
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from edgeclf import __version__
from edgeclf.errors import UsageError
from edgeclf.files.atomic_write import sync_folder, write_atomically
from edgeclf.web.compress import compressed
from edgeclf.web.site import WORKER, Site

LIST, UNFINISHED = "edgeclf-site.json", "edgeclf-site.unfinished.json"
_REMEDY = "name another folder, or remove what is in this one"
_LISTED = re.compile(r"[\w-][\w.-]*(/[\w.-]+)*")  # paths as this module writes them
_LEFTOVER = re.compile(r"\.edgeclf-[0-9a-f]{16}\.tmp")  # of a file that was being written when the power went off
_LAST = ("index.html", WORKER)  # visitors meet a new site only when all its other files are there


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        files: number of files, compressed ones included.
        plain: bytes of the files that are not compressed.
        gzip: bytes of a first visit where the web server sends `.gz`.
        brotli: the same for `.br`, None without brotli.
        changed: whether the folder held another site, or none, before.
    """

    files: int
    plain: int
    gzip: int
    brotli: int | None
    changed: bool


def check_folder(folder: Path) -> None:
    """Check, before long work, that a site may be written into a folder.

    Raises:
        UsageError: as ``write_site``.
    """
    _read_old(folder)


def write_site(site: Site, folder: Path) -> Written:
    """Write a site, or bring one up to date. Files of the site before that the new one does not have are deleted.

    Args:
        site: its files.
        folder: is created; or empty; or has a site that edgeclf wrote, perhaps with other files beside it.

    Raises:
        UsageError: the folder has files that are not a site's, or a file of the site was changed by somebody.
        OSError: the folder cannot be written.
    """
    old = _read_old(folder)
    files: dict[str, bytes] = {}
    for path, data in site.files.items():
        files[path] = data
        files.update(compressed(path, data, site.compressed.get(path)))
    new = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
    there = {path: digest for path in {*old, *new} if (digest := _digest(folder / path)) is not None}
    for path, digest in there.items():
        if digest != old.get(path) and digest != new.get(path):
            what = "was changed after edgeclf wrote it" if path in old else "exists already and is not edgeclf's"
            raise UsageError(f"{folder / path}: {what}", _REMEDY)
    listing = {"edgeclf": __version__, "version": site.version, "files": new}
    changed = not (there == new and _read_json(folder / LIST) == listing)
    if changed:
        folder.mkdir(parents=True, exist_ok=True)
        _write_json(folder / UNFINISHED, {"before": old, "files": new})
        (folder / LIST).unlink(missing_ok=True)
        for path in sorted(new, key=lambda path: path.startswith(_LAST)):
            if there.get(path) != new[path]:
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(target, lambda file, data=files[path]: file.write(data))  # type: ignore[misc]
        for path in there.keys() - new.keys():
            (folder / path).unlink()
            with contextlib.suppress(OSError):  # other files are in it
                (folder / path).parent.rmdir()
        _write_json(folder / LIST, listing)
        (folder / UNFINISHED).unlink()
        sync_folder(folder)
    for place in {(folder / path).parent for path in {*old, *new}}:
        for leftover in place.glob(".edgeclf-*.tmp"):
            if _LEFTOVER.fullmatch(leftover.name):
                leftover.unlink(missing_ok=True)
    return Written(len(files), sum(map(len, site.files.values())), *_transfers(site, files), changed)


def _transfers(site: Site, files: dict[str, bytes]) -> tuple[int, int | None]:
    """Bytes of a first visit with gzip, and with brotli if there is any."""

    def total(*suffixes: str) -> int:
        return sum(
            min(len(files[name]) for suffix in ("", *suffixes) if (name := path + suffix) in files)
            for path in site.files
        )

    with_brotli = any(path.endswith(".br") for path in files)
    return total(".gz"), total(".gz", ".br") if with_brotli else None


def _read_old(folder: Path) -> dict[str, str]:
    """Files that edgeclf wrote into a folder, with their hashes; two hashes are possible where it was interrupted."""
    if not folder.exists():
        return {}
    if not folder.is_dir():
        raise UsageError(f"{folder}: is not a folder", "name a folder; it is created if it does not exist")
    whole, unfinished = _read_json(folder / LIST), _read_json(folder / UNFINISHED)
    if whole is None and unfinished is None:
        if not all(_LEFTOVER.fullmatch(path.name) for path in folder.iterdir()):
            raise UsageError(f"{folder}: has files, and is not a site made by edgeclf", _REMEDY)
        return {}
    found: dict[str, str] = dict((whole or {}).get("files", {}))
    if unfinished is not None:
        found |= unfinished.get("before", {})
        for path, digest in unfinished.get("files", {}).items():
            if path not in found or _digest(folder / path) == digest:
                found[path] = digest
    for path in found:
        if not _LISTED.fullmatch(path) or ".." in PurePosixPath(path).parts:
            raise UsageError(f"{folder / LIST}: lists {path}, which is outside the folder", _REMEDY)
    return found


def _digest(path: Path) -> str | None:
    """SHA-256 of a file; None if there is none; of something else, what no file has."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        return "not a regular file"
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _write_json(path: Path, value: dict[str, Any]) -> None:
    write_atomically(path, lambda file: file.write(json.dumps(value, indent=1).encode()))
