"""Names of classes and folders: which are one and the same, and in what order people read them."""

import re
import unicodedata
from collections.abc import Sequence

_TOLD = 5  # names told in a line
_LOOK = str.maketrans("аеорсухіјѕһԁο", "aeopcyxijshdo")  # noqa: RUF001 - of Cyrillic, and the Greek o


def alike(name: str) -> str:
    """The same for names that a file system or a person may take for one.

    They differ by case, by how accents and wide, narrow or joined letters are written, by letters of another script
    that look the same, by repeated spaces, or by spaces and dots at an end.
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).translate(_LOOK)
    return " ".join(plain.rstrip(" .").split())


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """A sort key for lists that people read: numbers by their value, case aside."""
    pieces = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(p), "") if p[0] in "0123456789" else (1, 0, p.casefold()) for p in pieces], name


def natural_order(names: Sequence[str]) -> list[int]:
    """The positions of names, in the order that people read them in."""
    return sorted(range(len(names)), key=lambda position: natural(names[position]))


def several(names: Sequence[str]) -> str:
    """A few names, in the order of people, and how many more there are; odd spaces are made visible."""
    shown = [name if name == " ".join(name.split()) else repr(name) for name in sorted(names, key=natural)]
    return ", ".join(shown[:_TOLD]) + (f" and {len(shown) - _TOLD} more" if len(shown) > _TOLD else "")
