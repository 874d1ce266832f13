"""Record files: one record for each photo, appended one by one, never lost and never written twice.

A record (``edgeclf.field.record``) is what ``predict --json`` prints, with the photo's size and time and the model::

    {"path": ..., "unknown": ..., "predictions": [...], "size": 48213, "modified": "2026-07-04T12:00:00.000000000Z",
     "model": "0f3a...",                 # or "error": {"kind": ..., "message": ...}; "model": 16 digits of its SHA-256
     "folder": "/home/ann", "threshold": 0.62, "maps_of": null}

``folder`` is the folder that a relative ``path`` counts from (null for an absolute one). ``threshold`` and ``maps_of``
(null: no heat maps; "best-ranked", or a class) are the settings of the prediction; all records of a file have the same.
What the photo's EXIF says stands before ``size``: ``taken``, ``latitude``, ``longitude`` and ``camera``; and if
``events`` is among the settings, the answer of the photo's event (``edgeclf.field.photo_columns``).

In JSON Lines (``.jsonl``) a record is one line. In CSV (``.csv``) it is a row with the columns of ``csv_columns``: the
ranked classes side by side, without class indices and display names. A CSV file begins with a byte order mark, which
spreadsheets look for. Files of earlier versions lack the mark, or the last columns; they are continued in their format.

* One record is one line, whatever is in a file name, and is written with one call. When a file is opened to be
  continued, an incomplete last line is cut off; complete records are never changed.
* Both formats give back any file name. Bytes that are not text are ``"\\udcff"`` (for 0xFF) in JSON, as in Python. CSV
  writes those and control characters as ``\\uXXXX``, and a backslash as ``\\u005c`` if it would look like that. Text
  that a spreadsheet would run as a formula gets an apostrophe in front, and so does text that begins with one.
* Only one process at a time can write to a record file, if the system can lock files.
"""

import contextlib
import csv
import json
import os
import stat
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from edgeclf.errors import RecordError, UsageError
from edgeclf.field.csv_columns import LAST_COLUMNS, csv_columns, last_columns
from edgeclf.field.photo_id import Digests, PhotoFile
from edgeclf.field.record import PredictSettings, Record
from edgeclf.field.record_lines import BOM, different_settings, from_line, read_header, to_line
from edgeclf.files.atomic_write import flush, sync_folder
from edgeclf.files.lock import lock

SUFFIXES = (".jsonl", ".csv")
# Errors that stay unless the file changes, and a changed file is another photo.
PERMANENT = frozenset(("not-a-file", "empty", "not-an-image", "damaged", "too-large", "no-heat-map"))
# Errors that may go away while the file stays the same: ``watch`` tries such a photo again and again.
TEMPORARY = frozenset(("unreadable", "timeout"))
SYNC_EVERY = 0.5  # seconds
_FIRST_BYTES = b'{"path": "'
_DEFAULT_SETTINGS = PredictSettings()


