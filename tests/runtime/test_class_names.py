"""Class names in every script: which are valid, which are equal, and which characters never reach a terminal."""

import json
import subprocess
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from edgeclf.class_names import finder, is_blank, no_text, spelling
from edgeclf.classifier import Classifier
from edgeclf.cli.console import printable
from edgeclf.errors import UsageError
from helpers import draw

Run = Callable[..., subprocess.CompletedProcess[str]]
Make = Callable[..., Path]
APART = unicodedata.normalize("NFD", "Ämöise")
SCRIPTS = {
    "Persian, joiner": "می\u200cروم",
    "Hindi": "क्\u200dष",
    "emoji": "\U0001f468\u200d\U0001f33e\ufe0f",
    "flag of tags": "\U0001f3f4\U000e0067\U000e0062\U000e007f",
    "French": "Rouge-gorge\u00a0familier",
    "Japanese": "オウサマ\u3000ペンギン",
    "soft hyphen": "Königs\u00adpinguin",
    "Hebrew, mark": "עורב\u200e 2",
    "Thai": "นกเพนกวิน",
    "accents apart": APART,
    "private use": "\ue000",
    "rare Han": "\U00020bb7野家",
    "a letter of a later Unicode": "\U0001e6c0",
}
ODD = {
    "\x1b[31m": "U+001B",
    "a\u009b31m": "U+009B",
    "line\nbreak": "U+000A",
    "del\x7f": "U+007F",
    "x\u202egpj": "U+202E (RIGHT-TO-LEFT OVERRIDE)",
    "x\u2067y": "U+2067 (RIGHT-TO-LEFT ISOLATE)",
    "x\u2028y": "U+2028 (LINE SEPARATOR)",
    "x\udcff": "U+DCFF",
}


@pytest.mark.parametrize("name", SCRIPTS.values(), ids=SCRIPTS)
def test_text_of_every_script_is_a_name(name: str) -> None:
    assert no_text(name) == ""
    assert printable(name) == name, "as text, so that it can be pasted"
    assert not is_blank(name)


@pytest.mark.parametrize(("name", "says"), ODD.items(), ids=ascii)
def test_what_is_no_text_is_told_and_never_reaches_a_terminal(name: str, says: str) -> None:
    assert no_text(name).startswith(says)
    assert printable(name).isprintable()
    assert printable(name) != name


def test_names_pass_from_the_model_file_to_every_output(
    edgeclf: Run, make_model: Make, photo: Path, tmp_path: Path
) -> None:
    names = tuple(SCRIPTS.values())
    model = make_model(classes=names, display={names[0]: names[1] + " 2", names[2]: "Grand\u00a0duc"})
    shown = [{names[0]: names[1] + " 2", names[2]: "Grand\u00a0duc"}.get(name, name) for name in names]
    told = edgeclf("predict", photo, "-m", model, "-k", 99).stdout
    assert all(name in told for name in shown)
    assert all(name in edgeclf("info", model).stdout for name in shown)
    printed = json.loads(edgeclf("predict", photo, "-m", model, "-k", 99, "--json").stdout)
    assert {one["label"] for one in printed["predictions"]} == set(names)
    assert edgeclf("predict", photo, "-m", model, "--out", tmp_path / "a.csv", "-k", 99).returncode == 0
    assert all(name in (tmp_path / "a.csv").read_text("utf-8") for name in names)
    classifier = Classifier(model)
    assert [classifier.index(name) for name in shown] == list(range(len(names))), "what is shown can be typed"


def test_one_name_however_it_is_spelt() -> None:
    find = finder((APART, "Rouge\u00a0gorge", "m\u00b2", "m2", "robin", "Robin", "a b", "a\u3000b"))
    assert [find(name) for name in ("Ämöise", APART, "Rouge gorge", "m2", "m\u00b2", "Robin")] == [0, 0, 1, 3, 2, 5]
    assert [find("a b"), find("a\u3000b")] == [6, 7], "the very name comes first"
    assert [find(name) for name in ("ROBIN", "a\u00a0b", "")] == [None, None, None], "neither guessed nor ambiguous"
    assert spelling("ﬁnch") != spelling("finch"), "no compatibility folding"


def test_a_class_is_asked_for_in_any_spelling(edgeclf: Run, make_model: Make, photo: Path, tmp_path: Path) -> None:
    model = make_model(classes=(APART, "king"), display={"king": unicodedata.normalize("NFD", "Königspinguin")})
    for typed, index in (("Ämöise", 0), (APART, 0), ("Königspinguin", 1), ("king", 1)):
        assert Classifier(model).index(typed) == index
    refused = edgeclf("predict", photo, "-m", model, "--cam", tmp_path / "x.png", "--cam-class", "می\u200cخ")
    assert "no class 'می\u200cخ'" in refused.stderr


def test_models_whose_classes_are_only_spelt_otherwise_are_compared(
    edgeclf: Run, make_model: Make, photo: Path
) -> None:
    other = make_model(classes=("king", "Ämöise")), make_model(classes=(APART, "king"))
    done = edgeclf("compare", *other, photo, "--json")
    assert done.returncode == 0, done.stderr
    same = edgeclf("compare", make_model(classes=("Ämöise", "king")), other[1], photo, "--json")
    values = json.loads(same.stdout)
    assert (values["agreeing"], values["changed"], values["maps"]["missing"]) == (1, [], 0)


def test_a_name_of_two_classes_is_refused_not_guessed(make_model: Make) -> None:
    twins = Classifier(make_model(classes=("a", "b", "c"), display={"a": "Great tit", "b": "Great\u00a0tit"}))
    with pytest.raises(
        UsageError, match=r"several classes have the display name 'Great tit': class 0 \(a\), class 1 \(b\)"
    ):
        twins.index("Great tit")
    assert [twins.index(name) for name in "abc"] == [0, 1, 2]
    false = Classifier(make_model(classes=("a", "b", "c"), display={"a": "b"}))
    with pytest.raises(UsageError, match="several classes have the display name 'b'"):
        false.index("b")
    assert [false.index(name) for name in "ac"] == [0, 2]


@pytest.mark.parametrize("photo_name", ["\u200c.png", "می\u200cخ.png", "\u202e.png"])
def test_file_names_are_shown_as_text(edgeclf: Run, model: Path, tmp_path: Path, photo_name: str) -> None:
    draw(1).save(tmp_path / photo_name)
    told = edgeclf("predict", tmp_path, "-m", model).stdout
    assert (photo_name if "\u202e" not in photo_name else "\\u202e.png") in told
    assert "\u202e" not in told
