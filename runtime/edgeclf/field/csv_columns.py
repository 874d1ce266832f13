"""The columns of a CSV record file, and how text stands in its cells."""

import re
from collections.abc import Sequence

_FIRST_COLUMNS = ("error", "message", "cam", "cam_class", "padding_share", "copy", "size", "modified", "model")
# The columns behind the ranking, the newest version's first: a file keeps the columns that it was begun with.
LAST_COLUMNS = ((*_FIRST_COLUMNS, "folder", "threshold", "maps_of"), _FIRST_COLUMNS)
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]|\\\\(?=u[0-9a-f]{4})")
_FORMULA = tuple("=+-@'\uff1d\uff0b\uff0d\uff20")  # and their full-width twins


def csv_columns(ranks: int, last: Sequence[str] = LAST_COLUMNS[0]) -> tuple[str, ...]:
    """The columns of a CSV record file.

    Args:
        ranks: how many classes are ranked for a photo.
        last: the columns behind the ranking, one of ``LAST_COLUMNS``.
    """
    ranking = (f"{what}_{rank}" for rank in range(1, ranks + 1) for what in ("label", "probability"))
    return ("path", "unknown", *ranking, *last)


def escaped(text: str) -> str:
    """Text as it stands in a CSV record file: control characters as ``\\uXXXX``, formulas behind an apostrophe."""
    text = _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return f"'{text}" if text.startswith(_FORMULA) else text


def unescaped(text: str) -> str:
    """The original text of what ``escaped`` returned."""
    return re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), text.removeprefix("'"))
