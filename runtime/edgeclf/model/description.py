"""What a page is told about a model: the same words from the service and in a static site."""

import json
import os
from typing import Any

from edgeclf.model.manifest import Manifest


def describe(file: str, sha256: str, manifest: Manifest, device: str, threshold: float) -> dict[str, Any]:
    """Describe a model as plain data for JSON, without its golden photos, which are half of its manifest.

    Args:
        file: path of the model file; only its name is told.
        sha256: as in ``ModelFile``.
        manifest: of the file.
        device: what runs the model, such as "CPUExecutionProvider".
        threshold: a photo whose best probability is below it is unknown, 0..1.
    """
    values = json.loads(manifest.to_json())
    values.pop("golden", None)
    name = os.path.basename(file)
    return {
        "name": os.path.splitext(name)[0],
        "file": name,
        "sha256": sha256,
        "model": sha256[:16],
        "device": device,
        "threshold": threshold,
        "manifest": values,
    }
