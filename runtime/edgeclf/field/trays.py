"""The trays of photos that wait for a person: DIR/_unsorted/<guess>/, as ``edgeclf.field.review`` fills them."""

import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeclf.class_names import spelling
from edgeclf.errors import PhotoError, RecordError
from edgeclf.field.review import safe_name
from edgeclf.files.photo_names import UNSORTED, is_ignored, is_photo_name
from edgeclf.files.walk import is_linked
from edgeclf.images.limits import MAX_FILE_BYTES

NONE_OF_THESE = "_none_of_these"  # folder in _unsorted for photos that show no class: never a tray, never trained on

_SETTLED_AGE = 3.0  # seconds: a folder that changed later than this may change again without a new time (FAT: 2 s)


@dataclass(frozen=True)
class TrayPhoto:
    """A photo in a tray.

    Attributes:
        id: 32 hex digits: a digest of tray, name, size and time of modification. A replaced file is another photo.
        tray: name of the folder in ``_unsorted``.
        name: name of the file.
        guess: the class that the tray stands for; the tray's name if no class has it.
    """

    id: str
    tray: str
    name: str
    guess: str


def photo_id(place: str, status: os.stat_result) -> str:
    """The id of a photo.

    Args:
        place: "<tray>/<name>".
        status: of the file.
    """
    text = os.fsencode(place) + f"\0{status.st_size}\0{status.st_mtime_ns}".encode()
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def is_at(path: Path, place: str, id: str) -> bool:
    """Whether a path is the photo that had this id at this place in the trays; a link is not."""
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(status.st_mode) and photo_id(place, status) == id


class Trays:
    """Lists the trays. A tray that did not change is not read again.

    Args:
        folder: the folder with ``_unsorted``; it need not exist yet.
        classes: gives the class names that trays may stand for.
    """

    def __init__(self, folder: Path, classes: Callable[[], Iterable[str]]) -> None:
        self.root = folder / UNSORTED
        self._classes = classes
        self._read: dict[str, tuple[int, list[TrayPhoto]]] = {}
        self._lock = threading.Lock()

    def photos(self) -> list[TrayPhoto]:
        """All photos in trays now, by tray and name.

        Links are left out, to folders as well as to photos: what they lead to is an original, or lies elsewhere.

        Raises:
            RecordError: ``_unsorted`` cannot be read.
        """
        with self._lock:
            try:
                trays = sorted(_folders(self.root))
            except (FileNotFoundError, NotADirectoryError):
                trays = []
            except OSError as error:
                raise RecordError(
                    f"{self.root}: cannot be read ({error.strerror})", "check the folder and its permissions"
                ) from error
            class_of = {spelling(safe_name(name)): name for name in self._classes()}
            read: dict[str, tuple[int, list[TrayPhoto]]] = {}
            for tray in trays:
                try:
                    read[tray] = self._tray(tray, class_of.get(spelling(tray), tray))
                except OSError:  # it was deleted meanwhile, or only others may read it
                    continue
            self._read = read
            return [photo for _, photos in read.values() for photo in photos]

    def forget(self, photo: TrayPhoto) -> None:
        """Read a tray again, although its folder did not change: one of its photos was written to in place."""
        with self._lock:
            self._read.pop(photo.tray, None)

    def path(self, photo: TrayPhoto) -> Path:
        """Where a photo lies."""
        return self.root / photo.tray / photo.name

    def bytes_of(self, photo: TrayPhoto) -> bytes:
        """Read a photo.

        Raises:
            PhotoError: "not-found": it was moved, changed or deleted; "too-large"; "unreadable".
        """
        gone = PhotoError("not-found", f"{photo.name}: was moved, changed or deleted", "go on to the next photo")
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            with open(os.open(self.path(photo), flags), "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode) or photo_id(f"{photo.tray}/{photo.name}", status) != photo.id:
                    raise gone
                if status.st_size > MAX_FILE_BYTES:
                    raise PhotoError("too-large", f"{photo.name}: is too large a file", "save it smaller")
                return file.read()
        except FileNotFoundError:
            raise gone from None
        except OSError as error:
            what = error.strerror or error
            raise PhotoError("unreadable", f"{photo.name}: cannot be read ({what})", "check its permissions") from error

    def _tray(self, tray: str, guess: str) -> tuple[int, list[TrayPhoto]]:
        changed = os.stat(self.root / tray).st_mtime_ns
        before = self._read.get(tray)
        if before and before[0] == changed and (not before[1] or before[1][0].guess == guess):
            return before
        photos = []
        with os.scandir(self.root / tray) as entries:
            for entry in entries:
                if is_photo_name(entry.name) and not is_ignored(entry.name) and entry.is_file(follow_symlinks=False):
                    try:
                        status = os.lstat(entry.path)  # on Windows the entry's own times are coarser
                    except OSError:
                        continue
                    photos.append(TrayPhoto(photo_id(f"{tray}/{entry.name}", status), tray, entry.name, guess))
        photos.sort(key=lambda photo: photo.name)
        settled = abs(time.time() - changed / 1e9) > _SETTLED_AGE
        return (changed if settled else -1), photos


def _folders(root: Path) -> Iterator[str]:
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.name == NONE_OF_THESE or is_ignored(entry.name) or is_linked(entry):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield entry.name
