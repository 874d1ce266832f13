"""Photos on the command line: how many they are, one result for each, and the files of overlays."""

import io
import os
import re
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from itertools import tee
from pathlib import Path
from typing import IO, TypeVar

from PIL import Image

from edgeclf.errors import EdgeclfError, PhotoError, UsageError
from edgeclf.field.find_photos import STDIN, Source, find_photos
from edgeclf.files.atomic_write import check_writable, write_new, write_over
from edgeclf.files.glob_patterns import is_pattern
from edgeclf.files.hanging_disk import with_time_limit
from edgeclf.files.photo_names import is_photo_name
from edgeclf.images.heatmap_mark import OVERLAY_ENDING, is_overlay, save_marked

_FORMAT = re.compile(r"\.[a-z]{2,4}")  # a file suffix; the folder name maps-2024.05 does not end in one
T = TypeVar("T")
Result = TypeVar("Result")


def predict_each(
    items: Iterable[tuple[T, Source]], predict: Callable[[Iterator[Source]], Generator[Result, None, None]]
) -> Generator[tuple[T, Result], None, None]:
    """Classify photos lazily, in order, and yield each result with the item that its photo came with.

    Args:
        items: an item, and its photo or the error that stands for it.
        predict: gives one result for each photo, as ``Classifier.predict_many`` does.
    """
    ahead, named = tee(items)
    with closing(predict(source for _, source in ahead)) as results:
        for result, (item, _) in zip(results, named, strict=True):
            yield item, result


def are_several(arguments: list[str]) -> bool:
    """Whether arguments may stand for more than one photo."""
    if len(arguments) != 1:
        return True
    try:
        return with_time_limit(lambda _: os.path.isdir(arguments[0]) or is_pattern(arguments[0]), arguments[0])
    except PhotoError:  # its disk does not answer: reported when the photo is read
        return False


def counting(arguments: list[str]) -> Callable[[], int]:
    """Count the photos that ``find_photos`` will find, in the background; the returned function gives 0 until then."""
    known = [0]

    def count() -> None:
        with suppress(EdgeclfError):  # reported when the photos are read
            known[0] = sum(
                1 for argument in arguments for _ in ([argument] if argument == STDIN else find_photos([argument]))
            )

    threading.Thread(target=count, daemon=True).start()
    return lambda: known[0]


class OverlayFiles:
    """The files of overlays: one file that the user named, or a folder with one file for each photo.

    A name that ends in a slash, or not like an image, is a folder. Only earlier overlays are overwritten.

    Args:
        where: the file or folder.
        photos: the arguments that name photos.
        keep: do not overwrite earlier overlays either.

    Raises:
        UsageError: one file is named for several photos, or the file exists and is not an overlay.
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
        """An overlay as the bytes of its file; may be called from any thread."""
        buffer = io.BytesIO()
        save_marked(overlay, buffer, self._file.suffix if self._file is not None else OVERLAY_ENDING)
        return buffer.getvalue()

    def save(self, overlay: bytes, photo: str) -> Path:
        """Write one overlay, as ``encode`` gave it, and return its path.

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
        stem = stem.encode("utf-8", "surrogateescape")[:150].decode("utf-8", "ignore")  # 255 bytes at most
        name, number = f"{stem}{OVERLAY_ENDING}", 1
        while name.casefold() in self._taken or self._is_foreign(name):
            number += 1
            name = f"{stem}-{number}{OVERLAY_ENDING}"
        self._taken.add(name.casefold())
        return name

    def _is_foreign(self, name: str) -> bool:
        path = self._folder / name
        return os.path.lexists(path) and (self._keep or not is_overlay(path))
