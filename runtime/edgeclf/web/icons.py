"""The icons of an installed site: the page's icon, drawn as PNG."""

import io

from PIL import Image, ImageDraw

_GREEN = (28, 107, 80)
# The three bars of icon-edgeclf.svg, on a field of 32 units: top, right end, and how white they are.
_BARS = ((8.0, 25.0, 1.0), (14.25, 19.0, 0.75), (20.5, 13.0, 0.5))
_LEFT, _BAR_HEIGHT, _CORNER, _UNITS = 7.0, 3.5, 8.0, 32.0
_OVERSAMPLING = 4
_COLOURS = 64  # enough for four flat ones and their smooth edges
_SAFE = 0.75  # systems cut masked icons to a circle of 80 %; this share of the picture stays clear of its edge


def draw_icon(side: int, *, masked: bool = False) -> bytes:
    """Draw the icon.

    Args:
        side: width and height, pixels.
        masked: for systems that cut the icon to a shape of their own: it fills the square, with a wider margin.

    Returns:
        A PNG.
    """
    large = side * _OVERSAMPLING
    picture = Image.new("RGBA", (large, large), (*_GREEN, 255) if masked else (0, 0, 0, 0))
    pen = ImageDraw.Draw(picture)
    share = _SAFE if masked else 1.0
    unit, margin = large * share / _UNITS, large * (1 - share) / 2
    if not masked:
        pen.rounded_rectangle((0, 0, large - 1, large - 1), _CORNER * unit, fill=_GREEN)
    for top, right, white in _BARS:
        colour = tuple(round(channel + (255 - channel) * white) for channel in _GREEN)
        box = (_LEFT, top, right, top + _BAR_HEIGHT)
        pen.rounded_rectangle([margin + value * unit for value in box], _BAR_HEIGHT / 2 * unit, fill=colour)
    buffer = io.BytesIO()
    small = picture.resize((side, side), Image.Resampling.LANCZOS)
    small.quantize(_COLOURS, Image.Quantize.FASTOCTREE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
