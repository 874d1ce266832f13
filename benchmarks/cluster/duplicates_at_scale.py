"""Time and memory of the search for near-duplicates among many simulated photos.

    python benchmarks/cluster/duplicates_at_scale.py --count 100000

Each photo has a random 64-bit hash and a random thumbnail; one in ten is a copy of another with three bits changed and
a little noise. All copies must be found. Memory is that of this process, with the thumbnails (1 KB a photo).
"""

import argparse
import resource
import time

import numpy as np
from edgeclf_training.dataset.duplicates import group_pairs, near_pairs

SIDE = 32


def simulated(count: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Hashes, thumbnails, and how many are copies."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, count, np.uint64)
    thumbs = np.empty((count, SIDE * SIDE), np.uint8)
    for start in range(0, count, 4096):
        coarse = rng.integers(0, 255, (min(4096, count - start), 8, 8), np.uint8)
        thumbs[start : start + 4096] = coarse.repeat(4, 1).repeat(4, 2).reshape(len(coarse), -1)
    copies = count // 10
    for number in range(copies):
        one = count - copies + number
        mask = sum(1 << int(bit) for bit in rng.choice(64, 3, replace=False))
        hashes[one] = hashes[number] ^ np.uint64(mask)
        thumbs[one] = np.clip(thumbs[number].astype(np.int16) + rng.integers(-2, 3, SIDE * SIDE), 0, 255)
    return hashes, thumbs, copies


def main() -> None:
    """Search and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    count = parser.parse_args().count
    hashes, thumbs, copies = simulated(count)
    before = _peak()
    began = time.process_time()
    pairs = near_pairs(hashes, thumbs)
    searched = time.process_time() - began
    groups = group_pairs(count, pairs)
    found = int((groups != np.arange(count)).sum())
    print(
        f"{count} photos: {searched:.1f} s of CPU to search, {time.process_time() - began - searched:.1f} s to group; "
        f"{found} of {copies} copies found; memory {before:.0f} MB before, {_peak():.0f} MB at most"
    )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
