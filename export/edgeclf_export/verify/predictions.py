"""Predictions of the trained network and of the file, on real photos, through the runtime's own classifier."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from edgeclf.classifier import Classifier
from edgeclf.errors import ExportError, ModelError
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import network_input
from edgeclf_training.dataset.samples import Sample
from edgeclf_training.networks import Network
from numpy.typing import NDArray

_BATCH = 8


@dataclass(frozen=True)
class Predictions:
    """Logits of a set of photos, float32 ``[photos, classes]``, from one way of computing them."""

    name: str
    logits: NDArray[np.float32]
    size: int

    def correct(self, truth: NDArray[np.int64]) -> int:
        """Photos whose best-ranked class is the true one."""
        return int((self.logits.argmax(1) == truth).sum())

    def agreeing(self, other: "Predictions") -> int:
        """Photos on which both rank the same class first."""
        return int((self.logits.argmax(1) == other.logits.argmax(1)).sum())

    def difference(self, other: "Predictions") -> float:
        """Largest difference between logits, relative to the largest logit or 1."""
        return float(np.abs(self.logits - other.logits).max() / max(1.0, np.abs(other.logits).max()))


def network_predictions(
    network: Network, contract: ImageContract, samples: Sequence[Sample], progress: Callable[[int], None]
) -> Predictions:
    """Predict with the network itself, in torch.

    Args:
        network: in eval mode, on the CPU.
        contract: how photos become its input.
        samples: the photos.
        progress: called with the number of photos done.

    Returns:
        Logits, and the size of the weights in bytes.

    Raises:
        PhotoError: a photo cannot be read.
    """
    rows = []
    with torch.inference_mode():
        for start in range(0, len(samples), _BATCH):
            batch = samples[start : start + _BATCH]
            images = np.stack([network_input(s.path, contract) for s in batch])
            rows.append(network(torch.from_numpy(images)).numpy())
            progress(start + len(batch))
    size = sum(tensor.nbytes for tensor in network.state_dict().values())
    return Predictions("torch fp32", np.concatenate(rows), size)


def file_predictions(
    classifier: Classifier, samples: Sequence[Sample], size: int, progress: Callable[[int], None]
) -> Predictions:
    """Predict with a model file, exactly as a user of the file does.

    Args:
        classifier: of the file.
        samples: the photos.
        size: of the file, bytes.
        progress: called with the number of photos done.

    Returns:
        Logits and size.

    Raises:
        ExportError: logits are not finite.
        PhotoError: a photo cannot be read.
    """
    name, rows = f"onnx {classifier.manifest.precision}", []
    for done, sample in enumerate(samples, 1):
        try:
            logits = classifier.predict(sample.path, top_k=1, logits=True).logits
        except ModelError as error:
            raise not_finite(name) from error
        assert logits is not None
        rows.append(logits)
        progress(done)
    return Predictions(name, np.stack(rows), size)


def not_finite(name: str) -> ExportError:
    """The error of a network or a file whose logits hold NaN or infinity."""
    return ExportError(f"the logits of {name} are not finite; nothing was written", "export FP32, or train again")


def truth(samples: Sequence[Sample], classes: Sequence[str]) -> NDArray[np.int64]:
    """Class indices, int64 ``[photos]``."""
    index = {name: i for i, name in enumerate(classes)}
    return np.array([index[s.label] for s in samples], dtype=np.int64)
