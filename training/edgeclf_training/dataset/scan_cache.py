"""Cache of scan results, one per user. If it is damaged it is made again; if it cannot be written it is not used."""

import contextlib
import json
import os
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Any

import PIL
from edgeclf.files.in_tar import size_and_time
from edgeclf.images.contract import PREPROCESSING_VERSION

from edgeclf_training.dataset.cache_folder import cache_folder

# The number is raised whenever a scan of the same file gives another result. Pillow decides which files can be read.
_VERSION = f"6/{PREPROCESSING_VERSION}/{PIL.__version__}"
_BATCH = 1000  # rows per transaction; an interrupted scan loses at most so many
_TABLE = (
    "CREATE TABLE IF NOT EXISTS scans (path BLOB PRIMARY KEY, size INTEGER, mtime INTEGER, version TEXT, fields TEXT,"
    " thumb BLOB) WITHOUT ROWID"
)


class ScanCache:
    """Rows by absolute path, valid while size, modification time (ns) and scan version are the same.

    A row is a tuple of plain values, the last of them bytes. No method raises if the cache cannot be used.
    """

    def __init__(self) -> None:
        self._file = cache_folder() / "scans.sqlite"
        self._database: sqlite3.Connection | None = None
        self._pending: list[tuple[Any, ...]] = []
        self._stamps: dict[Path, tuple[int, int]] = {}

    def __enter__(self) -> "ScanCache":
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._open()
        except sqlite3.OperationalError:
            self._close()  # locked, read-only or disk full: continue without
        except sqlite3.DatabaseError:  # damaged
            self._close()
            with contextlib.suppress(OSError, sqlite3.Error):
                self._file.unlink()
                self._open()
        except OSError:
            pass
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        self._close()

    def get(self, path: Path) -> tuple[Any, ...] | None:
        """The row of a file, or None if there is none or the file has changed."""
        try:
            stamp = self._stamps[path] = size_and_time(path)
        except (OSError, ValueError):
            return None
        if self._database is None:
            return None
        try:
            row = self._database.execute(
                "SELECT fields, thumb FROM scans WHERE path = ? AND size = ? AND mtime = ? AND version = ?",
                (os.fsencode(path), *stamp, _VERSION),
            ).fetchone()
            return None if row is None else (*json.loads(row[0]), bytes(row[1]))
        except (sqlite3.Error, ValueError):
            return None

    def put(self, path: Path, row: tuple[Any, ...]) -> None:
        """Store a row under the size and time that the file had when ``get`` was called for it."""
        if (stamp := self._stamps.get(path)) is None:
            return
        self._pending.append((os.fsencode(path), *stamp, _VERSION, json.dumps(row[:-1]), row[-1]))
        if len(self._pending) >= _BATCH:
            self._flush()

    def _open(self) -> None:
        self._database = sqlite3.connect(self._file, timeout=5, isolation_level=None)
        self._database.execute(_TABLE)
        self._database.execute("SELECT path, size, mtime, version, fields, thumb FROM scans LIMIT 1").fetchone()

    def _flush(self) -> None:
        rows, self._pending = self._pending, []
        if self._database is None or not rows:
            return
        with contextlib.suppress(sqlite3.Error):
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT OR REPLACE INTO scans VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._database.execute("COMMIT")

    def _close(self) -> None:
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None
