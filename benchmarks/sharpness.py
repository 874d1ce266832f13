"""How much detail photos hold for their size: what is lost when they are made smaller and large again.

    python benchmarks/sharpness.py ../shared/data/flowers ../shared/data/hymenoptera/train

All photos are first brought to 128 pixels, so that folders can be compared. Shares are of the standard deviation of
the grey values; medians over a seeded choice of photos.
"""

import random
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SIDE, PHOTOS = 128, 200


def lost(image: Image.Image, side: int) -> float:
    """Root mean square of what differs after a detour over ``side`` pixels, by the photo's standard deviation."""
    grey = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    detour = grey.resize((side, side), Image.Resampling.BICUBIC).resize(grey.size, Image.Resampling.BICUBIC)
    before, after = np.asarray(grey, float), np.asarray(detour, float)
    return float(np.sqrt(np.mean((before - after) ** 2)) / max(before.std(), 1.0))


def main() -> None:
    for folder in map(Path, sys.argv[1:]):
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        random.Random(0).shuffle(paths)  # noqa: S311
        images = [Image.open(path).convert("RGB") for path in paths[:PHOTOS]]
        shares = ", ".join(f"{side} px {np.median([lost(i, side) for i in images]):.1%}" for side in (24, 32, 48, 64))
        print(f"{folder}: detail lost over {shares}")


if __name__ == "__main__":
    main()
