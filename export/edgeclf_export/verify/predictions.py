"""Predictions of the trained network, in torch, and of a model file, in onnxruntime, on the same photos."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from edgeclf.errors import ExportError
from edgeclf.events import Listener, log, progress
from edgeclf.model.session import open_cpu_session
from edgeclf_training.networks import Network
from numpy.typing import NDArray

from edgeclf_export.pack.build import BuiltModel
from edgeclf_export.verify.photos import NetworkInputs

_BATCH = 8  # photos


@dataclass(frozen=True)
class Predictions:
    """Logits of a set of photos, float32 ``[photos, classes]``, from one way of computing them.

    Attributes:
        name: of the way, such as "onnx int8".
        logits: one row a photo.
        size: of the network's weights or of the file, bytes.
    """

    name: str
    logits: NDArray[np.float32]
    size: int

    def correct(self, labels: NDArray[np.int64]) -> int:
        """Photos whose best-ranked class is the true one."""
        return int((self.logits.argmax(1) == labels).sum())

    def agreeing(self, other: "Predictions") -> int:
        """Photos on which both rank the same class first."""
        return int((self.logits.argmax(1) == other.logits.argmax(1)).sum())

    def difference(self, other: "Predictions") -> float:
        """Largest difference between logits, relative to the largest logit of ``other`` or 1."""
        return float(np.abs(self.logits - other.logits).max() / max(1.0, np.abs(other.logits).max()))


def network_predictions(network: Network, photos: NetworkInputs, on_event: Listener = log) -> Predictions:
    """Predict with the network itself, in torch.

    Args:
        network: in eval mode, on the CPU.
        photos: at least one.
        on_event: gets ``Progress``.

    Returns:
        Logits, and the size of the weights in bytes.

    Raises:
        PhotoError: a photo cannot be read.
    """
    rows: list[NDArray[np.float32]] = []
    images = iter(photos)
    with progress(on_event, "predicting with the trained network") as update, torch.inference_mode():
        for start in range(0, len(photos), _BATCH):
            batch = np.stack(list(itertools.islice(images, _BATCH)))
            rows.append(network(torch.from_numpy(batch)).numpy())
            update(start + len(batch), len(photos))
    size = sum(tensor.nbytes for tensor in network.state_dict().values())
    return Predictions("torch fp32", np.concatenate(rows), size)


def model_predictions(model: BuiltModel, photos: NetworkInputs, on_event: Listener = log) -> Predictions:
    """Predict as ``Classifier.predict`` does on a CPU: the same preprocessing, the same kind of session, one by one.

    Args:
        model: not sealed yet.
        photos: at least one.
        on_event: gets ``Progress``.

    Returns:
        Logits, and the size of the file in bytes.

    Raises:
        ExportError: logits are not finite.
        PhotoError: a photo cannot be read.
        BackendError: onnxruntime is not installed.
    """
    name, rows = f"onnx {model.manifest.precision}", []
    session = open_cpu_session(model.graph)
    with progress(on_event, "checking") as update:
        for done, photo in enumerate(photos, 1):
            (logits,) = session.run(["logits"], {"image": photo[None]})
            if not np.isfinite(logits).all():
                raise not_finite(name)
            rows.append(logits[0])
            update(done, len(photos))
    return Predictions(name, np.stack(rows), model.size)


def not_finite(name: str) -> ExportError:
    """The error of a network or a file whose logits hold NaN or infinity."""
    return ExportError(f"the logits of {name} are not finite; nothing was written", "export FP32, or train again")
