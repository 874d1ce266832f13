"""Problems in a labels table: collected in one pass, then told together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeclf.errors import DataError

# Kind and the kind in words, in the order in which they are told.
KINDS = {
    "table-columns": "columns that are missing or not known",
    "table-encoding": "rows with bytes that are not UTF-8 (save the table as CSV UTF-8)",
    "table-rows": "rows with more cells than columns (put a text with the separator in double quotes)",
    "table-no-path": "rows without a path",
    "table-not-found": "photos that are not found",
    "table-outside": "paths that lead out of the data folder",
    "table-not-photos": "files that are not photos by their name",
    "table-unclear-paths": "paths that fit several photos",
    "table-no-label": "rows without a label",
    "table-labels": "labels that cannot be class names",
    "table-labels-alike": "labels that are too similar (case, accents or spaces)",
    "table-two-labels": "photos with two labels",
    "table-splits": "splits that are not train, val or test",
    "table-two-splits": "photos in two splits",
    "table-two-groups": "photos in two groups",
}
_EXAMPLES = 3  # of each kind in an error


@dataclass(frozen=True)
class Problem:
    """One problem in a labels table.

    Attributes:
        kind: a key of ``KINDS``.
        detail: where it is and what it is, such as "line 7: dog.jpg".
        paths: the photos it is about, absolute; often none.
    """

    kind: str
    detail: str
    paths: tuple[Path, ...] = ()


class LabelsError(DataError):
    """A labels table has problems; the message names the first few of each kind.

    Attributes:
        file: the table.
        problems: all of them.
    """

    def __init__(self, file: Path, problems: Sequence[Problem]) -> None:
        self.file, self.problems = file, tuple(problems)
        kinds = []
        for kind, what in KINDS.items():
            cases = [problem.detail for problem in problems if problem.kind == kind]
            if cases:
                more = f" and {len(cases) - _EXAMPLES} more" if len(cases) > _EXAMPLES else ""
                kinds.append(f"{what}: {len(cases)} ({', '.join(cases[:_EXAMPLES])}{more})")
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(
            f"{file}: {count}: {'; '.join(kinds)}", "`edgeclf data check DATA --labels TABLE` lists them all"
        )

    def __reduce__(self) -> "tuple[type[LabelsError], tuple[Path, tuple[Problem, ...]]]":
        return LabelsError, (self.file, self.problems)
