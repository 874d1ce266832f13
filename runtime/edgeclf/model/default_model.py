"""Which model file is used if none is named."""

import os
from pathlib import Path

DEFAULT_MODEL = Path(__file__).parents[1] / "models" / "imagenet_efficientnet_lite0_int8.onnx"
MODEL_VARIABLE = "EDGECLF_MODEL"


def default_model() -> str:
    """Path of the default model: ``$EDGECLF_MODEL``, else the ImageNet-1k network in the package."""
    return os.environ.get(MODEL_VARIABLE) or str(DEFAULT_MODEL)
