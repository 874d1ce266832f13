"""Names of classes and folders: which are valid, which count as equal, and their order in lists.

Names are kept exactly as given. They are compared by their normalised spelling (``spelling``, ``finder``).
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

from edgeclf.errors import UsageError

SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
_SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}
_MAX_LISTED = 5  # names in one line
_LOOKALIKES = str.maketrans("аеорсухіјѕһԁο", "aeopcyxijshdo")  # noqa: RUF001 - Cyrillic letters and the Greek o
# Control characters (terminal escapes begin with one), line and paragraph separators, characters that change the text
# direction, surrogates. All others are text: letters, joiners, marks and spaces of every script.
_NOT_TEXT = "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u206f\ud800-\udfff]"
_INVISIBLE = "[\u00ad\u200b\u2060\ufeff]"  # soft hyphen, zero-width space, word joiner, byte order mark


def no_text(name: str) -> str:
    """The first character of a name that cannot be displayed, as "U+202E (RIGHT-TO-LEFT OVERRIDE)"; "" if none."""
    if not (found := re.search(_NOT_TEXT, name)):
        return ""
    kind = "a surrogate" if "\ud800" <= found[0] <= "\udfff" else "a control character"
    return f"U+{ord(found[0]):04X} ({unicodedata.name(found[0], kind)})"


def shown(name: str) -> str:
    """The name, with characters that cannot be displayed escaped as in Python."""
    return re.sub(_NOT_TEXT, lambda found: repr(found[0])[1:-1], name)


def is_blank(name: str) -> bool:
    """Whether a name has no visible character: only spaces, joiners, marks without a letter."""
    return all(unicodedata.category(c) in ("Zs", "Cf", "Mn") for c in name)


def spelling(name: str) -> str:
    """A key that is equal for names that look equal: accents composed or not, any kind of spaces, invisible characters.

    It differs for compatible characters (not NFKC: "m\N{SUPERSCRIPT TWO}" is not "m2"), and for upper and lower case.
    """
    return " ".join(re.sub(_INVISIBLE, "", unicodedata.normalize("NFC", name)).split())


def alike(name: str) -> str:
    """A key that is equal for names that a file system or a person may confuse.

    Such names differ by case, by the encoding of accents and of wide, narrow or joined letters, by letters of another
    script that look the same, by repeated spaces, by invisible characters, or by spaces and dots at the end.
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).translate(_LOOKALIKES)
    return spelling(plain.rstrip(" ."))


def finder(names: Sequence[str]) -> Callable[[str], int | None]:
    """A function from a name to its position: the identical name, else the only one with this spelling, else None."""
    exact = {name: position for position, name in enumerate(names)}
    by_spelling: dict[str, int | None] = {}
    for position, name in enumerate(names):
        key = spelling(name)
        by_spelling[key] = None if key in by_spelling else position

    def find(name: str) -> int | None:
        return exact[name] if name in exact else by_spelling.get(spelling(name))

    return find


def split_of(name: str) -> str | None:
    """The split that a folder name stands for: "train", "val" or "test"; None for any other name.

    Case does not matter, nor does "set" or "data" at the end.
    """
    plain = re.sub(r"[\W_]+", "", name.casefold())
    return _SPLIT_OF.get(re.sub(r"(set|data)$", "", plain))


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """A sort key for lists: numbers by value, letters without regard to case."""
    pieces = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(p), "") if p[0] in "0123456789" else (1, 0, p.casefold()) for p in pieces], name


def natural_order(names: Sequence[str]) -> list[int]:
    """The positions of names, in the order of ``natural``."""
    return sorted(range(len(names)), key=lambda position: natural(names[position]))


def several(names: Sequence[str]) -> str:
    """The first few names and how many more there are, for messages; names with odd spaces are quoted."""
    odd = re.compile(r"^\s|\s$|\s\s")
    listed = [repr(name) if odd.search(name) else name for name in sorted(names, key=natural)]
    return ", ".join(listed[:_MAX_LISTED]) + (
        f" and {len(listed) - _MAX_LISTED} more" if len(listed) > _MAX_LISTED else ""
    )


def class_index(label: str, classes: Sequence[str], display_names: Mapping[str, str]) -> int:
    """The index of a class, by its name or display name, in any encoding of accents and spaces.

    Raises:
        UsageError: there is no such class, or several have this display name.
    """
    wanted, found = spelling(label), finder(classes)(label)
    meant = {i for i, name in enumerate(classes) if wanted == spelling(display_names.get(name, name))}
    if found is not None:
        meant.add(found)
    if len(meant) > 1:
        named = [f"class {index} ({classes[index]})" for index in sorted(meant)]
        raise UsageError(
            f"several classes have the display name '{label}': {', '.join(named)}",
            "give the class name in brackets" if found is None else "export it again with other display names",
        )
    if meant:
        return meant.pop()
    import difflib

    known = [*classes, *display_names.values()]
    close = dict.fromkeys(difflib.get_close_matches(label, known, 3) or classes[:3])
    raise UsageError(
        f"the model has no class '{label}'", f"it has, for example, {', '.join(close)} (see `edgeclf info MODEL`)"
    )
