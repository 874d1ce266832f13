"""The golden self-test: this device must give the same results for a few photos as the exporting machine.

Resizing is tested against its rule, bit for bit (``edgeclf.images.resize_check``), with images made of the pixels of
the golden photos. Every photo has two tests, so that a difference can be attributed to preprocessing or to the network:

* pixels: its small JPEG is preprocessed. Decoders differ a little between builds of libjpeg, so the mean difference
  from the pixels at export may be up to ``PIXEL_TOLERANCE``.
* network: raw pixels, enlarged by integer arithmetic, go through the network. Its logits must be bit-identical for an
  INT8 file, and close for a file that computes in floats.
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

PIXEL_TOLERANCE = 1.0  # mean absolute difference of pixels, which are 0..255


@dataclass(frozen=True)
class PhotoTest:
    """Result of the two tests of one golden photo.

    Attributes:
        label: the photo's class.
        pixels: mean absolute difference between the preprocessed pixels here and at export, 0..255; None if the photo
            could not be read.
        network: largest difference of a logit, relative to the photo's largest one; None if one is not finite.
        same_bits: all logits are bit-identical.
        pixels_passed, network_passed: within tolerance.
        error: why the photo could not be read, None if it was read.
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
    """Result of the self-test.

    Attributes:
        tolerance: largest allowed relative difference of a logit; 0: bit-identical.
        pixel_tolerance: largest allowed mean difference of pixels, 0..255.
        photos: results in the file's order; empty if the file has no golden photos.
        resize: whether Pillow resizes by the rule.
    """

    tolerance: float
    pixel_tolerance: float
    photos: tuple[PhotoTest, ...]
    resize: ResizeTest = NOT_TRIED

    @property
    def passed(self) -> bool:
        """Whether resizing and both tests of every photo passed."""
        return self.resize.passed and all(photo.pixels_passed and photo.network_passed for photo in self.photos)

    def failures(self, *stages: str) -> tuple[str, ...]:
        """Lines about failed tests: one for "resize", one per photo for "pixels" and for "network"; all by default."""
        stages = stages or ("resize", "pixels", "network")
        lines = []
        if "resize" in stages and self.resize.shape is not None:
            width, height = self.resize.shape
            lines.append(
                f"resize: an image of {width} x {height} pixels gets wrong pixels, by up to "
                f"{self.resize.largest} of 255 ({self.resize.differing} values in {self.resize.pictures} images)"
            )
        for number, photo in enumerate(self.photos, 1):
            name = f"photo {number} ({photo.label})"
            if "pixels" in stages and photo.error is not None:
                lines.append(f"{name}: pixels: {photo.error}")
            elif "pixels" in stages and not photo.pixels_passed:
                lines.append(
                    f"{name}: pixels: mean difference {photo.pixels:.2f} of 255, {self.pixel_tolerance:g} is allowed"
                )
            if "network" in stages and not photo.network_passed:
                found = (
                    "are not finite" if photo.network is None else f"differ by {photo.network:.1e} of the largest logit"
                )
                allowed = f"{self.tolerance:.0e} is allowed" if self.tolerance else "the same bits are expected"
                lines.append(f"{name}: network: logits {found}, {allowed}")
        return tuple(lines)


def run_selftest(session: Any, manifest: Manifest) -> SelfTest:
    """Run the self-test of a model file.

    Args:
        session: an onnxruntime session of the file, as ``edgeclf.model.session.open_session`` gives it.
        manifest: the manifest of the file.
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
        side: blocks in each direction, 1..S; if S is not a multiple of it, some blocks are a pixel larger.

    Returns:
        uint8 ``[side, side, 3]``, rounded half up; integer arithmetic, so the same on every machine.
    """
    edges = np.arange(side + 1, dtype=np.int64) * image.shape[0] // side
    sums = np.add.reduceat(np.add.reduceat(image.astype(np.int64), edges[:-1], axis=0), edges[:-1], axis=1)
    lengths = np.diff(edges)
    counts = (lengths[:, None] * lengths[None, :])[..., None]
    return np.asarray((2 * sums + counts) // (2 * counts), dtype=np.uint8)


def enlarge_pixels(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Enlarge an image bilinearly, in integer arithmetic: the same on every CPU and with every numpy.

    Args:
        pixels: uint8 ``[side, side, 3]``.
        size: height and width of the result, at least side.

    Returns:
        uint8 ``[size, size, 3]``, smooth like a photo.
    """
    side, unit = pixels.shape[0], 2 * size  # positions are multiples of 1 / unit
    centres = (2 * np.arange(size, dtype=np.int64) + 1) * side - size
    position = np.clip(centres, 0, unit * (side - 1))
    low, share = position // unit, position % unit
    high = np.minimum(low + 1, side - 1)
    wide = pixels.astype(np.int64)
    rows = wide[low] * (unit - share)[:, None, None] + wide[high] * share[:, None, None]
    both = rows[:, low] * (unit - share)[None, :, None] + rows[:, high] * share[None, :, None]
    return np.asarray((both + unit * unit // 2) // (unit * unit), dtype=np.uint8)


def preprocessed_pixels(jpeg: bytes, contract: ImageContract, side: int) -> NDArray[np.uint8]:
    """The network input of a JPEG, averaged over blocks: uint8 ``[side, side, 3]``.

    Raises:
        PhotoError: it cannot be read on this device.
    """
    return reduce_pixels(network_input(jpeg, contract), side)


def network_logits(session: Any, pixels: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """Logits, float32 ``[classes]``, of raw pixels uint8 ``[side, side, 3]``, enlarged to the network's input size."""
    (logits,) = session.run(["logits"], {"image": enlarge_pixels(pixels, size)[None]})
    return np.asarray(logits[0], dtype=np.float32)


def logit_difference(found: NDArray[np.float32], photo: GoldenPhoto) -> float | None:
    """The largest difference of a logit from that at export, relative to the photo's largest; None if not finite."""
    wanted = np.frombuffer(photo.logits, "<f4").astype(np.float64)
    if not (np.isfinite(found).all() and np.isfinite(wanted).all()):
        return None
    return float(np.abs(found.astype(np.float64) - wanted).max()) / (float(np.abs(wanted).max()) or 1.0)


def _test(
    photo: GoldenPhoto, expected: NDArray[np.uint8], golden: Golden, session: Any, contract: ImageContract
) -> PhotoTest:
    off, error = None, None
    try:
        found = preprocessed_pixels(photo.jpeg, contract, golden.side)
        off = float(np.abs(found.astype(np.int64) - expected).mean())
    except PhotoError as caught:
        error = caught.message
    logits = network_logits(session, expected, contract.size)
    difference = logit_difference(logits, photo)
    same = logits.tobytes() == np.frombuffer(photo.logits, "<f4").astype(np.float32).tobytes()
    within = difference is not None and (same if golden.tolerance == 0 else difference <= golden.tolerance)
    passed = off is not None and off <= PIXEL_TOLERANCE
    return PhotoTest(photo.label, off, difference, same, passed, within, error)
