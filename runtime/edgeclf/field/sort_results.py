"""What sorting answers."""

from dataclasses import dataclass

from edgeclf.field.sort_classes import SortClass


@dataclass(frozen=True)
class Failure:
    """A photo that was not moved.

    Attributes:
        id: of the photo.
        message: why, in one line.
    """

    id: str
    message: str


@dataclass(frozen=True)
class Labelled:
    """What came of a label.

    Attributes:
        moved: ids of the photos that lie in the folder of the class now.
        failed: the others.
        action: the number to undo it by; 0 if nothing was moved.
        label: the class; None for "none of these".
    """

    moved: tuple[str, ...]
    failed: tuple[Failure, ...]
    action: int
    label: str | None


@dataclass(frozen=True)
class Undone:
    """What came of an undo.

    Attributes:
        restored: ids of the photos that lie in their trays again.
        failed: the others.
        action: the number of what was undone; 0 if there was nothing.
    """

    restored: tuple[str, ...]
    failed: tuple[Failure, ...]
    action: int


@dataclass(frozen=True)
class SortState:
    """How far the sorting is.

    Attributes:
        classes: all classes with the number of photos in their folders.
        left: photos in the trays.
        done: photos that were sorted since the trays were last empty.
        can_undo: what an undo would take back, in words; None if nothing.
    """

    classes: tuple[SortClass, ...]
    left: int
    done: int
    can_undo: str | None
