"""Walking through folders: one rule for all commands of what is looked into, and of what is never a photo.

Left out is what ``edgeclf.files.photo_names`` says is never a photo. A folder that the user names is walked, whatever
it is called.

Links to folders are followed. One that leads back above itself is not, nor into what is walked anyway: each real folder
counts once.
"""

import heapq
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from edgeclf.files.photo_names import FoundPath, has_raw_suffix, is_ignored, is_photo_name
from edgeclf.files.timed_io import patiently

T = TypeVar("T")

_NAMES = 5_000  # of one folder, that are held in memory at once


class Tree:
    """Which folders a walk enters: real ones below its root, and those that links lead to, each once.

    Args:
        root: where the walk begins; it is entered itself.
    """

    def __init__(self, root: str) -> None:
        self._root = os.path.realpath(root)
        self._linked: set[str] = set()  # what links led to, outside

    def enter(self, path: str, parent: str | None, is_link: bool) -> str | None:
        """The real path of a folder to be walked, None if it is not: a circle, or walked by another way.

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
    """Photos below a folder: what has an image suffix, sorted within each folder, a folder before those inside it.

    Args:
        folder: links in it are followed, but each folder is walked once.
        onerror: called for a folder that cannot be listed, which is passed over without it.
        wanted: by their names, which files; never those that ``is_ignored`` says.
        onraw: called for what is called like a camera raw file, which nothing here can read.

    Raises:
        PhotoError: "timeout": the disk does not answer.
    """

    def listed(name: str) -> bool:
        return wanted(name) or (onraw is not None and has_raw_suffix(name))

    tree = _patiently(lambda: Tree(folder), folder)
    waiting: list[tuple[str, str | None, bool]] = [(folder, None, False)]
    while waiting:
        path, above, is_link = waiting.pop()
        enter = partial(tree.enter, path, above, is_link)
        real = _patiently(enter, folder) if is_link else enter()
        if real is None:
            continue
        folders: list[tuple[str, bool]] | None = None
        after = ""
        while True:
            try:
                names, inside = patiently(partial(_next_names, path, after, listed), folder)
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
            if len(names) < _NAMES:
                break
            after = names[-1]
        waiting += ((inner, real, linked) for inner, linked in reversed(folders or []))


def _patiently(call: Callable[[], T], folder: str) -> T:
    return patiently(lambda _: call(), folder)


def _next_names(
    parent: str, after: str, wanted: Callable[[str], bool], progress: Callable[[], None]
) -> tuple[list[str], list[tuple[str, bool]]]:
    """The first files in a folder whose names sort behind ``after``, and the folders in it, sorted, links marked.

    A folder of 100,000 photos is read twenty times over: two seconds, in the minutes that they take. All its names at
    once would be most of what its photos cost in memory.
    """
    folders = []

    def files() -> Iterator[str]:
        with os.scandir(parent) as entries:
            for entry in entries:
                progress()
                if is_folder(entry):
                    if not is_ignored(entry.name):
                        folders.append((entry.path, is_linked(entry)))
                elif entry.name > after and wanted(entry.name) and not is_ignored(entry.name):
                    yield entry.name

    return heapq.nsmallest(_NAMES, files()), sorted(folders)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether there is a folder, or a link to one; not for a link to itself."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_linked(entry: os.DirEntry[str]) -> bool:
    """Whether a folder is another one by a second name: a link, or on Windows a junction."""
    return entry.is_symlink() or (os.name == "nt" and os.path.realpath(entry.path) != os.path.abspath(entry.path))
