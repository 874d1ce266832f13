"""Names for people, as ``edgeclf export --display-names`` reads them."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from edgeclf.errors import UsageError
from edgeclf_export.api.display_names import check_display_names, read_display_names

CLASSES = ("adelie", "gentoo", "königspinguin")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_any_editor_and_any_spelling_will_do(encoding: str, form: str, tmp_path: Path) -> None:
    file = tmp_path / "names.json"
    names = {unicodedata.normalize(form, "königspinguin"): "می\u200cروم", "gentoo": "Manchot\u00a0papou"}
    file.write_bytes(json.dumps(names, ensure_ascii=False).encode(encoding))
    assert read_display_names(file, CLASSES) == {"königspinguin": "می\u200cروم", "gentoo": "Manchot\u00a0papou"}


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ({"gentoo": "x\u202ey"}, r"display name of gentoo, 'x\\u202ey', contains U\+202E \(RIGHT-TO-LEFT OVERRIDE\)"),
        ({"gentoo": "x\x1b[31m"}, r"U\+001B \(a control character\)"),
        ({"gentoo": 5}, "display name of gentoo is 5, not text"),
        ({"gentoo": ""}, "gentoo is empty"),
        ({"gentoo": " \u200b\u00a0"}, "gentoo is empty"),
        ({"gentoo": "Unknown"}, "a photo without an answer"),
        ({"skua": "x"}, "no class 'skua'; the classes are adelie, gentoo"),
        ({"gentoo": "Papou", "adelie": "papou"}, "gentoo would be shown as 'Papou', like the class adelie"),
        ({"gentoo": "Pa pou", "adelie": "Pa\u00a0pou"}, "like the class adelie"),
        ({"gentoo": unicodedata.normalize("NFD", "Königspinguin")}, "like the class königspinguin"),
        ({"gentoo": "adelie", "adelie": "gentoo"}, "like the class"),
        ({"königspinguin": "a", unicodedata.normalize("NFD", "königspinguin"): "b"}, "two display names"),
    ],
    ids=str,
)
def test_names_that_mislead_are_refused_saying_why(names: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        check_display_names(names, CLASSES, "names.json: ")
    assert str(refused.value).startswith("names.json: ")


def test_a_class_may_be_shown_by_its_own_name() -> None:
    names = {"gentoo": "Gentoo", "adelie": "adelie"}
    assert check_display_names(names, CLASSES) == names


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"gentoo": "a", "gentoo": "b"}', "gentoo is there twice"),
        ("[]", "not an object"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_not_a_table_of_names_is_refused(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text(text)
    with pytest.raises(UsageError, match=says):
        read_display_names(tmp_path / "names.json", CLASSES)
