"""Changes to the classes of an earlier run: renamed, dropped, merged. Rules only; no photo and no network is read."""

import csv
import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field

from edgeclf.class_names import alike, finder, is_blank, no_text, several, shown
from edgeclf.errors import UsageError

from edgeclf_training.dataset.class_name_checks import REFUSAL

_MAX_TOLD = 10  # mistakes in one message
_FORMS = "write --rename OLD=NEW, --drop NAME, --merge A,B=NEW; put a name that contains a comma in double quotes"


@dataclass(frozen=True)
class ClassChanges:
    """What becomes of each class of an earlier run.

    Attributes:
        earlier: classes of that run in index order.
        renamed: earlier class -> its name now, for classes that are renamed or merged.
        merged: name now -> the earlier classes that it unites.
        dropped: earlier classes that are left out.
    """

    earlier: tuple[str, ...]
    renamed: dict[str, str] = field(default_factory=dict)
    merged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()

    @property
    def kept(self) -> tuple[str, ...]:
        """The names now of the classes that are not dropped, in the earlier order, each once."""
        return tuple(dict.fromkeys(self.renamed.get(c, c) for c in self.earlier if c not in self.dropped))

    def label(self, name: str) -> str | None:
        """The class now of a folder, or of a photo that was labelled so; None if this class is dropped.

        Earlier names and new names both count, in any encoding of accents. Any other name stays as it is.
        """
        position = finder(self.earlier)(name)
        if position is not None:
            old = self.earlier[position]
            return None if old in self.dropped else self.renamed.get(old, old)
        now = finder(self.kept)(name)
        return name if now is None else self.kept[now]

    def rows(self, label: str) -> tuple[int, ...]:
        """The indices, in the earlier network, of the classes that a class now is made of; () for a new class."""
        position = finder(self.kept)(label)
        if position is None:
            return ()
        now = self.kept[position]
        return tuple(i for i, c in enumerate(self.earlier) if c not in self.dropped and self.renamed.get(c, c) == now)

    def lines(self) -> list[str]:
        """The changes in words, one line each."""
        united = {old for olds in self.merged.values() for old in olds}
        return [
            *(f"renamed: {old} is now {new}" for old, new in self.renamed.items() if old not in united),
            *(f"merged: {' and '.join(olds)} are now {new}" for new, olds in self.merged.items()),
            *([f"dropped: {several(self.dropped)}"] if self.dropped else []),
        ]

    def summary(self) -> str:
        """The changes in the form of the flags, for the lineage of a model; "" if there are none."""
        united = {old for olds in self.merged.values() for old in olds}
        parts = [f"{old}={new}" for old, new in self.renamed.items() if old not in united]
        parts += [f"{','.join(olds)}={new}" for new, olds in self.merged.items()]
        return "; ".join([*parts, *(f"without {name}" for name in self.dropped)])


def read_class_changes(
    classes: Sequence[str], rename: Sequence[str] = (), drop: Sequence[str] = (), merge: Sequence[str] = ()
) -> ClassChanges:
    """Read the values of ``--rename``, ``--drop`` and ``--merge``. All mistakes are told in one message.

    Every change refers to the classes as they were; so none may use a name that another one makes or frees.

    Args:
        classes: of the earlier run, in index order.
        rename: each "OLD=NEW".
        drop: each a name, or several with commas between them.
        merge: each "A,B=NEW"; NEW may be one of them.

    Raises:
        UsageError: a name is not a class, is used twice, or cannot be a class name; a value has another form; a new
            name is that of another class; or no class is left.
    """
    reader = _Reader(tuple(classes))
    for text in rename:
        reader.rename(text)
    for text in merge:
        reader.merge(text)
    for text in drop:
        reader.drop(text)
    return reader.finish()


