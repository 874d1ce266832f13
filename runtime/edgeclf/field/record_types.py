"""The types of a record's values in JSON. A record file may have been changed by anything since it was written."""

from collections.abc import Mapping
from typing import Any, TypeAlias

_Types: TypeAlias = Mapping[str, tuple[type, ...]]

_TEXT = ("path", "cam", "cam_class", "copy", "device", "modified", "model", "folder", "maps_of")
_TEXT_BESIDE = ("taken", "camera", "event", "event_label")
_NUMBERS = ("padding_share", "threshold", "latitude", "longitude", "events", "event_probability")
_RECORD: _Types = {
    **dict.fromkeys((*_TEXT, *_TEXT_BESIDE), (str,)),
    **dict.fromkeys(_NUMBERS, (int, float)),
    **dict.fromkeys(("size", "event_photos"), (int,)),
    **dict.fromkeys(("unknown", "event_unknown"), (bool,)),
    "predictions": (list,),
    "error": (dict,),
}
_RANKED: _Types = {"label": (str,), "probability": (int, float), "index": (int,), "display_name": (str,)}
_ERROR: _Types = {"kind": (str,), "message": (str,)}
_MOST = 2.0**63  # no record holds a larger number, and many ways to use one fail


def check_types(values: Mapping[str, Any]) -> None:
    """Check the values of a record that was read from JSON, by their keys. A value of null counts as missing.

    Raises:
        ValueError: one of them has a type that no record has, or is a number that no record holds.
    """
    error = values.get("error")
    if not (
        _fit(values, _RECORD)
        and all(map(_is_ranked, values.get("predictions") or ()))
        and (error is None or (_fit(error, _ERROR) and None not in map(error.get, _ERROR)))
    ):
        raise ValueError("not a record")


def _is_ranked(entry: Any) -> bool:
    known = isinstance(entry, dict) and entry.get("label") is not None and entry.get("probability") is not None
    return known and _fit(entry, _RANKED)


def _fit(values: Mapping[str, Any], types: _Types) -> bool:
    """Whether each known value has one of its types; JSON of Python may also hold NaN and infinity."""
    for key, value in values.items():
        if value is None or key not in types:
            continue
        kind = type(value)  # not isinstance: True is no number
        if kind not in types[key] or (kind in (int, float) and not -_MOST <= value < _MOST):
            return False
    return True
