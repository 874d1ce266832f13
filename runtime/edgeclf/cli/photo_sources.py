"""From command-line arguments to photos, and from photos to overlay files."""

import io
import os
import re
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import IO, TypeAlias, TypeVar

from PIL import Image

from edgeclf.errors import EdgeclfError, PhotoError, UsageError
from edgeclf.files.atomic_write import check_writable, write_new, write_over
from edgeclf.files.glob_patterns import is_pattern, matching
from edgeclf.files.photo_names import FoundPath, is_photo_name
from edgeclf.files.timed_io import patiently, reason
from edgeclf.files.walk import image_files
from edgeclf.images.camera_raw import Tally
from edgeclf.images.overlay_mark import OVERLAY_ENDING, is_overlay, save_marked
from edgeclf.images.photo_bytes import read_photo_file

STDIN = "-"
_FORMAT = re.compile(r"\.[a-z]{2,4}")  # a file's suffix, and not the end of a folder's name, such as maps-2024.05
T = TypeVar("T")
Answer = TypeVar("Answer")
Source: TypeAlias = str | bytes | PhotoError


@dataclass(frozen=True)
class Found:
    """One photo to answer: ``path`` as the user gave it (or as found in the folder given), and what to read."""

    path: str
    source: Source


def find_photos(arguments: list[str], raws: Tally | None = None) -> Iterator[Found]:
    """Expand files, folders (see ``edgeclf.files.walk``), globs and "-", in the order given.

    Folders are walked as they are consumed, in memory that does not grow with them; of a glob all names are kept. Only
    a photo named alone may be a heat map: a shell makes many names of ``*.jpg``. ``raws`` counts camera raw files in
    folders, which are left out.
    """
    for argument in arguments:
        try:
            yield from _expand(argument, raws or Tally(), alone=len(arguments) == 1)
        except PhotoError as error:
            yield Found(argument, error)


def _expand(argument: str, raws: Tally, alone: bool) -> Iterator[Found]:
    if argument == STDIN:
        if sys.stdin is None:
            raise UsageError("-: there is no standard input", "name a photo")
        try:
            data = read_photo_file(sys.stdin.buffer)
        except OSError as error:
            raise PhotoError("unreadable", f"{STDIN}: {reason(error)}", "check what is piped in", STDIN) from error
        from edgeclf.images.second_photo import holds_second  # few photos come in this way

        if holds_second(data):
            remedy = "name the files instead, or pipe in one photo at a time"
            raise PhotoError("unsupported", f"{STDIN}: holds more than one photo", remedy, STDIN)
        yield Found(STDIN, data)
    elif patiently(lambda _: os.path.isdir(argument), argument):
        yield from _in_folder(argument, raws)
    elif patiently(lambda _: is_pattern(argument), argument):
        matches = patiently(lambda progress: matching(argument, progress), argument)
        yield from (Found(name, FoundPath(name)) for name in matches)
        if not matches:
            raise PhotoError("not-found", f"{argument}: no file matches", "check the pattern", argument)
    else:
        yield Found(argument, argument if alone else FoundPath(argument))


def _in_folder(folder: str, raws: Tally) -> Iterator[Found]:
    """The photos below a folder, then the folders that could not be listed."""
    closed: list[OSError] = []
    empty = True
    for photo in image_files(folder, closed.append, onraw=raws.add):
        empty = False
        yield Found(photo, photo)
    for error in closed:
        name = str(error.filename or folder)
        what = f"{name}: the folder cannot be listed ({error.strerror})"
        yield Found(name, PhotoError("unreadable", what, "check its permissions", name))
    if empty and not closed:
        raise PhotoError("no-images", f"{folder}: no images in this folder", "give a folder of photos", folder)


def answer_each(
    items: Iterable[tuple[T, Source]], answers: Callable[[Iterator[Source]], Generator[Answer, None, None]]
) -> Generator[tuple[T, Answer], None, None]:
    """Answer photos lazily, in order, each beside the item it came with.

    Args:
        items: an item and its photo, or the error that stands for it.
        answers: one answer a photo, such as ``Classifier.predict_many`` gives.
    """
    ahead, named = tee(items)
    with closing(answers(source for _, source in ahead)) as given:
        for answer, (item, _) in zip(given, named, strict=True):
            yield item, answer


