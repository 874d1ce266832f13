"""What a check of data folders found: findings by kind, and photos that are better left out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Severity = Literal["problem", "note"]


@dataclass(frozen=True)
class Item:
    """One case of a finding.

    Attributes:
        paths: the files or folders it is about; empty if it is about a class.
        detail: one line about this case, or "".
    """

    paths: tuple[Path, ...]
    detail: str = ""


@dataclass(frozen=True)
class Finding:
    """Cases of one kind.

    Attributes:
        kind: a stable key, such as "unreadable" or "exact-duplicates".
        severity: "problem" if it should be corrected before training, else "note".
        what: the kind in words, in one line.
        items: the cases; never empty in a ``Report``.
    """

    kind: str
    severity: Severity
    what: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Report:
    """Everything a check found.

    Attributes:
        photos: number of photos.
        readable: how many of them can be read.
        classes: number of photos by class and split ("train", "val", "test").
        findings: problems first.
        quarantine: photos that are better left out of training, each with the reason.
    """

    photos: int
    readable: int
    classes: Mapping[str, Mapping[str, int]]
    findings: tuple[Finding, ...]
    quarantine: Mapping[Path, str]

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that should be corrected before training."""
        return tuple(f for f in self.findings if f.severity == "problem")


def finding(kind: str, severity: str, what: str, items: Iterable[Item]) -> Finding:
    """A ``Finding`` from any iterable of cases."""
    return Finding(kind, "problem" if severity == "problem" else "note", what, tuple(items))


def item_per_path(paths: Iterable[Path]) -> list[Item]:
    """One case for each path, without detail."""
    return [Item((path,)) for path in paths]
