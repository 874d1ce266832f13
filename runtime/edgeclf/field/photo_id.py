"""The identity of a photo: its path, size and time of modification. A replaced file is another photo."""

import functools
import hashlib
import os
import time
import unicodedata
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import PhotoError
from edgeclf.files.hanging_disk import with_time_limit

_MAX_UNSORTED = 1024  # digests in the set, before they are merged into the sorted array


class PhotoFile(NamedTuple):
    """A file as it was when it was checked.

    Attributes:
        path: as the caller named it.
        size: bytes.
        modified: time of modification, ISO 8601 in UTC with nanoseconds: "2026-07-04T12:00:00.123456789Z".
    """

    path: str
    size: int
    modified: str

    def digest(self) -> int:
        """64 bits of the path, size and time; for a million photos a collision has a chance of 1 in 37 million.

        The digest is the same from every working folder, through links to folders, and for every Unicode form of
        accents.
        """
        path = self.path if os.path.isabs(self.path) else os.path.join(os.getcwd(), self.path)
        folder, name = os.path.split(path)
        place = os.path.normcase(os.path.join(_real(folder), name))
        if not place.isascii():
            place = unicodedata.normalize("NFC", place)
        text = f"{place}\0{self.size}\0{self.modified}"
        return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _real(folder: str) -> str:
    try:
        return _without_links(folder)
    except (OSError, ValueError, PhotoError):  # it does not exist now, or its disk does not answer
        return os.path.normpath(folder)


@functools.lru_cache(4096)
def _without_links(folder: str) -> str:
    return with_time_limit(lambda _: os.path.realpath(folder), folder)


def photo_file(path: str, status: os.stat_result) -> PhotoFile:
    """A file from its path and the result of ``os.stat``."""
    seconds, nanoseconds = divmod(status.st_mtime_ns, 10**9)
    try:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    except (ValueError, OverflowError, OSError):  # a year that the system cannot represent
        moment = str(seconds)
    return PhotoFile(path, status.st_size, f"{moment}.{nanoseconds:09}Z")


def look_at(path: str) -> PhotoFile | None:
    """The file as it is now; None if it does not exist, or its disk does not answer."""
    try:
        return photo_file(path, with_time_limit(lambda _: os.stat(path), path))
    except (OSError, ValueError, PhotoError):
        return None


class Digests:
    """A set of 64-bit digests in 8 bytes each: a sorted array, and a small set of those not merged yet.

    One thread may add digests while others look them up.
    """

    def __init__(self) -> None:
        self._sorted = np.empty(0, np.uint64)
        self._recent: set[int] = set()

    @classmethod
    def of(cls, digests: NDArray[np.uint64]) -> "Digests":
        """A set of digests that are sorted already, uint64; the array is not copied."""
        made = cls()
        made._sorted = digests
        return made

    def add(self, digest: int) -> None:
        """Add a digest, if it is not in the set yet."""
        if digest in self:
            return
        self._recent.add(digest)
        if len(self._recent) >= _MAX_UNSORTED:
            fresh = np.fromiter(self._recent, np.uint64, len(self._recent))
            merged = np.concatenate((self._sorted, fresh))
            merged.sort(kind="stable")
            self._sorted = merged  # before the set is emptied, so that another thread finds each digest in one of them
            self._recent = set()

    def __contains__(self, digest: int) -> bool:
        if digest in self._recent:
            return True
        ordered = self._sorted
        position = int(ordered.searchsorted(np.uint64(digest)))
        return position < len(ordered) and int(ordered[position]) == digest

    def __len__(self) -> int:
        return len(self._sorted) + len(self._recent)
