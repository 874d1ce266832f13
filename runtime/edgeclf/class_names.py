"""Names of classes and folders: what may be one, which are one and the same, in what order people read them.

Names stay as they were given, byte by byte; what is compared is how they are spelt (``spelling``, ``finder``).
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

from edgeclf.errors import UsageError

_TOLD = 5  # names told in a line
_LOOK = str.maketrans("аеорсухіјѕһԁο", "aeopcyxijshdo")  # noqa: RUF001 - of Cyrillic, and the Greek o
# Control characters (terminal escapes begin with one), line and paragraph separators, what turns the direction of the
# text around it, halves of characters. All else is text: letters, joiners, marks and spaces of every script.
_NO_TEXT = "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u206f\ud800-\udfff]"
_UNSEEN = "[\u00ad\u200b\u2060\ufeff]"  # soft hyphen, zero-width space, word joiner, byte order mark


def no_text(name: str) -> str:
    """What in a name cannot be shown as text: "U+202E (RIGHT-TO-LEFT OVERRIDE)"; "" if all of it can."""
    if not (found := re.search(_NO_TEXT, name)):
        return ""
    kind = "half a character" if "\ud800" <= found[0] <= "\udfff" else "a control character"
    return f"U+{ord(found[0]):04X} ({unicodedata.name(found[0], kind)})"


def shown(name: str) -> str:
    """The name as text, with what cannot be shown as Python would write it."""
    return re.sub(_NO_TEXT, lambda found: repr(found[0])[1:-1], name)


def is_blank(name: str) -> bool:
    """Whether there is nothing to be seen of a name: spaces, joiners, marks without a letter."""
    return all(unicodedata.category(c) in ("Zs", "Cf", "Mn") for c in name)


def spelling(name: str) -> str:
    """The same for names that look the same: composed accents or not, whatever kinds of spaces, unseen characters.

    Compatible characters stay apart (not NFKC: "m\N{SUPERSCRIPT TWO}" is not "m2"), and so do large and small letters.
    """
    return " ".join(re.sub(_UNSEEN, "", unicodedata.normalize("NFC", name)).split())


def alike(name: str) -> str:
    """The same for names that a file system or a person may take for one.

    They differ by case, by how accents and wide, narrow or joined letters are written, by letters of another script
    that look the same, by repeated spaces, by unseen characters, or by spaces and dots at an end.
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).translate(_LOOK)
    return spelling(plain.rstrip(" ."))


def finder(names: Sequence[str]) -> Callable[[str], int | None]:
    """A look-up of positions by name, None for none: the very name, else the only one that is spelt so."""
    exact = {name: position for position, name in enumerate(names)}
    spelt: dict[str, int | None] = {}
    for position, name in enumerate(names):
        key = spelling(name)
        spelt[key] = None if key in spelt else position

    def find(name: str) -> int | None:
        return exact[name] if name in exact else spelt.get(spelling(name))

    return find


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """A sort key for lists that people read: numbers by their value, case aside."""
    pieces = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(p), "") if p[0] in "0123456789" else (1, 0, p.casefold()) for p in pieces], name


def natural_order(names: Sequence[str]) -> list[int]:
    """The positions of names, in the order that people read them in."""
    return sorted(range(len(names)), key=lambda position: natural(names[position]))


def several(names: Sequence[str]) -> str:
    """A few names, in the order of people, and how many more there are; spaces at an end or in a row are told."""
    odd = re.compile(r"^\s|\s$|\s\s")
    told = [repr(name) if odd.search(name) else name for name in sorted(names, key=natural)]
    return ", ".join(told[:_TOLD]) + (f" and {len(told) - _TOLD} more" if len(told) > _TOLD else "")


def class_index(label: str, classes: Sequence[str], display_names: Mapping[str, str]) -> int:
    """The index of a class, by its name or its display name, however its accents and spaces are spelt.

    Raises:
        UsageError: there is no such class, or several are shown by this name.
    """
    wanted, found = spelling(label), finder(classes)(label)
    meant = {i for i, name in enumerate(classes) if wanted == spelling(display_names.get(name, name))}
    if found is not None:
        meant.add(found)
    if len(meant) > 1:
        told = [f"class {index} ({classes[index]})" for index in sorted(meant)]
        raise UsageError(
            f"the model calls several classes '{label}': {', '.join(told)}",
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
