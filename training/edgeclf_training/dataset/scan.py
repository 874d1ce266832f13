"""Scan every photo once: can it be read, how large is it, what identifies its content. Results are cached."""

import hashlib
import math
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from edgeclf.concurrency import in_order
from edgeclf.errors import PhotoError
from edgeclf.files.in_tar import open_file
from edgeclf.files.photo_names import FoundPath
from edgeclf.images.contract import ImageContract
from edgeclf.images.deep_grey import is_deep
from edgeclf.images.file_format import file_format
from edgeclf.images.heatmap_mark import OVERLAY_KIND
from edgeclf.images.limits import MAX_DECODED_PIXELS
from edgeclf.images.open_image import deep_grey, open_photo
from edgeclf.images.photo_facts import photo_facts
from edgeclf.images.preprocess import upright_rgb, upright_with_size
from edgeclf.images.resize import resized
from edgeclf.model.session import usable_threads
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

from edgeclf_training.dataset.scan_cache import ScanCache

# A JPEG is decoded at reduced scale if its short side has more than 512 pixels. Damage is found all the same: the
# entropy-coded data is read in full at any scale.
_CONTRACT = ImageContract(256, "squash")
_HASH_SIDE = 32  # the perceptual hash is made of so many pixels squared
_DCT_SIZE = 8  # lowest DCT coefficients per axis in the hash
_THUMBNAIL_SIDE = 32
_COLOUR_GRID = 64  # colours are counted on so many places per axis
_ORIENTATION = 0x0112  # EXIF tag

# Results that stay the same while the file does. Other errors may pass: more rights or more memory solve them.
_LASTING_KINDS = ("", "damaged", "not-an-image", "empty", OVERLAY_KIND)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Scanned:
    """What a scan finds out about one file.

    Attributes:
        kind: "" if it can be read, else ``PhotoError.kind``.
        reason: why it cannot be read, or "".
        width, height: of the upright photo, pixels; 0 if unreadable.
        format: Pillow's name of the file format; of an unreadable file the format that its first bytes suggest, or "".
        mode: Pillow's mode of the file ("RGB", "P", "CMYK", ...).
        frames: number of frames or pages.
        orientation: of the EXIF tag, 1..8.
        sha256: of the file's bytes, hex.
        pixels: digest of the upright RGB pixels, hex; equal for two files with the same photo but other metadata.
        phash: 64-bit perceptual hash, see ``perceptual_hash``.
        entropy: of its colours (5 bits per channel, on a grid of 64 x 64), bits; photos have 1.4 or more.
        colours: number of these colours.
        depth: for grey of more than 8 bits that does not use the full range 0..65535: the values that it uses and
            how edgeclf converts them; else "".
        taken: when it was taken, as its EXIF says, see ``PhotoFacts``; "" if it does not say.
        camera: which camera took it; "" if its EXIF does not say.
        thumb: grey thumbnail of 32 x 32 as 1024 bytes, row by row; compared where hashes are similar.
    """

    kind: str = ""
    reason: str = ""
    width: int = 0
    height: int = 0
    format: str = ""
    mode: str = ""
    frames: int = 1
    orientation: int = 1
    sha256: str = ""
    pixels: str = ""
    phash: int = 0
    entropy: float = 0.0
    colours: int = 0
    depth: str = ""
    taken: str = ""
    camera: str = ""
    thumb: bytes = b""


def scan(
    paths: Sequence[Path], contract: ImageContract | None = None, progress: Progress | None = None
) -> dict[Path, Scanned]:
    """Scan files in parallel, with the same decoding as for training. Unchanged files are looked up in the cache.

    Args:
        paths: absolute paths, also of photos in a .tar (``shard.tar/king/p1.jpg``).
        contract: the preprocessing of training; a photo so large that it is only decoded at reduced scale must decode
            with it too. None skips this check.
        progress: called with (photos done, photos in all).

    Returns:
        The scan of each path; those that cannot be read have a ``kind``.
    """
    found: dict[Path, Scanned] = {}
    with ScanCache() as cache:
        fresh = []
        for path in dict.fromkeys(paths):
            if (known := cache.get(path)) is not None:
                found[path] = Scanned(*known)
            else:
                fresh.append(path)
        total = len(found) + len(fresh)
        if progress:
            progress(len(found), total)
        with closing(in_order(scan_one, fresh, usable_threads())) as results:
            for path, result in zip(fresh, results, strict=True):
                found[path] = result
                if result.kind in _LASTING_KINDS:
                    cache.put(path, tuple(vars(result).values()))
                if progress:
                    progress(len(found), total)
    if contract is not None:
        for path, result in found.items():
            if not result.kind and result.width * result.height > MAX_DECODED_PIXELS:
                found[path] = _recheck(path, result, contract)
    return found