class RecordFile:
    """A record file, open for appending. Use as a context manager.

    Args:
        path: ``.jsonl`` or ``.csv``.
        model: the model's ``sha256``.
        ranks: number of classes that are ranked for a photo.
        resume: continue a file that exists; if False, the file must not exist.
        settings: the threshold, the heat maps and the events of the predictions; written into each record.
        facts: a new CSV file gets columns for time, place and camera.
        retry: treat photos with a temporary error (unreadable, not found) as not recorded.
        sync_every: seconds; records that are added within this time share one flush to the disk. 0 flushes each.

    Attributes:
        known: digests of the photos that are recorded.
        found, failed: number of records when the file was opened, and how many of them are errors.
        cut: bytes of an incomplete last line that were cut off when the file was opened.

    Raises:
        UsageError: the file has another suffix; or it exists and ``resume`` is False.
        RecordError: the file is not a record file; it was written with another model, other settings or another number
            of ranked classes; it is damaged, in use by another process, or cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        model: str,
        ranks: int,
        *,
        resume: bool = False,
        settings: PredictSettings = _DEFAULT_SETTINGS,
        facts: bool = True,
        retry: bool = False,
        sync_every: float = SYNC_EVERY,
    ) -> None:
        self.path = Path(path)
        self.known = Digests()
        self.found = self.failed = self.cut = 0
        self._model, self._settings, self._ranks = model[:16], settings, ranks
        self._retry, self._sync_every = retry, sync_every
        last = last_columns(facts=facts, events=settings.events is not None)
        self._columns = csv_columns(ranks, last) if check_suffix(self.path) == ".csv" else None
        self._head = b"" if self._columns is None else BOM + f"{','.join(self._columns)}\n".encode()
        heads = [f"{','.join(csv_columns(ranks, one))}\n".encode() for one in LAST_COLUMNS]
        self._beginnings = [bom + head for bom in (BOM, b"") for head in heads] if self._head else [_FIRST_BYTES]
        self._file = self._open(resume)
        try:
            lock(self._file, self.path)
            self._end = self._read_all() if resume else 0
            if not self._end:
                self._append(self._head)
            self._unsynced, self._synced_at = True, 0.0
            self.commit()
            sync_folder(self.path.parent)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "RecordFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None or not issubclass(kind, RecordError):  # a failed write is reported already
                self.commit()
        finally:
            self._file.close()

    def add(self, photo: PhotoFile | None, record: Record) -> None:
        """Append one record. It survives the end of this process at once, and a power cut after ``commit``.

        Calls ``commit``, unless that was done less than ``sync_every`` seconds ago.

        Args:
            photo: the file, as it was before it was read; None for what is no file.
            record: what was predicted for it.

        Raises:
            RecordError: the record cannot be written; the file is as it was before.
        """
        record = record.in_file(photo, self._model, self._settings)
        self._append(to_line(record, self._columns))
        self._unsynced = True
        if photo is not None:
            self.known.add(photo.digest())
        if time.monotonic() - self._synced_at >= self._sync_every:
            self.commit()

    def commit(self) -> None:
        """Return when every record is on the disk.

        Raises:
            RecordError: the system reports an error, or the file was moved or deleted meanwhile.
        """
        if not self._unsynced:
            return
        try:
            flush(self._file.fileno())
            there = os.stat(self.path)
        except FileNotFoundError:
            there = None
        except OSError as error:
            raise self._unwritable(error) from error
        self._unsynced, self._synced_at = False, time.monotonic()
        if there is None or not os.path.samestat(there, os.fstat(self._file.fileno())):
            raise RecordError(f"{self.path}: was moved or deleted while in use", "start again; stop edgeclf first")

    def _open(self, resume: bool) -> IO[bytes]:
        try:
            if resume and self.path.exists() and not stat.S_ISREG(os.stat(self.path).st_mode):
                raise RecordError(f"{self.path}: is not a regular file", "name another file")
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0) | (0 if resume else os.O_EXCL)
            return os.fdopen(os.open(self.path, flags, 0o666), "r+b", buffering=0)
        except FileExistsError:
            raise UsageError(
                f"{self.path}: exists already", "continue it with --resume, or name another file"
            ) from None
        except OSError as error:
            raise self._unwritable(error) from error

    def _append(self, line: bytes) -> None:
        left = memoryview(line)
        try:
            while left:  # on a nearly full disk only a part may be written
                left = left[os.write(self._file.fileno(), left) :]
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            if left:
                with contextlib.suppress(OSError):  # if even this fails, the next start cuts the line off
                    os.ftruncate(self._file.fileno(), self._end)
            else:
                self._end += len(line)

    def _unwritable(self, error: OSError) -> RecordError:
        if isinstance(error, FileNotFoundError):
            return RecordError(f"{self.path}: cannot be written (no such folder)", "make the folder first")
        return RecordError(
            f"{self.path}: cannot be written ({error.strerror or error})",
            "check the folder, its permissions and the free space; all records before are complete",
        )

    def _read_all(self) -> int:
        """Read all records, cut off an incomplete last line, and return the position of the next record, in bytes."""
        end = number = 0
        torn = b""
        with open(self._file.fileno(), "rb", closefd=False) as lines:
            for number, line in enumerate(lines, 1):
                if torn:
                    raise RecordError(f"{self.path}: line {number - 1} is damaged", "repair it, or name another file")
                if number == 1 and self._head:
                    self._check_head(line)
                    whole = line.endswith(b"\n")
                else:
                    whole = self._read_record(line, number)
                if whole:
                    end += len(line)
                else:
                    torn = line
        begun = torn.rstrip(b"\0")  # a power cut may leave zeros
        if not end and not any(head.startswith(begun[: len(head)]) for head in self._beginnings):
            raise self._foreign()
        if not end and begun and not self._head:
            try:
                from_line(begun, None)
            except json.JSONDecodeError:  # incomplete
                pass
            except (ValueError, RecursionError):  # complete, but from a program that writes no last line break
                raise self._foreign() from None
        if torn:
            self.cut = len(torn)
            os.ftruncate(self._file.fileno(), end)
        return end

    def _check_head(self, line: bytes) -> None:
        text = line.rstrip(b"\r\n\0")
        if not line.endswith(b"\n") and any(head.startswith(text) for head in self._beginnings):
            return
        columns, untouched = read_header(line)
        if columns is None:
            raise self._foreign()
        if not untouched:
            raise self._saved_again()
        self._check_ranks(sum(column.startswith("label_") for column in columns))
        if ("events" in columns) != (self._settings.events is not None):
            was, remedy = ("with", "give it as before") if "events" in columns else ("without", "leave it out")
            raise RecordError(f"{self.path}: was begun {was} --events", f"{remedy}, or name another file")
        if line.endswith(b"\n"):
            self._columns = columns

    def _check_ranks(self, ranks: int) -> None:
        if ranks != self._ranks:
            raise RecordError(
                f"{self.path}: has {ranks} classes for each photo, not {self._ranks}",
                "give the same --top-k as before, or name another file",
            )

    def _saved_again(self) -> RecordError:
        return RecordError(
            f"{self.path}: was saved by another program in another format (spreadsheets do this)",
            "name another file; open only copies of record files in such programs",
        )

    def _foreign(self) -> RecordError:
        return RecordError(
            f"{self.path}: is not a record file of edgeclf", "name another file; this one was not changed"
        )

    def _read_record(self, line: bytes, number: int) -> bool:
        """Remember which photo a line is about. Returns False for a line that is not a complete record."""
        if not line.endswith(b"\n"):
            return False
        try:
            record = from_line(line, self._columns)
        except (ValueError, RecursionError, csv.Error):
            if number == 1:
                raise self._foreign() from None
            if line.endswith(b"\r\n"):  # edgeclf never ends a line like this: it is not incomplete
                raise self._saved_again() from None
            return False
        if record.model != self._model:
            raise RecordError(
                f"{self.path}: was written with another model ({record.model}, this one is {self._model})",
                "name another file, or give the model that it was begun with",
            )
        if record.predictions:
            self._check_ranks(len(record.predictions))
        if different := different_settings(self._settings, record):
            raise RecordError(f"{self.path}: was written {different[0]}", f"{different[1]}, or name another file")
        self.found += 1
        self.failed += record.error is not None
        temporary = record.error is not None and record.error.kind not in PERMANENT
        photo = record.photo
        if photo is not None and not (temporary and self._retry):
            self.known.add(photo.digest())
        return True


def check_suffix(path: Path) -> str:
    """ ".jsonl" or ".csv".

    Raises:
        UsageError: the file has another suffix.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path}: the name does not tell the format", "use a name that ends in .jsonl or .csv")
    return suffix
