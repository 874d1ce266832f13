"""The onnxruntime sessions of one classifier, and how photos are distributed to them and to threads.

Sessions are opened when needed, and again in every child process.
"""

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeclf.concurrency import in_order
from edgeclf.errors import BackendError, ModelError, PhotoError, UsageError
from edgeclf.hardware import memory
from edgeclf.images.photo_bytes import NamedPhoto, Photo, is_one_photo, read_photo_file
from edgeclf.model import fork_safety
from edgeclf.model.file import ModelFile
from edgeclf.model.session import CPU, open_session

# After two inferences at once: several with all threads each, or one of them so, are slower than one thread each.
_CROWDED_SECONDS = 0.5

Decoded = TypeVar("Decoded")
Result = TypeVar("Result")


def check_finite(values: NDArray[Any], model: str) -> None:
    """Check what a model computed for a photo.

    Args:
        values: an output.
        model: the path of its file.

    Raises:
        ModelError: a value is NaN or infinite.
    """
    if not np.isfinite(values).all():
        what = f"{model}: its output for a photo is not finite (NaN or infinity)"
        raise ModelError(what, "the model cannot be used; export it again, from a run that did not diverge")


class Sessions:
    """One session for single photos, and one for photos in parallel.

    Args:
        file: the model.
        device, spin, low_memory: as for ``open_session``.
        threads: CPU threads of the first session.
        at_once: how many photos ``run_many`` works on at a time, fewer if the memory does not suffice. With one, or for
            one photo, everything happens in the caller's thread.
    """

    def __init__(
        self, file: ModelFile, device: str, threads: int, at_once: int, *, spin: bool, low_memory: bool
    ) -> None:
        self._file, self._device, self._threads, self._spin, self._low_memory = file, device, threads, spin, low_memory
        self._at_once = at_once
        self.after_fork()
        fork_safety.call_after_fork(self)

    def after_fork(self) -> None:
        """Forget everything that belongs to the parent process."""
        self._first: tuple[Any, str] | None = None
        self._error: Exception | None = None
        self._many: Any = None
        self._turns = threading.Lock()
        self._crowded_until = 0.0

    def begin(self) -> None:
        """Open the first session in a thread; ``first`` raises its errors."""
        threading.Thread(target=self._open_first, name="edgeclf-opening").start()

    def first(self) -> tuple[Any, str]:
        """The first session, and the execution provider that runs it. Raises what ``open_session`` raises."""
        first = self._first or self._open_first()
        if first is None:
            assert self._error is not None
            raise self._error
        return first

    def _many_session(self) -> Any:
        """A session whose inferences use one thread each: N of them in parallel are faster than one with N threads.

        None if the first session is used for photos in parallel too, in its ``turn``.
        """
        first, provider = self.first()
        if self._threads == 1 or self._low_memory or provider != CPU:
            return None
        with fork_safety.opening:
            if self._many is None:
                # If the file was overwritten in place, the open session still has the checked bytes.
                whole = self._file.content.is_whole()
                self._many = open_session(self._file, provider, 1)[0] if whole else first
            return self._many

    @contextmanager
    def turn(self) -> Iterator[Any]:
        """A session for one inference: on the CPU one with all threads, or with one thread beside other inferences.

        On other devices they run one at a time.
        """
        session, provider = self.first()
        alone = self._turns.acquire(blocking=provider != CPU)
        try:
            if not alone:
                self._crowded_until = time.monotonic() + _CROWDED_SECONDS
            crowded = time.monotonic() < self._crowded_until
            yield (self._many_session() or session) if crowded else session
        finally:
            if alone:
                self._turns.release()

    def run(self, session: Any, image: NDArray[np.uint8], *outputs: str) -> Any:
        """Run one inference.

        Args:
            session: as ``run_many`` passes it; None: the one that ``turn`` gives.
            image: RGB uint8 ``[size, size, 3]``.
            outputs: names of the requested outputs.

        Returns:
            The outputs as arrays, without the batch axis.

        Raises:
            BackendError: onnxruntime failed.
            ModelError: a value is not finite.
        """
        with self.turn() if session is None else nullcontext(session) as chosen:
            try:
                found = [batch[0] for batch in chosen.run(outputs, {"image": image[None]})]
            except Exception as error:  # onnxruntime's own classes, and MemoryError
                reason = " ".join(str(error).split())[:300] or type(error).__name__
                what = f"onnxruntime failed on a photo ({reason})"
                raise BackendError(what, "if memory ran out, try --low-memory or a smaller model") from error
        for values in found:
            check_finite(values, self._file.path)
        return found

    def run_many(
        self,
        method: str,
        photos: Iterable[Photo | PhotoError],
        decode: Callable[[Photo], Decoded],
        work: Callable[[Any, Decoded], Result],
        photo_bytes: int,
    ) -> Generator[Result | PhotoError, None, None]:
        """Compute ``work(session, decode(photo))`` for each photo.

        Args:
            method: name of the classifier's method, for error messages.
            photos: may be endless; taken a few ahead, in the caller's thread.
            decode: called in several threads at once; for arrays and PIL images in the caller's thread.
            work: called in several threads at once. Its session is None if ``run`` should choose one.
            photo_bytes: memory that a photo takes while it is worked on.

        Returns:
            The results in order; a photo that cannot be read gives its error.

        Raises:
            UsageError: ``photos`` is a single photo.
        """
        if is_one_photo(photos):
            what = f"{method} takes several photos, not one {type(photos).__name__}"
            raise UsageError(what, f"give [photo], or call {method.removesuffix('_many')}")
        return self._results(iter(photos), decode, work, photo_bytes)

    def _results(
        self,
        photos: Iterator[Photo | PhotoError],
        decode: Callable[[Photo], Decoded],
        work: Callable[[Any, Decoded], Result],
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
        if self._at_once == 1:
            yield from map(result, taken)
            return
        first = list(islice(taken, 2))
        if len(first) < 2:  # all threads work on a single photo
            yield from map(result, first)
            return
        session = self._many_session()
        available = memory().available
        workers = self._at_once if available is None else min(self._at_once, max(1, available // photo_bytes))
        yield from in_order(result, chain(first, taken), workers)

    def _open_first(self) -> tuple[Any, str] | None:
        with fork_safety.opening:
            if self._first is None and self._error is None:
                try:
                    self._first = open_session(
                        self._file, self._device, self._threads, spin=self._spin, low_memory=self._low_memory
                    )
                except Exception as error:  # raised by ``first``
                    self._error = error
            return self._first


@dataclass(frozen=True)
class _AlreadyDecoded(Generic[Decoded]):
    """A photo that was decoded when it was taken."""

    content: Decoded


_Taken: TypeAlias = str | os.PathLike[str] | bytes | NamedPhoto | _AlreadyDecoded[Decoded] | PhotoError


def _take(photo: Photo | PhotoError, decode: Callable[[Photo], Decoded]) -> "_Taken[Decoded]":
    """Turn a photo into one that can wait in a queue: the caller cannot close, move or overwrite it."""
    if isinstance(photo, str | os.PathLike | bytes | NamedPhoto | PhotoError):
        return photo
    try:
        if hasattr(photo, "read"):
            return read_photo_file(photo)
        return _AlreadyDecoded(decode(photo))
    except PhotoError as error:
        return error.alone()
