"""What a user decides about a run. One table: the keys of a recipe file, the flags of ``edgeclf train``, their help.

Imports nothing heavy, so that a typo is answered before torch is loaded.
"""

import math
import types
import typing
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args, get_origin

from edgeclf.errors import UsageError

MACHINE = ("device", "workers", "precision", "devices", "num_nodes")  # where a run is computed, not what it computes
RENAMED = {"head_rate": "head_lr", "frozen_rate": "frozen_head_lr", "base_rate": "backbone_lr"}
"""Earlier name of an option -> its name. Recipes, runs and command lines with the earlier names are still read."""


def _key(default: Any, says: str, value: str = "N", low: float | None = None, high: float | None = None) -> Any:
    """A field with its help, its metavar and the closed range of its values."""
    return field(default=default, metadata={"help": says, "metavar": value, "low": low, "high": high})


@dataclass(frozen=True)
class TrainOptions:
    """A recipe and what it is applied to; the defaults suit a hundred to a thousand photos per class.

    None means: chosen when the run starts, by what the architecture, its weights and the resize rule ask for
    (``resolve.resolve``). Rates of change are per optimiser step, shares are 0..1.
    """

    arch: str = _key(
        "efficientnet_lite0",
        "efficientnet_lite0, resnet18, resnet50, vgg16, mobilenet_v2, mobilenet_v3_large, squeezenet1_1, cnn4,"
        " or one of an installed package.",
        "NAME",
    )
    weights: str | None = _key(None, "First weights; default: imagenet where there are.", "imagenet|FILE|none")
    head: Literal["linear", "mlp"] | None = _key(None, "Default: linear; mlp for cnn4.")
    dropout: float = _key(0.2, "Of the inputs of the last layer.", "P", 0, 0.95)
    normalize: Literal["weights", "unit"] = _key(
        "weights", "Input scaling: what the weights were trained with, or plain 0..1."
    )
    image_size: int | None = _key(None, "Network input, pixels; default: 224; 128 for cnn4.", "N", 32, 1024)
    resize: Literal["crop", "pad", "squash"] = _key(
        "crop", "crop: centre square; pad: letterbox in black; squash: ignore the aspect ratio. Default: crop."
    )
    crop_fraction: float | None = _key(
        None, "Side of the centre square, share of the short side; default: 0.875.", "F", 0.1, 1
    )

    epochs: int = _key(8, "Epochs in all, the frozen ones included.", "N", 1, 100_000)
    freeze_epochs: int | None = _key(
        None, "First epochs, backbone frozen; default: 1 of several, if pretrained.", "N", 0, 100_000
    )
    unfreeze: str = _key("all", "First stage trained after that.", "STAGE|all")
    frozen_views: int = _key(
        4,
        "Augmented views of each photo that frozen epochs take turns with; their features are computed once.",
        "N",
        1,
        1000,
    )
    batch_size: int = _key(32, "Photos per step, on all devices together.", "N", 2, 65_536)
    optimizer: Literal["adamw", "sgd", "rmsprop"] = _key("adamw", "Optimiser.")
    head_lr: float | None = _key(
        None, "Peak learning rate of the head; default: 3e-3 if pretrained, else 1e-3.", "R", 0
    )
    frozen_head_lr: float | None = _key(
        None, "Peak learning rate of the head while the backbone is frozen; default: --head-lr.", "R", 0
    )
    backbone_lr: float | None = _key(
        None, "Peak learning rate of the last stage; default: 3e-4 if pretrained, else 1e-3.", "R", 0
    )
    stage_decay: float = _key(1.0, "Each earlier stage learns slower by this factor; 1: all at one rate.", "F", 0.01, 1)
    momentum: float = _key(0.9, "Of SGD and RMSprop.", "M", 0, 0.999)
    schedule: Literal["cosine", "constant"] = _key("cosine", "Learning rate over the steps of a phase.")
    warmup: float = _key(0.15, "Share of a phase in which the rate rises from 0.", "F", 0, 0.9)
    weight_decay: float = _key(1e-2, "Weight decay.", "D", 0, 10)
    decay_norms: bool = _key(False, "Weight decay on norms and biases too.")
    clip: float = _key(1.0, "Largest norm of the gradient; 0: no limit.", "NORM", 0)
    batch_norm: Literal["keep", "update"] | None = _key(
        None, "Statistics of batch norms: keep the pretrained ones (default if pretrained), or update."
    )
    label_smoothing: float = _key(0.1, "Share of each label spread over all classes.", "F", 0, 0.9)
    mixup: float = _key(0.2, "MixUp: alpha of the Beta distribution; 0: off.", "A", 0, 100)
    cutmix: float = _key(1.0, "CutMix: alpha of the Beta distribution; 0: off.", "A", 0, 100)
    mix_share: float | None = _key(
        None,
        "Share of batches that are mixed; default: 0.5; 0 in < 50 epochs or without augmentation.",
        "F",
        0,
        1,
    )
    balance: bool = _key(True, "Weigh rare classes more in the loss, by the root of their rarity.")
    ema: float = _key(
        0.998, "Decay of the moving average of the weights that is validated and kept; 0: off.", "D", 0, 0.99999
    )
    early_stopping: int = _key(10, "Stop a phase after so many epochs without a better one; 0: off.", "N", 0, 100_000)
    keep: Literal["best", "last"] = _key("best", "Which epoch's weights: best by validation, or last.")

    augment: Literal["default", "none"] = _key("default", "Augmentation of training photos; none turns all of it off.")
    crop_scale: float | None = _key(
        None,
        "Smallest share of the area a random crop keeps; 1: no crops; default: 0.5; 0.8 in < 50 epochs.",
        "F",
        0.05,
        1,
    )
    flip: bool = _key(True, "Flip left and right.")
    rotation: float | None = _key(None, "Largest rotation, degrees.", "DEG", 0, 180)
    shift: float | None = _key(None, "Largest shift, share of the side.", "F", 0, 0.9)
    shear: float | None = _key(None, "Largest shear, degrees.", "DEG", 0, 80)
    zoom: float | None = _key(None, "Largest change of scale: 0.2 is 0.8 to 1.2.", "F", 0, 0.9)
    color: float = _key(0.25, "Largest change of brightness, contrast and saturation.", "F", 0, 0.9)

    classes: tuple[str, ...] = _key((), "Use these class folders only; quote a name with a comma.", "A,B,C")
    max_per_class: int | None = _key(None, "Use at most this many photos per class.", "N", 2, 2**31)
    val_split: Literal["random", "first"] = _key(
        "random", "Without val/: validate on a random fifth of each class, or on the first fifth by name."
    )
    group_near_duplicates: bool = _key(True, "Keep photos that are nearly the same on one side of the split.")
    seed: int = _key(0, "Of every random decision.", "N", 0, 2**32 - 1)

    device: Literal["auto", "cpu", "cuda"] = _key("auto", "What to train on.")
    workers: int | None = _key(None, "Loader processes; default: as many as CPUs, up to 8.", "N", 0, 1024)
    precision: Literal["auto", "32", "bf16", "fp16"] = _key("auto", "auto: bf16 on GPUs that have it, else 32.")
    devices: int = _key(1, "GPUs (or CPU processes) per machine.", "N", 1, 1024)
    num_nodes: int = _key(1, "Machines; start the command on each, with torchrun or SLURM.", "N", 1, 10_000)


