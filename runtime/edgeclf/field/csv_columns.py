"""The columns of a CSV record file, and how text stands in its cells."""

import re
from collections.abc import Sequence

_OLDEST = ("error", "message", "cam", "cam_class", "padding_share", "copy", "size", "modified", "model")
_PLAIN = (*_OLDEST, "folder", "threshold", "maps_of")
_FACTS = ("taken", "latitude", "longitude", "camera")
_EVENTS = ("events", "event", "event_photos", "event_label", "event_probability", "event_unknown")
# The columns behind the ranking that files have or had: a file keeps the columns that it was begun with.
LAST_COLUMNS = ((*_PLAIN, *_FACTS), _PLAIN, (*_PLAIN, *_FACTS, *_EVENTS), (*_PLAIN, *_EVENTS), _OLDEST)
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


def last_columns(*, facts: bool = True, events: bool = False) -> tuple[str, ...]:
    """The columns behind the ranking, for ``csv_columns``.

    Args:
        facts: with time, place and camera.
        events: with the answer of the photo's event.
    """
    return (*_PLAIN, *(_FACTS if facts else ()), *(_EVENTS if events else ()))


def escaped(text: str) -> str:
    """Text as it stands in a CSV record file: control characters as ``\\uXXXX``, formulas behind an apostrophe."""
    text = _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return f"'{text}" if text.startswith(_FORMULA) else text


def unescaped(text: str) -> str:
    """The original text of what ``escaped`` returned."""
    return re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), text.removeprefix("'"))
