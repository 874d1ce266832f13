"""Models for the tests of the export."""

from collections.abc import Callable
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import onnx
import pytest
import torch
from edgeclf_export.api.export_network import export_network
from edgeclf_training.networks import Network, build_network
from helpers import manifest_for

Once = Callable[[str, Callable[[Path], object]], Path]

UNTRAINED_SIZE = 96
UNTRAINED_CLASSES = ("a", "b", "c", "d")


@pytest.fixture(scope="session")
def make_model(export_model: Callable[..., Path]) -> Callable[..., Path]:
    """The small model, exported by the code of today."""
    return export_model


@pytest.fixture(autouse=True)
def _share_traces(share_traces: None) -> None:
    """Torch's exporter is most of every export."""


@pytest.fixture(scope="session")
def untrained() -> Callable[[str, str], Network]:
    """A network of four classes for 96 px with random weights, always the same: untrained("resnet18", "linear")."""

    @lru_cache(maxsize=1)  # seconds of random numbers for the largest
    def built(architecture: str, head: str) -> Network:
        torch.manual_seed(0)
        network, _ = build_network(architecture, len(UNTRAINED_CLASSES), head=head, image_size=UNTRAINED_SIZE)
        return network.eval()

    return lambda architecture, head: deepcopy(built(architecture, head))


@pytest.fixture(scope="session")
def float_graph(
    untrained: Callable[[str, str], Network], traced: Callable[[Network, int], onnx.ModelProto]
) -> Callable[[str, str], onnx.ModelProto]:
    """What ``to_onnx`` makes of ``untrained``."""
    return lambda architecture, head: traced(untrained(architecture, head), UNTRAINED_SIZE)


@pytest.fixture(scope="session")
def export_untrained(
    untrained: Callable[[str, str], Network], traced: Callable[[Network, int], onnx.ModelProto]
) -> Callable[..., bytes]:
    """``export_network`` of ``untrained`` with that graph: export_untrained("cnn4", "mlp", calibration=photos)."""

    def export(architecture: str, head: str, **options: Any) -> bytes:
        with patch("edgeclf_export.api.export_network.to_onnx", traced):
            manifest = manifest_for(UNTRAINED_SIZE, UNTRAINED_CLASSES)
            return export_network(untrained(architecture, head), manifest, **options)

    return export


@pytest.fixture(scope="session")
def exported_untrained(export_untrained: Callable[..., bytes], once: Once) -> Callable[[str, str], Path]:
    """The FP32 file of ``untrained``, once for all processes."""

    def export(architecture: str, head: str) -> Path:
        return once(f"{architecture}-{head}.onnx", lambda path: path.write_bytes(export_untrained(architecture, head)))

    return export
