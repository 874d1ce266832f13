"""Writing a site into a folder: all of it or none, and never over a file that edgeclf did not make.

`edgeclf-site.json` lists every file with its hash; a folder with it holds a whole site. What was interrupted, the next
call finishes or writes again.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeclf import __version__
from edgeclf.errors import RecordError, UsageError
from edgeclf.files.lock import locked_folder
from edgeclf.web.changeover import LIST, TEMPORARY, UNFINISHED, change, digest_of, finish, is_inside, read_json
from edgeclf.web.compress import compressed
from edgeclf.web.site import WORKER, Site

_REMEDY = "name another folder, or remove what is in this one"
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
    """Check, before long work, that a site may be written into a folder. An interrupted update is finished.

    Raises:
        UsageError: as ``write_site``.
    """
    if folder.is_dir():
        with _alone(folder):
            _read_old(folder)
    else:
        _read_old(folder)


def write_site(site: Site, folder: Path) -> Written:
    """Write a site, or bring one up to date. Files of the site before that the new one does not have are deleted.

    Args:
        site: its files.
        folder: is created; or empty; or has a site that edgeclf wrote, perhaps with other files beside it.

    Raises:
        UsageError: the folder has files that are not a site's, or a file of the site was changed by somebody, or
            another process is writing the folder.
        OSError: the folder cannot be written.
    """
    files: dict[str, bytes] = {}
    for path, data in site.files.items():
        files[path] = data
        files.update(compressed(path, data, site.compressed.get(path)))
    if not folder.is_dir():
        _read_old(folder)
        folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):  # from reading what is there to deleting leftovers, which would be another writer's files
        changed = _bring_up_to_date(folder, site.version, files)
    return Written(len(files), sum(map(len, site.files.values())), *_transfers(site, files), changed)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One at a time writes a folder."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked_folder(folder))
        except RecordError as error:
            raise UsageError(f"{folder}: another edgeclf is writing this folder", "wait until it has ended") from error
        yield


def _bring_up_to_date(folder: Path, version: str, files: dict[str, bytes]) -> bool:
    """Write what is new, delete what is old; returns whether there was anything to do."""
    old = _read_old(folder)
    new = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
    there = {path: digest for path in {*old, *new} if (digest := digest_of(folder / path)) is not None}
    for path, digest in there.items():
        if digest != old.get(path) and digest != new.get(path):
            what = "was changed after edgeclf wrote it" if path in old else "exists already and is not edgeclf's"
            raise UsageError(f"{folder / path}: {what}", _REMEDY)
    listing = {"edgeclf": __version__, "version": version, "files": new}
    whole = read_json(folder / LIST) == listing and not (folder / UNFINISHED).exists()
    changed = not (there == new and whole)
    if changed:
        ordered = sorted(new, key=lambda path: path.startswith(_LAST))
        change(folder, old, {path: files[path] for path in ordered if there.get(path) != new[path]}, listing)
    for place in {folder, *((folder / path).parent for path in {*old, *new})}:
        for leftover in place.glob(".edgeclf-*.tmp"):
            if TEMPORARY.fullmatch(leftover.name):
                leftover.unlink(missing_ok=True)
    return changed


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
    with contextlib.suppress(OSError):  # writing the folder raises the error that the user sees
        finish(folder)
    whole, unfinished = read_json(folder / LIST), read_json(folder / UNFINISHED)
    if whole is None and unfinished is None:
        if not all(TEMPORARY.fullmatch(path.name) for path in folder.iterdir()):
            raise UsageError(f"{folder}: has files, and is not a site made by edgeclf", _REMEDY)
        return {}
    found: dict[str, str] = dict((whole or {}).get("files", {}))
    if unfinished is not None:
        found |= unfinished.get("before", {})
        for path, digest in unfinished.get("files", {}).items():
            if path not in found or digest_of(folder / path) == digest:
                found[path] = digest
    for path in found:
        if not is_inside(path):
            raise UsageError(f"{folder / LIST}: lists {path}, which is outside the folder", _REMEDY)
    return found
