"""What must be one in all of a record file, beside the model: its columns, and the rule that photos are answered by."""

import codecs
import re
from collections.abc import Mapping
from typing import Any

from edgeclf.field.record import TAILS, Record, csv_columns

_ROUNDED = 1e-6  # of probabilities in records


def read_head(line: bytes) -> tuple[tuple[str, ...] | None, bool]:
    """The columns that the first line of a CSV file names, None if it is none of edgeclf; whether as edgeclf wrote it.

    Spreadsheets put semicolons or tabs for commas, or write UTF-16.
    """
    wide = line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = line.decode("utf-16" if wide else "utf-8-sig", "ignore").rstrip("\r\n\0")
    names = tuple(re.sub("[;\t]", ",", text.replace('"', "")).strip().split(","))
    ranks = sum(name.startswith("label_") for name in names)
    columns = next((c for tail in TAILS if (c := csv_columns(ranks, tail)) == names), None)
    return columns, not wide and columns is not None and text == ",".join(columns)


def other_rule(rule: Mapping[str, Any], record: Record) -> tuple[str, str] | None:
    """How a record was answered otherwise than by ``rule``, and what to do; None if it was not.

    Records of earlier versions do not name their threshold: it must not contradict what they say.
    """
    if (was := record.rule.get("maps_of", rule.get("maps_of"))) != rule.get("maps_of"):
        before, now = (f"heat maps of {name}" if name else "no heat maps" for name in (was, rule.get("maps_of")))
        return f"with {before}, now it is {now}", "give --cam and --cam-class as before"
    limit, best = rule.get("threshold"), record.best
    if limit is None:
        return None
    if (was := record.rule.get("threshold", limit)) != limit:
        return f"with --threshold {was}, now it is {limit}", f"give --threshold {was}"
    if best is not None and record.unknown != (best < limit) and abs(best - limit) > _ROUNDED:
        return f"with another --threshold than {limit}", "give the one it was begun with"
    return None
