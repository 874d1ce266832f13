"""Bursts: photos of one camera that follow each other within seconds, by their EXIF."""

import itertools
from collections.abc import Sequence

import numpy as np
from edgeclf.images.photo_facts import PhotoFacts, is_within
from numpy.typing import NDArray

from edgeclf_training.dataset.scan import Scanned


def burst_groups(scans: Sequence[Scanned], seconds: float) -> NDArray[np.int64]:
    """For each photo the smallest index in its burst; int64 ``[N]``.

    A burst goes on as long as each photo was taken at most so many seconds after the one before. A photo without a time
    is a burst of its own. Photos whose EXIF names no camera count as photos of one camera.

    Args:
        scans: of the photos.
        seconds: the longest pause within a burst.
    """
    groups = np.arange(len(scans))
    timed = sorted(
        (scan.camera, taken, index)
        for index, scan in enumerate(scans)
        if (taken := PhotoFacts(taken=scan.taken or None).seconds) is not None
    )
    pairs = itertools.pairwise(timed)
    begins = [True, *(a[0] != b[0] or not is_within(seconds, a[1], b[1]) for a, b in pairs)][: len(timed)]
    burst = np.cumsum(np.array(begins, np.int64))
    indices = np.array([index for _, _, index in timed], np.int64)
    smallest = np.full(len(scans) + 1, len(scans))
    np.minimum.at(smallest, burst, indices)
    groups[indices] = smallest[burst]
    return groups
