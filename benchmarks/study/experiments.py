"""What the study runs: one function per table, giving its rows."""

import random
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from edgeclf_samples import write_sample_data
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.config.recipe_file import read_recipe
from edgeclf_training.networks import get_architecture, register_architecture

SEEDS = (0, 1, 2)

# The walk-through gave photos divided by 255 to weights that expect 0..255 less the mean: a nearly uniform grey, its
# contrast 255 times too low. SqueezeNet's weights expect 0..255 less the mean, by std: this does the same to them.
FAINT = "squeezenet1_1-faint"
_SQUEEZENET = get_architecture("squeezenet1_1")
_FAINT_STD = tuple(255 * s for s in _SQUEEZENET.std)
register_architecture(FAINT, replace(_SQUEEZENET, mean=(0.0,) * 3, std=_FAINT_STD))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Experiment:
    """One training run: the table and row it belongs to, its photos and its options."""

    table: str
    row: str
    data: Path
    options: TrainOptions
    max_per_class: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Places:
    """Where photos and weights lie, where made-up data goes, and whether this is the large study."""

    photos: Path
    weights: Path
    made: Path
    large: bool

    def options(self, options: TrainOptions, **small: object) -> TrainOptions:
        """Options as they are in the large study; scaled down by ``small`` in the hour on 2 cores."""
        return replace(options, workers=8) if self.large else replace(options, workers=0, device="cpu", **small)

    def find(self, *parts: str) -> Path:
        """A data folder; raises FileNotFoundError."""
        return _there(self.photos.joinpath(*parts))

    def squeezenet(self) -> str:
        """SqueezeNet 1.1's ImageNet weights; raises FileNotFoundError."""
        return str(_there(self.weights / "squeezenet1_1.pth"))

    def held_out(self, name: str) -> Path:
        """The folder with a seeded fifth of each class set aside in test/, beside what was in test/ already."""
        source = self.find(name)
        train = source / "train" if (source / "train").is_dir() else source

        def link(made: Path) -> None:
            for label in sorted(p.name for p in train.iterdir() if p.is_dir()):
                photos = sorted((train / label).iterdir())
                random.Random(f"0 {label}").shuffle(photos)  # noqa: S311
                tested = len(photos) // 5
                old_test = sorted((source / "test" / label).iterdir()) if train != source else []
                for part, chosen in (("test", [*photos[:tested], *old_test]), ("train", photos[tested:])):
                    (made / part / label).mkdir(parents=True, exist_ok=True)
                    for photo in chosen:
                        (made / part / label / photo.name).symlink_to(photo.resolve())

        return self._make(name, link)

    def penguins(self) -> Path:
        """Drawn penguins, 60 a species to train and validate, 200 from another seed to test."""

        def draw(made: Path) -> None:
            for part, count, seed in (("train", 60, 0), ("test", 200, 1)):
                write_sample_data(made / part, per_class=count, size=224, seed=seed)

        return self._make("penguins", draw)

    def _make(self, name: str, make: Callable[[Path], None]) -> Path:
        """A folder made once, and whole: an interrupted study must not go on with half of it."""
        making, made = self.made / f".{name}", self.made / name
        if not made.exists():
            shutil.rmtree(making, ignore_errors=True)
            make(making)
            making.rename(made)
        return made


