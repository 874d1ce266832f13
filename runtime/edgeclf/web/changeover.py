"""Changes a folder from one set of files to another: all of them or none, as far as a file system lets it.

New files are written under temporary names, which takes seconds. Then a journal, `edgeclf-site.unfinished.json`, names
them, and all are renamed, which takes milliseconds. A process that is killed before the journal is there leaves the
files of before; one that is killed after it leaves what `finish` needs.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from edgeclf.files.atomic_write import sync_folder, write_atomically, write_temporary

LIST, UNFINISHED = "edgeclf-site.json", "edgeclf-site.unfinished.json"
TEMPORARY = re.compile(r"\.edgeclf-[0-9a-f]{16}\.tmp")  # of a file that was being written when the process ended
_LISTED = re.compile(r"[\w-][\w.-]*(/[\w.-]+)*")  # paths as a site has them


def change(folder: Path, before: Mapping[str, str], files: Mapping[str, bytes], listing: dict[str, Any]) -> None:
    """Write files into a folder, and delete those of before that are not among the new ones.

    Args:
        folder: exists.
        before: path of each file that may be replaced or deleted -> its hash.
        files: path -> content, of those that are to be written, in the order in which they get their names.
        listing: what the file `edgeclf-site.json` says; its ``files`` are all new files with their hashes.

    Raises:
        OSError: the folder cannot be written, or somebody deleted what was being written. Unless this happens while
            files are renamed, nothing has changed.
    """
    staged: dict[str, tuple[str, str]] = {}
    try:
        for path, data in {**files, LIST: _json(listing)}.items():
            temporary = write_temporary(folder, lambda file, data=data: file.write(data))  # type: ignore[misc]
            staged[path] = (os.path.basename(temporary), hashlib.sha256(data).hexdigest())
        sync_folder(folder)
        _check_staged(folder, staged)
        journal = {"before": dict(before), "files": listing["files"], "staged": staged}
        write_atomically(folder / UNFINISHED, lambda file: file.write(_json(journal)))
    except BaseException:
        for temporary, _ in staged.values():
            with contextlib.suppress(OSError):
                (folder / temporary).unlink()
        raise
    sync_folder(folder)  # no file has its new name after a power cut unless the journal is there too
    _rename(folder, journal)


def finish(folder: Path) -> bool:
    """Finish a change that was interrupted while files were renamed.

    Returns:
        Whether there was one, and all of its files were there; else nothing is done.

    Raises:
        OSError: the folder cannot be written.
    """
    journal = read_json(folder / UNFINISHED)
    if journal is None or not _can_finish(folder, journal):
        return False
    _rename(folder, journal)
    return True


def _can_finish(folder: Path, journal: dict[str, Any]) -> bool:
    """Whether each file has its name already, or waits under its temporary one and replaces nothing of others."""
    try:
        staged, before = journal["staged"], journal["before"]
        if not all(map(is_inside, (*staged, *before))):
            return False
        for path, (temporary, digest) in staged.items():
            found = digest_of(folder / path)
            waits = TEMPORARY.fullmatch(temporary) and digest_of(folder / temporary) == digest
            if found != digest and not (waits and (path == LIST or found in (None, before.get(path)))):
                return False
    except (AttributeError, KeyError, TypeError, ValueError):  # of an earlier edgeclf, or changed by somebody
        return False
    return True


def _check_staged(folder: Path, staged: Mapping[str, tuple[str, str]]) -> None:
    """Check that each new file waits, or has its name already: the files of before are not given up for nothing.

    Raises:
        OSError: one is missing or has another content.
    """
    for path, (temporary, digest) in staged.items():
        if digest not in (digest_of(folder / temporary), digest_of(folder / path)):
            raise OSError(f"somebody deleted or changed the new {path} while it was written")


def _rename(folder: Path, journal: dict[str, Any]) -> None:
    _check_staged(folder, journal["staged"])
    if digest_of(folder / LIST) != journal["staged"][LIST][1]:
        (folder / LIST).unlink(missing_ok=True)  # it is there only beside all files that it lists
    for path, (temporary, digest) in journal["staged"].items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(folder / temporary, folder / path)
        except FileNotFoundError:
            if digest_of(folder / path) != digest:  # else it has its name already
                raise
    for path, digest in journal["before"].items():
        if path not in journal["files"] and digest_of(folder / path) == digest:
            (folder / path).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # other files are in it
                (folder / path).parent.rmdir()
    # After a power cut, either the journal is there or all that it says is done. Where the file system has no locks,
    # another process may have finished it meanwhile.
    for place in {above for path in (*journal["staged"], *journal["before"]) for above in PurePosixPath(path).parents}:
        sync_folder(folder / place)
    (folder / UNFINISHED).unlink(missing_ok=True)
    sync_folder(folder)


def is_inside(path: str) -> bool:
    """Whether a listed path is one of a site's, and inside its folder."""
    return bool(_LISTED.fullmatch(path)) and ".." not in PurePosixPath(path).parts


def digest_of(path: Path) -> str | None:
    """SHA-256 of a file; None if there is none; of something else, what no file has."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        return "not a regular file"
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, None without one."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=1).encode()
