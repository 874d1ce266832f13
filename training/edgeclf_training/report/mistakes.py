"""The most confident mistakes, each with what spoke for the class it was given and for its own."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from edgeclf.errors import PhotoError
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import network_input, upright_with_size
from edgeclf.images.resize import shrunk
from edgeclf.results import Explanation, Prediction, RankedLabel
from PIL import Image

from edgeclf_training.evaluation.calibration import confidence
from edgeclf_training.evaluation.predictions import Predictions
from edgeclf_training.networks import Network
from edgeclf_training.report.gradcam import heat_maps

_MOST = 24
_SIDE = 256  # pixels
_DISPLAY = ImageContract(size=_SIDE, resize="pad", draft_margin=1.0)


@dataclass(frozen=True)
class Mistake:
    """One wrong answer.

    Attributes:
        file: the photo's path from its data folder on, with that folder's name.
        true, given: what it is, and what it was taken for, with calibrated probabilities.
        photo, given_map, true_map: data URIs of small JPEGs: the photo, and with each class's heat map.
    """

    file: str
    true: RankedLabel
    given: RankedLabel
    photo: str
    given_map: str
    true_map: str


def mistakes(
    network: Network,
    predictions: Predictions,
    classes: Sequence[str],
    contract: ImageContract,
    temperature: float,
    roots: Sequence[Path],
) -> list[Mistake]:
    """The most confident mistakes, at most ``_MOST``; photos that vanished meanwhile are left out.

    Args:
        network: in eval mode, on the CPU.
        predictions: its predictions for one split.
        classes: names in index order.
        contract: how photos become network input.
        temperature: what the logits are divided by.
        roots: the run's data folders, absolute.
    """
    best, right = confidence(predictions.logits, predictions.labels, temperature)
    wrong = np.flatnonzero(~right)
    found = []
    for number in wrong[np.argsort(-best[wrong], kind="stable")][:_MOST]:
        path = predictions.samples[number].path
        scores = predictions.logits[number].astype(np.float64)
        shares = np.exp((scores - scores.max()) / temperature)
        shares /= shares.sum()
        given, true = (
            RankedLabel(classes[i], int(i), float(shares[i])) for i in (scores.argmax(), predictions.labels[number])
        )
        try:
            image = network_input(path, contract)
            photo, full_size = upright_with_size(path, _DISPLAY)
        except PhotoError:
            continue
        photo = shrunk(photo, _SIDE)
        cams = heat_maps(network, image, [given.index, true.index])
        why = Explanation(Prediction((given,)), given, cams[0], photo, full_size, contract)
        why_not = replace(why, label=true, cam=cams[1])
        drawn = (photo, why.overlay(caption=False), why_not.overlay(caption=False))
        found.append(Mistake(_place(path, roots), true, given, *map(_data_uri, drawn)))
    return found


def _place(path: Path, roots: Sequence[Path]) -> str:
    """Where to look for a photo; of a zip unpacked elsewhere, the file with two folders around it."""
    holding = [root for root in roots if path.is_relative_to(root)]
    if not holding:
        return Path(*path.parts[-3:]).as_posix()
    root = max(holding, key=lambda one: len(one.parts))
    return path.relative_to(root.parent).as_posix()


def _data_uri(picture: Image.Image) -> str:
    file = io.BytesIO()
    shrunk(picture, _SIDE).save(file, "JPEG", quality=80, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
