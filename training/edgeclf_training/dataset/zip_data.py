"""Data given as .zip: unpacked once, within bounds, into the cache. The archive itself is only ever read.

A zip may come from anywhere, so nothing it says about itself is believed: names are checked before anything is
written, bytes are counted as they are written, and an archive that breaks a rule leaves nothing behind.
"""

import contextlib
import hashlib
import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO

from edgeclf.errors import DataError
from edgeclf.evaluation.class_folders import HELD_OUT, split_of
from edgeclf.files.paths import PathLike, as_paths
from edgeclf.files.photo_names import is_ignored, is_photo_name
from edgeclf.images.limits import MAX_FILE_BYTES

from edgeclf_training.dataset.cache_folder import VARIABLE, cache_folder
from edgeclf_training.dataset.zip_names import entry_names

MAX_ENTRIES = 500_000
MAX_BYTES = 50 * 10**9
MAX_RATIO = 200  # photos hardly compress, even a drawn bitmap stays below; deflate itself ends at 1032
RATIO_FLOOR = 2**24  # bytes that are harmless at any ratio
_CHUNK = 2**20
_COMPLETE = "complete"

NAMES = 2  # of the rule by which names are read: what another rule unpacked is not used

Progress = Callable[[int, int], None]
Entry = tuple[zipfile.ZipInfo, str]


def open_data(
    paths: PathLike | Sequence[PathLike], progress: Progress | None = None, say: Callable[[str], None] = lambda _: None
) -> list[Path]:
    """Folders for data arguments: folders as they are, zips unpacked into the cache.

    The cache knows a zip by the SHA-256 of its content, so each is unpacked once, whatever it is called.
    What ``walk.is_ignored`` says, and all but image files, is ignored. Names are read as ``zipnames.entry_names`` does.

    Args:
        paths: data folders and ``.zip`` files.
        progress: called with (entries done, entries in all) while a zip is unpacked.
        say: called with a line for a zip whose names had to be guessed.

    Raises:
        DataError: a zip is damaged, encrypted, holds no images, breaks a bound (``MAX_ENTRIES``, ``MAX_BYTES``,
            ``MAX_RATIO``, the free disk), or has entries that lead out of it or are no plain files; or one of several
            is called like photos to validate or test with.
    """
    paths = as_paths(paths)
    if len(paths) > 1 and (held := next((p for p in paths if is_zip(p) and split_of(p.stem) in HELD_OUT), None)):
        raise DataError(
            f"{held}: would be trained on, though it is called {split_of(held.stem)}",
            "unpack the zips side by side and give the folder above them",
        )
    return [_unpacked(path, progress, say) if is_zip(path) else path for path in paths]


def is_zip(path: Path) -> bool:
    """Whether a data argument is to be unpacked: a file called ``.zip``."""
    return path.suffix.lower() == ".zip" and path.is_file()


def data_name(path: Path) -> str:
    """What to call things made from a data argument: the folder's name, or the zip's without its suffix."""
    return path.stem if is_zip(path) else path.resolve().name


def _unpacked(path: Path, progress: Progress | None, say: Callable[[str], None]) -> Path:
    try:
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            digest = _digest(path, state.st_size, state.st_mtime_ns)
            with _opened(path, file) as archive:
                wanted, page = _wanted(path, archive.infolist())
                # What an edgeclf of old unpacked lies under the digest alone: its names are those that zipfile gives.
                reading = "" if all(name == info.filename for info, name in wanted) else f"-{NAMES}"
                home = cache_folder() / "zips" / f"{digest}{reading}"
                if not (home / _COMPLETE).is_file():
                    _unpack(path, archive, wanted, state.st_size, home, progress)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be unpacked ({error.strerror or error})", f"check the disk, or set {VARIABLE}"
        ) from error
    if page:
        say(f"{path}: its names are not marked as Unicode; read as {page}")
    return home / "photos"


