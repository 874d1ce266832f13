"""Divides photos into folds for cross-validation: whole groups, each class evenly."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from edgeclf.errors import DataError

from edgeclf_training.dataset.samples import Sample


def assign_folds(
    groups: Iterable[Sequence[Sample]], folds: int, seed: int, always: Collection[str] = (), rule: str = ""
) -> dict[Sample, int]:
    """Put each group into one fold, so that every fold has about the same number of photos of each class.

    Groups come in an order that depends on the seed, large ones first. Each goes to the fold that has the fewest
    photos of the group's classes, and of those to the smallest one.

    Args:
        groups: photos that must stay together, such as near-duplicates.
        folds: number of folds, at least 2.
        seed: of the order.
        always: classes with other photos that train in every fold.
        rule: of the groups, for the message.

    Returns:
        The fold of each photo, from 1.

    Raises:
        DataError: there are fewer groups of a class than two, or a fold stays empty.
    """
    ordered = sorted(groups, key=lambda group: min(group))
    order = np.random.default_rng(seed).permutation(len(ordered))
    shuffled = sorted((ordered[number] for number in order), key=len, reverse=True)
    held: list[Counter[str]] = [Counter() for _ in range(folds)]
    fold_of: dict[Sample, int] = {}
    for group in shuffled:
        labels = Counter(sample.label for sample in group)
        fold = min(range(folds), key=lambda f: (sum(held[f][label] for label in labels), held[f].total(), f))
        held[fold] += labels
        fold_of |= dict.fromkeys(group, fold + 1)
    classes = {sample.label for sample in fold_of}
    if lonely := sorted(label for label in classes - set(always) if sum(h[label] > 0 for h in held) < 2):
        grouped = f" (grouped by {rule})" if rule else ""
        raise DataError(
            f"--folds {folds}: all photos of {', '.join(lonely)} are in one fold{grouped}, "
            "nothing would be left to train on",
            "add photos of other groups, or leave out --folds" if rule else "add photos, or leave out --folds",
        )
    if not all(held):
        raise DataError(f"--folds {folds}: too few different photos, a fold would be empty", "give a smaller --folds")
    return fold_of
