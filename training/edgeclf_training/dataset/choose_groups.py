"""Chooses whole groups of photos for validation."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from edgeclf_training.dataset.samples import Sample

VALIDATION_SHARE = 0.2
_NOTHING_HELD = 1.0  # cost of a class without validation photos: more than any share of its photos
_PASSES = 10
_WORK = 100_000  # pairs of a group and a class looked at in one pass of all tries


def first_that_fit(groups: Sequence[Sequence[Sample]]) -> set[Sample]:
    """In the given order, the groups that fit into a fifth of each of their classes."""
    total = Counter(s.label for group in groups for s in group)
    target = {label: max(1, round(n * VALIDATION_SHARE)) if n > 1 else 0 for label, n in total.items()}
    held: Counter[str] = Counter()
    chosen: set[Sample] = set()

    def take(group: Sequence[Sample]) -> None:
        chosen.update(group)
        held.update(s.label for s in group)

    def fits(group: Sequence[Sample], limit: Mapping[str, int]) -> bool:
        return all(held[label] + n <= limit[label] for label, n in Counter(s.label for s in group).items())

    for group in groups:
        if fits(group, target):
            take(group)
    for label in sorted(label for label in total if target[label] and not held[label]):
        # All groups of the class are larger than its fifth: take the smallest, if every class keeps a training photo.
        possible = [
            g for g in groups if any(s.label == label for s in g) and fits(g, {k: n - 1 for k, n in total.items()})
        ]
        if possible:
            take(min(possible, key=len))
    return chosen


def nearest_to_a_fifth(groups: Sequence[Sequence[Sample]], seed: int, always: Mapping[str, int]) -> set[Sample]:
    """The groups whose photos are as near to a fifth of each class as whole groups allow.

    Groups such as cameras are large and hold several classes, so that those that fit one class burst another. From
    several random starts, groups are taken and put back as long as this brings the shares nearer to a fifth: the sum
    over classes of (share - 0.2) squared. A class keeps at least one training group, and gets at least one validation
    group where it has two.

    Args:
        groups: of the photos that may be set aside.
        seed: of the random order.
        always: number of training photos of each class that are in no group here.
    """
    counts = [Counter(s.label for s in group) for group in groups]
    total: Counter[str] = Counter(always)
    for count in counts:
        total.update(count)
    random = np.random.default_rng(seed)
    tries = max(1, min(30, _WORK // max(1, sum(map(len, counts)))))
    best_cost, best = float("inf"), [False] * len(groups)
    for _ in range(tries):
        cost, chosen = _search(counts, total, random.permutation(len(groups)).tolist())
        if cost < best_cost - 1e-12:
            best_cost, best = cost, chosen
    return {sample for group, taken in zip(groups, best, strict=True) if taken for sample in group}


def _search(
    counts: Sequence[Mapping[str, int]], total: Mapping[str, int], order: Sequence[int]
) -> tuple[float, list[bool]]:
    held: Counter[str] = Counter()
    chosen = [False] * len(counts)
    for _ in range(_PASSES):
        changed = False
        for number in order:
            sign = -1 if chosen[number] else 1
            after = {label: held[label] + sign * n for label, n in counts[number].items()}
            gain = sum(_cost(held[label], total[label]) - _cost(n, total[label]) for label, n in after.items())
            if gain > 1e-12:
                held.update({label: sign * n for label, n in counts[number].items()})
                chosen[number] = not chosen[number]
                changed = True
        if not changed:
            break
    return sum(_cost(held[label], n) for label, n in total.items()), chosen


def _cost(held: int, total: int) -> float:
    if held >= total:
        return float(10 * total)  # no training photo would be left
    return (held / total - VALIDATION_SHARE) ** 2 if held else _NOTHING_HELD