@lru_cache
def _digest(path: Path, size: int, mtime: int) -> str:
    """Of a zip's content; the command and the function it calls both ask, and a zip may be large."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _opened(path: Path, file: IO[bytes]) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, LZMAError, EOFError, ValueError, NotImplementedError) as error:
        raise DataError(f"{path}: not a whole zip file ({error})", "copy or download it again") from error
    except RuntimeError as error:  # what zipfile says of a password
        raise DataError(f"{path}: {error}", "unpack it yourself and give the folder") from error


def _unpack(
    path: Path, archive: zipfile.ZipFile, wanted: Sequence[Entry], size: int, home: Path, progress: Progress | None
) -> None:
    home.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=home.parent, prefix=".unpacking-"))
    try:
        _extract(path, archive, wanted, size, temporary / "photos", progress)
        (temporary / _COMPLETE).touch()
        if home.exists() and not (home / _COMPLETE).is_file():
            shutil.rmtree(home)  # somebody has tidied up half of it
        try:
            os.replace(temporary, home)
        except OSError:
            if not (home / _COMPLETE).is_file():  # else another process was faster
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _extract(
    path: Path, archive: zipfile.ZipFile, wanted: Sequence[Entry], size: int, folder: Path, progress: Progress | None
) -> None:
    free = shutil.disk_usage(folder.parent).free
    limit = min(MAX_BYTES, free)
    if sum(info.file_size for info, _ in wanted) > limit:
        raise _too_large(path, limit)
    total = 0
    for done, (info, name) in enumerate(wanted, 1):
        target = folder / PurePosixPath(name)
        written = 0
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(info) as source, target.open("xb") as out:
                while chunk := source.read(_CHUNK):
                    written += len(chunk)
                    total += len(chunk)
                    if total > limit:
                        raise _too_large(path, limit)
                    if written > MAX_FILE_BYTES or (
                        written > RATIO_FLOOR and written > MAX_RATIO * max(1, info.compress_size)
                    ):
                        raise _bomb(path, name)
                    if total > RATIO_FLOOR and total > MAX_RATIO * size:
                        raise _bomb(path, name)
                    out.write(chunk)
        except (FileExistsError, NotADirectoryError) as error:
            raise DataError(f"{path}: {name} is in it twice", "unpack it yourself and give the folder") from error
        if progress:
            progress(done, len(wanted))


def _wanted(path: Path, entries: list[zipfile.ZipInfo]) -> tuple[list[Entry], str]:
    """The image files of an archive with their names, once every entry has passed; and the code page, see there."""
    if len(entries) > MAX_ENTRIES:
        raise DataError(f"{path}: more than {MAX_ENTRIES} entries", "unpack it yourself and give the folder")
    try:
        names, page = entry_names(entries)
    except ValueError as error:
        raise DataError(f"{path}: {error}", "unpack it yourself and give the folder") from error
    wanted = []
    for info, name in zip(entries, names, strict=True):
        parts = name.rstrip("/").split("/")
        if _escapes(name, parts):
            raise DataError(
                f"{path}: the entry {name!r} leads out of the archive", "do not trust it; zip the folder anew"
            )
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DataError(f"{path}: {name} is a link or a special file", "zip the files themselves")
        if name.endswith("/") or any(is_ignored(part) and part != "." for part in parts):
            continue
        if not is_photo_name(name):
            continue
        if info.flag_bits & 1:
            raise DataError(f"{path}: is encrypted", "unpack it yourself and give the folder")
        wanted.append((info, name))
    if not wanted:
        raise DataError(f"{path}: no images inside", "zip a folder with one sub-folder of photos per class")
    return wanted, page


def _escapes(name: str, parts: list[str]) -> bool:
    return (
        name.startswith("/")
        or "\0" in name
        or re.match("[A-Za-z]:", name) is not None
        or (os.name == "nt" and ":" in name)  # a stream of another file
        or any(part != "." and not part.strip(". ") for part in parts)  # Windows takes ".. " for ".."
    )


def _too_large(path: Path, limit: int) -> DataError:
    return DataError(
        f"{path}: unpacks to more than {limit / 1e9:.1f} GB, the limit or the free disk",
        f"make room, or set {VARIABLE}",
    )


def _bomb(path: Path, name: str) -> DataError:
    return DataError(
        f"{path}: {name} unpacks to far more than a photo would", "do not trust it; give the folder if you do"
    )
