"""Checks that the installed Pillow resizes exactly by its rule, bit for bit, against the same rule in numpy.

The rule (antialiased bilinear, 8 bits, since Pillow 4): a triangle filter as wide as the reduction factor, its position
computed in double precision from edges in single precision; weights that sum to one, rounded to 22 fractional bits; the
horizontal sums are rounded and clipped to 8 bits before the vertical sums are computed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgeclf.images.contract import ImageContract
from edgeclf.images.placement import Box
from edgeclf.images.preprocess import network_input

_FRACTIONAL_BITS = 22
_MAX_INPUT_SIDE = 256  # pixels; larger network inputs follow the same rule
# Width and height of the test images, as multiples of the network input: tall, wide, small, nearly square, very tall.
_SHAPES = ((1.1, 1.7), (2.3, 1.2), (0.6, 0.9), (2.05, 2.0), (0.7, 2.9))


@dataclass(frozen=True)
class ResizeTest:
    """Result of the check.

    Attributes:
        pictures: how many images were resized.
        differing: how many values (one for each colour of each pixel) differ from the rule.
        largest: the largest difference of a value, 0..255.
        shape: width and height of the first image that differs, None if none does.
    """

    pictures: int
    differing: int
    largest: int
    shape: tuple[int, int] | None

    @property
    def passed(self) -> bool:
        """Whether no value differs."""
        return self.differing == 0


NOT_TRIED = ResizeTest(0, 0, 0, None)


def check_resize(contract: ImageContract, raw: Sequence[NDArray[np.uint8]] = ()) -> ResizeTest:
    """Preprocess images of several shapes and compare the result with the rule.

    Args:
        contract: how the model's photos are resized.
        raw: pixels uint8 ``[h, w, 3]`` that are repeated to make the images; noise if there are none.
    """
    contract = replace(contract, size=min(contract.size, _MAX_INPUT_SIDE))
    raw = raw or [np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)]
    differing, largest, shape, count = 0, 0, None, max(len(raw), len(_SHAPES))
    for number in range(count):
        shares, pixels = _SHAPES[number % len(_SHAPES)], raw[number % len(raw)]
        width, height = (max(1, int(share * contract.size)) + number for share in shares)
        times = (-(-height // pixels.shape[0]), -(-width // pixels.shape[1]), 1)
        picture = np.ascontiguousarray(np.tile(pixels, times)[:height, :width])
        difference = np.abs(network_input(picture, contract).astype(np.int64) - reference_input(picture, contract))
        wrong = int(np.count_nonzero(difference))
        if wrong and shape is None:
            shape = (width, height)
        differing, largest = differing + wrong, max(largest, int(difference.max()))
    return ResizeTest(count, differing, largest, shape)


def reference_input(picture: NDArray[np.uint8], contract: ImageContract) -> NDArray[np.uint8]:
    """Network input uint8 ``[size, size, 3]`` of an upright RGB image ``[h, w, 3]``, by the rule, without Pillow."""
    where = contract.placement(picture.shape[1], picture.shape[0])
    left, top, right, bottom = where.target
    result = np.zeros((contract.size, contract.size, 3), np.uint8)
    result[top:bottom, left:right] = reference_resize(picture, (right - left, bottom - top), where.source)
    return result


def reference_resize(picture: NDArray[np.uint8], size: tuple[int, int], box: Box) -> NDArray[np.uint8]:
    """Resize the part ``box`` of an image uint8 ``[h, w, 3]`` to ``size`` (width, height), by the rule."""
    across = _weights(picture.shape[1], box[0], box[2], size[0])
    down = _weights(picture.shape[0], box[1], box[3], size[1])
    rows = _round(np.tensordot(across, picture.astype(np.float64), (1, 1)))  # [width, h, 3]
    return _round(np.tensordot(down, rows, (1, 1)))


def _weights(length: int, low: float, high: float, size: int) -> NDArray[np.float64]:
    """Integer weights ``[size, length]``, as doubles: these hold the sums exactly, in any order of summation."""
    start, extent = float(np.float32(low)), float(np.float32(high) - np.float32(low))
    scale = extent / size
    support = max(scale, 1.0)
    centres = start + (np.arange(size) + 0.5) * scale
    first = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + support + 0.5).astype(np.int64), length)
    # One tap after another: the order of the sum matters.
    taps, total = [], np.zeros(size)
    for tap in range(int((last - first).max())):
        weight = np.maximum(0.0, 1.0 - np.abs((tap + first - centres + 0.5) * (1.0 / support)))
        taps.append(np.where(first + tap < last, weight, 0.0))
        total = total + taps[-1]
    result = np.zeros((size, length))
    for tap, weight in enumerate(taps):
        column = np.minimum(first + tap, length - 1)
        np.add.at(result, (np.arange(size), column), np.floor(0.5 + weight / total * (1 << _FRACTIONAL_BITS)))
    return result


def _round(sums: NDArray[np.float64]) -> NDArray[np.uint8]:
    whole = (sums.astype(np.int64) + (1 << _FRACTIONAL_BITS - 1)) >> _FRACTIONAL_BITS
    return np.asarray(np.clip(whole, 0, 255), dtype=np.uint8)
