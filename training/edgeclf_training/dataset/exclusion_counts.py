"""The photos left out of a split, counted by the kind of their reason: one classification for all who tell it."""

import re
from collections.abc import Sequence

from edgeclf_training.dataset.samples import Skipped

QUARANTINED = "quarantined"
# What a reason says behind the photo's path, first match wins; lists of runs of all versions hold nothing else.
# A path named in a reason is followed by the words that tell, so that no name can be taken for them.
_KINDS = (
    (QUARANTINED, r"quarantined, .*", "on the quarantine list"),
    ("trained", r"left out of (val|test), an earlier run trained on .*", "trained on by an earlier run"),
    ("conflict", r"same photo as .*, under another class", "filed under another class too"),
    ("twin", r"(nearly the )?same photo as .*, which is in (val|test)", "the same or nearly as in val or test"),
    ("duplicate", r"same photo as .*", "duplicate{s} of photos in the same class"),
    ("heat-map", r"is a heat map of edgeclf, not a photo", "heat map{s} of edgeclf"),
    ("unreadable", r".*", "cannot be read"),
)


def left_out(skipped: Sequence[Skipped]) -> dict[str, int]:
    """How many photos were left out for each kind of reason; kinds without any are not named."""
    found = [_kind(one) for one in skipped]
    return {kind: found.count(kind) for kind, _, _ in _KINDS if kind in found}


def in_a_line(counts: dict[str, int]) -> str:
    """What ``left_out`` counted, for people: "2 duplicates of photos in the same class, 1 cannot be read"."""
    words = {kind: text for kind, _, text in _KINDS}
    return ", ".join(f"{count} {words[kind].format(s='s' * (count > 1))}" for kind, count in counts.items())


def _kind(one: Skipped) -> str:
    said = one.reason.removeprefix(f"{one.path}: ")
    return next(kind for kind, pattern, _ in _KINDS if re.fullmatch(pattern, said, re.DOTALL))
