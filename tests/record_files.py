"""What the tests of record files share: records without photos, and files of them."""

import csv
import json
from pathlib import Path
from typing import Any

from edgeclf.field.csv_columns import unescaped
from edgeclf.field.photo_id import PhotoFile
from edgeclf.field.record import Failure, Record, RecordedClass
from edgeclf.field.record_file import RecordFile

SHA = "0123456789abcdef" * 4


def prediction(path: str) -> Record:
    """A record of two classes, one called like a formula."""
    return Record(path, False, (RecordedClass("=king", 0.5, 0), RecordedClass("a, b", 0.5, 1)))


def failure(path: str, kind: str) -> Record:
    """A record of an error."""
    return Record(path, error=Failure(kind, f"{path}: {kind}"))


def of(path: str) -> PhotoFile:
    """The photo of a path, whose size is told by the path."""
    return PhotoFile(path, 100 + len(path), "2026-07-04T12:00:00.000000001Z")


def written(file: Path, paths: list[str]) -> bytes:
    """Write a record file and return its bytes."""
    with RecordFile(file, SHA, 2) as records:
        for path in paths:
            records.add(of(path), prediction(path))
    return file.read_bytes()


def recorded(out: Path) -> list[dict[str, Any]]:
    """The records of a file, as any program reads them."""
    if out.suffix == ".jsonl":
        return [json.loads(line) for line in out.read_bytes().splitlines()]
    return [{**row, "path": unescaped(row["path"])} for row in csv.DictReader(out.read_text("utf-8-sig").splitlines())]
