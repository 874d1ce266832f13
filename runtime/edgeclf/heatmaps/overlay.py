"""Overlays: drawing a heat map on the photo that it explains."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from edgeclf.images.placement import Placement
from edgeclf.images.resize import resized

# Colours from dark blue (0) to yellow-white (1), in order of brightness: readable for colour-blind people and in grey.
_COLOURS = np.array(
    [[10, 8, 60], [70, 12, 120], [150, 30, 120], [215, 60, 80], [250, 120, 40], [255, 195, 50], [255, 250, 190]], float
)
_BLENDED_PIXELS = 2**15  # blended at a time: they fit in the processor's cache
_ENLARGED_PIXELS = 2**20  # enlarged at a time: Pillow needs several times the memory of the enlarged map


def enlarge(cam: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Scale a heat map to 0..1 and enlarge it bilinearly.

    Args:
        cam: float32 ``[h, w]``, >= 0.
        size: width and height of the result, pixels.

    Returns:
        float32 ``[height, width]``, 0..1.
    """
    return _enlarged(cam, (0, 0, *size), size)


def map_on_photo(cam: NDArray[np.float32], placement: Placement) -> NDArray[np.float32]:
    """Lay a heat map on the photo, by the inverse of the resize.

    Args:
        cam: float32 ``[h, w]``, >= 0.
        placement: of the photo on the network input.

    Returns:
        float32 ``[height, width]`` of the photo, 0..1, 0 where the network did not see the photo.
    """
    return _enlarged(cam, _rounded(placement.input_on_photo(), (0, 0)), placement.photo)


def draw(
    photo: Image.Image, cam: NDArray[np.float32], placement: Placement, strength: float, caption: str | None
) -> Image.Image:
    """Draw a heat map on a photo; cropped parts are dimmed, padding is hatched.

    Args:
        photo: upright, RGB.
        cam: the heat map, float32 ``[h, w]``, >= 0.
        placement: of ``photo`` on the network input.
        strength: opacity of the highest value, 0..1.
        caption: text below the photo, None for no text.

    Returns:
        An RGB image.
    """
    heat, (left, top) = _on_canvas(cam, placement)
    height, width = heat.shape
    canvas = Image.new("RGB", (width, height))
    if canvas.size != photo.size:  # only "pad" makes the canvas larger than the photo
        _hatch(canvas)
    canvas.paste(photo, (left, top))

    x0, y0, x1, y1 = _rounded(placement.input_on_photo(), (left, top))
    seen = np.zeros(heat.shape, bool)
    seen[max(y0, 0) : y1, max(x0, 0) : x1] = True
    pixels, drawn = np.asarray(canvas), np.empty((height, width, 3), np.uint8)
    rows = max(1, _BLENDED_PIXELS // width)
    for start in range(0, height, rows):
        part = slice(start, start + rows)
        drawn[part] = _blended(pixels[part], heat[part], seen[part], strength)
    picture = Image.fromarray(drawn)
    if not seen.all():
        line = max(1, max(picture.size) // 400)
        ImageDraw.Draw(picture).rectangle((x0, y0, x1 - 1, y1 - 1), outline="white", width=line)
    return _with_caption(picture, caption) if caption else picture


def _blended(
    photo: NDArray[np.uint8], heat: NDArray[np.float32], seen: NDArray[np.bool_], strength: float
) -> NDArray[np.uint8]:
    """Blend rows of a photo with the heat map: uint8 ``[h, w, 3]``, dimmed where the network did not see the photo."""
    red, green, blue = planes = [photo[..., channel].astype(np.float32) for channel in range(3)]
    grey = (red + green + blue) / np.float32(3)
    opacity = strength * np.minimum(heat * 1.6, 1.0)
    drawn = np.empty_like(photo)
    for channel, plane in enumerate(planes):
        # The photo is made less colourful, so that the colours of the heat map stand out.
        blended = (plane * 0.7 + grey * 0.3) * (1 - opacity) + _colour(heat, channel) * opacity
        drawn[..., channel] = np.where(seen, blended, grey * 0.45 + 20).clip(0, 255)
    return drawn


def _on_canvas(cam: NDArray[np.float32], placement: Placement) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Lay the map on a canvas that holds the photo and the whole network input.

    Returns:
        The map, float32 ``[height, width]`` of the canvas, and the left and top edge of the photo on it.
    """
    x0, y0, x1, y1 = _rounded(placement.input_on_photo(), (0, 0))
    width, height = placement.photo
    left, top = max(0, -x0), max(0, -y0)
    size = (left + max(width, x1), top + max(height, y1))
    return _enlarged(cam, (left + x0, top + y0, left + x1, top + y1), size), (left, top)


def _enlarged(cam: NDArray[np.float32], box: tuple[int, int, int, int], size: tuple[int, int]) -> NDArray[np.float32]:
    """Scale a map to 0..1 and enlarge it onto ``box`` of a canvas of ``size`` (width, height).

    Only the part on the canvas is computed: the whole map of a letterboxed panorama is 20 times as large as the photo.
    """
    width, height = size
    canvas = np.zeros((height, width), np.float32)
    peak = float(cam.max(initial=0.0))
    if not peak > 0:
        return canvas
    image = Image.fromarray(np.ascontiguousarray(cam / peak, dtype=np.float32))
    x0, y0, x1, y1 = box
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    across, down = image.width / (x1 - x0), image.height / (y1 - y0)  # cells of the map per pixel
    rows = max(1, _ENLARGED_PIXELS // max(1, right - left))
    for start in range(top, bottom, rows):
        stop = min(start + rows, bottom)
        part = ((left - x0) * across, (start - y0) * down, (right - x0) * across, (stop - y0) * down)
        part = (
            *part[:2],
            min(part[2], image.width),
            min(part[3], image.height),
        )  # rounding may exceed the map
        canvas[start:stop, left:right] = np.asarray(resized(image, (right - left, stop - start), part))
    return canvas


def _rounded(box: tuple[float, float, float, float], shift: tuple[int, int]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (round(v) for v in box)
    return x0 + shift[0], y0 + shift[1], max(x1, x0 + 1) + shift[0], max(y1, y0 + 1) + shift[1]


def _colour(heat: NDArray[np.float32], channel: int) -> NDArray[np.float32]:
    """One channel of the colours for values 0..1, float32 0..255."""
    colour: NDArray[np.float32] = np.interp(heat, np.linspace(0, 1, len(_COLOURS)), _COLOURS[:, channel]).astype(
        np.float32
    )
    return colour


def _hatch(canvas: Image.Image) -> None:
    """Draw diagonal lines, which mark padding."""
    pen, (width, height) = ImageDraw.Draw(canvas), canvas.size
    step = max(8, max(canvas.size) // 60)
    for x in range(-height, width, step):
        pen.line((x, height, x + height, 0), fill=(70, 70, 70), width=max(1, step // 8))


def _with_caption(picture: Image.Image, caption: str) -> Image.Image:
    width, height = picture.size
    size = max(11, min(48, width // 18))
    strip = Image.new("RGB", (width, size * 2), (20, 20, 24))
    try:
        ImageDraw.Draw(strip).text((size // 2, size // 2), caption, fill="white", font=ImageFont.load_default(size))
    except (UnicodeEncodeError, OSError):  # without FreeType, Pillow draws Latin letters only: no caption
        return picture
    captioned = Image.new("RGB", (width, height + strip.height))
    captioned.paste(picture, (0, 0))
    captioned.paste(strip, (0, height))
    return captioned
