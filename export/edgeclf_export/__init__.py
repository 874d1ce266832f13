"""Trained network -> one ``.onnx`` file: graph, quantization, heat maps, checks.

Needs ``pip install "edgeclf[export]"``. A run folder becomes a file that was compared with the trained network:

    from edgeclf_export import Budget, export_run
    done = export_run("runs/birds", "birds.onnx", int8=True, budget=Budget(drop=0.5))
    print(done.gate.correct_after, "of", done.photos, done.split, "photos right")

A network becomes the bytes of a file, without any comparison:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from edgeclf import Classifier, ImageContract
    >>> from edgeclf_export import draft_manifest, export_network
    >>> from edgeclf_training.networks import build_network
    >>> network, _ = build_network("cnn4", 2, image_size=48)
    >>> manifest = draft_manifest(("cat", "dog"), ImageContract(size=48), "cnn4")
    >>> data = export_network(network.eval(), manifest)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "pets.onnx"
    ...     _ = path.write_bytes(data)
    ...     Classifier(path).labels
    ('cat', 'dog')

Names are imported when first used, so ``import edgeclf_export`` imports neither torch nor onnx.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeclf_export.api.display_names import read_display_names
    from edgeclf_export.api.export_network import export_network
    from edgeclf_export.api.export_run import Card, Exported, Row, export_run
    from edgeclf_export.pack.build import draft_manifest
    from edgeclf_export.verify.gate import Budget

_HOME = {
    "read_display_names": "api.display_names",
    **dict.fromkeys(("Card", "Exported", "Row", "export_run"), "api.export_run"),
    "export_network": "api.export_network",
    "draft_manifest": "pack.build",
    "Budget": "verify.gate",
}

__all__ = [
    "Budget",
    "Card",
    "Exported",
    "Row",
    "draft_manifest",
    "export_network",
    "export_run",
    "read_display_names",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'edgeclf_export' has no attribute {name!r}")
    return getattr(import_module(f"edgeclf_export.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
