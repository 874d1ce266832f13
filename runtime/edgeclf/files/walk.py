"""Walking through folders: the one rule of all commands for which folders are entered and which files are photos.

Names that are never photos (``edgeclf.files.photo_names``) are left out. A folder that the user names is always walked.

Links to folders are followed, but each real folder is walked once: a link to a folder above it, or to one that is
walked anyway, is not followed.
"""

import heapq
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from edgeclf.files.hanging_disk import with_time_limit
from edgeclf.files.in_tar import FolderEntry, scan_folder
from edgeclf.files.photo_names import FoundPath, has_raw_suffix, is_ignored, is_photo_name

T = TypeVar("T")

_NAMES_AT_ONCE = 5_000  # names of one folder in memory


class Tree:
    """Decides which folders a walk enters: those below its root and those that links lead to, each once.

    Args:
        root: the folder where the walk begins; it is entered too.
    """

    def __init__(self, root: str) -> None:
        self._root = os.path.realpath(root)
        self._linked: set[str] = set()  # real paths outside the root that links led to

    def enter(self, path: str, parent: str | None, is_link: bool) -> str | None:
        """The real path of a folder, None if it is not entered: a circle of links, or it is walked by another path.

        Args:
            path: the folder.
            parent: the real path of the folder it was found in, None for the root.
            is_link: whether it is a link.
        """
        if parent is None:
            return self._root
        if not is_link:
            real = os.path.join(parent, os.path.basename(path))
            return None if real in self._linked else real
        real = os.path.realpath(path)
        if lies_in(parent, real) or self._is_walked(real):
            return None
        self._linked.add(real)
        return real

    def _is_walked(self, real: str) -> bool:
        if lies_in(real, self._root):
            return not any(map(is_ignored, real.removeprefix(self._root).split(os.sep)[1:]))
        while real not in self._linked:
            above = os.path.dirname(real)
            if above == real:
                return False
            real = above
        return True


def lies_in(inner: str, outer: str) -> bool:
    """Whether a real path is another one, or below it."""
    return inner == outer or inner.startswith(outer.rstrip(os.sep) + os.sep)


def image_files(
    folder: str,
    onerror: Callable[[OSError], Any] | None = None,
    wanted: Callable[[str], bool] = is_photo_name,
    onraw: Callable[[str], Any] | None = None,
) -> Iterator[FoundPath]:
    """Find the photos below a folder, sorted within each folder, those of a folder before those of its sub-folders.

    Args:
        folder: links in it are followed, but each folder is walked once. A .tar of photos, or a folder in one, is
            walked as if it were unpacked.
        onerror: called for a folder that cannot be listed; such folders are skipped.
        wanted: whether a file of this name is returned; never true for names that ``is_ignored`` leaves out.
        onraw: called for each file with the suffix of a camera raw file, which edgeclf cannot read.

    Returns:
        Their paths.

    Raises:
        PhotoError: "timeout": the disk does not respond.
    """

    def listed(name: str) -> bool:
        return wanted(name) or (onraw is not None and has_raw_suffix(name))

    tree = _with_time_limit(lambda: Tree(folder), folder)
    waiting: list[tuple[str, str | None, bool]] = [(folder, None, False)]
    while waiting:
        path, above, is_link = waiting.pop()
        enter = partial(tree.enter, path, above, is_link)
        real = _with_time_limit(enter, folder) if is_link else enter()
        if real is None:
            continue
        folders: list[tuple[str, bool]] | None = None
        after = ""
        while True:
            try:
                names, inside = with_time_limit(partial(_next_names, path, after, listed), folder)
            except OSError as error:
                if onerror:
                    onerror(error)
                break
            folders = inside if folders is None else folders
            for name in names:
                if onraw is None or wanted(name):
                    yield FoundPath(os.path.join(path, name))
                else:
                    onraw(os.path.join(path, name))
            if len(names) < _NAMES_AT_ONCE:
                break
            after = names[-1]
        waiting += ((inner, real, linked) for inner, linked in reversed(folders or []))


def _with_time_limit(call: Callable[[], T], folder: str) -> T:
    return with_time_limit(lambda _: call(), folder)


def _next_names(
    parent: str, after: str, wanted: Callable[[str], bool], progress: Callable[[], None]
) -> tuple[list[str], list[tuple[str, bool]]]:
    """The next file names of a folder, in order.

    A folder of 100,000 photos is listed twenty times, which takes two seconds of several minutes. All its names at once
    would take more memory than everything else.

    Returns:
        The first names after ``after``, and the sub-folders with whether they are links, both sorted.
    """
    folders = []

    def files() -> Iterator[str]:
        with scan_folder(parent, progress) as entries:
            for entry in entries:
                progress()
                if is_folder(entry):
                    if not is_ignored(entry.name):
                        folders.append((entry.path, is_linked(entry)))
                elif entry.name > after and wanted(entry.name) and not is_ignored(entry.name):
                    yield entry.name

    return heapq.nsmallest(_NAMES_AT_ONCE, files()), sorted(folders)


def is_folder(entry: FolderEntry) -> bool:
    """Whether an entry is a folder or a link to one; False for a link to itself."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_linked(entry: FolderEntry) -> bool:
    """Whether a folder is a link, or on Windows a junction."""
    return entry.is_symlink() or (os.name == "nt" and os.path.realpath(entry.path) != os.path.abspath(entry.path))
