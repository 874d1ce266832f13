"""The golden photos of a model file: which held-out photos, what must come out of them, and putting them inside."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import onnx
from edgeclf.errors import ExportError
from edgeclf.images.preprocess import Photo
from edgeclf.model.file import SEAL_LENGTH, read_model_file
from edgeclf.model.manifest import SCHEMA_VERSION, Golden, GoldenPhoto
from edgeclf.model.selftest import network_logits, preprocessed_pixels, run_selftest
from edgeclf.model.session import open_session
from edgeclf_training.run.kept_photos import small_jpeg

from edgeclf_export.pack.build import with_manifest

# Largest difference of a logit, relative to the photo's largest, by precision. Integers are the same everywhere;
# "mixed" sums some layers in float, in another order on another CPU.
TOLERANCES = {"int8": 0.0, "fp32": 1e-4, "fp16": 1e-2, "mixed": 1e-3}
# Operators that compute in float between an INT8 file's layers: their last bits are the CPU's, not the file's.
_FLOAT_OPERATORS = frozenset({"HardSigmoid", "HardSwish", "Sigmoid"})

LEAST, MOST = 8, 16  # photos
NEAR_TIES = 2
CANDIDATES = 128  # each is decoded and asked
SIDE = 16  # of the raw pixels
_JPEG_SIDE, _JPEG_QUALITY = 64, 80
_SHARE = 0.01  # of the file, that more photos than LEAST may cost


def with_golden(data: bytes, photos: Iterable[tuple[Photo, str]]) -> tuple[bytes, int]:
    """Put golden photos into a finished model file.

    Args:
        data: the file's bytes.
        photos: candidates, each with its class name; at most the first ``CANDIDATES`` are looked at. Those chosen are
            stored small, without EXIF or anything else their files said.

    Returns:
        The bytes of the same network with another manifest, and how many photos it holds. The same arguments give the
        same bytes on the same machine.

    Raises:
        PhotoError: a photo cannot be read.
        ExportError: the file does not answer twice alike.
    """
    file = read_model_file(data)
    # One thread: the sums of the float layers are added up in the same order each time.
    session, _ = open_session(file, "cpu", 1)
    manifest = file.manifest
    contract, side = manifest.contract, min(SIDE, manifest.contract.size)
    candidates = []
    for _, (photo, label) in zip(range(CANDIDATES), photos, strict=False):
        jpeg = small_jpeg(photo, _JPEG_SIDE, _JPEG_QUALITY)
        pixels = preprocessed_pixels(jpeg, contract, side)
        logits = network_logits(session, pixels, contract.size)
        candidates.append(GoldenPhoto(label, jpeg, pixels.tobytes(), logits.astype("<f4").tobytes()))
    chosen = choose(candidates, int(_SHARE * len(data)))
    golden = Golden(side, _tolerance(data, manifest.precision), chosen) if chosen else None
    finished = replace(manifest, schema_version=SCHEMA_VERSION, golden=golden)
    if failures := run_selftest(session, finished).failures():
        raise ExportError(
            f"the file fails its own self-test: {failures[0]}; nothing was written",
            "please report this with the versions that `edgeclf info` prints",
        )
    return with_manifest(data, finished), len(chosen)


def choose(candidates: Sequence[GoldenPhoto], budget: int) -> tuple[GoldenPhoto, ...]:
    """Choose the photos to keep: near-ties first, for those tell soonest that something differs; then every class.

    Args:
        candidates: photos with the logits of their golden input.
        budget: bytes in the manifest that more than ``LEAST`` photos may take.

    Returns:
        All of up to ``LEAST`` candidates, else ``LEAST``..``MOST`` of them in their own order: the ``NEAR_TIES`` with
        the smallest margin between the two best logits, then always one of the class that has fewest.
    """
    order = sorted(range(len(candidates)), key=lambda i: _margin(candidates[i]))
    chosen = order[:NEAR_TIES]
    rest = sorted(order[NEAR_TIES:])
    most = min(MOST, max(LEAST, len({c.label for c in candidates}) + NEAR_TIES))
    while rest and len(chosen) < most:
        counts = {i: sum(candidates[c].label == candidates[i].label for c in chosen) for i in rest}
        following = min(rest, key=lambda i: (counts[i], i))
        if len(chosen) >= LEAST and sum(_bytes(candidates[i]) for i in (*chosen, following)) > budget:
            break
        rest.remove(following)
        chosen.append(following)
    return tuple(candidates[i] for i in sorted(chosen))


def _tolerance(data: bytes, precision: str) -> float:
    if precision != "int8":
        return TOLERANCES[precision]
    kinds = {node.op_type for node in onnx.load_from_string(data[:-SEAL_LENGTH]).graph.node}
    return TOLERANCES["mixed" if kinds & _FLOAT_OPERATORS else "int8"]


def _margin(photo: GoldenPhoto) -> float:
    logits = np.frombuffer(photo.logits, "<f4")
    second, first = np.sort(logits)[-2:] if len(logits) > 1 else (0.0, np.inf)
    return float(first - second)


def _bytes(photo: GoldenPhoto) -> int:
    """In the manifest, where bytes are Base64."""
    return 4 * (len(photo.jpeg) + len(photo.pixels) + len(photo.logits)) // 3
