"""The tests' model: a random two-convolution network, exported for real or taken from the committed files.

``exported`` needs torch. ``committed`` takes the same network from ``tests/runtime/models/small`` and writes another
manifest into it; ``tools/make_test_models.py`` makes those files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from edgeclf.images.contract import ImageContract, Resize
from edgeclf.model.file import MANIFEST_KEY, SEAL_LENGTH, read_model_file, seal
from edgeclf.model.manifest import Calibration
from helpers import CLASSES, OLD_MODELS, SIZE, draw, manifest_for

SMALL_MODELS = OLD_MODELS / "small"


@dataclass(frozen=True)
class Small:
    """What a small model is to be.

    Attributes:
        resize: how photos are fitted, as in ``ImageContract``.
        classes: names in index order.
        display: class name -> the name shown.
        head: "linear" or "mlp" (one hidden layer of 12).
        int8: integers rather than floats.
        calibration: written into the manifest as given.
        golden: with the self-test's photos.
        every_map: with the heat maps of all classes, rather than as many as a network so small is worth.
        cam: with heat maps at all.
    """

    resize: Resize = "crop"
    classes: tuple[str, ...] = CLASSES
    display: Mapping[str, str] | None = None
    head: str = "linear"
    int8: bool = False
    calibration: Calibration | None = None
    golden: bool = False
    every_map: bool = False
    cam: bool = True

    @property
    def file_name(self) -> str:
        """Of the committed file with this network; resize matters to golden photos only."""
        golden = f"-golden-{self.resize}" if self.golden else ""
        maps = "-every-map" if self.every_map else "" if self.cam else "-no-map"
        return f"{len(self.classes)}-{self.head}-{'int8' if self.int8 else 'fp32'}{maps}{golden}.onnx"


# The files that are committed: all the networks the runtime's tests ask for.
COMMITTED = (
    *(Small(classes=tuple(f"class {n}" for n in range(count))) for count in (2, 3, 4, 6, 13)),
    Small(head="mlp"),
    Small(int8=True),
    Small(cam=False, golden=True),
    *(Small(classes=(*CLASSES, "emperor"), head=head, every_map=True) for head in ("linear", "mlp")),
    *(Small(resize=r, int8=int8, golden=True) for r in ("crop", "pad", "squash") for int8 in (False, True)),
)


def committed(wanted: Small) -> bytes:
    """The bytes of a model file, without torch.

    Raises:
        FileNotFoundError: no such network is committed; add it to ``COMMITTED`` and run the tool.
    """
    path = SMALL_MODELS / wanted.file_name
    contract = ImageContract(SIZE, wanted.resize)
    manifest = replace(
        read_model_file(path).manifest,
        classes=wanted.classes,
        contract=contract,
        contract_sha256=contract.digest(),
        display_names=wanted.display or {},
        calibration=wanted.calibration,
    )
    model = onnx.load_model_from_string(path.read_bytes()[:-SEAL_LENGTH])
    (entry,) = model.metadata_props
    assert entry.key == MANIFEST_KEY
    entry.value = manifest.to_json()
    return seal(model.SerializeToString(deterministic=True))


def exported(wanted: Small) -> bytes:
    """The bytes of a model file, through torch and the exporter."""
    import pytest
    import torch
    from edgeclf_export.api.export_network import network_model
    from edgeclf_export.pack.build import seal_model
    from edgeclf_export.verify.golden import golden_photos
    from edgeclf_training.networks import Head, Network
    from torch import nn

    torch.manual_seed(7)
    stages = [
        ("one", nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())),
        ("two", nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())),
    ]
    hidden = (12,) if wanted.head == "mlp" else ()
    network = Network(
        stages, None, Head(16, (SIZE // 4) ** 2, hidden, len(wanted.classes)), (127.0,) * 3, (64.0,) * 3
    ).eval()
    manifest = manifest_for(SIZE, wanted.classes, ImageContract(SIZE, wanted.resize), wanted.display or {})
    manifest = replace(manifest, calibration=wanted.calibration)
    photos = [np.asarray(draw(i).resize((SIZE, SIZE))) for i in range(8)] if wanted.int8 else None
    with pytest.MonkeyPatch.context() as patch:
        if wanted.every_map:
            patch.setattr("edgeclf_export.graph.gradcam.COST_SHARE", 1e9)
        model = network_model(network, manifest, photos, cam=wanted.cam)
    if wanted.golden:
        photos_and_labels = [(draw(i), wanted.classes[i % len(wanted.classes)]) for i in range(12)]
        model = model.with_manifest(golden=golden_photos(model, photos_and_labels))
    return seal_model(model)


def write_committed(folder: Path = SMALL_MODELS) -> None:
    """Export all of ``COMMITTED`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for wanted in COMMITTED:
        (folder / wanted.file_name).write_bytes(exported(wanted))
