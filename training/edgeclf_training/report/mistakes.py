"""The most confident mistakes, each with heat maps of the predicted and of the true class."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from edgeclf.errors import PhotoError
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import network_input_and_display
from edgeclf.images.resize import shrunk
from edgeclf.results import Explanation, Prediction, RankedLabel
from PIL import Image

from edgeclf_training.evaluation.calibration import confidence
from edgeclf_training.evaluation.predictions import Predictions
from edgeclf_training.networks import Network
from edgeclf_training.report.gradcam import heat_maps

_MAX_MISTAKES = 24
_SIDE = 256  # pixels, the longest side of a picture on the page


@dataclass(frozen=True)
class Mistake:
    """One wrong prediction.

    Attributes:
        file: the photo's path, from the name of its data folder on.
        true: the true class with its calibrated probability.
        predicted: the predicted class with its calibrated probability.
        photo: a small JPEG as a data URI.
        predicted_map, true_map: the same with the heat map of each class; empty without heat maps.
    """

    file: str
    true: RankedLabel
    predicted: RankedLabel
    photo: str
    predicted_map: str
    true_map: str


def mistakes(
    network: Network,
    predictions: Predictions,
    classes: Sequence[str],
    contract: ImageContract,
    temperature: float,
    roots: Sequence[Path],
    maps: bool = True,
) -> list[Mistake]:
    """The most confident mistakes, at most ``_MAX_MISTAKES``; photos that can no longer be read are left out.

    Args:
        network: in eval mode, on the CPU.
        predictions: its predictions for one split.
        classes: names in index order.
        contract: how photos become network input.
        temperature: the logits are divided by it.
        roots: the run's data folders, absolute.
        maps: draw heat maps.

    Returns:
        The mistakes, the most confident first.
    """
    best, right = confidence(predictions.logits, predictions.labels, temperature)
    wrong = np.flatnonzero(~right)
    found = []
    for number in wrong[np.argsort(-best[wrong], kind="stable")][:_MAX_MISTAKES]:
        path = predictions.samples[number].path
        scores = predictions.logits[number].astype(np.float64)
        shares = np.exp((scores - scores.max()) / temperature)
        shares /= shares.sum()
        predicted, true = (
            RankedLabel(classes[i], int(i), float(shares[i])) for i in (scores.argmax(), predictions.labels[number])
        )
        try:
            image, photo, full_size = network_input_and_display(path, contract, _SIDE)
        except PhotoError:
            continue
        place = _place(path, roots)
        if not maps:
            found.append(Mistake(place, true, predicted, _data_uri(photo), "", ""))
            continue
        cams = heat_maps(network, image, [predicted.index, true.index])
        for_predicted = Explanation(Prediction((predicted,)), predicted, cams[0], photo, full_size, contract)
        for_true = replace(for_predicted, label=true, cam=cams[1])
        drawn = (photo, for_predicted.overlay(caption=False), for_true.overlay(caption=False))
        found.append(Mistake(place, true, predicted, *map(_data_uri, drawn)))
    return found


def _place(path: Path, roots: Sequence[Path]) -> str:
    """Where to find a photo: its path in the data folder; of a zip unpacked elsewhere, its last parts."""
    holding = [root for root in roots if path.is_relative_to(root)]
    if not holding:
        return Path(*path.parts[-3:]).as_posix()
    root = max(holding, key=lambda one: len(one.parts))
    return path.relative_to(root.parent).as_posix()


def _data_uri(picture: Image.Image) -> str:
    file = io.BytesIO()
    shrunk(picture, _SIDE).save(file, "JPEG", quality=80, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
