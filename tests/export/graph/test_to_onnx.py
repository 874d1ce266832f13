"""A network that was exported is the network it was."""

from collections.abc import Callable

import pytest
import torch
from edgeclf_export.graph.to_onnx import to_onnx
from edgeclf_training.networks import Network


def test_activations_are_out_of_place_only_while_torch_exports(
    untrained: Callable[[str, str], Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = untrained("mobilenet_v2", "linear")

    def in_place() -> list[bool]:
        return [bool(module.inplace) for module in network.modules() if hasattr(module, "inplace")]

    before, during = in_place(), []

    def export(*_: object, **__: object) -> None:
        during.extend(in_place())
        raise RuntimeError("stopped")

    monkeypatch.setattr(torch.onnx, "export", export)
    with pytest.raises(RuntimeError, match="stopped"):
        to_onnx(network, 96)
    assert any(before)
    assert during == [False] * len(before)
    assert in_place() == before
