"""Forgetting: what a network has lost of the classes that it knew before it was trained further.

Both networks predict the same photos: held-out photos of the earlier run, which neither has trained on. A photo counts
as lost if only the earlier network predicts it correctly, and as gained if only the present one does. Whether more were
lost than chance explains is decided by the exact one-sided sign test on these (McNemar 1947).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from edgeclf.class_names import several
from numpy.typing import NDArray

MAX_P = 0.025  # of the sign test: beyond chance below this; divided by the number of classes for a single class


@dataclass(frozen=True)
class ClassForgetting:
    """One class: its photos, and how many are correct before and now; ``taken`` are now predicted as a new class."""

    label: str
    photos: int
    before: int
    now: int
    lost: int
    gained: int
    taken: int

    @property
    def p(self) -> float:
        """The probability of at least so many lost among those that changed, if losing and gaining are as likely."""
        return sign_test(self.lost, self.gained)


@dataclass(frozen=True)
class Forgetting:
    """How the earlier classes fare. Counts are of held-out photos of the earlier run.

    Attributes:
        run: name of the earlier run.
        photos: photos that both networks predicted.
        missing: held-out photos of that run that could not be used: gone, unreadable, or trained on by now.
        as_it_was: correct with the earlier network and all its classes.
        before: correct with the earlier network, limited to the classes that are kept; merged classes count as one.
        now: correct with the present network and all its classes.
        now_among_kept: correct with the present network, limited to the classes that are kept.
        classes: the same for each class that is kept, in index order.
        new: classes that the earlier network did not know.
    """

    run: str
    photos: int
    missing: int
    as_it_was: int
    before: int
    now: int
    now_among_kept: int
    classes: tuple[ClassForgetting, ...]
    new: tuple[str, ...] = ()

    @property
    def lost(self) -> int:
        """Photos that only the earlier network predicts correctly."""
        return sum(c.lost for c in self.classes)

    @property
    def gained(self) -> int:
        """Photos that only the present network predicts correctly."""
        return sum(c.gained for c in self.classes)

    @property
    def beyond_chance(self) -> bool:
        """Whether more photos were lost than chance explains."""
        return sign_test(self.lost, self.gained) < MAX_P

    def fallen(self) -> tuple[ClassForgetting, ...]:
        """Classes that lost more photos than chance explains, the worst first."""
        limit = MAX_P / max(1, len(self.classes))
        return tuple(sorted((c for c in self.classes if c.p < limit), key=lambda c: (c.now - c.before) / c.photos))

    def lines(self) -> list[str]:
        """For people: one line, and another if accuracy fell beyond chance."""
        if not self.photos:
            return ["earlier classes: none of their held-out photos can be used, so forgetting is not measured"]
        fell = "fell beyond chance" if self.beyond_chance else "no loss beyond chance"
        lines = [
            f"earlier classes, on {self.photos} held-out photos of {self.run}: {self.before} right before, "
            f"{self.now} now ({self.before / self.photos:.1%} -> {self.now / self.photos:.1%}; "
            f"{self.lost} lost, {self.gained} gained; {fell})"
        ]
        fallen = self.fallen()
        if fallen or self.beyond_chance:
            named = several([f"{c.label} {c.before} -> {c.now} of {c.photos}" for c in fallen[:5]])
            taken = sum(c.taken for c in self.classes)
            lines.append(
                "warning: the network has forgotten some of what it knew"
                + (f", most of {named}" if fallen else "")
                + (f"; {taken} photos of earlier classes are now taken for {several(self.new)}" if taken else "")
                + ". Give their photos again, or more of them, or use fewer --epochs or a lower --backbone-lr"
            )
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def report(self) -> dict[str, Any]:
        """What ``metrics.json`` holds: the counts, the tests and the lines for people."""
        values = self.to_dict()
        for one, row in zip(self.classes, values["classes"], strict=True):
            row["p"] = one.p
        fallen = [c.label for c in self.fallen()]
        lost = {"lost": self.lost, "gained": self.gained, "beyond_chance": self.beyond_chance, "fallen": fallen}
        return {**values, **lost, "lines": self.lines()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Forgetting":
        """The inverse of ``to_dict``."""
        classes = tuple(ClassForgetting(**one) for one in values["classes"])
        return cls(**{**values, "classes": classes, "new": tuple(values["new"])})


def compare(
    run: str,
    before: NDArray[np.float32],
    now: NDArray[np.float32],
    truth: Sequence[str],
    classes: Sequence[str],
    rows: Mapping[str, Sequence[int]],
    missing: int = 0,
) -> Forgetting:
    """Compare the logits of an earlier network and of the present one.

    Args:
        run: name of the earlier run.
        before: logits of the earlier network, float32 ``[photos, earlier classes]``.
        now: logits of the present network, float32 ``[photos, classes]``.
        truth: the class of each photo, one of ``classes``.
        classes: of the present network, in index order.
        rows: for each class that the earlier network knew, the columns of ``before`` that it is made of.
        missing: photos that could not be used; recorded.
    """
    kept = [label for label in classes if rows.get(label)]
    owner = np.full(before.shape[1], -1)
    united = np.stack([np.logaddexp.reduce(before[:, list(rows[label])], axis=1) for label in kept], axis=1)
    for index, label in enumerate(kept):
        owner[list(rows[label])] = index
    labels = np.array([kept.index(label) for label in truth], dtype=np.int64)
    columns = [list(classes).index(label) for label in kept]
    position = np.full(len(classes), -1)
    position[columns] = range(len(kept))
    was_right = united.argmax(1) == labels
    predicted = position[now.argmax(1)]
    is_right = predicted == labels
    per_class = []
    for index, label in enumerate(kept):
        mine = labels == index
        per_class.append(
            ClassForgetting(
                label,
                int(mine.sum()),
                int(was_right[mine].sum()),
                int(is_right[mine].sum()),
                int((was_right & ~is_right)[mine].sum()),
                int((is_right & ~was_right)[mine].sum()),
                int((predicted[mine] < 0).sum()),
            )
        )
    return Forgetting(
        run,
        len(labels),
        missing,
        int((owner[before.argmax(1)] == labels).sum()),
        int(was_right.sum()),
        int(is_right.sum()),
        int((now[:, columns].argmax(1) == labels).sum()),
        tuple(c for c in per_class if c.photos),
        tuple(label for label in classes if label not in kept),
    )


def sign_test(lost: int, gained: int) -> float:
    """One-sided exact sign test: the probability of ``lost`` or more heads in ``lost + gained`` fair tosses."""
    total = lost + gained
    return float(sum(math.comb(total, k) for k in range(lost, total + 1)) / 2**total)
