"""Data folders given as .zip files: unpacked once into the cache, within limits. The archive itself is only read.

A zip may come from anywhere, so its own statements are not trusted: all names are checked before anything is written,
bytes are counted while they are written, and an archive that breaks a rule leaves no files.
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
from edgeclf.evaluation.folder_name_rules import HELD_OUT, split_of
from edgeclf.files.in_tar import COMPRESSED, is_tar
from edgeclf.files.paths import PathLike, as_paths
from edgeclf.files.photo_names import is_ignored, is_photo_name
from edgeclf.files.tar_index import index_of
from edgeclf.images.limits import MAX_FILE_BYTES

from edgeclf_training.dataset.cache_folder import VARIABLE, cache_folder
from edgeclf_training.dataset.zip_names import entry_names

MAX_ENTRIES = 500_000
MAX_BYTES = 50 * 10**9  # unpacked
MAX_RATIO = 200  # unpacked to packed; photos hardly compress, and even drawn bitmaps stay below; deflate can reach 1032
RATIO_FLOOR = 2**24  # unpacked bytes; smaller files are harmless at any ratio
NAMES_VERSION = 2  # of the rules for names in a zip; folders unpacked with other rules are not used
_CHUNK = 2**20  # bytes
_COMPLETE = "complete"  # name of a file that marks a folder as unpacked completely

Progress = Callable[[int, int], None]
Entry = tuple[zipfile.ZipInfo, str]


def open_data(
    paths: PathLike | Sequence[PathLike], progress: Progress | None = None, say: Callable[[str], None] = lambda _: None
) -> list[Path]:
    """Turn data arguments into folders: folders and .tar files stay as they are, zips are unpacked into the cache.

    Photos in a .tar are read where they lie, see ``edgeclf.files.in_tar``; here its headers are read once.

    A zip is identified by the SHA-256 of its content, so each is unpacked once, whatever its name. Only files with an
    image extension are unpacked; ``photo_names.is_ignored`` is left out. ``zip_names.entry_names`` decodes the names.

    Args:
        paths: data folders, ``.zip`` and ``.tar`` files.
        progress: called with (entries done, entries in all) while a zip is unpacked.
        say: called with one line for a zip whose code page had to be guessed.

    Returns:
        One folder for each argument, in order.

    Raises:
        DataError: a zip is damaged, encrypted, holds no images, exceeds a limit (``MAX_ENTRIES``, ``MAX_BYTES``,
            ``MAX_RATIO``, the free disk), or has entries that lead out of it or are not regular files; or one of
            several zips is named like a validation or test split; or a .tar is damaged or compressed, see
            ``edgeclf.files.tar_index``.
    """
    paths = as_paths(paths)
    if len(paths) > 1 and (held := next((p for p in paths if is_zip(p) and split_of(p.stem) in HELD_OUT), None)):
        raise DataError(
            f"{held}: would be used for training, although its name says {split_of(held.stem)}",
            "unpack the zips side by side and name the folder above them",
        )
    for path in paths:
        if path.name.lower().endswith(COMPRESSED) and path.is_file():
            raise DataError(f"{path}: is a compressed archive", "unpack it, or pack a .tar: photos hardly compress")
        if is_tar(path):
            index_of(str(path))
    return [_unpacked(path, progress, say) if is_zip(path) else path for path in paths]


def is_zip(path: Path) -> bool:
    """Whether a data argument is a file with the extension ``.zip``."""
    return path.suffix.lower() == ".zip" and path.is_file()


def data_name(path: Path) -> str:
    """A name for files made from a data argument: the folder's name, or that of a zip, .tar or table without ending."""
    return path.stem if is_zip(path) or (path.suffix and path.is_file()) else path.resolve().name


def _unpacked(path: Path, progress: Progress | None, say: Callable[[str], None]) -> Path:
    try:
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            digest = _digest(path, state.st_size, state.st_mtime_ns)
            with _opened(path, file) as archive:
                wanted, page = _wanted(path, archive.infolist())
                # Older versions unpacked into a folder named by the digest alone, with the names that zipfile gives.
                reading = "" if all(name == info.filename for info, name in wanted) else f"-{NAMES_VERSION}"
                home = cache_folder() / "zips" / f"{digest}{reading}"
                if not (home / _COMPLETE).is_file():
                    _unpack(path, archive, wanted, state.st_size, home, progress)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be unpacked ({error.strerror or error})", f"check the disk, or set {VARIABLE}"
        ) from error
    if page:
        say(f"{path}: file names are not marked as Unicode; decoded as {page}")
    return home / "photos"


@lru_cache
def _digest(path: Path, size: int, mtime: int) -> str:
    """SHA-256 of a file, hex. Cached: a zip may be large, and the command and training both open it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _opened(path: Path, file: IO[bytes]) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, LZMAError, EOFError, ValueError, NotImplementedError) as error:
        raise DataError(f"{path}: not a complete zip file ({error})", "copy or download it again") from error
    except RuntimeError as error:  # zipfile raises it for encrypted entries
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
            shutil.rmtree(home)  # incomplete: someone deleted a part of it
        try:
            os.replace(temporary, home)
        except OSError:
            if not (home / _COMPLETE).is_file():  # otherwise another process unpacked the same zip first
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
            raise DataError(f"{path}: contains {name} twice", "unpack it yourself and give the folder") from error
        if progress:
            progress(done, len(wanted))


def _wanted(path: Path, entries: list[zipfile.ZipInfo]) -> tuple[list[Entry], str]:
    """Check all entries; return the image files with their names, and the code page that ``entry_names`` guessed."""
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
                f"{path}: the entry {name!r} leads out of the archive", "do not trust it; zip the folder again"
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
        or (os.name == "nt" and ":" in name)  # an alternate data stream of another file
        or any(part != "." and not part.strip(". ") for part in parts)  # Windows reads ".. " as ".."
    )


def _too_large(path: Path, limit: int) -> DataError:
    return DataError(
        f"{path}: unpacks to more than {limit / 1e9:.1f} GB, the limit or the free disk",
        f"make room, or set {VARIABLE}",
    )


def _bomb(path: Path, name: str) -> DataError:
    return DataError(
        f"{path}: {name} unpacks to far more than a photo would",
        "do not trust it; if you do, unpack it yourself and give the folder",
    )
