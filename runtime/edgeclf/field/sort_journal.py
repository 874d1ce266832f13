"""The journal of sorting: what was moved where, so that a crash loses nothing and every step can be undone.

One JSON object a line, only ever appended. An operation writes what it is going to move, and flushes it to the disk,
before it moves anything; when it has ended, it writes what was moved. After a crash the files themselves say how far
an operation came, because each move happens at one instant.

    {"operation": 7, "label": "king", ..., "moves": [[id, "_unsorted/gentoo/a.jpg", "king/a.jpg"]]}
    {"ended": 7, "done": [id], "left": 86}
    {"operation": 8, "undoes": 7, ..., "moves": [[id, "king/a.jpg", "_unsorted/gentoo/a.jpg"]]}
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from edgeclf.errors import RecordError
from edgeclf.files.atomic_write import flush, sync_folder
from edgeclf.files.lock import lock
from edgeclf.files.photo_names import UNSORTED

JOURNAL = ".edgeclf-sorting.jsonl"  # hidden, in _unsorted
_LOCK_SECONDS = 20.0  # how long to wait for another process

Move = tuple[str, str, str]  # id of the photo, path before and after, from the folder that is sorted into


@dataclass
class Operation:
    """A number of moves that were asked for together.

    Attributes:
        number: counts up from 1.
        label: the class that the photos were moved to; None for "none of these", and for an undo.
        undoes: the number of the operation that it undoes, 0 if it labels.
        client: who asked; may be empty.
        made: the folder that was created for it, "" if there was one.
        moves: by the photo's id.
        done: ids of the photos that were moved; None as long as it has not ended.
        left: how many photos were left in the trays when it ended.
        restored: ids of ``done`` that were undone since.
    """

    number: int
    label: str | None
    undoes: int
    client: str
    made: str = ""
    moves: dict[str, Move] = field(default_factory=dict)
    done: list[str] | None = None
    left: int = -1
    restored: set[str] = field(default_factory=set)

    @property
    def standing(self) -> list[str]:
        """The ids of the photos that lie where it moved them to."""
        return [id for id in self.done or () if id not in self.restored]


class Journal:
    """Reads and writes the journal of one folder; others may write to it at the same time.

    Threads that write take turns first, then lock the file against other processes, and only then keep readers out: who
    waits for another process, keeps nobody from looking.

    Args:
        folder: the folder with ``_unsorted``.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / UNSORTED / JOURNAL
        self._forget()
        self._turn = threading.Lock()  # of those who write
        self._mutex = threading.RLock()  # of those who read, and of who writes now
        self._file: IO[bytes] | None = None

    def refresh(self) -> None:
        """Read what others have written since; a journal that cannot be read counts as empty."""
        with self._mutex:
            try:
                with open(self.path, "rb") as file:
                    self._read(file)
            except OSError:
                self._forget()

    @contextlib.contextmanager
    def unchanging(self) -> Iterator[None]:
        """A context in which no other thread of this process writes, so that what is read fits together."""
        with self._mutex:
            yield

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Lock the journal against other threads and processes, and read what they wrote before.

        Raises:
            RecordError: it cannot be written, or another process keeps it locked.
        """
        with self._turn:
            try:
                self.path.parent.mkdir(exist_ok=True)  # not the folder itself: its disk may have been taken away
                file = self._open_locked()
            except OSError as error:
                raise self.cannot_write(error) from error
            with file, self._mutex:
                self._read(file)
                self._file = file
                try:
                    yield
                finally:
                    self._file = None

    def begin(
        self, label: str | None, client: str, moves: Iterable[Move], *, undoes: int = 0, made: str = ""
    ) -> Operation:
        """Write what is going to be moved, and flush it. Only inside ``writing``.

        Raises:
            RecordError: it cannot be written; then nothing may be moved.
        """
        number = max(self.operations, default=0) + 1
        line = {"operation": number, "label": label, "undoes": undoes, "client": client, "made": made}
        self._write({**line, "time": _now(), "moves": list(moves)})
        return self.operations[number]

    def change(self, operation: Operation, move: Move) -> None:
        """Write that a photo of an operation goes elsewhere, because another file took its name.

        Raises:
            RecordError: it cannot be written.
        """
        self._write({"operation": operation.number, "moves": [move]})

    def end(self, operation: Operation, done: Iterable[str], left: int) -> None:
        """Write which photos an operation has moved.

        If that fails, they are moved all the same: the next writer finds out and writes it.
        """
        line = {"ended": operation.number, "done": list(done), "left": left}
        try:
            self._write(line)
        except RecordError:
            self._apply(line)

    def standing_of(self, client: str) -> Iterator[Operation]:
        """The operations of a client that are not undone, the last one first."""
        mine = (op for op in reversed(self.operations.values()) if op.client == client and not op.undoes)
        return (op for op in mine if op.standing)

    def sorted_by(self, id: str) -> Operation | None:
        """The operation that moved a photo, None if there is none or it was undone."""
        operation = self.operations.get(self._moved_by.get(id, 0))
        return operation if operation and id not in operation.restored else None

    def cannot_write(self, error: OSError) -> RecordError:
        """The error for a journal or a folder that cannot be written."""
        return RecordError(
            f"{self.path.parent}: sorting cannot be recorded, so nothing was moved ({error.strerror or error})",
            "check the folder, its permissions and the free space",
        )

    def _open_locked(self) -> IO[bytes]:
        until = time.monotonic() + _LOCK_SECONDS
        while True:
            fresh = not self.path.exists()
            file = open(self.path, "a+b", buffering=0)  # noqa: SIM115 - the caller closes it
            try:
                lock(file, self.path)
                if _same_file(file, self.path):
                    if fresh:
                        sync_folder(self.path.parent)
                    return file
            except RecordError as error:
                if time.monotonic() > until:
                    file.close()
                    raise RecordError(error.message, "end it, or try again later") from None
            except BaseException:
                file.close()
                raise
            file.close()
            time.sleep(0.01)

    def _write(self, line: dict[str, Any]) -> None:
        assert self._file is not None
        try:
            size = os.fstat(self._file.fileno()).st_size
            torn = b"\n" if size > self._offset else b""  # half a line, of a crash or a full disk
            data = memoryview(torn + json.dumps(line).encode() + b"\n")
            while data:
                data = data[self._file.write(data) :]
            flush(self._file.fileno())
        except OSError as error:
            raise self.cannot_write(error) from error
        self._read(self._file)

    def _forget(self) -> None:
        self.operations: dict[int, Operation] = {}
        self._moved_by: dict[str, int] = {}  # id of a photo -> number of the last operation that labelled it
        self._identity = (0, 0)
        self._offset = 0  # end of the last whole line that was read

    def _read(self, file: IO[bytes]) -> None:
        status = os.fstat(file.fileno())
        if (status.st_dev, status.st_ino) != self._identity or status.st_size < self._offset:
            self._forget()
            self._identity = (status.st_dev, status.st_ino)
        file.seek(self._offset)
        data = file.read()
        whole = data.rfind(b"\n") + 1
        self._offset += whole
        for text in data[:whole].splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):  # half a line
                self._apply(json.loads(text))

    def _apply(self, line: dict[str, Any]) -> None:
        if "operation" in line:
            number = int(line["operation"])
            moves = {id: (str(id), _inside(before), _inside(after)) for id, before, after in line["moves"]}
            if "client" in line:
                undoes, client, made = int(line["undoes"]), str(line["client"]), _inside(str(line["made"]))
                self.operations[number] = Operation(number, line["label"], undoes, client, made, moves)
            else:
                self.operations[number].moves.update(moves)
        elif "ended" in line:
            operation = self.operations[int(line["ended"])]
            operation.done = [id for id in line["done"] if id in operation.moves]
            operation.left = int(line["left"])
            if operation.undoes:
                self.operations[operation.undoes].restored.update(operation.done)
            else:
                self._moved_by.update((id, operation.number) for id in operation.done)


def _same_file(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except OSError:
        return False


def _inside(path: str) -> str:
    if os.path.isabs(path) or ".." in path.split("/"):  # the journal is a file that anybody may have changed
        raise ValueError(path)
    return path


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
