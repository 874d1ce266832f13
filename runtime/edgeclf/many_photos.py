"""Many photos for one classifier: taken so that they can wait in a queue, worked on side by side, answered in order."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Generic, TypeAlias, TypeVar

from edgeclf.concurrency import in_order
from edgeclf.errors import PhotoError, UsageError
from edgeclf.hardware import memory
from edgeclf.images.photo_bytes import Photo, is_one_photo, read_photo_file
from edgeclf.model.session_pool import Sessions

Decoded = TypeVar("Decoded")
Result = TypeVar("Result")


def check_several(photos: Iterable[Photo | PhotoError], name: str) -> Iterator[Photo | PhotoError]:
    """An iterator over what should be several photos. Raises UsageError for a single one; ``name`` is the method's."""
    if is_one_photo(photos):
        what = f"{name} takes several photos, not one {type(photos).__name__}"
        raise UsageError(what, f"give [photo], or call {name.removesuffix('_many')}")
    return iter(photos)


def side_by_side(
    photos: Iterator[Photo | PhotoError],
    decode: Callable[[Photo], Decoded],
    work: Callable[[Any, Decoded], Result],
    sessions: Sessions,
    threads: int,
    photo_bytes: int,
) -> Generator[Result | PhotoError, None, None]:
    """The results of ``work(session, decode(photo))``, in order; a photo that cannot be read yields its error.

    Args:
        photos: may be endless; taken a few ahead, in the caller's thread.
        decode: called in several threads at once, and in the caller's for what cannot wait (open files apart).
        work: called in several threads at once. Its session is None for the first of ``sessions``, in its turn.
        sessions: of the model.
        threads: how many photos are worked on at a time, as long as there is memory for them. With one thread, or one
            photo, all of it happens in the caller's thread.
        photo_bytes: memory that a photo takes while it is worked on.
    """

    def answer(photo: "_Taken[Decoded]") -> Result | PhotoError:
        try:
            if isinstance(photo, PhotoError):
                return photo
            return work(many, photo.content if isinstance(photo, _Done) else decode(photo))
        except PhotoError as error:
            return error.alone()

    many = None  # what several photos run on; one alone is decoded while its session may still be opening
    taken = (_take(photo, decode) for photo in photos)
    if threads == 1:
        yield from map(answer, taken)
        return
    first = list(islice(taken, 2))
    if len(first) < 2:  # a single photo has all threads to itself
        yield from map(answer, first)
        return
    many = sessions.many()
    room = memory().available
    workers = threads if room is None else min(threads, max(1, room // photo_bytes))
    yield from in_order(answer, chain(first, taken), workers)


@dataclass(frozen=True)
class _Done(Generic[Decoded]):
    """A photo that was decoded when it was taken."""

    content: Decoded


_Taken: TypeAlias = str | os.PathLike[str] | bytes | _Done[Decoded] | PhotoError


def _take(photo: Photo | PhotoError, decode: Callable[[Photo], Decoded]) -> "_Taken[Decoded]":
    """A photo that can wait for its turn in another thread: nothing its giver may close, move on, or write to again."""
    if isinstance(photo, str | os.PathLike | bytes | PhotoError):
        return photo
    try:
        if hasattr(photo, "read"):
            return read_photo_file(photo)
        return _Done(decode(photo))
    except PhotoError as error:
        return error.alone()
