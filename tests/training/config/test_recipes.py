"""Recipes: TOML files, overridden by flags; every key has its flag and its check."""

import subprocess
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
from edgeclf.errors import UsageError
from edgeclf_training.config.options import MACHINE, TrainOptions, flag, value_type, with_values
from edgeclf_training.config.recipe_file import read_recipe, recipe_and_start, recipe_names, write_recipe
from edgeclf_training.config.resolve import phases_of, resolve
from edgeclf_training.networks import ARCHITECTURES, build_network

WALK_THROUGHS = {
    "food5-resnet50": ("resnet50", "sgd", 16, 5, 224, "squash"),
    "food5-resnet50-scratch": ("resnet50", "sgd", 16, 5, 224, "squash"),
    "penguins-cnn4": ("cnn4", "rmsprop", 10, 50, 128, "pad"),
    "penguins-cnn4-aug": ("cnn4", "rmsprop", 10, 200, 128, "pad"),
    "penguins-vgg16": ("vgg16", "rmsprop", 10, 130, 128, "pad"),
    "penguins-vgg16-aug": ("vgg16", "rmsprop", 10, 130, 128, "pad"),
}


def test_the_shipped_recipes_are_the_walk_throughs_and_the_default() -> None:
    assert set(recipe_names()) == {*WALK_THROUGHS, "default"}
    assert read_recipe("default") == TrainOptions()
    for name, (arch, optimizer, batch_size, epochs, image_size, resize) in WALK_THROUGHS.items():
        o = read_recipe(name)
        assert (o.arch, o.optimizer, o.batch_size, o.epochs) == (arch, optimizer, batch_size, epochs)
        assert (o.image_size, o.resize) == (image_size, resize)
        assert (o.mixup, o.cutmix, o.ema, o.label_smoothing, o.keep) == (0, 0, 0, 0, "last"), "as plain as it was"
        assert o.normalize == ("unit" if name.startswith("penguins") else "weights")
        assert (o.augment == "none") == (name in ("penguins-cnn4", "penguins-vgg16"))
    vgg = resolve(read_recipe("penguins-vgg16-aug"))
    network, _ = build_network("vgg16", 6, head=vgg.head, image_size=128)
    frozen, tuned = phases_of(vgg, network)
    assert (frozen.epochs, frozen.unfreeze, frozen.head_lr) == (30, None, 2e-5)
    assert (tuned.epochs, tuned.unfreeze, tuned.head_lr, vgg.backbone_lr) == (100, "block5", 1e-5, 1e-5)
    assert (vgg.rotation, vgg.shift, vgg.shear, vgg.zoom, vgg.flip) == (40, 0.2, 0.2, 0.2, True)
    assert network.head.widths == (256, 6)


