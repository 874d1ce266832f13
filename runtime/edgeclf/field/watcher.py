"""Find new photos in a folder that is being written to, by scanning it again and again.

A photo is new if its path, size and time of modification are not among the known ones. It is stable if the scan before
saw the same size and time: scans are at least ``settle`` seconds apart, so a photo that is still being copied is left
for a later scan. No names are remembered: known and waiting photos take 8 bytes each.

Scans are cheap. A folder is not read again if its own time of modification has not changed and no photo waits in it;
that time changes when a file is added, renamed or removed. It does not change when a file is overwritten in place, nor
on some network mounts: so every folder is still read now and then.
"""

import errno
import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from edgeclf.errors import PhotoError
from edgeclf.field.photo_id import Digests, PhotoFile, photo_file
from edgeclf.files.hanging_disk import with_time_limit
from edgeclf.files.photo_names import UNSORTED, has_raw_suffix, is_ignored, is_photo_name
from edgeclf.files.walk import Tree, is_folder, is_linked

T = TypeVar("T")

_CHUNK_ENTRIES = 1000  # entries of a folder that are read and sorted at once
_TIME_RESOLUTION = 3.0  # seconds; two changes of a folder within this may leave the same time (memory cards: 2)
_FULL_SCAN_SECONDS = 30.0  # between scans that read every folder, at least
_MAX_RETRY_SECONDS = 3600.0  # until a photo that could not be read is tried again
_PAUSE_FACTOR = 20  # the pause is at least so many times as long as a scan, and 100 times as long as a full scan


class _Inner(NamedTuple):
    """A folder inside another one: its path, the real path of the other one, and whether it is a link."""

    path: str
    parent: str | None
    is_link: bool


@dataclass(frozen=True)
class _Folder:
    """A folder as it was read last: its time of modification, whether no photo waits in it, and the folders inside."""

    modified_ns: int
    is_quiet: bool
    inside: tuple["_Inner", ...]


