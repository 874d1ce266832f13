"""Conversion of grey with more than 8 bits to 8 bits (for colour see ``edgeclf.images.deep_colour``).

Floats are stretched from their own minimum..maximum to 0..255. The rule for integers depends on the preprocessing
version:

* Version 1: 0..65535 becomes 0..255, whichever values are used.
* Version 2: if the file states a depth of less than 16 bits, or its lowest and highest value (PNG sBIT; TIFF
  BitsPerSample, MinSampleValue, MaxSampleValue, SMinSampleValue, SMaxSampleValue; PGM's maximum; JPEG 2000's
  precision), and no value is higher, the stated range becomes 0..255. Otherwise the used range does: from the lowest to
  the highest value, without one value in a thousand at each end and without zeros, which mean "no data". A range of
  half of 0..65535 or more is not stretched, a range of a quarter or less is stretched fully, and ranges between them
  are stretched partly, so that similar photos get similar pixels. A difference of one never becomes more than one grey
  level, so noise is not amplified. Values below 0 or above 65535 are always stretched. A TIFF whose lowest value is
  white (PhotometricInterpretation 0) is inverted, also if it holds floats.

Everything is computed in float64 in a fixed order: the result is the same on every machine and with every numpy.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FULL = 65535  # the largest 16-bit value
_BLOCK_VALUES = 2**20  # converted at a time: all values as floats would take several times the memory
_SAMPLE_VALUES = 2**22  # from which the range is computed
SHARE = 1000  # one value in so many is left out at each end of the range
_BITS, _LOWEST, _HIGHEST, _SIGNED_LOWEST, _SIGNED_HIGHEST = 258, 280, 281, 340, 341  # TIFF tags


@dataclass(frozen=True)
class Range:
    """The values that become black and white.

    Attributes:
        black, white: values of the file.
        low, high: the lowest and highest value in the photo.
        stated: the file states this range.
    """

    black: float
    white: float
    low: int
    high: int
    stated: bool

    @property
    def stretched(self) -> bool:
        """Whether the range is neither stated by the file nor the full 16 bits."""
        return not self.stated and (self.black, self.white) != (0.0, float(FULL))


def is_deep(mode: str) -> bool:
    """Whether a Pillow mode holds integer grey of more than 8 bits."""
    return mode.startswith("I")


def to_8_bits(image: Image.Image, version: int, stated: tuple[int, int] | None) -> Image.Image:
    """Convert to grey of 8 bits, mode "L".

    Args:
        image: of a mode "I", "I;16" (and kin) or "F".
        version: preprocessing version.
        stated: the range that the file states, see ``stated_range``.
    """
    values = np.asarray(image)
    if image.mode == "F" or version == 1:
        return Image.fromarray(_by_float32(values, stretch=image.mode == "F"))
    return Image.fromarray(to_range(values, used_range(values, stated)))


def to_range(values: NDArray[Any], span: Range) -> NDArray[np.uint8]:
    """Convert integers to 0..255, with the black and white of a range."""
    scale, result = 255.0 / (span.white - span.black), np.empty(values.shape, np.uint8)
    for block in _blocks(values):
        result[block] = np.clip(np.rint((values[block].astype(np.float64) - span.black) * scale), 0, 255)
    return result


def used_range(values: NDArray[Any], stated: tuple[int, int] | None = None) -> Range:
    """The range of integers that becomes 0..255 under preprocessing version 2; ``stated`` is the range in the file."""
    lowest, highest = int(values.min()), int(values.max())
    if stated is not None and highest <= stated[1]:
        return Range(float(stated[0]), float(stated[1]), lowest, highest, True)
    step = -(-values.size // _SAMPLE_VALUES)
    sample = values.ravel()[:: step + (step % 3 == 0)]  # with no multiple of 3, so that all three colours are sampled
    if lowest == 0 and sample.any():
        sample = sample[sample > 0]
    out = sample.size // SHARE
    ends = np.partition(sample, (out, sample.size - 1 - out))
    low, high = int(ends[out]), int(ends[sample.size - 1 - out])
    black, white, within = float(low), float(high), low >= 0 and high <= FULL
    if within:
        kept = min(max((high - low) / FULL * 4 - 1, 0.0), 1.0)
        black, white = black * (1 - kept), white + (FULL - white) * kept
    if white - black < 255:
        black = (black + white - 255) / 2
        black = min(max(black, 0.0), FULL - 255.0) if within else black
        white = black + 255
    return Range(black, white, lowest, highest, False)


def stated_range(data: bytes, kind: str, tags: Mapping[int, Any], maximum: int | None) -> tuple[int, int] | None:
    """The lowest and highest value that a file states; None if it states none or 16 bits.

    Args:
        data: the file.
        kind: its format, as ``edgeclf.images.file_format.file_format`` gives it.
        tags: the tags of a TIFF.
        maximum: a PGM's maximum. Pillow scales it to 65535.
    """
    if tags:
        return _tiff_range(tags)
    if kind == "PNG" and (bits := _png_bits(data)) < 16:
        return 0, 2**bits - 1
    if maximum is not None and maximum < FULL:
        return 0, FULL
    size = data.find(b"\xff\x4f\xff\x51", 0, 4096)  # JPEG 2000: start of codestream and size segment
    if kind == "" and size >= 0 and (data[size + 42 : size + 43] or b"\xff")[0] < 15:
        return 0, FULL  # Pillow scales to it
    return None


def _png_bits(data: bytes) -> int:
    """Significant bits of a grey PNG (sBIT); 16 if it does not state them."""
    position = 8
    while position + 9 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"sBIT" and 1 <= data[position + 8] <= 16:
            return data[position + 8]
        if kind == b"IDAT":
            break
        position += 12 + length
    return 16


def _tiff_range(tags: Mapping[int, Any]) -> tuple[int, int] | None:
    def number(*names: int) -> int | None:
        for name in names:
            value = tags.get(name)
            value = value[0] if isinstance(value, tuple) and value else value
            if isinstance(value, int | float) and value == int(value):
                return int(value)
        return None

    bits = number(_BITS) or 16
    low, high = number(_SIGNED_LOWEST, _LOWEST) or 0, number(_SIGNED_HIGHEST, _HIGHEST)
    if high is None:
        high = 2**bits - 1 if bits < 16 else FULL
    return (low, high) if low < high and (low > 0 or high < FULL) else None


def _blocks(values: NDArray[Any]) -> list[slice]:
    rows = max(1, _BLOCK_VALUES // values.shape[1])
    return [slice(start, start + rows) for start in range(0, len(values), rows)]


def _by_float32(values: NDArray[Any], *, stretch: bool) -> NDArray[np.uint8]:
    blocks = _blocks(values)

    def floats(block: slice) -> NDArray[np.float32]:
        return np.nan_to_num(values[block].astype(np.float32), posinf=0.0, neginf=0.0)

    low, high = 0.0, float(FULL)
    if stretch:
        extremes = [(float(part.min()), float(part.max())) for part in map(floats, blocks)]
        low, high = min(pair[0] for pair in extremes), max(pair[1] for pair in extremes)
    fits = 1e-30 < high - low < 1e38  # the difference and its inverse, in float32
    result = np.zeros(values.shape, np.uint8)
    if high > low:
        for block in blocks:
            part = floats(block) if fits else floats(block).astype(np.float64)
            result[block] = np.clip(np.rint((part - low) * (255.0 / (high - low))), 0, 255)
    return result