def test_a_recipe_survives_being_written_and_read(tmp_path: Path) -> None:
    options = TrainOptions(
        arch="resnet50",
        weights='odd "name"\u00e9\n.pth',
        classes=("king", "adélie", "\U0001f427"),
        flip=False,
        mixup=0.0,
        seed=7,
    )
    write_recipe(options, tmp_path / "r.toml")
    assert read_recipe(str(tmp_path / "r.toml")) == options
    resolved = resolve(TrainOptions(arch="cnn4", workers=3))
    write_recipe(resolved, tmp_path / "r.toml")
    again = resolve(read_recipe(str(tmp_path / "r.toml")))
    for f in fields(TrainOptions):
        if f.name not in MACHINE:
            assert getattr(again, f.name) == getattr(resolved, f.name), f.name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mixupp = 0.1", "unknown key 'mixupp'; did you mean mixup"),
        ("learning_rate = 0.1", "unknown key 'learning_rate'; did you mean"),
        ("zzz = 1", "unknown key 'zzz'; choose from arch"),
        ('epochs = "ten"', "epochs 'ten': give a whole number"),
        ("epochs = 2.5", "epochs 2.5: give a whole number"),
        ("epochs = true", "epochs True: give a whole number"),
        ("epochs = -1", "epochs -1: not within 0"),
        ("mixup = nan", "mixup nan: give a finite number"),
        ('optimizer = "adam"', "optimizer adam: give adamw or sgd or rmsprop"),
        ("flip = 1", "flip 1: give true or false"),
        ('classes = "king"', "classes king: give a list"),
        ("epochs = ", "cannot be read"),
        ("classes = " + "[" * 5000, "cannot be read"),
        ("head_lr = inf", "give a finite number"),
        ("head_lr = 1" + "0" * 400, "give a finite number"),
        ("[train]\nepochs = 3", "unknown key 'train'"),
    ],
)
def test_a_recipe_with_a_mistake_is_one_clear_error(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        read_recipe(str(path))
    assert message in str(error.value)
    assert "mine.toml" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_recipe_with_the_earlier_names_of_the_learning_rates_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.toml"
    path.write_text("head_rate = 1e-3\nfrozen_rate = 2e-3\nbase_rate = 3e-3\n")
    assert read_recipe(str(path)) == TrainOptions(head_lr=1e-3, frozen_head_lr=2e-3, backbone_lr=3e-3)
    path.write_text("head_rate = 1e-3\nhead_lr = 2e-3\n")
    with pytest.raises(UsageError, match="head_rate and head_lr are the same option"):
        read_recipe(str(path))
    path.write_text("base_rate = -1\n")
    with pytest.raises(UsageError, match=r"old\.toml: base_rate -1\.0: give 0 or more"):
        read_recipe(str(path))


def test_a_misspelt_recipe_name_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean penguins-cnn4"):
        read_recipe("penguin-cnn4")


def test_every_key_has_a_flag_that_overrides_the_recipe(
    tmp_path: Path, edgeclf: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    words = edgeclf("train", "--help").stdout.replace("/--no-", " ").split()
    for f in fields(TrainOptions):
        assert flag(f.name) in words, f.name
    wrong = edgeclf("train", tmp_path, "--recipe", "penguins-cnn4", "--epochs", "-1")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "--epochs -1: not within 0" in wrong.stderr
    (tmp_path / "mine.toml").write_text("epochs = 3\nmixup = 7.5\nflip = false\n")
    recipe = read_recipe(str(tmp_path / "mine.toml"))
    changed = with_values(recipe, {"epochs": 4, "flip": True})
    assert (changed.epochs, changed.mixup, changed.flip) == (4, 7.5, True)


def test_what_is_left_open_is_resolved_by_network_and_weights() -> None:
    for name, spec in ARCHITECTURES.items():
        o = resolve(TrainOptions(arch=name))
        unresolved = [
            f.name for f in fields(o) if getattr(o, f.name) is None and f.name not in ("max_per_class", "group_by")
        ]
        assert not unresolved, name
        assert o.freeze_epochs == (1 if spec.imagenet else 0)
        assert value_type("epochs") == (int, ())
    scratch, tuned = resolve(TrainOptions(weights="none")), resolve(TrainOptions())
    assert (scratch.batch_norm, tuned.batch_norm) == ("update", "keep")
    assert resolve(TrainOptions(resize="crop")).rotation == 0
    assert resolve(TrainOptions(resize="pad")).rotation == 15
    assert resolve(TrainOptions(resize="pad", rotation=0.0)).rotation == 0


def test_short_runs_mix_nothing_and_crop_little() -> None:
    short, long = resolve(TrainOptions(epochs=49)), resolve(TrainOptions(epochs=50))
    assert (short.mix_share, short.crop_scale) == (0.0, 0.8)
    assert (long.mix_share, long.crop_scale) == (0.5, 0.5)
    assert resolve(TrainOptions(epochs=50, augment="none")).mix_share == 0
    asked = resolve(TrainOptions(epochs=3, mix_share=0.3, crop_scale=0.4))
    assert (asked.mix_share, asked.crop_scale) == (0.3, 0.4)


def test_a_file_of_weights_is_found_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve(TrainOptions(weights="mine.pth")).weights == str(tmp_path / "mine.pth")


def test_the_recipe_of_a_run_that_went_on_goes_on_from_the_same_run(
    class_folders: Path, tmp_path: Path, edgeclf: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    import torch
    from edgeclf_training.fit.train import train
    from edgeclf_training.run.run_folder import load_run

    quick = TrainOptions(arch="cnn4", weights="none", epochs=1, image_size=64, batch_size=8, workers=0)
    one = train([class_folders], tmp_path / "one", quick, report=False)
    left_out = {one.split.train[0].path: "blurred"}
    two = train([class_folders], tmp_path / "two", quick, start=one, quarantine=left_out, report=False)
    recipe = str(two.folder / "recipe.toml")
    assert recipe_and_start(recipe)[1] == one.folder
    assert recipe_and_start(str(one.folder / "recipe.toml"))[1] is None
    assert "A quarantine list left out 1 photo" in Path(recipe).read_text()
    again = train(
        [class_folders],
        tmp_path / "again",
        replace(read_recipe(recipe), workers=0),
        start=one,
        quarantine=left_out,
        report=False,
    )
    for name, tensor in two.network().state_dict().items():
        assert torch.equal(tensor, again.network().state_dict()[name]), name
    # From the shell: the recipe alone; then with --from, which wins; a recipe's weights are no contradiction.
    flags = ("--workers", 0, "--no-report")
    done = edgeclf("train", class_folders, "--recipe", recipe, "--out", tmp_path / "three", *flags)
    assert done.returncode == 0, done.stderr
    assert load_run(tmp_path / "three").start == one.folder
    mine = one.folder / "recipe.toml"
    done = edgeclf("train", class_folders, "--recipe", mine, "--from", two.folder, "--out", tmp_path / "four", *flags)
    assert done.returncode == 0, done.stderr
    assert load_run(tmp_path / "four").start == two.folder
    assert "the weights in the recipe are not used" in done.stderr
    one.folder.rename(tmp_path / "away")
    done = edgeclf("train", class_folders, "--recipe", recipe)
    assert (done.returncode, done.stderr.count("\n")) == (5, 1)
    assert "continues the run" in done.stderr
    assert "--from" in done.stderr
    Path(recipe).write_text("from = 3\n")
    with pytest.raises(UsageError, match="from 3"):
        recipe_and_start(recipe)
