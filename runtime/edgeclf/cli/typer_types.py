"""Convert command-line arguments to their types without pydantic, which typer would import.

From version 0.29 on, every parameter of typer gets its converter from ``get_runtime_param()``. The import of typer's
own converter makes ``edgeclf predict`` take a third longer. The one here gives the messages of earlier versions, which
have no such method and do not need this.
"""

from typing import Any, Literal, get_args, get_origin

import typer


def convert_without_pydantic(command: Any) -> Any:
    """Make a command, or a group with all its commands, convert arguments without pydantic, and return it."""
    for child in getattr(command, "commands", {}).values():
        convert_without_pydantic(child)
    known = command.get_params  # includes --help, which is made only there
    command.get_params = lambda ctx: [_plainly(param) for param in known(ctx)]
    return command


def _plainly(param: Any) -> Any:
    if hasattr(param, "get_runtime_param"):
        of = param.type_descriptor
        plain = _Plain(of.annotation, of.parameter_info.min, of.parameter_info.max)
        param.get_runtime_param = lambda: plain
    return param


class _Plain:
    """Converts to str, int, float, bool, Path, a Literal or a list of those; numbers within a closed range."""

    def __init__(self, kind: Any, low: float | None, high: float | None) -> None:
        self.kind, self.low, self.high = kind, low, high

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        try:
            if several:
                (kind,) = get_args(self.kind)
                return [self._one(kind, word) for word in value]
            return self._one(self.kind, value)
        except ValueError as error:
            raise typer.BadParameter(str(error), ctx=ctx, param=param) from error

    def _one(self, kind: Any, value: Any) -> Any:
        if get_origin(kind) is Literal:
            if value not in get_args(kind):
                raise ValueError(f"{value!r} is not one of {', '.join(map(repr, get_args(kind)))}.")
            return value
        if kind not in (int, float):
            return kind(value)
        try:
            number = kind(value)
        except ValueError as error:
            raise ValueError(f"{value!r} is not a valid {'integer' if kind is int else 'float'}.") from error
        low, high = self.low, self.high
        if (low is not None and number < low) or (high is not None and number > high):
            bounds = f"{low}<=x<={high}" if None not in (low, high) else f"x>={low}" if high is None else f"x<={high}"
            raise ValueError(f"{number} is not in the range {bounds}.")
        return number
