"""Names that people give to training: classes in any spelling, with commas, in files of any editor."""

import re
import subprocess
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from edgeclf.errors import DataError, UsageError
from edgeclf_training.cli.train import _names
from edgeclf_training.config.recipe_file import read_recipe
from edgeclf_training.dataset.class_changes import ClassChanges
from edgeclf_training.dataset.find_photos import find_photos
from edgeclf_training.dataset.quarantine import is_list, read_quarantine
from edgeclf_training.networks import build_network
from edgeclf_training.report.plots import training_curve
from edgeclf_training.run.earlier_run import class_lines, start_from
from edgeclf_training.run.run_folder import load_run_or_checkpoint
from helpers import draw

Cli = Callable[..., subprocess.CompletedProcess[str]]
APART = unicodedata.normalize("NFD", "Käuze")


def folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
        for number in range(2):
            draw(number).save(root / name / f"{number}.png")
    return root


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("A,B", ("A", "B")),
        (" A , B ,", ("A", "B")),
        ('A,"B, small"', ("A", "B, small")),
        ('"B, small", A', ("B, small", "A")),
        ('3" gull,B', ('3" gull', "B")),
    ],
)
def test_double_quotes_hold_a_name_with_a_comma(text: str, names: tuple[str, ...]) -> None:
    assert _names(text) == names


def test_a_list_of_names_that_is_none_says_how_to_write_it() -> None:
    with pytest.raises(UsageError, match="double quotes"):
        _names('"A, B')


def test_classes_are_chosen_in_any_spelling(tmp_path: Path) -> None:
    data = folders(tmp_path, APART, "Rouge\u00a0gorge", "B, small", "other")
    found = find_photos([data], only=("Käuze", "Rouge gorge", "B, small"))
    assert found.classes == ("B, small", APART, "Rouge\u00a0gorge"), "called as the folders are"
    with pytest.raises(DataError, match=r'no class folder B; .*double quotes: A,"B, small"'):
        find_photos([data], only=("other", "B"))


def test_class_folders_in_every_script_are_taken_and_odd_ones_told_by_the_character(tmp_path: Path) -> None:
    names = ("می\u200cروم", "オウサマ\u3000ペンギン", "Rouge\u00a0gorge", "क्\u200dष")
    assert find_photos([folders(tmp_path / "good", *names)]).classes == tuple(sorted(names))
    for name, says in (("x\u202ey", r"U\+202E \(RIGHT-TO-LEFT OVERRIDE\)"), ("\u200b", "is blank")):
        with pytest.raises(DataError, match=says):
            find_photos([folders(tmp_path / ascii(name), "a", name)])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_recipes_and_lists_of_any_editor_are_read(encoding: str, tmp_path: Path) -> None:
    recipe, quarantine = tmp_path / "mine.toml", tmp_path / "leave out.txt"
    recipe.write_bytes('# für mich\r\nepochs = 3\r\nclasses = ["Käuze"]\r\n'.encode(encoding))
    options = read_recipe(str(recipe))
    assert (options.epochs, options.classes) == (3, ("Käuze",))
    quarantine.write_bytes(f"{tmp_path / 'Käuze.png'}\twhy\r\n{tmp_path / 'b.png'}\r\n".encode(encoding))
    assert is_list(str(quarantine))
    assert set(read_quarantine(quarantine)) == {tmp_path / "Käuze.png", tmp_path / "b.png"}


def test_going_on_says_which_classes_are_new_gone_and_kept() -> None:
    told = list(class_lines(ClassChanges(("Käuze", "gull", "auk")), (APART, "gull", "skua")))
    assert [line.split(":")[0] for line in told] == [
        "classes removed, no photos of them here",
        "new classes, trained from random weights",
        "classes kept, with their trained weights",
    ]
    assert "auk;" in told[0]
    assert told[1].endswith(": skua")
    assert told[2].endswith(f": gull, {APART}")
    assert not list(class_lines(ClassChanges(("gull", "Käuze")), (APART, "gull")))


def test_a_class_that_is_spelt_otherwise_keeps_what_it_learned() -> None:
    earlier, _ = build_network("cnn4", 2, image_size=64, weights="none", head="linear")
    network, _ = build_network("cnn4", 2, image_size=64, weights="none", head="linear")
    start_from(network, earlier, ClassChanges(("Käuze", "gull")), ("gull", APART))
    rows, old = network.head.linears[-1].weight, earlier.head.linears[-1].weight
    assert (rows[0] == old[1]).all()
    assert (rows[1] == old[0]).all()


@pytest.mark.parametrize(("name", "size"), [("cnn4", 32), ("squeezenet1_1", 16)])
def test_a_photo_too_small_for_a_network_says_how_large_it_must_be(name: str, size: int) -> None:
    with pytest.raises(UsageError, match=r"give --image-size \d+ or more") as refused:
        build_network(name, 2, image_size=size, weights="none")
    least = int(re.findall(r"--image-size (\d+)", str(refused.value))[0])
    build_network(name, 2, image_size=least, weights="none")
    with pytest.raises(UsageError):
        build_network(name, 2, image_size=least - 1, weights="none")


@pytest.mark.parametrize("name", ["network.pt", "metrics.csv"])
def test_a_file_of_a_run_in_place_of_the_run_says_what_to_give(name: str, tmp_path: Path) -> None:
    for file in ("run.json", name):
        (tmp_path / file).write_text("x")
    with pytest.raises(
        DataError, match=f"{name}: is a file in a run folder, not the folder; give its folder, {tmp_path}$"
    ):
        load_run_or_checkpoint(tmp_path / name)


@pytest.mark.parametrize(("values", "least"), [([1.0], 0), ([0.0], 0), ([0.5], 0), ([0.3, 0.9], 27), ([0.9, 1.0], 89)])
def test_axes_hold_what_can_be(values: list[float], least: int) -> None:
    rows = [
        {"epoch": n, "phase": "x", "train_accuracy": v, "val_accuracy": v, "train_loss": v, "val_loss": v}
        for n, v in enumerate(values, 1)
    ]
    drawn = training_curve(rows, "accuracy", 1)
    marks = [float(text) for text in re.findall(r">(-?[\d.]+)%<", drawn)]
    assert min(marks) >= least
    assert max(marks) <= 100
    assert not re.findall(r">\d+\.\d+<", drawn), "epochs are whole"
    assert len(set(marks)) > 2
