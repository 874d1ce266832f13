"""Quantizing weights by other rules than the pair rule, to see what each costs and where it fails."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
from edgeclf_export.int8 import quantize
from numpy.typing import NDArray

Peak = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def _full(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.maximum(np.abs(weights.reshape(len(weights), -1)).max(1), np.finfo(np.float32).tiny)


def _half(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    return _full(weights) * np.float32(127 / 64)


RULES: dict[str, Peak] = {"pair rule": quantize.pair_safe_peak, "7-bit": _half, "plain 8-bit": _full}


@contextmanager
def weights_by(rule: str) -> Iterator[None]:
    """``edgeclf_export.int8.quantize`` scales weights by a rule of ``RULES`` meanwhile."""
    with patch.object(quantize, "pair_safe_peak", RULES[rule]):
        yield