def scan_one(path: Path) -> Scanned:
    """Scan one file without the cache."""
    try:
        photo, (width, height) = upright_with_size(FoundPath(path), _CONTRACT)
        with open_file(path) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            form, mode, frames, orientation = _header(path)
        depth = _depth(path) if is_deep(mode) else ""
        facts = photo_facts(path)
    except PhotoError as error:
        return Scanned(error.kind, error.message, format=_sniffed(path))
    except Exception as error:  # the file was removed meanwhile, or Pillow cannot read its header
        return Scanned("unreadable", f"{path}: {error}", format=_sniffed(path))
    grey = photo.convert("L")
    entropy, colours = _colours(photo)
    return Scanned(
        width=width,
        height=height,
        format=form,
        mode=mode,
        frames=frames,
        orientation=orientation,
        sha256=sha256,
        pixels=hashlib.blake2b(
            photo.tobytes(), digest_size=16, salt=f"{photo.width}x{photo.height}".encode()
        ).hexdigest(),
        phash=perceptual_hash(grey),
        entropy=round(entropy, 3),
        colours=colours,
        depth=depth,
        taken=facts.taken or "",
        camera=facts.camera or "",
        thumb=resized(grey, (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), None, Image.Resampling.BOX).tobytes(),
    )


def perceptual_hash(grey: Image.Image) -> int:
    """64-bit hash: which of the 8 x 8 lowest DCT coefficients of the photo at 32 x 32 are above their median.

    Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010. Compression,
    scaling and colour changes alter only a few bits. Mirrored or clearly cropped photos get a different hash.
    """
    small = np.asarray(resized(grey, (_HASH_SIDE, _HASH_SIDE), None, Image.Resampling.BOX), np.float64)
    low = (_DCT @ small @ _DCT.T).ravel()
    # Rounded, so that zero is zero on every machine. The mean of the photo (the first) is not part of the median.
    low = np.round(low, 3)
    return int.from_bytes(np.packbits(low > np.sort(low[1:])[31]).tobytes(), "big")


def dct_rows(count: int, low: int) -> NDArray[np.float64]:
    """The ``low`` lowest rows of the matrix of a DCT of ``count`` values, float64 ``[low, count]``."""
    grid = np.outer(np.arange(low), 2 * np.arange(count) + 1)
    return np.cos(math.pi * grid / (2 * count))


_DCT = dct_rows(_HASH_SIDE, _DCT_SIZE)


def _colours(photo: Image.Image) -> tuple[float, int]:
    """Entropy in bits and number of the colours on a grid. Nearest neighbour: interpolation would make new colours."""
    small = photo.resize((min(photo.width, _COLOUR_GRID), min(photo.height, _COLOUR_GRID)), Image.Resampling.NEAREST)
    channels = np.asarray(small).astype(np.int32) >> 3
    counts = np.bincount((channels[..., 0] << 10 | channels[..., 1] << 5 | channels[..., 2]).ravel())
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum()), len(shares)


def _header(path: Path) -> tuple[str, str, int, int]:
    """Format, mode, number of frames and orientation of a file that can be read."""
    with open_file(path) as file:
        kind = file_format(file.read(64))
        file.seek(0)
        image: Image.Image
        if kind == "HEIC":
            image = open_photo(file.read(), kind)
        else:  # as in preprocessing: Image.open would refuse a JPEG by its full size
            image = JpegImagePlugin.JpegImageFile(file) if kind == "JPEG" else Image.open(file)
        try:
            orientation = image.getexif().get(_ORIENTATION, 1)
        except Exception:
            orientation = 1
        return (
            image.format or "",
            image.mode,
            int(getattr(image, "n_frames", 1)),
            orientation if orientation in range(1, 9) else 1,
        )


def _depth(path: Path) -> str:
    with open_file(path) as file:
        used = deep_grey(file.read())
    if used is None or not (used.stretched or used.stated):
        return ""
    how = "as the file states" if used.stated else "stretched"
    return f"values {used.low}..{used.high}, {how}: {used.black:.0f} is black, {used.white:.0f} white"


_MAGIC = (
    (b"BM", "BMP"),
    (b"%PDF", "PDF"),
    (b"PK\3\4", "ZIP"),
    (b"<", "HTML or XML"),
)


def _sniffed(path: Path) -> str:
    """The format that an unreadable file seems to have, or ""."""
    try:
        with open_file(path) as file:
            head = file.read(64)
    except OSError:
        return ""
    return next((name for magic, name in _MAGIC if head.startswith(magic)), "") or file_format(head)


def _recheck(path: Path, result: Scanned, contract: ImageContract) -> Scanned:
    try:
        upright_rgb(path, contract)
    except PhotoError as error:
        return Scanned(error.kind, error.message, format=result.format)
    return result


def absolute(path: Path | str) -> Path:
    """The absolute path; links are not resolved. Paths are compared in this form."""
    return Path(os.path.abspath(path))
