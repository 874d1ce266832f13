"""Checks of arguments: an error message of one line for a wrong type or value."""

import operator

from edgeclf.errors import UsageError


def check_whole(name: str, value: int) -> None:
    """Check that an argument is an integer of at least 1.

    Args:
        name: of the argument, for messages.
        value: its value.

    Raises:
        TypeError: it is not an integer.
        UsageError: it is below 1.
    """
    try:
        whole = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is a whole number, not {type(value).__name__}") from None
    if whole < 1:
        raise UsageError(f"{name} is {whole}", "give at least 1")


def number(name: str, value: float) -> float:
    """Convert an argument to a float.

    Args:
        name: of the argument, for messages.
        value: its value.

    Raises:
        TypeError: it is not a number; a string is not.
    """
    if isinstance(value, str):
        raise TypeError(f"{name} is a number, not {type(value).__name__}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is a number, not {type(value).__name__}") from None


def check_settings(device: str, threads: int | None, threshold: float | None) -> None:
    """Check the settings of a classifier; None is a default.

    Raises:
        TypeError: one has the wrong type.
        UsageError: ``threads`` is below 1, or ``threshold`` is not within 0..1.
    """
    if threshold is not None and not 0 <= number("threshold", threshold) <= 1:
        raise UsageError(f"threshold is {threshold}", "give a probability, 0..1")
    if threads is not None:
        check_whole("threads", threads)
    if not isinstance(device, str):
        raise TypeError(f"device is a name such as 'cpu', not {type(device).__name__}")
