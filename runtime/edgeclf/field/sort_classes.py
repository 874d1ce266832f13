"""The classes that photos can be sorted into: those of the model, and the class folders that exist."""

import contextlib
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeclf.class_names import alike, finder, is_blank, natural, no_text, shown, spelling, split_of
from edgeclf.errors import RecordError, UsageError
from edgeclf.field.review import safe_name
from edgeclf.field.trays import NONE_OF_THESE
from edgeclf.files.photo_names import UNSORTED, is_ignored, is_photo_name
from edgeclf.files.walk import is_folder, lies_in

_MAX_NAME_BYTES = 200  # of a new class; file systems allow 255
_SETTLED_AGE = 3.0  # seconds: a folder that changed later than this may change again without a new time (FAT: 2 s)


@dataclass(frozen=True)
class SortClass:
    """A class that photos can be sorted into.

    Attributes:
        label: the class name.
        display_name: the name to show to people.
        count: photos directly in its folder.
    """

    label: str
    display_name: str
    count: int


class SortClasses:
    """The classes of one folder.

    Args:
        folder: with the class folders; it need not exist yet.
        labels: the classes of the model.
        display_names: class name -> name for people.

    Raises:
        UsageError: the class folders do not lie directly in it, but in splits.
    """

    def __init__(
        self, folder: Path, labels: Sequence[str] = (), display_names: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self._labels = tuple(labels)
        self._display_names = dict(display_names or {})
        self._counts: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()
        if splits := [name for name in self.folders() if split_of(name) and any(_folders(folder / name))]:
            raise UsageError(
                f"{folder}: its class folders lie in {', '.join(splits)}, so sorted photos would lie in no split",
                f"name a folder of class folders, such as {folder / splits[0]}",
            )

    def folders(self) -> list[str]:
        """The names of the class folders that exist, sorted."""
        return sorted(name for name in _folders(self.folder) if name != UNSORTED)

    def names(self) -> list[str]:
        """The classes of the model in index order, then other class folders, in the order of ``natural``.

        A folder in another Unicode form, or made valid by ``safe_name``, is that of the class.
        """
        known = {spelling(form) for label in self._labels for form in (label, safe_name(label))}
        others = {spelling(name): name for name in reversed(self.folders())}
        return [*self._labels, *sorted((name for key, name in others.items() if key not in known), key=natural)]

    def counted(self) -> list[SortClass]:
        """``names`` with the names for people and the number of photos."""
        folders = self.folders()
        return [
            SortClass(
                name,
                shown(self._display_names.get(name, name)),
                sum(self._count(folder) for folder in _folders_of(name, folders)),
            )
            for name in self.names()
        ]

    def display_name(self, label: str) -> str:
        """The name of a class to show to people."""
        return shown(self._display_names.get(label, label))

    def known(self, label: str) -> str:
        """A class by its name, in any Unicode form.

        Raises:
            UsageError: there is no such class.
        """
        names = self.names()
        index = finder(names)(label)
        if index is None:
            raise UsageError(f"there is no class '{shown(label)[:100]}'", "choose one of the list, or make a new class")
        return names[index]

    def new(self, text: str) -> str:
        """The name of a new class from what a person typed. Nothing is created yet.

        A name that is only another form of an existing one gives that class.

        Raises:
            UsageError: the name cannot be a class.
        """
        if bad := no_text(text):
            raise UsageError(f"the name has {bad}, which cannot be shown", "type another name")
        name = safe_name(spelling(text))
        if is_blank(text) or not name.strip("_ "):
            raise UsageError("the name of the new class is empty", "type a name")
        if len(os.fsencode(name)) > _MAX_NAME_BYTES:
            raise UsageError("the name of the new class is too long", "type a shorter name")
        names = self.names()
        for wanted in (text, name):
            if (index := finder(names)(wanted)) is not None:
                return names[index]
        if close := [other for other in names if alike(other) == alike(name)]:
            raise UsageError(
                f"'{name}' is hard to tell from the class '{shown(close[0])}'", "choose that class, or another name"
            )
        if is_ignored(name) or split_of(name) or alike(name) in (alike(UNSORTED), alike(NONE_OF_THESE)):
            raise UsageError(f"'{name}' means something else to edgeclf, so no class can have it", "type another name")
        return name

    def make_folder(self, label: str) -> tuple[str, str]:
        """The folder of a class, created if there is none.

        Args:
            label: a class.

        Returns:
            Its name, and again if it was created now, else "".

        Raises:
            RecordError: it is a link that leads elsewhere, or not a folder.
            OSError: it cannot be created.
        """
        name = next(iter(_folders_of(label, self.folders())), safe_name(label))
        path = self.folder / name
        made = ""
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            made = name
        root, real = os.path.realpath(self.folder), os.path.realpath(path)
        inside = lies_in(real, root) and real != root and not lies_in(real, os.path.join(root, UNSORTED))
        if not inside or not os.path.isdir(real):
            raise RecordError(
                f"{path}: is not a folder, or a link that leads elsewhere", "sort these photos into another class"
            )
        return name, made

    def _count(self, folder: str) -> int:
        path = self.folder / folder
        try:
            changed = os.stat(path).st_mtime_ns
            with self._lock:
                before = self._counts.get(folder)
            if before and before[0] == changed:
                return before[1]
            with os.scandir(path) as entries:
                count = sum(is_photo_name(entry.name) and not is_ignored(entry.name) for entry in entries)
        except OSError:
            return 0
        if abs(time.time() - changed / 1e9) > _SETTLED_AGE:
            with self._lock:
                self._counts[folder] = changed, count
        return count


def _folders_of(label: str, folders: Sequence[str]) -> list[str]:
    """The folders of a class, the one with the identical name first."""
    wanted = {spelling(label), spelling(safe_name(label))}
    return sorted((name for name in folders if spelling(name) in wanted), key=lambda name: (name != label, name))


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if is_folder(entry) and not is_ignored(entry.name)]
    except OSError:
        return []
