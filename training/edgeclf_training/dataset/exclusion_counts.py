"""How many photos are left out of a split, for each kind of reason."""

import re
from collections.abc import Sequence

from edgeclf_training.dataset.samples import Skipped

QUARANTINED = "quarantined"
# Kind, pattern of the reason after the photo's path (the first that matches counts), and the kind in words. Lists in
# run folders of all versions hold only such reasons. In a reason, other words follow each path, so that no file name
# can look like another kind.
_KINDS = (
    (QUARANTINED, r"quarantined, .*", "on the quarantine list"),
    ("trained", r"left out of (val|test), an earlier run trained on .*", "trained on by an earlier run"),
    ("conflict", r"same photo as .*, under another class", "also in another class"),
    (
        "twin",
        r"(nearly the )?same photo as .*, which is in (val|test)",
        "the same or nearly as in val or test",
    ),
    ("group", r"same group as .*, which is in (val|test)", "of a group that is in val or test"),
    ("duplicate", r"same photo as .*", "duplicate{s} of photos in the same class"),
    ("heat-map", r"is a heat map of edgeclf, not a photo", "heat map{s} of edgeclf"),
    ("unreadable", r".*", "cannot be read"),
)


def count_left_out(skipped: Sequence[Skipped]) -> dict[str, int]:
    """The number of photos left out for each kind of reason; kinds without a photo are not in it."""
    found = [_kind(one) for one in skipped]
    return {kind: found.count(kind) for kind, _, _ in _KINDS if kind in found}


def counts_text(counts: dict[str, int]) -> str:
    """The counts of ``count_left_out`` in one line: "2 duplicates of photos in the same class, 1 cannot be read"."""
    words = {kind: text for kind, _, text in _KINDS}
    return ", ".join(f"{count} {words[kind].format(s='s' * (count > 1))}" for kind, count in counts.items())


def _kind(one: Skipped) -> str:
    reason = one.reason.removeprefix(f"{one.path}: ")
    return next(kind for kind, pattern, _ in _KINDS if re.fullmatch(pattern, reason, re.DOTALL))
