"""Many photos for one classifier: several threads decode and classify them, and the results keep their order."""

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


def side_by_side(
    method: str,
    photos: Iterable[Photo | PhotoError],
    decode: Callable[[Photo], Decoded],
    work: Callable[[Any, Decoded], Result],
    sessions: Sessions,
    threads: int,
    photo_bytes: int,
) -> Generator[Result | PhotoError, None, None]:
    """Compute ``work(session, decode(photo))`` for each photo.

    Args:
        method: name of the classifier's method, for error messages.
        photos: may be endless; taken a few ahead, in the caller's thread.
        decode: called in several threads at once; for arrays and PIL images in the caller's thread.
        work: called in several threads at once. Its session is None if ``Sessions.run`` should choose one.
        sessions: of the model.
        threads: how many photos are worked on at a time, fewer if the memory does not suffice. With one thread, or one
            photo, everything happens in the caller's thread.
        photo_bytes: memory that a photo takes while it is worked on.

    Returns:
        The results in order; a photo that cannot be read gives its error.

    Raises:
        UsageError: ``photos`` is a single photo.
    """
    if is_one_photo(photos):
        what = f"{method} takes several photos, not one {type(photos).__name__}"
        raise UsageError(what, f"give [photo], or call {method.removesuffix('_many')}")
    return _results(iter(photos), decode, work, sessions, threads, photo_bytes)


def _results(
    photos: Iterator[Photo | PhotoError],
    decode: Callable[[Photo], Decoded],
    work: Callable[[Any, Decoded], Result],
    sessions: Sessions,
    threads: int,
    photo_bytes: int,
) -> Generator[Result | PhotoError, None, None]:
    def result(photo: "_Taken[Decoded]") -> Result | PhotoError:
        try:
            if isinstance(photo, PhotoError):
                return photo
            return work(session, photo.content if isinstance(photo, _AlreadyDecoded) else decode(photo))
        except PhotoError as error:
            return error.alone()

    session = None  # a single photo is decoded while its session may still be opening
    taken = (_take(photo, decode) for photo in photos)
    if threads == 1:
        yield from map(result, taken)
        return
    first = list(islice(taken, 2))
    if len(first) < 2:  # all threads work on a single photo
        yield from map(result, first)
        return
    session = sessions.many()
    available = memory().available
    workers = threads if available is None else min(threads, max(1, available // photo_bytes))
    yield from in_order(result, chain(first, taken), workers)


@dataclass(frozen=True)
class _AlreadyDecoded(Generic[Decoded]):
    """A photo that was decoded when it was taken."""

    content: Decoded


_Taken: TypeAlias = str | os.PathLike[str] | bytes | _AlreadyDecoded[Decoded] | PhotoError


def _take(photo: Photo | PhotoError, decode: Callable[[Photo], Decoded]) -> "_Taken[Decoded]":
    """Turn a photo into one that can wait in a queue: the caller cannot close, move or overwrite it."""
    if isinstance(photo, str | os.PathLike | bytes | PhotoError):
        return photo
    try:
        if hasattr(photo, "read"):
            return read_photo_file(photo)
        return _AlreadyDecoded(decode(photo))
    except PhotoError as error:
        return error.alone()
