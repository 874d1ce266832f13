"""Models for the tests of the export."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import onnx
import pytest
import torch
from edgeclf_export.api.export_network import export_network
from edgeclf_export.graph.to_onnx import to_onnx
from edgeclf_training.networks import Network, build_network
from helpers import manifest_for

Once = Callable[[str, Callable[[Path], object]], Path]

UNTRAINED_SIZE = 96
UNTRAINED_CLASSES = ("a", "b", "c", "d")


@pytest.fixture(scope="session")
def make_model(export_model: Callable[..., Path]) -> Callable[..., Path]:
    """The small model, exported by the code of today."""
    return export_model


@pytest.fixture(scope="session")
def untrained() -> Callable[[str, str], Network]:
    """A network of four classes for 96 px with random weights, always the same: untrained("resnet18", "linear")."""

    def build(architecture: str, head: str) -> Network:
        torch.manual_seed(0)
        network, _ = build_network(architecture, len(UNTRAINED_CLASSES), head=head, image_size=UNTRAINED_SIZE)
        return network.eval()

    return build


@pytest.fixture(scope="session")
def float_graph(untrained: Callable[[str, str], Network], once: Once) -> Callable[[str, str], onnx.ModelProto]:
    """What ``to_onnx`` makes of ``untrained``, once for all processes: torch's exporter is most of every export."""

    def trace(architecture: str, head: str) -> onnx.ModelProto:
        def make(path: Path) -> None:
            onnx.save(to_onnx(untrained(architecture, head), UNTRAINED_SIZE), path)

        return onnx.load(once(f"{architecture}-{head}.float", make))

    return trace


@pytest.fixture(scope="session")
def export_untrained(
    untrained: Callable[[str, str], Network], float_graph: Callable[[str, str], onnx.ModelProto]
) -> Callable[..., bytes]:
    """``export_network`` of ``untrained`` with that graph: export_untrained("cnn4", "mlp", calibration=photos)."""

    def export(architecture: str, head: str, **options: Any) -> bytes:
        graph = float_graph(architecture, head)
        with patch("edgeclf_export.api.export_network.to_onnx", lambda network, size: graph):
            manifest = manifest_for(UNTRAINED_SIZE, UNTRAINED_CLASSES)
            return export_network(untrained(architecture, head), manifest, **options)

    return export


@pytest.fixture(scope="session")
def exported_untrained(export_untrained: Callable[..., bytes], once: Once) -> Callable[[str, str], Path]:
    """The FP32 file of ``untrained``, once for all processes."""

    def export(architecture: str, head: str) -> Path:
        return once(f"{architecture}-{head}.onnx", lambda path: path.write_bytes(export_untrained(architecture, head)))

    return export
