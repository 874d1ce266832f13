"""Typed reading of JSON: plain values become frozen dataclasses, and every value is checked."""

import base64
import functools
import math
import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

_MAX_TEXT_CHARACTERS = 2000
_MAX_QUOTED_CHARACTERS = 60  # of a text in an error message


def json_to_dataclass(kind: Any, value: Any, where: str) -> Any:
    """Convert a plain JSON value to an annotated type: a dataclass, or a type of a dataclass's field.

    Args:
        kind: the type: a dataclass, ``tuple[T, ...]``, ``T | None``, a ``Literal``, ``Mapping[str, str]``, bytes
            (base64 in JSON), str, int, float or bool.
        value: what ``json.loads`` gave.
        where: name of the value, for error messages.

    Returns:
        An instance of ``kind``.

    Raises:
        ValueError: the value does not fit the type, or a text is too long or not printable.
    """
    origin = typing.get_origin(kind)
    if is_dataclass(kind):
        return _dataclass(kind, value, where)
    if origin is tuple:
        _expect(value, list, where)
        item = typing.get_args(kind)[0]
        return tuple(json_to_dataclass(item, v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is types.UnionType:
        return None if value is None else json_to_dataclass(typing.get_args(kind)[0], value, where)
    if origin is typing.Literal:
        if value not in typing.get_args(kind):
            raise ValueError(f"{where} is {value!r}")
        return value
    if origin is not None:  # Mapping[str, str]
        _expect(value, dict, where)
        return {str(k): json_to_dataclass(str, v, f"{where}.{k}") for k, v in value.items()}
    if kind is bytes:
        _expect(value, str, where)
        return base64.b64decode(value, validate=True)
    _expect(value, (int, float) if kind is float else kind, where)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}")
    if kind is str:
        if len(value) > _MAX_TEXT_CHARACTERS:
            raise ValueError(f"{where} is too long: {len(value)} characters, {_MAX_TEXT_CHARACTERS} at most")
        if not value.isprintable():
            from edgeclf.class_names import no_text, shown  # imported only if needed: most names are plain

            if odd := no_text(value):
                quoted = shown(value[:_MAX_QUOTED_CHARACTERS])
                raise ValueError(f"{where}, '{quoted}', has {odd}, which cannot be displayed")
    return value


def _dataclass(kind: Any, value: Any, where: str) -> Any:
    _expect(value, dict, where)
    hints, required = _field_types(kind)
    if missing := sorted(required - value.keys()):
        raise ValueError(f"{where} lacks {', '.join(missing)}")
    if unknown := sorted(value.keys() - hints.keys()):
        raise ValueError(f"{where} has unknown keys {', '.join(map(repr, unknown))}")
    return kind(**{k: json_to_dataclass(hints[k], v, f"{where}.{k}") for k, v in value.items()})


@functools.cache  # to resolve annotations is slow, and a manifest may hold a thousand dataclasses
def _field_types(kind: Any) -> tuple[dict[str, Any], frozenset[str]]:
    required = (f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING)
    return typing.get_type_hints(kind), frozenset(required)


def _expect(value: Any, kind: Any, where: str) -> None:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{where} is {type(value).__name__}")
