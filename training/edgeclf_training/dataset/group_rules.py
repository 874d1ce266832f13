"""What ``--group-by`` may say: which photos belong together, so that a split never parts them."""

import difflib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from edgeclf.errors import UsageError

from edgeclf_training.dataset.labels_table import LabelsTable

BURST_SECONDS = 60.0  # default: photos of one camera that are at most so far apart
NONE = "none"
_KINDS = ("folder", "name", "column", "burst")
_REMEDY = "give folder:1, name:PATTERN, burst:60, the name of a column of the labels table, or none"


@dataclass(frozen=True)
class GroupRule:
    """Which photos are one group.

    Attributes:
        kind: "folder": a folder in the photo's path; "name": a part of its file name; "column": a column of the labels
            table; "burst": taken by one camera within seconds.
        value: the level of the folder, 1 for the first inside the class folder, 0 for the data folder; the pattern; the
            column; the seconds.
    """

    kind: Literal["folder", "name", "column", "burst"]
    value: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"

    @property
    def level(self) -> int:
        """Of the folder."""
        return int(self.value)

    @property
    def seconds(self) -> float:
        """Of a burst."""
        return float(self.value)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Of the file name."""
        return re.compile(self.value)


def parse_rule(text: str | None) -> GroupRule | None:
    """Read ``--group-by``: ``folder:N``, ``name:PATTERN``, ``column:NAME`` or a bare column name, ``burst``,
    ``burst:SECONDS``.

    Args:
        text: the rule; None or "none" for no groups.

    Raises:
        UsageError: it is none of these.
    """
    if text is None or text.strip().lower() == NONE:
        return None
    kind, colon, value = (part.strip() for part in text.partition(":"))
    if kind == "burst":
        return GroupRule("burst", _seconds(text, value) if colon else f"{BURST_SECONDS:g}")
    if kind == "folder":
        if not re.fullmatch(r"\d{1,3}", value, re.ASCII):
            raise UsageError(
                f"--group-by {text}: which folder?",
                "give folder:1 for the first folder inside the class folder, folder:0 for the data folder",
            )
        return GroupRule("folder", str(int(value)))
    if kind == "name":
        try:
            re.compile(value)
        except (re.error, OverflowError) as error:
            raise UsageError(
                f"--group-by {text}: not a regular expression ({error})",
                "for example name:^[^_]+ for all before the first _ of the file name",
            ) from error
        if not value:
            raise UsageError(f"--group-by {text}: no pattern", "for example name:^[^_]+")
        return GroupRule("name", value)
    if kind == "column" and value:
        return GroupRule("column", value)
    if colon or not kind or kind == "column":
        close = [] if kind in _KINDS else difflib.get_close_matches(kind, _KINDS, 1, 0.75)
        raise UsageError(f"--group-by {text}: unknown", f"did you mean {close[0]}:{value}?" if close else _REMEDY)
    return GroupRule("column", kind)


def group_column(rule: GroupRule | None) -> str | None:
    """The column of the labels table that a rule names; None for the default."""
    return rule.value if rule is not None and rule.kind == "column" else None


def effective_rule(text: str | None, table: LabelsTable | None) -> GroupRule | None:
    """The rule that holds: the one given, else the group column of the labels table.

    Raises:
        UsageError: see ``parse_rule``; or a column is named, and there is no table.
    """
    rule = parse_rule(text)
    if rule is not None and rule.kind == "column" and table is None:
        raise UsageError(
            f"--group-by {text}: {rule.value} would be a column of a labels table, and there is none",
            f"give the table with --labels; other rules are {_REMEDY.removeprefix('give ')}",
        )
    if text is None and table is not None and table.group_column:
        return GroupRule("column", table.group_column)
    return rule


def _seconds(text: str, value: str) -> str:
    if not re.fullmatch(r"\d{1,9}(\.\d+)?", value, re.ASCII):
        raise UsageError(f"--group-by {text}: not a number of seconds", "for example burst:60")
    return f"{float(value):g}"
