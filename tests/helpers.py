"""What several test modules make: drawn photos, class folders, manifests."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from edgeclf.concurrency import _serve
from edgeclf.images.contract import ImageContract
from edgeclf.model.manifest import Manifest
from PIL import Image

ROOT = Path(__file__).parents[1]
OLD_MODELS = ROOT / "tests" / "runtime" / "models"  # a file of each schema
SHARED = ROOT.parent / "shared"  # the team's photos and weights, if they are there
CLASSES = ("adelie", "gentoo", "king")
SIZE = 32


LARGE = ("resnet50", "vgg16")  # take long; ResNet18, and VGG16 with its own MLP head, have the same kinds of layers


def with_linear_heads(architectures: Iterable[str]) -> list[Any]:
    """(name, "linear") of each; large ones are campaigns, and EfficientNet-Lite1 and -Lite2 repeat Lite0's layers."""
    names = [name for name in architectures if name not in ("efficientnet_lite1", "efficientnet_lite2")]
    return [pytest.param(name, "linear", marks=[pytest.mark.campaign] if name in LARGE else []) for name in names]


def draw(seed: int, width: int = 160, height: int = 120, hue: tuple[int, int, int] | None = None) -> Image.Image:
    """A photo-like picture: smooth noise, a bright corner (so that orientations differ), and optionally a tint."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 200, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    image.paste((250, 240, 230), (0, 0, width // 4, height // 4))
    if hue is not None:
        image = Image.blend(image, Image.new("RGB", image.size, hue), 0.5)
    return image


def write_class_folders(root: Path, per_class: int, *, seed: int = 0) -> Path:
    """Class folders of small JPEGs whose tint tells the class."""
    hues = {"adelie": (200, 40, 40), "gentoo": (40, 200, 40), "king": (40, 40, 200)}
    for number, (label, hue) in enumerate(hues.items()):
        (root / label).mkdir(parents=True)
        for index in range(per_class):
            name = root / label / f"{label}_{index:03}.jpg"
            draw(seed + 1000 * number + index, 64, 48, hue).save(name, quality=90)
    return root


def put(path: Path, seed: int = 1) -> Path:
    """Write a photo of 60 x 40 pixels, its folders too, and give its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(seed, 60, 40).save(path)
    return path


def manifest_for(
    size: int,
    classes: tuple[str, ...],
    contract: ImageContract | None = None,
    display_names: Mapping[str, str] | None = None,
) -> Manifest:
    """A manifest for a network that was never trained."""
    from edgeclf_export.pack.build import draft_manifest

    return draft_manifest(classes, contract or ImageContract(size), "tiny", display_names=display_names or {})


def workers() -> list[FrameType]:
    """What the threads of predict_many are at; the threads that read files are kept for the next photo."""
    interval = sys.getswitchinterval()
    # No thread may go on while its frames are walked: Python 3.11 then takes other objects for frames.
    sys.setswitchinterval(60)
    try:
        time.sleep(0.02)  # threads that wait by the old interval have had their turn
        busy = sys._current_frames().values()
        return [frame for frame in busy if any(f.f_code is _serve.__code__ for f in _stack(frame))]
    finally:
        sys.setswitchinterval(interval)


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
