"""What a file gives as features is what the trained network's head reads."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from edgeclf import Classifier
from edgeclf_training.networks import ARCHITECTURES, Network
from helpers import draw, with_linear_heads


@pytest.mark.parametrize(("name", "head"), [*with_linear_heads(ARCHITECTURES), ("cnn4", "mlp")])
def test_features_are_what_the_head_reads(
    name: str,
    head: str,
    untrained: Callable[[str, str], Network],
    export_untrained: Callable[..., bytes],
    exported_untrained: Callable[[str, str], Path],
) -> None:
    network = untrained(name, head)
    read: list[torch.Tensor] = []
    network.head.linears[0].register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    photos = np.stack([np.asarray(draw(i, 96, 96)) for i in range(4)])
    with torch.inference_mode():
        network(torch.from_numpy(photos))
    wanted = read[0].numpy()
    exact = Classifier(exported_untrained(name, head))
    int8 = Classifier(export_untrained(name, head, calibration=photos)) if name == "cnn4" else None
    for photo, expected in zip(photos, wanted, strict=True):
        features = exact.features(photo)
        assert features.shape == expected.shape
        assert np.abs(features - expected).max() <= 1e-4 * np.abs(wanted).max()
        if int8 is not None:
            rounded = int8.features(photo)
            assert rounded.dtype == np.float32
            assert np.corrcoef(rounded, expected)[0, 1] > 0.95
