"""How photos are split: the choices of the user."""

from dataclasses import dataclass

from edgeclf_training.dataset.group_rules import GroupRule


@dataclass(frozen=True)
class SplitOptions:
    """How photos are split.

    Attributes:
        seed: of the choice of validation photos.
        val_split: "random" or "first", see ``read_split``.
        group_near: keep near-duplicates in one part.
        rule: what else is kept in one part; None for nothing.
        folds: of the cross-validation; 0 for none.
    """

    seed: int = 0
    val_split: str = "random"
    group_near: bool = True
    rule: GroupRule | None = None
    folds: int = 0
