"""Photos and networks for benchmarks: drawn and random, but as large and as slow as real ones."""

import os
from pathlib import Path

import numpy as np
from PIL import Image


def random_model(
    path: Path,
    architecture: str,
    *,
    int8: bool,
    size: int = 224,
    classes: int = 10,
    crop: float = 0.875,
    head: str | None = None,
) -> Path:
    """Export a network of random weights, quantized on noise: as large and as fast as a trained one."""
    import torch
    from edgeclf.images.contract import ImageContract
    from edgeclf_export.api.export_network import export_network
    from edgeclf_export.pack.build import draft_manifest
    from edgeclf_training.networks import ARCHITECTURES, build_network

    torch.manual_seed(0)
    head = head or ARCHITECTURES[architecture].default_head
    network, _ = build_network(architecture, classes, head=head, image_size=size)
    contract = ImageContract(size, crop_fraction=crop)
    manifest = draft_manifest(tuple(f"class{i}" for i in range(classes)), contract, architecture, head)
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for _ in range(4)]
    path.write_bytes(export_network(network.eval(), manifest, photos if int8 else None))
    return path


def photo_folder(folder: Path, photos: int, width: int, height: int, different: int = 8) -> list[str]:
    """Fill a folder with JPEGs of soft colours and a camera's noise; beyond ``different`` they are links to others."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    paths = [folder / f"{number:05}.jpg" for number in range(photos)]
    for number, path in enumerate(paths):
        if number >= different:
            os.link(paths[number % different], path)
            continue
        colours = Image.fromarray(rng.integers(0, 256, (height // 40 + 1, width // 40 + 1, 3), dtype=np.uint8))
        noise = Image.effect_noise((width, height), 40).convert("RGB")
        Image.blend(colours.resize((width, height), Image.Resampling.BICUBIC), noise, 0.25).save(path, quality=88)
    return [str(path) for path in paths]
