"""Photos for a person to review: copies, in folders with the name of the predicted class.

    DIR/_unsorted/<guess>/IMG_0042.JPG        review it, and move it to DIR/<class>/ to label it

``edgeclf train DIR`` uses the class folders and ignores ``_unsorted``. ``edgeclf.field.sorting`` moves the copies.
"""

import contextlib
import errno
import filecmp
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from edgeclf.class_names import spelling
from edgeclf.errors import RecordError, UsageError
from edgeclf.files.atomic_write import sync_folder, write_new
from edgeclf.files.move_new import numbered
from edgeclf.files.photo_names import UNSORTED, is_ignored, is_photo_name
from edgeclf.images.file_format import file_format

_MIN_FREE_BYTES = 200 * 2**20  # uploads are not kept if the disk has less: others need it, too
_LEFTOVER_AGE = 3600.0  # seconds until the temporary file of an interrupted copy is deleted
_UNSAFE = re.compile(r'[\x00-\x1f<>:"/\\|?*]|^\.+|[. ]+$')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.IGNORECASE)  # on Windows, with any suffix
_MAX_NAME_BYTES = 240  # of an upload's name: file systems allow 255, and a hash or a number may follow
_HASH_DIGITS = 8  # of the SHA-256 in the name of an upload whose own name is taken
_SUFFIX_OF = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "TIFF": ".tif", "HEIC": ".heic", "AVIF": ".avif"}


class ReviewFolder:
    """The folder that photos for review are copied to.

    Args:
        folder: created with the first copy.
        watched: the folder that the photos come from; None if they come from elsewhere.

    Raises:
        UsageError: the copies would be found as new photos.
    """

    def __init__(self, folder: Path, watched: Path | None = None) -> None:
        self.folder = folder
        review = Path(os.path.realpath(folder))
        source = Path(os.path.realpath(watched)) if watched is not None else None
        if source is not None and (review == source or source.is_relative_to(review / UNSORTED)):
            raise UsageError(
                f"--review {folder}: its copies would be watched as well", "name a folder beside the watched one"
            )
        for leftover in (folder / UNSORTED).glob("*/.edgeclf-*.tmp"):  # of copies interrupted by a power cut or a kill
            with contextlib.suppress(OSError):
                if (
                    time.time() - leftover.stat().st_mtime > _LEFTOVER_AGE
                ):  # if younger, another process may still be copying
                    leftover.unlink()

    def copy(self, photo: str, guess: str) -> Path | None:
        """Copy a photo to the folder of a class; a photo that is there already is not copied again.

        Another file with its name is never overwritten: the copy is then called ``name-2.jpg`` and so on.

        Args:
            photo: path of the photo.
            guess: the predicted class.

        Returns:
            The path of the copy, None if the photo does not exist any more.

        Raises:
            RecordError: the copy cannot be written.
        """

        def write(file: IO[bytes]) -> None:
            source.seek(0)
            shutil.copyfileobj(source, file)

        try:
            with open(photo, "rb") as source:
                return self._store(
                    guess, os.path.basename(photo), lambda other: filecmp.cmp(photo, other, shallow=False), write
                )
        except OSError as error:
            if not os.path.exists(photo):
                return None
            raise self._cannot_write(guess, error) from error

    def keep(self, data: bytes, name: str, guess: str) -> Path:
        """Store an upload in the folder of a class, by the rules of ``copy``.

        If another photo has its name, a part of its hash is added: a camera may send thousands under one name.

        Args:
            data: the bytes of the photo.
            name: what the sender calls it: not trusted, only its last part is used.
            guess: the predicted class.

        Returns:
            The path of the file.

        Raises:
            RecordError: it cannot be written, or the disk is nearly full.
        """

        def same(other: Path) -> bool:
            return other.stat().st_size == len(data) and other.read_bytes() == data

        own = _upload_name(name, data)
        try:
            folder = self.folder / UNSORTED / safe_name(guess)
            if (folder / own).exists() and not same(folder / own):
                stem, suffix = os.path.splitext(own)
                own = f"{stem}-{hashlib.sha256(data).hexdigest()[:_HASH_DIGITS]}{suffix}"
            folder.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(folder).free < _MIN_FREE_BYTES:
                raise OSError(errno.ENOSPC, f"less than {_MIN_FREE_BYTES >> 20} MiB are free")
            return self._store(guess, own, same, lambda file: file.write(data))
        except OSError as error:
            raise self._cannot_write(guess, error) from error

    def _store(self, guess: str, name: str, same: Callable[[Path], bool], write: Callable[[IO[bytes]], Any]) -> Path:
        folder = self.folder / UNSORTED / safe_name(guess)
        folder.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            target = folder / numbered(name, number)
            if not target.exists() and write_new(target, write):
                sync_folder(folder)
                return target
            if target.exists() and same(target):  # perhaps since a moment ago, by another thread
                return target
            number += 1

    def _cannot_write(self, guess: str, error: OSError) -> RecordError:
        return RecordError(
            f"--review {self.folder / UNSORTED / safe_name(guess)}: a copy cannot be written "
            f"({error.strerror or error})",
            "check the folder, its permissions and the free space",
        )


def safe_name(label: str) -> str:
    """A class name as a folder name that is valid on every system."""
    name = _UNSAFE.sub("_", label) or "_"
    return f"_{name}" if _RESERVED.match(name) else name


def _upload_name(name: str, data: bytes) -> str:
    """A file name for an upload: no path, valid on every system, and found again as a photo."""
    last = re.split(r"[/\\]", name)[-1]
    last = spelling("".join(c if c.isprintable() else "_" for c in last))
    stem, suffix = os.path.splitext(last)
    if not is_photo_name(f"photo{suffix}"):
        stem, suffix = last, _SUFFIX_OF.get(file_format(data), ".jpg")
    stem = safe_name(stem) if stem.strip(" .") else "photo"
    if is_ignored(f"{stem}{suffix}"):
        stem = f"photo-{stem}"
    return f"{_cut(stem, _MAX_NAME_BYTES - len(suffix.encode()))}{suffix}"


def _cut(text: str, count: int) -> str:
    """The beginning of a text, of at most ``count`` bytes, without half a character."""
    return text.encode()[:count].decode(errors="ignore")