class FolderWatch:
    """Finds new photos below a folder, as ``walk.image_files`` does, except in folders called ``_unsorted``.

    Args:
        folder: may be a link.
        known: digests of photos that are not new; the caller adds to it.
        skip: a folder inside that is not read.
        settle: seconds during which a photo must not change.
        retry_after: seconds until a photo that was put off is found again; doubled each further time.
        on_unreadable: called once for each sub-folder that cannot be read, with its path and the error.
        on_raw: called once, with the first camera raw file; raw files are left out.

    Attributes:
        gone: why the last scan could not read ``folder``, None if it could.
        waiting: number of photos that the last scan left for a later one.
    """

    def __init__(
        self,
        folder: str,
        known: Digests,
        *,
        settle: float,
        retry_after: float,
        skip: Path | None = None,
        on_unreadable: Callable[[str, OSError], object] = lambda path, error: None,
        on_raw: Callable[[str], object] = lambda path: None,
    ) -> None:
        self.folder = folder
        self.gone: OSError | None = None
        self.waiting = 0
        self._known, self._settle, self._retry_after, self._on_unreadable = known, settle, retry_after, on_unreadable
        self._on_raw: Callable[[str], object] | None = on_raw
        self._skip = None if skip is None else os.path.realpath(skip)
        self._seen = Digests()  # in the last scan, and not known then
        self._put_off: dict[int, tuple[float, int]] = {}  # digest -> when to find it again, how often it was put off
        self._folders: dict[str, _Folder] = {}
        self._unreadable: set[str] = set()
        self._cost = 0.0
        self._full_scan_at = 0.0  # when to read every folder again

    @property
    def pause(self) -> float:
        """Seconds to wait before the next scan."""
        return max(self._settle, 0.1, _PAUSE_FACTOR * self._cost)

    @property
    def postponed(self) -> int:
        """Number of photos that are put off."""
        return len(self._put_off)

    def put_off(self, photo: PhotoFile) -> int:
        """Find a photo that could not be read again after ``retry_after``. Returns how often it was put off."""
        digest = photo.digest()
        times = self._put_off.get(digest, (0.0, 0))[1] + 1
        pause = min(self._retry_after * 2 ** (times - 1), max(self._retry_after, _MAX_RETRY_SECONDS))
        self._put_off[digest] = (time.monotonic() + pause, times)
        return times

    def give_up(self, photo: PhotoFile) -> None:
        """Forget that a photo was put off."""
        self._put_off.pop(photo.digest(), None)

    def scan(self) -> Iterator[PhotoFile]:
        """Scan once, and yield new, stable photos folder by folder, sorted within each (a thousand at a time).

        Must be consumed to its end; else the next scan starts from the beginning.
        """
        started = time.perf_counter()
        outside = 0.0  # seconds that the caller spends on the photos do not belong to the scan
        full = time.monotonic() >= self._full_scan_at
        seen, folders, self.waiting = Digests(), dict[str, _Folder](), 0
        stack = [_Inner(self.folder, None, False)]
        self.gone = None
        tree: Tree | None = None
        self._put_off = {digest: off for digest, off in self._put_off.items() if digest in self._seen}
        while stack:
            inner = stack.pop()
            path = inner.path
            try:
                tree = tree or _with_time_limit(lambda: Tree(self.folder), path)
                real = _with_time_limit(partial(tree.enter, *inner), path) if inner.is_link else tree.enter(*inner)
                if real is None or (real == self._skip and inner.parent is not None):
                    continue
                modified_ns = _with_time_limit(partial(os.stat, path), path).st_mtime_ns
                earlier = self._folders.get(path)
                if not full and earlier is not None and earlier.is_quiet and earlier.modified_ns == modified_ns:
                    folders[path] = earlier
                    stack += earlier.inside
                    continue
                is_quiet = time.time() - modified_ns / 1e9 > _TIME_RESOLUTION
                inside: list[_Inner] = []
                for found in _listed(path):
                    if isinstance(found, _Inner):
                        if os.path.basename(found.path) != UNSORTED:
                            inside.append(found._replace(parent=real))
                        continue
                    if isinstance(found, str):
                        if self._on_raw is not None:
                            self._on_raw(found)
                            self._on_raw = None
                        continue
                    photo = found
                    if (digest := photo.digest()) in self._known:
                        continue
                    is_quiet = False
                    seen.add(digest)
                    if digest in self._seen and self._put_off.get(digest, (0.0, 0))[0] <= time.monotonic():
                        yielded = time.perf_counter()
                        yield photo
                        outside += time.perf_counter() - yielded
                    else:
                        self.waiting += 1
            except OSError as error:
                if path == self.folder:
                    self.gone = error
                    return
                self._tell(path, error)
                continue
            self._unreadable.discard(path)
            inside.sort(reverse=True)  # the stack returns them in order
            folders[path] = _Folder(modified_ns, is_quiet, tuple(inside))
            stack += inside
        self._seen, self._folders = seen, folders
        self._cost = time.perf_counter() - started - outside
        if full:
            self._full_scan_at = time.monotonic() + max(_FULL_SCAN_SECONDS, 5 * _PAUSE_FACTOR * self._cost)

    def _tell(self, path: str, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError) and path not in self._unreadable:
            self._unreadable.add(path)
            self._on_unreadable(path, error)


def _listed(folder: str) -> Iterator[PhotoFile | _Inner | str]:
    """The photos in a folder, the folders in it, and the paths of camera raw files."""
    listing = _with_time_limit(lambda: os.scandir(folder), folder)
    try:
        while chunk := _with_time_limit(lambda: list(itertools.islice(listing, _CHUNK_ENTRIES)), folder):
            chunk.sort(key=lambda entry: entry.name)
            yield from _with_time_limit(partial(_photos_and_folders, chunk), folder)
    except TimeoutError:  # a thread may still be reading it, and closes it
        raise
    except BaseException:
        listing.close()
        raise


def _with_time_limit(call: Callable[[], T], path: str) -> T:
    try:
        return with_time_limit(lambda _: call(), path)
    except PhotoError as error:
        raise TimeoutError(errno.ETIMEDOUT, "its disk does not answer", path) from error


def _photos_and_folders(entries: list[os.DirEntry[str]]) -> list[PhotoFile | _Inner | str]:
    shown = [entry for entry in entries if not is_ignored(entry.name)]
    found = [_Inner(entry.path, None, is_linked(entry)) if is_folder(entry) else _photo(entry) for entry in shown]
    return [one for one in found if one is not None]


def _photo(entry: os.DirEntry[str]) -> PhotoFile | str | None:
    if not is_photo_name(entry.name):
        return entry.path if has_raw_suffix(entry.name) else None
    try:
        if not entry.is_file():
            return None
        # os.stat, as in look_at: on Windows entry.stat() may be out of date.
        return photo_file(entry.path, os.stat(entry.path))
    except OSError:  # deleted meanwhile, or a link to itself
        return None
