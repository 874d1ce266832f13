"""The golden self-test: does this device make of a few photos what the exporting machine made of them?

Resizing is tested against its rule, to the last bit (``edgeclf.images.resize_check``), with pictures made of the raw
pixels of the golden photos. Every photo is tested twice, so that a difference can be blamed on one half:

* pixels: its small JPEG goes through the door. Decoders differ a little between builds of libjpeg, so the mean
  difference to what the door made of it at export may be ``PIXEL_TOLERANCE``.
* network: raw pixels, enlarged by integer arithmetic alone, go through the network. Its logits must be the same bits
  for an INT8 file, and close for one that computes in floats.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import PhotoError
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import network_input
from edgeclf.images.resize_check import NOT_TRIED, ResizeTest, check_resize
from edgeclf.model.manifest import Golden, GoldenPhoto, Manifest

PIXEL_TOLERANCE = 1.0  # mean absolute difference, of 255


@dataclass(frozen=True)
class PhotoTest:
    """What one golden photo gave.

    Attributes:
        label: the photo's class.
        pixels: mean absolute difference between the door's pixels here and at export, 0..255; None where the photo
            could not be read at all.
        network: largest difference of a logit, relative to the photo's largest; None where one is not finite.
        same_bits: all logits are the same bits.
        pixels_passed, network_passed: within tolerance.
        error: why the photo could not be read, None where it could.
    """

    label: str
    pixels: float | None
    network: float | None
    same_bits: bool
    pixels_passed: bool
    network_passed: bool
    error: str | None = None


@dataclass(frozen=True)
class SelfTest:
    """What all golden photos gave.

    Attributes:
        tolerance: largest relative difference of a logit that passes; 0: the same bits.
        pixel_tolerance: largest mean difference of pixels that passes, of 255.
        photos: in the file's order; empty where the file carries none.
        resize: whether photos are resized by the rule.
    """

    tolerance: float
    pixel_tolerance: float
    photos: tuple[PhotoTest, ...]
    resize: ResizeTest = NOT_TRIED

    @property
    def passed(self) -> bool:
        """Resizing passed, and every photo both tests."""
        return self.resize.passed and all(photo.pixels_passed and photo.network_passed for photo in self.photos)

    def failures(self, *stages: str) -> tuple[str, ...]:
        """One line where "resize" failed, one for each photo that failed in "pixels" or "network"; all by default."""
        stages = stages or ("resize", "pixels", "network")
        lines = []
        if "resize" in stages and self.resize.shape is not None:
            width, height = self.resize.shape
            lines.append(
                f"resize: a picture of {width} x {height} pixels gets other pixels than it must, by up to "
                f"{self.resize.largest} of 255 ({self.resize.differing} values in {self.resize.pictures} pictures)"
            )
        for number, photo in enumerate(self.photos, 1):
            name = f"photo {number} ({photo.label})"
            if "pixels" in stages and photo.error is not None:
                lines.append(f"{name}: pixels: {photo.error}")
            elif "pixels" in stages and not photo.pixels_passed:
                lines.append(
                    f"{name}: pixels: {photo.pixels:.2f} of 255 off on average, {self.pixel_tolerance:g} is allowed"
                )
            if "network" in stages and not photo.network_passed:
                found = "are not finite" if photo.network is None else f"differ by {photo.network:.1e} of the largest"
                allowed = f"{self.tolerance:.0e} is allowed" if self.tolerance else "the same bits are expected"
                lines.append(f"{name}: network: logits {found}, {allowed}")
        return tuple(lines)


def run_selftest(session: Any, manifest: Manifest) -> SelfTest:
    """Run the self-test of a model file.

    Args:
        session: an onnxruntime session of the file, as ``edgeclf.model.session.open_session`` gives it.
        manifest: the file's.
    """
    golden = manifest.golden or Golden(1, 0.0, ())
    raw = [np.frombuffer(p.pixels, np.uint8).reshape(golden.side, golden.side, 3) for p in golden.photos]
    return SelfTest(
        golden.tolerance,
        PIXEL_TOLERANCE,
        tuple(
            _test(photo, pixels, golden, session, manifest.contract)
            for photo, pixels in zip(golden.photos, raw, strict=True)
        ),
        check_resize(manifest.contract, raw),
    )


def reduce_pixels(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Average an image over blocks.

    Args:
        image: uint8 ``[S, S, 3]``.
        side: blocks in each direction, 1..S; where S is no multiple of it, some are a pixel larger.

    Returns:
        uint8 ``[side, side, 3]``, rounded half up; whole numbers all the way, so the same everywhere.
    """
    edges = np.arange(side + 1, dtype=np.int64) * image.shape[0] // side
    sums = np.add.reduceat(np.add.reduceat(image.astype(np.int64), edges[:-1], axis=0), edges[:-1], axis=1)
    lengths = np.diff(edges)
    counts = (lengths[:, None] * lengths[None, :])[..., None]
    return np.asarray((2 * sums + counts) // (2 * counts), dtype=np.uint8)


def enlarge_pixels(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Enlarge an image bilinearly, in whole numbers: the same on every CPU and with every numpy.

    Args:
        pixels: uint8 ``[side, side, 3]``.
        size: height and width of the result, at least side.

    Returns:
        uint8 ``[size, size, 3]``. Smooth, so that the network sees something like a photo and not tiles.
    """
    side, unit = pixels.shape[0], 2 * size  # positions are counted in parts of 1 / unit
    centres = (2 * np.arange(size, dtype=np.int64) + 1) * side - size
    position = np.clip(centres, 0, unit * (side - 1))
    low, share = position // unit, position % unit
    high = np.minimum(low + 1, side - 1)
    wide = pixels.astype(np.int64)
    rows = wide[low] * (unit - share)[:, None, None] + wide[high] * share[:, None, None]
    both = rows[:, low] * (unit - share)[None, :, None] + rows[:, high] * share[None, :, None]
    return np.asarray((both + unit * unit // 2) // (unit * unit), dtype=np.uint8)


def door_pixels(jpeg: bytes, contract: ImageContract, side: int) -> NDArray[np.uint8]:
    """What the door makes of a JPEG, averaged over blocks: uint8 ``[side, side, 3]``.

    Raises:
        PhotoError: it cannot be read here.
    """
    return reduce_pixels(network_input(jpeg, contract), side)


def network_logits(session: Any, pixels: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """Logits, float32 ``[classes]``, of raw pixels ``[side, side, 3]`` enlarged to the network's input size."""
    (logits,) = session.run(["logits"], {"image": enlarge_pixels(pixels, size)[None]})
    return np.asarray(logits[0], dtype=np.float32)


def _test(
    photo: GoldenPhoto, expected: NDArray[np.uint8], golden: Golden, session: Any, contract: ImageContract
) -> PhotoTest:
    off, error = None, None
    try:
        found = door_pixels(photo.jpeg, contract, golden.side)
        off = float(np.abs(found.astype(np.int64) - expected).mean())
    except PhotoError as caught:
        error = caught.message
    wanted = np.frombuffer(photo.logits, "<f4").astype(np.float32)
    logits = network_logits(session, expected, contract.size)
    finite = bool(np.isfinite(logits).all() and np.isfinite(wanted).all())
    largest = float(np.abs(wanted).max()) or 1.0
    difference = float(np.abs(logits.astype(np.float64) - wanted).max()) / largest if finite else None
    same = logits.tobytes() == wanted.tobytes()
    within = difference is not None and (same if golden.tolerance == 0 else difference <= golden.tolerance)
    passed = off is not None and off <= PIXEL_TOLERANCE
    return PhotoTest(photo.label, off, difference, same, passed, within, error)
