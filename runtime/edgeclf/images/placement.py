"""Where a photo lies on the network input, and the reverse: the arithmetic of crop, pad and squash."""

from dataclasses import dataclass

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Placement:
    """Position of an upright photo on the square network input.

    Attributes:
        photo: width and height of the upright photo, pixels.
        size: side of the network input, pixels.
        source: the part of the photo that was used (left, top, right, bottom), photo pixels.
        target: where it lies on the network input (left, top, right, bottom), input pixels; the rest is padding.
    """

    photo: tuple[int, int]
    size: int
    source: Box
    target: tuple[int, int, int, int]

    @property
    def scale(self) -> float:
        """Input pixels per photo pixel, along the axis that is reduced less."""
        left, top, right, bottom = self.source
        x0, y0, x1, y1 = self.target
        return max((x1 - x0) / (right - left), (y1 - y0) / (bottom - top))

    def input_on_photo(self) -> Box:
        """The whole network input, padding included, in photo pixels.

        With "pad" the box reaches beyond the photo, with "crop" it lies inside.
        """
        left, top, right, bottom = self.source
        x0, y0, x1, y1 = self.target
        per_x, per_y = (right - left) / (x1 - x0), (bottom - top) / (y1 - y0)
        return (
            left - x0 * per_x,
            top - y0 * per_y,
            right + (self.size - x1) * per_x,
            bottom + (self.size - y1) * per_y,
        )


def place(width: int, height: int, size: int, resize: str, crop_fraction: float) -> Placement:
    """Place an upright photo on the network input.

    Args:
        width, height: of the photo, pixels.
        size: side of the network input, pixels.
        resize, crop_fraction: as in ``ImageContract``.
    """
    photo, whole = (width, height), (0, 0, size, size)
    if resize == "squash":
        return Placement(photo, size, (0.0, 0.0, float(width), float(height)), whole)
    if resize == "crop":
        side = min(width, height) * crop_fraction
        left, top = (width - side) / 2, (height - side) / 2
        return Placement(photo, size, (left, top, left + side, top + side), whole)
    ratio = size / max(width, height)
    w, h = max(1, round(width * ratio)), max(1, round(height * ratio))
    x, y = (size - w) // 2, (size - h) // 2
    return Placement(photo, size, (0.0, 0.0, float(width), float(height)), (x, y, x + w, y + h))
