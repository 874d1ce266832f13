"""Finding new photos in a folder that is being written to, by looking again and again.

A photo is new if its path, size and time of modification are not among those known. It is quiet if the look before saw
it the same: looks are at least ``settle`` seconds apart, so what is still being copied is left for a later one. Nothing
is remembered by name: known and waiting photos take 8 bytes each.

Looks are cheap. A folder whose own time of modification has not changed, and in which nothing waited, is not read
again; its time changes when a file is added, renamed or removed. A file written over in place does not change it, nor
do some network mounts: so every folder is read now and then all the same.
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
from edgeclf.files.photo_names import UNSORTED, has_raw_suffix, is_ignored, is_photo_name
from edgeclf.files.timed_io import patiently
from edgeclf.files.walk import Tree, is_folder, is_linked

T = TypeVar("T")

_CHUNK = 1000  # entries of a folder held at once, sorted among themselves
_COARSE = 3.0  # seconds within which two changes of a folder may leave it the same time (memory cards: 2)
_WHOLE_EVERY = 30.0  # seconds between looks at every folder, at least
_LONGEST = 3600.0  # seconds until a photo that was put off again and again is given
_SHARE = 20  # looking takes at most a twentieth of the time, looking at every folder a hundredth


class _Inner(NamedTuple):
    """A folder inside another: its path, the real path of the other one, whether it is a link."""

    path: str
    parent: str | None
    is_link: bool


@dataclass(frozen=True)
class _Folder:
    """A folder as it was read last: its time of modification, whether nothing waited in it, and what lies inside."""

    modified_ns: int
    calm: bool
    inside: tuple["_Inner", ...]


class FolderWatch:
    """Looks for new photos below a folder, as ``walk.image_files`` does, but that ``_unsorted`` is left out.

    Args:
        folder: links to it are followed.
        known: digests of photos that are not new; the caller adds to it.
        skip: a folder inside that is not looked into.
        settle: seconds a photo must stay the same.
        patience: seconds until a photo that was put off is given again; twice as many each further time.
        told: called once with the path and the reason for a sub-folder that cannot be read.
        onraw: called once, with the first camera raw file that is seen: they are passed over.

    Attributes:
        gone: why the last look could not read ``folder``, None if it could.
        waiting: photos that the last look left for a later one.
    """

    def __init__(
        self,
        folder: str,
        known: Digests,
        *,
        settle: float,
        patience: float,
        skip: Path | None = None,
        told: Callable[[str, OSError], object] = lambda path, error: None,
        onraw: Callable[[str], object] = lambda path: None,
    ) -> None:
        self.folder = folder
        self.gone: OSError | None = None
        self.waiting = 0
        self._known, self._settle, self._patience, self._told = known, settle, patience, told
        self._onraw: Callable[[str], object] | None = onraw
        self._skip = None if skip is None else os.path.realpath(skip)
        self._seen = Digests()  # by the last look, and not known then
        self._put_off: dict[int, tuple[float, int]] = {}  # digest -> when to give it again, how often it was put off
        self._folders: dict[str, _Folder] = {}
        self._unreadable: set[str] = set()
        self._cost = 0.0
        self._whole_at = 0.0  # when every folder is to be read again

    @property
    def pause(self) -> float:
        """Seconds to let pass before the next look."""
        return max(self._settle, 0.1, _SHARE * self._cost)

    @property
    def postponed(self) -> int:
        """How many photos are put off."""
        return len(self._put_off)

    def put_off(self, photo: PhotoFile) -> int:
        """A photo could not be read: give it again after ``patience``, and ever later. Returns how often that was."""
        digest = photo.digest()
        times = self._put_off.get(digest, (0.0, 0))[1] + 1
        pause = min(self._patience * 2 ** (times - 1), max(self._patience, _LONGEST))
        self._put_off[digest] = (time.monotonic() + pause, times)
        return times

    def give_up(self, photo: PhotoFile) -> None:
        """Forget that a photo was put off."""
        self._put_off.pop(photo.digest(), None)

    def look(self) -> Iterator[PhotoFile]:
        """One look: new, quiet photos as they are found, folder by folder, sorted in each (a thousand at a time).

        To be consumed whole, or the next look starts anew.
        """
        started = time.perf_counter()
        away = 0.0  # time that those who take the photos need is not the look's
        whole = time.monotonic() >= self._whole_at
        seen, folders, self.waiting = Digests(), dict[str, _Folder](), 0
        stack = [_Inner(self.folder, None, False)]
        self.gone = None
        tree: Tree | None = None
        self._put_off = {digest: off for digest, off in self._put_off.items() if digest in self._seen}
        while stack:
            inner = stack.pop()
            path = inner.path
            try:
                tree = tree or _patiently(lambda: Tree(self.folder), path)
                real = _patiently(partial(tree.enter, *inner), path) if inner.is_link else tree.enter(*inner)
                if real is None or (real == self._skip and inner.parent is not None):
                    continue
                modified_ns = _patiently(partial(os.stat, path), path).st_mtime_ns
                earlier = self._folders.get(path)
                if not whole and earlier is not None and earlier.calm and earlier.modified_ns == modified_ns:
                    folders[path] = earlier
                    stack += earlier.inside
                    continue
                calm = time.time() - modified_ns / 1e9 > _COARSE
                inside: list[_Inner] = []
                for found in _listed(path):
                    if isinstance(found, _Inner):
                        if os.path.basename(found.path) != UNSORTED:
                            inside.append(found._replace(parent=real))
                        continue
                    if isinstance(found, str):
                        if self._onraw is not None:
                            self._onraw(found)
                            self._onraw = None
                        continue
                    photo = found
                    if (digest := photo.digest()) in self._known:
                        continue
                    calm = False
                    seen.add(digest)
                    if digest in self._seen and self._put_off.get(digest, (0.0, 0))[0] <= time.monotonic():
                        given = time.perf_counter()
                        yield photo
                        away += time.perf_counter() - given
                    else:
                        self.waiting += 1
            except OSError as error:
                if path == self.folder:
                    self.gone = error
                    return
                self._tell(path, error)
                continue
            self._unreadable.discard(path)
            inside.sort(reverse=True)  # the stack gives them back in order
            folders[path] = _Folder(modified_ns, calm, tuple(inside))
            stack += inside
        self._seen, self._folders = seen, folders
        self._cost = time.perf_counter() - started - away
        if whole:
            self._whole_at = time.monotonic() + max(_WHOLE_EVERY, 5 * _SHARE * self._cost)

    def _tell(self, path: str, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError) and path not in self._unreadable:
            self._unreadable.add(path)
            self._told(path, error)


def _listed(folder: str) -> Iterator[PhotoFile | _Inner | str]:
    """The photos in a folder, the folders in it, and the paths of camera raw files."""
    listing = _patiently(lambda: os.scandir(folder), folder)
    try:
        while chunk := _patiently(lambda: list(itertools.islice(listing, _CHUNK)), folder):
            chunk.sort(key=lambda entry: entry.name)
            yield from _patiently(partial(_photos_and_folders, chunk), folder)
    except TimeoutError:  # a thread may be reading it still: whoever is last closes it
        raise
    except BaseException:
        listing.close()
        raise


def _patiently(call: Callable[[], T], path: str) -> T:
    try:
        return patiently(lambda _: call(), path)
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
        # As look_at does: on Windows entry.stat() may be stale.
        return photo_file(entry.path, os.stat(entry.path))
    except OSError:  # gone by now, or a link to itself
        return None
