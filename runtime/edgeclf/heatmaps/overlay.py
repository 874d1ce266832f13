"""Drawing a heat map on the photo it explains."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from edgeclf.images.placement import Placement
from edgeclf.images.resize import resized

# A perceptually ordered ramp, dark blue to yellow-white, readable by the colour-blind and in grey.
_RAMP = np.array(
    [[10, 8, 60], [70, 12, 120], [150, 30, 120], [215, 60, 80], [250, 120, 40], [255, 195, 50], [255, 250, 190]], float
)
_DRAWN = 2**15  # pixels drawn at a time: they stay in the processor's cache, and in memory beside the photo
_BLOCK = 2**20  # pixels enlarged at a time: Pillow needs several times as much memory as the map it makes


def enlarge(cam: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Scale a map ``[h, w]`` to 0..1 and enlarge it bilinearly to ``size`` (width, height)."""
    return _laid(cam, (0, 0, *size), size)


def map_on_photo(cam: NDArray[np.float32], placement: Placement) -> NDArray[np.float32]:
    """The map through the inverse of the resize: float32 ``[height, width]`` of the photo, 0..1, 0 where unseen."""
    return _laid(cam, _rounded(placement.input_on_photo(), (0, 0)), placement.photo)


def draw(
    photo: Image.Image, cam: NDArray[np.float32], placement: Placement, strength: float, caption: str | None
) -> Image.Image:
    """Photo, heat map, what was never seen and what was never photo, in one RGB picture."""
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
    rows = max(1, _DRAWN // width)
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
    """Rows of a photo with the heat on them, uint8 ``[h, w, 3]``; dimmed where they were not seen."""
    red, green, blue = planes = [photo[..., channel].astype(np.float32) for channel in range(3)]
    grey = (red + green + blue) / np.float32(3)
    opacity = strength * np.minimum(heat * 1.6, 1.0)
    drawn = np.empty_like(photo)
    for channel, plane in enumerate(planes):
        # The background loses some colour so that the heat's own colour reads as heat.
        warmed = (plane * 0.7 + grey * 0.3) * (1 - opacity) + _colour(heat, channel) * opacity
        drawn[..., channel] = np.where(seen, warmed, grey * 0.45 + 20).clip(0, 255)
    return drawn


def _on_canvas(cam: NDArray[np.float32], placement: Placement) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """The map on a canvas that holds both the photo and the whole network input, and the photo's place on it."""
    x0, y0, x1, y1 = _rounded(placement.input_on_photo(), (0, 0))
    width, height = placement.photo
    left, top = max(0, -x0), max(0, -y0)
    size = (left + max(width, x1), top + max(height, y1))
    return _laid(cam, (left + x0, top + y0, left + x1, top + y1), size), (left, top)


def _laid(cam: NDArray[np.float32], box: tuple[int, int, int, int], size: tuple[int, int]) -> NDArray[np.float32]:
    """A map scaled to 0..1 and enlarged onto ``box``, as much of it as lies on a canvas of ``size`` (width, height).

    Only what is seen is computed: laid on a panorama, a letterboxed map is twenty times as large as the photo.
    """
    width, height = size
    canvas = np.zeros((height, width), np.float32)
    peak = float(cam.max(initial=0.0))
    if not peak > 0:
        return canvas
    image = Image.fromarray(np.ascontiguousarray(cam / peak, dtype=np.float32))
    x0, y0, x1, y1 = box
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    across, down = image.width / (x1 - x0), image.height / (y1 - y0)  # cells a pixel
    rows = max(1, _BLOCK // max(1, right - left))
    for start in range(top, bottom, rows):
        stop = min(start + rows, bottom)
        part = ((left - x0) * across, (start - y0) * down, (right - x0) * across, (stop - y0) * down)
        part = (*part[:2], min(part[2], image.width), min(part[3], image.height))  # rounding may lead out of the map
        canvas[start:stop, left:right] = np.asarray(resized(image, (right - left, stop - start), part))
    return canvas


def _rounded(box: tuple[float, float, float, float], shift: tuple[int, int]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (round(v) for v in box)
    return x0 + shift[0], y0 + shift[1], max(x1, x0 + 1) + shift[0], max(y1, y0 + 1) + shift[1]


def _colour(heat: NDArray[np.float32], channel: int) -> NDArray[np.float32]:
    """One channel of the colours of heat 0..1, float32 0..255."""
    colour: NDArray[np.float32] = np.interp(heat, np.linspace(0, 1, len(_RAMP)), _RAMP[:, channel]).astype(np.float32)
    return colour


def _hatch(canvas: Image.Image) -> None:
    """Diagonal lines: the mark of what is padding, not photo."""
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
    except (UnicodeEncodeError, OSError):  # a Pillow without FreeType draws Latin letters only: no caption then
        return picture
    captioned = Image.new("RGB", (width, height + strip.height))
    captioned.paste(picture, (0, 0))
    captioned.paste(strip, (0, height))
    return captioned
