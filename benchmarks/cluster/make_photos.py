"""Make a folder of many photos for the cluster's benchmarks: drawn ones, given ones, and damaged ones among them.

    python benchmarks/cluster/make_photos.py FOLDER --count 20000 [--from SHARED]

``--distinct`` photos are drawn; the others are hard links to these and to the photos below SHARED, under names of their
own. One photo in 97 is cut off, empty, or no image.
"""

import argparse
import os
import shutil
from itertools import cycle
from pathlib import Path

import numpy as np
from PIL import Image


def drawn(seed: int) -> Image.Image:
    """A picture of smooth noise, of a size that differs from photo to photo."""
    rng = np.random.default_rng(seed)
    width, height = (int(side) for side in rng.integers(160, 640, 2))
    coarse = rng.integers(0, 255, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def main() -> None:
    """Make the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--distinct", type=int, default=1_000)
    parser.add_argument("--from", dest="given", type=Path)
    arguments = parser.parse_args()
    masters = arguments.folder.with_name(f"{arguments.folder.name}-masters")
    masters.mkdir(parents=True)
    made = []
    for seed in range(min(arguments.distinct, arguments.count)):
        path = masters / f"{seed}.jpg"
        drawn(seed).save(path, quality=88)
        made.append(path)
    if arguments.given is not None:
        for number, path in enumerate(sorted(arguments.given.rglob("*.jp*g"))):
            made.append(masters / f"given-{number}.jpg")
            shutil.copy(path, made[-1])
    damaged = [masters / name for name in ("cut.jpg", "empty.jpg", "text.jpg")]
    damaged[0].write_bytes(made[0].read_bytes()[:-200])
    damaged[1].write_bytes(b"")
    damaged[2].write_text("not a photo")
    bad, good = cycle(damaged), cycle(made)
    for number in range(arguments.count):
        folder = arguments.folder / f"camera-{number // 1000:03}"
        folder.mkdir(parents=True, exist_ok=True)
        os.link(next(bad) if number % 97 == 50 else next(good), folder / f"IMG_{number:06}.jpg")


if __name__ == "__main__":
    main()
