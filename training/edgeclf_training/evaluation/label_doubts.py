"""Photos that are probably labelled wrong: networks that were not trained on them are sure of another class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeclf_training.evaluation.predictions import Predictions

# benchmarks/few_photos/label_doubts.py: found as many wrong labels as other rules with fewer right ones among them.
MAX_LABEL_PROBABILITY = 0.1


@dataclass(frozen=True)
class LabelDoubt:
    """A photo whose label is in doubt.

    Attributes:
        path: the photo.
        label: the class it is labelled as.
        predicted: the class that is predicted.
        label_probability, predicted_probability: calibrated, 0..1.
    """

    path: Path
    label: str
    predicted: str
    label_probability: float
    predicted_probability: float


def doubtful_labels(predictions: Predictions, classes: Sequence[str], temperature: float) -> tuple[LabelDoubt, ...]:
    """Find labels that contradict confident predictions (the idea of Northcutt et al. 2021, arXiv:1911.00068).

    A label is in doubt if its probability is below ``MAX_LABEL_PROBABILITY``, and another class is predicted.

    Args:
        predictions: for photos that their networks were not trained on.
        classes: names in index order.
        temperature: the logits are divided by it.

    Returns:
        The photos, the least probable label first.
    """
    scores = predictions.logits.astype(np.float64) / temperature
    scores -= scores.max(1, keepdims=True)
    shares = np.exp(scores)
    shares /= shares.sum(1, keepdims=True)
    photos = np.arange(len(shares))
    best = shares.argmax(1)
    given, other = shares[photos, predictions.labels], shares[photos, best]
    doubtful = np.flatnonzero((best != predictions.labels) & (given < MAX_LABEL_PROBABILITY))
    return tuple(
        LabelDoubt(
            predictions.samples[n].path,
            classes[predictions.labels[n]],
            classes[best[n]],
            float(given[n]),
            float(other[n]),
        )
        for n in doubtful[np.argsort(given[doubtful], kind="stable")]
    )
