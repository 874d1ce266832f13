"""--rename, --drop and --merge: what they mean, and every mistake in one message."""

import unicodedata

import pytest
from edgeclf.errors import UsageError
from edgeclf_training.dataset.class_changes import ClassChanges, read_class_changes

CLASSES = ("auk", "B, small", "gull", "Käuze", "tern", "x=y")


def test_renamed_dropped_and_merged_classes_and_their_rows() -> None:
    changes = read_class_changes(CLASSES, ["gull=mew"], ["auk"], ['tern,"B, small"=tern'])
    assert changes.kept == ("tern", "mew", "Käuze", "x=y")
    assert changes.rows("mew") == (2,)
    assert changes.rows("tern") == (1, 4)
    assert changes.rows("auk") == changes.rows("new") == ()
    assert [changes.label(name) for name in ("gull", "mew", "tern", "B, small", "auk", "new")] == [
        *("mew", "mew", "tern", "tern", None, "new")
    ]
    assert changes.lines() == [
        "renamed: gull is now mew",
        "merged: tern and B, small are now tern",
        "dropped: auk",
    ]
    assert changes.summary() == "gull=mew; tern,B, small=tern; without auk"


def test_names_are_found_in_any_encoding_and_may_hold_signs() -> None:
    apart = unicodedata.normalize("NFD", "Käuze")
    assert read_class_changes(CLASSES, [f"{apart}=owls"]).label("Käuze") == "owls"
    assert read_class_changes(CLASSES, ["x=y=z"]).renamed == {"x=y": "z"}
    assert read_class_changes(CLASSES, ["gull=a=b"]).renamed == {"gull": "a=b"}
    assert read_class_changes(CLASSES, ["gull=Gull"]).label("gull") == "Gull", "another case is another name"
    assert read_class_changes(CLASSES, [], ["B, small"]).dropped == ("B, small",)
    assert read_class_changes(CLASSES, [], ['auk,"B, small"', "gull"]).dropped == ("auk", "B, small", "gull")
    assert read_class_changes(CLASSES, ["B, small=few"]).renamed == {"B, small": "few"}


@pytest.mark.parametrize(
    ("rename", "drop", "merge", "says"),
    [
        (["gul=mew"], [], [], r"no class gul \(did you mean gull\?\)"),
        (["gull"], [], [], "not of the form OLD=NEW"),
        (["gull="], [], [], "the new name is empty"),
        (["gull=gull"], [], [], "its name already"),
        (["gull=Unknown"], [], [], "below the confidence threshold"),
        (["gull=x\u202ey"], [], [], "is not text"),
        (["gull=tern"], [], [], "there is a class tern already; --merge gull,tern=tern unites them"),
        (["gull=TERN "], [], [], "there is a class tern already"),
        (["gull=a", "tern=a"], [], [], "makes a too; --merge unites"),
        (["gull=a", "gull=b"], [], [], "gull is in --rename gull=a too"),
        (["gull=a"], ["gull"], [], "gull is in --rename gull=a too"),
        (
            ["gull=tern", "tern=gull"],
            [],
            [],
            "another class, which --rename tern=gull changes; make these .* one after",
        ),
        (["gull=tern", "tern=new"], [], [], "another class, which --rename tern=new changes"),
        (["gull=tern"], ["tern"], [], "another class, which --drop tern changes"),
        ([], ["gull", "gull"], [], "gull is twice"),
        ([], [","], [], "not a list of names"),
        ([], [*CLASSES[2:], "auk", "B, small"], [], "every class is dropped"),
        ([], [], ["gull=new"], "one class only"),
        ([], [], ["gull,tern"], "not of the form A,B=NEW"),
        ([], [], ["gull,gull=new"], "gull is twice"),
        ([], [], ["gull,tern=auk"], "there is a class auk already; --merge gull,tern,auk=auk unites them"),
        ([], [], ['gull,"B, small"=auk'], 'already; --merge gull,"B, small",auk=auk'),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(
    rename: list[str], drop: list[str], merge: list[str], says: str
) -> None:
    with pytest.raises(UsageError, match=says) as error:
        read_class_changes(CLASSES, rename, drop, merge)
    assert "\n" not in str(error.value)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(UsageError) as error:
        read_class_changes(CLASSES, ["gul=a", "auk="], ["egret"], ["tern,skua=both"])
    text = str(error.value)
    assert text.startswith("4 mistakes in the changes of classes: ")
    for part in (
        "no class gul",
        "new name is empty",
        "no class egret",
        "no class skua",
        "the classes of the earlier run",
    ):
        assert part in text
    with pytest.raises(UsageError, match=r"30 mistakes .*; and 20 more"):
        read_class_changes(CLASSES, [f"no{i}=x{i}" for i in range(30)])


def test_without_changes_every_class_stays() -> None:
    changes = ClassChanges(("b", "a"))
    assert changes.kept == ("b", "a")
    assert [changes.label(name) for name in "abc"] == ["a", "b", "c"]
    assert (changes.lines(), changes.summary()) == ([], "")
