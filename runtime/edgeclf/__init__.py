"""edgeclf: classify photos on any device with one self-describing ``.onnx`` file.

    >>> from edgeclf import Classifier
    >>> classifier = Classifier("penguins.onnx")        # or Classifier() for the ImageNet network in the package
    >>> classifier.predict("photo.jpg").best.label
    >>> classifier.explain("photo.jpg").overlay().save("why.png")

Nothing here uses the network. Names are imported when first used, so ``import edgeclf`` takes almost no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeclf.classifier import Classifier
    from edgeclf.errors import BackendError, EdgeclfError, ExplainError, ModelError, PhotoError, UsageError
    from edgeclf.images.contract import ImageContract
    from edgeclf.images.photo_facts import PhotoFacts, photo_facts
    from edgeclf.images.preprocess import network_input
    from edgeclf.model.manifest import Manifest
    from edgeclf.photo_events import PhotoEvent, predict_events
    from edgeclf.results import Explanation, Features, Prediction, RankedLabel

__version__ = "0.1.0"

_HOME = {
    "Classifier": "classifier",
    **dict.fromkeys(
        ("BackendError", "EdgeclfError", "ExplainError", "ModelError", "PhotoError", "UsageError"), "errors"
    ),
    "ImageContract": "images.contract",
    "network_input": "images.preprocess",
    **dict.fromkeys(("PhotoFacts", "photo_facts"), "images.photo_facts"),
    **dict.fromkeys(("PhotoEvent", "predict_events"), "photo_events"),
    "Manifest": "model.manifest",
    **dict.fromkeys(("Explanation", "Features", "Prediction", "RankedLabel"), "results"),
}

__all__ = [
    "BackendError",
    "Classifier",
    "EdgeclfError",
    "ExplainError",
    "Explanation",
    "Features",
    "ImageContract",
    "Manifest",
    "ModelError",
    "PhotoError",
    "PhotoEvent",
    "PhotoFacts",
    "Prediction",
    "RankedLabel",
    "UsageError",
    "__version__",
    "network_input",
    "photo_facts",
    "predict_events",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'edgeclf' has no attribute {name!r}")
    return getattr(import_module(f"edgeclf.{_HOME[name]}"), name)
