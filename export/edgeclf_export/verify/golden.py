"""The golden photos of a model file: which held-out photos, which logits are expected, and the self-test of both."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from edgeclf.errors import ExportError
from edgeclf.images.preprocess import Photo
from edgeclf.model.manifest import Golden, GoldenPhoto
from edgeclf.model.selftest import network_logits, preprocessed_pixels, run_selftest
from edgeclf.model.session import open_cpu_session
from edgeclf_training.run.kept_photos import small_jpeg

from edgeclf_export.pack.build import BuiltModel

# Largest difference of a logit, relative to the photo's largest logit, by precision. Integers are the same everywhere;
# in "mixed" files some layers add floats, in an order that depends on the CPU.
TOLERANCES = {"int8": 0.0, "fp32": 1e-4, "fp16": 1e-2, "mixed": 1e-3}
# Operators that compute in float between the layers of an INT8 file: their last bits depend on the CPU.
_FLOAT_OPERATORS = frozenset({"HardSigmoid", "HardSwish", "Sigmoid"})

MIN_PHOTOS, MAX_PHOTOS = 8, 16
NEAR_TIES = 2  # photos
CANDIDATES = 128  # photos; each is decoded, and the file predicts it
RAW_SIDE = 16  # pixels: height and width of the stored network input, before it is enlarged
_JPEG_SIDE, _JPEG_QUALITY = 64, 80  # pixels of the short side; of 95
_MAX_SHARE = 0.01  # of the file's bytes, that more photos than MIN_PHOTOS may take


def golden_photos(model: BuiltModel, photos: Iterable[tuple[Photo, str]]) -> Golden | None:
    """Choose golden photos for a model that is about to be sealed, and test the model with them.

    Args:
        model: its manifest is complete but for the golden photos.
        photos: candidates, each with its class name; at most the first ``CANDIDATES`` are looked at. Those chosen are
            stored small, without EXIF or anything else their files said.

    Returns:
        What the manifest is to hold; None if there are no photos. The same arguments give the same bytes on the same
        machine.

    Raises:
        PhotoError: a photo cannot be read.
        ExportError: the model does not give the same logits twice.
    """
    # One thread: the sums of the float layers are added up in the same order each time.
    session = open_cpu_session(model.graph, 1)
    contract = model.manifest.contract
    side = min(RAW_SIDE, contract.size)
    candidates = []
    for _, (photo, label) in zip(range(CANDIDATES), photos, strict=False):
        jpeg = small_jpeg(photo, _JPEG_SIDE, _JPEG_QUALITY)
        pixels = preprocessed_pixels(jpeg, contract, side)
        logits = network_logits(session, pixels, contract.size)
        candidates.append(GoldenPhoto(label, jpeg, pixels.tobytes(), logits.astype("<f4").tobytes()))
    chosen = choose(candidates, int(_MAX_SHARE * model.size))
    golden = Golden(side, _tolerance(model), chosen) if chosen else None
    if failures := run_selftest(session, replace(model.manifest, golden=golden)).failures():
        raise ExportError(
            f"the file fails its own self-test: {failures[0]}; nothing was written",
            "please report this with the versions that `edgeclf info` prints",
        )
    return golden


def choose(candidates: Sequence[GoldenPhoto], budget: int) -> tuple[GoldenPhoto, ...]:
    """Choose the photos to keep: near-ties first, which show a difference soonest; then photos of every class.

    Args:
        candidates: photos with the logits of their golden input.
        budget: bytes in the manifest that more than ``MIN_PHOTOS`` photos may take.

    Returns:
        All candidates if there are at most ``MIN_PHOTOS``, else ``MIN_PHOTOS`` to ``MAX_PHOTOS`` of them in their own
        order: the ``NEAR_TIES`` with the smallest margin between the two best logits, then again and again one of the
        class that has fewest.
    """
    order = sorted(range(len(candidates)), key=lambda i: _margin(candidates[i]))
    chosen = order[:NEAR_TIES]
    rest = sorted(order[NEAR_TIES:])
    count = min(MAX_PHOTOS, max(MIN_PHOTOS, len({c.label for c in candidates}) + NEAR_TIES))
    while rest and len(chosen) < count:
        counts = {i: sum(candidates[c].label == candidates[i].label for c in chosen) for i in rest}
        best = min(rest, key=lambda i: (counts[i], i))
        if len(chosen) >= MIN_PHOTOS and sum(_bytes(candidates[i]) for i in (*chosen, best)) > budget:
            break
        rest.remove(best)
        chosen.append(best)
    return tuple(candidates[i] for i in sorted(chosen))


def _tolerance(model: BuiltModel) -> float:
    precision = model.manifest.precision
    return TOLERANCES["mixed" if precision == "int8" and model.operators & _FLOAT_OPERATORS else precision]


def _margin(photo: GoldenPhoto) -> float:
    logits = np.frombuffer(photo.logits, "<f4")
    second, first = np.sort(logits)[-2:] if len(logits) > 1 else (0.0, np.inf)
    return float(first - second)


def _bytes(photo: GoldenPhoto) -> int:
    """What a photo takes in the manifest, where bytes are Base64."""
    return 4 * (len(photo.jpeg) + len(photo.pixels) + len(photo.logits)) // 3
