"""Lines of a record file: records and headers as bytes, and the settings that all lines of a file share."""

import codecs
import csv
import io
import re
from collections.abc import Sequence

from edgeclf.field.csv_columns import LAST_COLUMNS, csv_columns
from edgeclf.field.record import PredictSettings, Record

BOM = b"\xef\xbb\xbf"  # without it spreadsheets take UTF-8 for another encoding
_ROUNDED = 1e-6  # of probabilities in records


def to_line(record: Record, columns: Sequence[str] | None) -> bytes:
    """A record as a line, with its line break.

    Args:
        record: of a record file.
        columns: of a CSV file; None for JSON Lines.
    """
    if columns is None:
        return record.to_json().encode() + b"\n"
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(record.to_row(columns))
    return text.getvalue().encode()


def from_line(line: bytes, columns: Sequence[str] | None) -> Record:
    """Read a line, which may end with a line break or not; ``columns`` as for ``to_line``.

    Raises:
        ValueError: it is not a record of a record file.
        csv.Error: likewise.
    """
    if columns is None:
        record = Record.from_json(line)
    else:
        (cells,) = csv.reader([line.decode()], strict=True)
        record = Record.from_row(dict(zip(columns, cells, strict=True)))
    if record.model is None:
        raise ValueError("not in a record file")
    return record


def read_header(line: bytes) -> tuple[tuple[str, ...] | None, bool]:
    """Read the first line of a CSV file.

    Spreadsheets write semicolons or tabs instead of commas, or UTF-16.

    Returns:
        The columns, None if they are not those of a record file; and whether the line is as edgeclf wrote it.
    """
    wide = line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = line.decode("utf-16" if wide else "utf-8-sig", "ignore").rstrip("\r\n\0")
    names = tuple(re.sub("[;\t]", ",", text.replace('"', "")).strip().split(","))
    ranks = sum(name.startswith("label_") for name in names)
    columns = next((c for last in LAST_COLUMNS if (c := csv_columns(ranks, last)) == names), None)
    return columns, not wide and columns is not None and text == ",".join(columns)


def different_settings(settings: PredictSettings, record: Record) -> tuple[str, str] | None:
    """Compare the settings of a record with those of now.

    Records of earlier versions do not hold their threshold: it must not contradict their ``unknown``.

    Returns:
        What differs and what to do about it, as two parts of a message; None if nothing differs.
    """
    was = record.settings or settings._replace(events=None)
    if was.maps_of != settings.maps_of:
        before, now = (f"heat maps of {name}" if name else "no heat maps" for name in (was.maps_of, settings.maps_of))
        return f"with {before}, now it is {now}", "give --cam and --cam-class as before"
    if was.events != settings.events:
        if was.events is None:
            return "without --events", "leave it out"
        now = "without" if settings.events is None else f"{settings.events:g}"
        return f"with --events {was.events:g}, now it is {now}", f"give --events {was.events:g}"
    limit = settings.threshold
    if limit is None:
        return None
    if was.threshold != limit:
        return f"with --threshold {was.threshold}, now it is {limit}", f"give --threshold {was.threshold}"
    best = record.predictions[0].probability if record.predictions else None
    if best is not None and record.unknown != (best < limit) and abs(best - limit) > _ROUNDED:
        return f"with another --threshold than {limit}", "give the one it was begun with"
    return None