def are_several(arguments: list[str]) -> bool:
    """Whether arguments may stand for more than one photo."""
    if len(arguments) != 1:
        return True
    try:
        return patiently(lambda _: os.path.isdir(arguments[0]) or is_pattern(arguments[0]), arguments[0])
    except PhotoError:  # its disk does not answer: said when its turn comes
        return False


def counting(arguments: list[str]) -> Callable[[], int]:
    """Count the photos that ``find_photos`` will find, in the background; the result is 0 until that is known."""
    known = [0]

    def count() -> None:
        with suppress(EdgeclfError):  # the one who reads the photos will say so
            known[0] = sum(
                1 for argument in arguments for _ in ([argument] if argument == STDIN else find_photos([argument]))
            )

    threading.Thread(target=count, daemon=True).start()
    return lambda: known[0]


class OverlayFiles:
    """Names for overlays: the one file the user named, or one per photo in a folder, never two of one name.

    What ends in a slash, or not as images do, is a folder. Only earlier overlays are written over; ``keep`` leaves
    those in place too.

    Raises:
        UsageError: one file named for several photos, or the file named is something else.
    """

    def __init__(self, where: str, photos: list[str], *, keep: bool = False) -> None:
        target = Path(where)
        suffix = target.suffix.lower()
        is_folder = (
            where.endswith(("/", os.sep))
            or os.path.isdir(target)
            or not (is_photo_name(target.name) or _FORMAT.fullmatch(suffix))
        )
        self._file = None if is_folder else target
        self._folder = target
        self._keep = keep
        self._taken: set[str] = set()
        if self._file is None:
            if os.path.lexists(target) and not os.path.isdir(target):
                raise UsageError(f"--cam {target}: is not a folder", "name a .png or .jpg file, or a folder")
            return
        if are_several(photos):
            raise UsageError(f"--cam {target}: one file cannot hold several overlays", "name a folder")
        if suffix not in (".png", ".jpg", ".jpeg", ".webp"):
            raise UsageError(f"--cam {target}: cannot write this format", "name a .png or .jpg file, or a folder")
        if photos[0] != STDIN and os.path.exists(target) and os.path.exists(photos[0]) and target.samefile(photos[0]):
            raise UsageError(f"--cam {target}: is the photo itself", "name another file")
        check_writable(target, is_overlay, "a heat map")

    def encode(self, overlay: Image.Image) -> bytes:
        """An overlay as the bytes of its file; from any thread."""
        buffer = io.BytesIO()
        save_marked(overlay, buffer, self._file.suffix if self._file is not None else OVERLAY_ENDING)
        return buffer.getvalue()

    def save(self, overlay: bytes, photo: str) -> Path:
        """Write one overlay, as ``encode`` gave it, and return where.

        Raises:
            UsageError: the folder or file cannot be written.
        """
        path = self._file or self._folder

        def write(file: IO[bytes]) -> None:
            file.write(overlay)

        try:
            if self._file is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_over(path, write, is_overlay, "a heat map")
                return path
            self._folder.mkdir(parents=True, exist_ok=True)
            while True:
                path = self._folder / self._unused(Path(photo).stem if photo != STDIN else "stdin")
                if os.path.lexists(path):
                    write_over(path, write, is_overlay, "a heat map")
                    return path
                if write_new(path, write):
                    return path
        except OSError as error:
            raise UsageError(f"--cam {path}: cannot be written ({error.strerror})", "choose another place") from error

    def _unused(self, stem: str) -> str:
        stem = stem.encode("utf-8", "surrogateescape")[:150].decode("utf-8", "ignore")  # names end at 255 bytes
        name, number = f"{stem}{OVERLAY_ENDING}", 1
        while name.casefold() in self._taken or self._is_foreign(name):
            number += 1
            name = f"{stem}-{number}{OVERLAY_ENDING}"
        self._taken.add(name.casefold())
        return name

    def _is_foreign(self, name: str) -> bool:
        path = self._folder / name
        return os.path.lexists(path) and (self._keep or not is_overlay(path))
