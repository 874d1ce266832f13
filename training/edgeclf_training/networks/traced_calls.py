"""Which modules a network calls, in which order, with which tensors."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_TOLERANCE = 1e-4  # of the largest value: other orders of the same sums


@dataclass(frozen=True, eq=False)
class Call:
    """One call of one module.

    Attributes:
        name: of the module in its network, such as "blocks.3".
        module: that was called.
        input: its only argument; None if it had other arguments, or was called several times.
        output: what it returned.
    """

    name: str
    module: nn.Module
    input: Tensor | None
    output: Any


@contextmanager
def traced_calls(modules: Iterable[tuple[str, nn.Module]]) -> Iterator[list[Call]]:
    """Fill a list with the calls of these modules while they run, in the order in which they end."""
    calls: list[Call] = []

    def note(name: str) -> Any:
        def hook(module: nn.Module, given: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> None:
            plain = len(given) == 1 and isinstance(given[0], Tensor) and not keywords
            again = any(call.name == name for call in calls)
            calls.append(Call(name, module, given[0] if plain and not again else None, output))

        return hook

    handles = [module.register_forward_hook(note(name), with_kwargs=True) for name, module in modules]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def pieces(net: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Names and modules: the children, and in place of a list or a plain sequence its own pieces."""
    for name, child in net.named_children():
        if type(child) in (nn.Sequential, nn.ModuleList):
            yield from pieces(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", child


def equal(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors have one shape and the same values but for rounding, and the values are not all zero."""
    if first.shape != second.shape:
        return False
    scale = float(second.abs().max())
    return scale > 0 and bool(torch.isfinite(first).all()) and float((first - second).abs().max()) <= _TOLERANCE * scale