def _there(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(path)
    return path


# In short runs the default mixes nothing and crops little: there the question is what these would do.
OFF: dict[str, dict[str, object]] = {
    "the default recipe": {},
    "no frozen phase": {"freeze_epochs": 0},
    "slower early stages": {"stage_decay": 0.8},
    "no warm-up": {"warmup": 0.0},
    "constant rate, no cosine": {"schedule": "constant"},
    "weight decay on norms too": {"decay_norms": True},
    "no label smoothing": {"label_smoothing": 0.0},
    "MixUp on half the batches": {"mix_share": 0.5, "cutmix": 0.0},
    "CutMix on half the batches": {"mix_share": 0.5, "mixup": 0.0},
    "either on half the batches": {"mix_share": 0.5},
    "crops down to half the area": {"crop_scale": 0.5},
    "no moving average": {"ema": 0.0},
    "no class weights": {"balance": False},
    "last weights, not the best": {"keep": "last"},
    "batch norms updated": {"batch_norm": "update"},
    "no augmentation": {"augment": "none"},
}
_NOT_FROM_SCRATCH = ("frozen", "stages", "batch norms")
FROM_SCRATCH = {row: change for row, change in OFF.items() if not any(word in row for word in _NOT_FROM_SCRATCH)}


def ablation_lite0(places: Places) -> list[Experiment]:
    """Each switch off, EfficientNet-Lite0 on hymenoptera."""
    base = places.options(TrainOptions(), epochs=3, image_size=96)
    few = None if places.large else 40
    return list(_ablation("ablation_lite0", places.find("hymenoptera"), base, OFF, few))


def ablation_cnn4(places: Places) -> list[Experiment]:
    """Each switch off that matters from scratch, cnn4 on food5."""
    base = places.options(TrainOptions(arch="cnn4", image_size=64, epochs=40), epochs=10)
    few = None if places.large else 100
    return list(_ablation("ablation_cnn4", places.held_out("food5"), base, FROM_SCRATCH, few))


def _ablation(
    table: str, data: Path, base: TrainOptions, rows: dict[str, dict[str, object]], few: int | None = None
) -> Iterable[Experiment]:
    for row, change in rows.items():
        for seed in SEEDS:
            yield Experiment(table, row, data, replace(base, seed=seed, **change), few)


def walk_throughs(places: Places) -> list[Experiment]:
    """Our default against the walk-throughs' recipes: same network, weights, size and number of epochs; food5."""
    data, found = places.held_out("food5"), []
    squeezenet = {"arch": "squeezenet1_1", "weights": places.squeezenet(), "image_size": 96}
    lite0 = {"arch": "efficientnet_lite0", "image_size": 96}
    resnet18 = {"arch": "resnet18", "image_size": 64}
    two_phases = {"epochs": 8, "freeze_epochs": 3}
    rows: list[tuple[str, str, dict[str, object], dict[str, object]]] = [
        ("cnn4 from scratch", "penguins-cnn4", {"image_size": 64}, {"epochs": 10}),
        ("cnn4 from scratch, augmented", "penguins-cnn4-aug", {"image_size": 64}, {"epochs": 10}),
        ("ResNet18 from scratch", "food5-resnet50-scratch", resnet18, {}),
        ("SqueezeNet, ImageNet weights", "food5-resnet50", squeezenet, {}),
        ("SqueezeNet, two phases", "penguins-vgg16", {**squeezenet, "unfreeze": "stage4"}, two_phases),
        ("EfficientNet-Lite0, ImageNet weights", "food5-resnet50", lite0, {}),
    ]
    few = None if places.large else 250
    for row, recipe, network, small in rows:
        theirs = places.options(replace(read_recipe(recipe), **network), **small)
        same = ("arch", "weights", "image_size", "epochs", "workers", "device")
        ours = replace(TrainOptions(), **{key: getattr(theirs, key) for key in same})
        for who, options in ((recipe, theirs), ("default", ours)):
            found.append(Experiment("walk_throughs", f"{row}|{who}", data, options, few))
    return found


def vgg16(places: Places) -> list[Experiment]:
    """Why VGG16 lost: the walk-through's recipe on drawn penguins, then each suspected cause changed alone."""
    base = replace(read_recipe("penguins-vgg16"), weights=places.squeezenet(), unfreeze="stage4")
    base = places.options(replace(base, arch=FAINT, normalize="weights"), epochs=12, freeze_epochs=6)
    scaled = {"arch": "squeezenet1_1"}
    rates = {"frozen_head_lr": 2e-4, "head_lr": 1e-4, "backbone_lr": 1e-4}
    rest = {"keep": "best", "head": "linear", "val_split": "random", **rates}
    changes: dict[str, dict[str, object]] = {
        "the walk-through's recipe": {},
        "input scaled as the weights expect": scaled,
        "best weights, not the last": {"keep": "best"},
        "linear head on pooled features": {"head": "linear"},
        "10 times the learning rates": rates,
        "validation drawn at random": {"val_split": "random"},
        "224 pixels": {"image_size": 224},
        "all of these but the scaling, 128 pixels": rest,
        "all of these, 128 pixels": {**scaled, **rest},
    }
    data = places.penguins()
    return [
        Experiment("vgg16", row, data, replace(base, seed=seed, **change))
        for row, change in changes.items()
        for seed in SEEDS
    ]


def goals(places: Places) -> list[Experiment]:
    """The default recipe at full size on hymenoptera (3 seeds), and on flowers with no twin across the split."""
    found = [
        Experiment(
            "goals",
            "hymenoptera, 224 px",
            places.find("hymenoptera"),
            replace(places.options(TrainOptions()), seed=seed),
            note="the selecting split",
        )
        for seed in SEEDS
    ]
    flowers = places.options(TrainOptions(), image_size=96)
    return [Experiment("goals", "flowers, 96 px", places.held_out("flowers"), flowers), *found]


TABLES = {f.__name__: f for f in (goals, walk_throughs, vgg16, ablation_lite0, ablation_cnn4)}