class _Reader:
    """Collects changes and mistakes."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._classes, self._find = classes, finder(classes)
        self._used: dict[str, str] = {}  # class -> the change that uses it
        self._made: dict[str, tuple[str, str]] = {}  # alike(new name) -> the name, and the change that makes it
        self._renamed: dict[str, str] = {}
        self._merged: dict[str, tuple[str, ...]] = {}
        self._dropped: list[str] = []
        self._targets: list[tuple[str, tuple[str, ...], str]] = []  # new name, its classes, the change
        self._mistakes: list[str] = []
        self._unknown = False

    def rename(self, text: str) -> None:
        what = f"--rename {shown(text)}"
        pairs = [(text[:i], text[i + 1 :]) for i, c in enumerate(text) if c == "="]
        known = [pair for pair in pairs if self._find(pair[0].strip()) is not None]
        if not pairs or (len(pairs) > 1 and len(known) != 1):
            self._mistakes.append(f"{what}: not of the form OLD=NEW")
            return
        old_text, new = ((known or pairs)[0][0].strip(), (known or pairs)[0][1].strip())
        old = self._take(old_text, what)
        if old is not None and old == new:
            self._mistakes.append(f"{what}: that is its name already")
        elif self._make(new, (old,) if old else (), what) and old is not None:
            self._renamed[old] = new

    def merge(self, text: str) -> None:
        what = f"--merge {shown(text)}"
        pairs = [(_names(text[:i]), text[i + 1 :].strip()) for i, c in enumerate(text) if c == "="]
        known = [pair for pair in pairs if pair[0] and all(self._find(name) is not None for name in pair[0])]
        if not pairs or not (names := (known or pairs)[0][0]) or (len(pairs) > 1 and len(known) != 1):
            self._mistakes.append(f"{what}: not of the form A,B=NEW")
            return
        new = (known or pairs)[0][1]
        if len(names) < 2:
            self._mistakes.append(f"{what}: one class only; give at least two, or --rename")
        olds = tuple(old for name in names if (old := self._take(name, what)) is not None)
        if self._make(new, olds, what) and len(olds) == len(names) > 1:
            self._merged[new] = olds
            self._renamed |= {old: new for old in olds if old != new}

    def drop(self, text: str) -> None:
        what = f"--drop {shown(text)}"
        names = [text.strip()] if self._find(text.strip()) is not None else _names(text)
        if not names:
            self._mistakes.append(f"{what}: not a list of names")
        self._dropped += [old for name in names or () if (old := self._take(name, what)) is not None]

    def finish(self) -> ClassChanges:
        for new, olds, what in self._targets:
            taken = next((c for c in self._classes if alike(c) == alike(new) and c not in olds), None)
            if taken is None:
                continue
            if by := self._used.get(taken):
                why = f"{taken} is another class, which {by} changes; make these changes one after the other"
            else:
                why = f"there is a class {taken} already; --merge {_list([*olds, taken])}={taken} unites them"
            self._mistakes.append(f"{what}: {why}")
        if not self._mistakes and len(self._dropped) == len(self._classes):
            self._mistakes.append("every class is dropped")
        if self._mistakes:
            mistakes = list(dict.fromkeys(self._mistakes))
            more = f"; and {len(mistakes) - _MAX_TOLD} more" if len(mistakes) > _MAX_TOLD else ""
            count = f"{len(mistakes)} mistakes in the changes of classes: " if len(mistakes) > 1 else ""
            remedy = f"the classes of the earlier run are {several(self._classes)}" if self._unknown else _FORMS
            raise UsageError(f"{count}{'; '.join(mistakes[:_MAX_TOLD])}{more}", remedy)
        order = {c: i for i, c in enumerate(self._classes)}
        renamed = dict(sorted(self._renamed.items(), key=lambda pair: order[pair[0]]))
        return ClassChanges(self._classes, renamed, self._merged, tuple(sorted(self._dropped, key=order.__getitem__)))

    def _take(self, name: str, what: str) -> str | None:
        """The class of this name, which no other change may use; None with a mistake noted if it cannot be used."""
        position = self._find(name)
        if position is None:
            self._unknown = True
            close = difflib.get_close_matches(name, self._classes, 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            self._mistakes.append(f"{what}: the earlier run has no class {shown(name) or 'without a name'}{hint}")
            return None
        old = self._classes[position]
        if old in self._used:
            again = "twice" if self._used[old] == what else f"in {self._used[old]} too"
            self._mistakes.append(f"{what}: {old} is {again}")
            return None
        self._used[old] = what
        return old

    def _make(self, new: str, olds: tuple[str, ...], what: str) -> bool:
        """Whether a new name can be used; a mistake is noted if not."""
        before = self._made.get(alike(new))
        wrong = ""
        if is_blank(new):
            wrong = "the new name is empty"
        elif odd := no_text(new):
            wrong = f"the new name has {odd}, which is not text"
        elif alike(new) == REFUSAL:
            wrong = f"{REFUSAL} is the label of photos below the confidence threshold"
        elif before:
            wrong = f"{before[1]} makes {before[0]} too; --merge unites classes"
        if wrong:
            self._mistakes.append(f"{what}: {wrong}")
            return False
        self._made[alike(new)] = new, what
        self._targets.append((new, olds, what))
        return True


def _names(text: str) -> list[str] | None:
    """Names separated by commas; one that contains a comma is in double quotes. None if it is no such list."""
    try:
        (names,) = csv.reader([text], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):
        return None
    return [name.strip() for name in names if name.strip()] or None


def _list(names: Sequence[str]) -> str:
    return ",".join('"' + n.replace('"', '""') + '"' if "," in n or '"' in n else n for n in names)