def value_type(name: str) -> tuple[Any, tuple[str, ...]]:
    """The plain type of a field (None left out) and, for a choice, its values."""
    kind = typing.get_type_hints(TrainOptions)[name]
    if get_origin(kind) in (types.UnionType, typing.Union):
        kind = next(k for k in get_args(kind) if k is not type(None))
    if get_origin(kind) is Literal:
        return str, get_args(kind)
    return (tuple, ()) if get_origin(kind) is tuple else (kind, ())


def flag(name: str) -> str:
    """``image_size`` -> ``--image-size``."""
    return "--" + name.replace("_", "-")


def with_values(options: TrainOptions, values: typing.Mapping[str, Any], where: str = "") -> TrainOptions:
    """Options with some fields replaced, each checked.

    Args:
        options: what is not given in ``values``.
        values: field name -> value; earlier names of fields (``RENAMED``) are understood.
        where: "" if the values are flags, else the recipe file they come from.

    Raises:
        UsageError: a value of the wrong type, outside its range, or not one of the choices; or one option under its
            earlier and its present name.
    """
    said: dict[str, str] = {}
    for name in values:
        field_name = RENAMED.get(name, name)
        if field_name in said:
            raise UsageError(f"{said[field_name]} and {name} are the same option", f"leave {name} out")
        said[field_name] = f"{where}: {name}" if where else flag(name)
    values = {RENAMED.get(name, name): value for name, value in values.items()}
    known = {f.name: f for f in fields(TrainOptions)}
    return replace(options, **{name: _checked(known[name], value, said[name]) for name, value in values.items()})


def check(options: TrainOptions) -> None:
    """Raise UsageError if any field is outside its range."""
    with_values(options, {name: value for name, value in asdict(options).items() if value is not None})


def _checked(known: Any, value: Any, name: str) -> Any:
    kind, choices = value_type(known.name)
    if choices:
        if value not in choices:
            raise UsageError(f"{name} {value}: give {' or '.join(choices)}")
        return value
    if kind is tuple:
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise UsageError(f"{name} {value}: give a list of names")
        return tuple(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 2**53 else math.inf
    if kind is float and isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{name} {value}: give a finite number")
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"{name} {value!r}: give {_KINDS[kind]}")
    low, high = known.metadata["low"], known.metadata["high"]
    if not ((low is None or value >= low) and (high is None or value <= high)):  # so put that NaN does not pass
        raise UsageError(
            f"{name} {value}: " + (f"not within {low}..{high}" if high is not None else f"give {low} or more")
        )
    return value


_KINDS = {str: "a text in quotes", int: "a whole number", float: "a number", bool: "true or false"}
