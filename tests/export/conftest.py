"""Models for the tests of the export."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from edgeclf_export.api.export_network import export_network
from edgeclf_training.networks import Network, build_network
from helpers import manifest_for

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
def exported_untrained(
    untrained: Callable[[str, str], Network], once: Callable[[str, Callable[[Path], object]], Path]
) -> Callable[[str, str], Path]:
    """The FP32 file of ``untrained``, each exported once for all processes of a run."""

    def export(architecture: str, head: str) -> Path:
        def make(path: Path) -> None:
            manifest = manifest_for(UNTRAINED_SIZE, UNTRAINED_CLASSES)
            path.write_bytes(export_network(untrained(architecture, head), manifest))

        return once(f"{architecture}-{head}.onnx", make)

    return export
