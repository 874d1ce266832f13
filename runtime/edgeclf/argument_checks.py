"""Checks of what Python code gives: another type is one line, whatever it holds."""

import operator

from edgeclf.errors import UsageError


def check_whole(name: str, value: int) -> None:
    """Raise TypeError for what is no whole number, UsageError for one below 1."""
    try:
        whole = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is a whole number, not {type(value).__name__}") from None
    if whole < 1:
        raise UsageError(f"{name} is {whole}", "give at least 1")


def number(name: str, value: float) -> float:
    """A number. Raises TypeError for what is none, text included."""
    if isinstance(value, str):
        raise TypeError(f"{name} is a number, not {type(value).__name__}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is a number, not {type(value).__name__}") from None
