"""The options of a training run. One table defines recipe keys, the flags of ``edgeclf train`` and their help texts.

Imports nothing heavy, so that a wrong option is reported before torch is imported.
"""

import math
import types
import typing
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args, get_origin

from edgeclf.errors import UsageError

MACHINE = ("device", "workers", "precision", "devices", "num_nodes")  # describe the machine; not written to recipes
CLASS_CHANGES = ("rename", "drop", "merge")  # flags that may be given several times; they need an earlier run
RENAMED = {"head_rate": "head_lr", "frozen_rate": "frozen_head_lr", "base_rate": "backbone_lr"}
"""Earlier name of an option -> its name. Recipes, runs and command lines with the earlier names are still read."""


def _key(default: Any, help_text: str, value: str = "N", low: float | None = None, high: float | None = None) -> Any:
    """A field with its help text, its metavar and the closed range ``low``..``high`` of its values."""
    return field(default=default, metadata={"help": help_text, "metavar": value, "low": low, "high": high})


@dataclass(frozen=True)
class TrainOptions:
    """All options of a training run; the defaults suit a hundred to a thousand photos per class.

    None means: ``resolve.resolve`` chooses the value when the run starts, from the architecture, its weights and the
    resize rule. Learning rates are per optimiser step; fractions are 0..1.
    """

    arch: str = _key(
        "efficientnet_lite0",
        "efficientnet_lite0 (begin with it), efficientnet_lite1, efficientnet_lite2, resnet18, resnet50, vgg16,"
        " mobilenet_v2, mobilenet_v3_large, squeezenet1_1, cnn4,"
        " timm:NAME for any network of timm (extra [timm]), such as timm:convnext_atto or timm:resnet18.a1_in1k,"
        " or one of an installed package.",
        "NAME",
    )
    weights: str | None = _key(
        None,
        "Initial weights; default: imagenet if the network has them. FILE: .pth or .safetensors; its classifier is"
        " not used.",
        "imagenet|FILE|none",
    )
    head: Literal["linear", "mlp"] | None = _key(None, "Default: linear; mlp for cnn4.")
    dropout: float = _key(0.2, "Dropout probability at the inputs of the last layer.", "P", 0, 0.95)
    normalize: Literal["weights", "unit"] = _key("weights", "Input scaling: as the weights were trained, or 0..1.")
    cam: bool = _key(True, "Heat maps; --no-cam is needed for networks of tokens (ViT, DINO), which have none.")
    image_size: int | None = _key(
        None,
        "Network input, pixels; default: the network's own: 224 for most, 260 for efficientnet_lite2, 128 for cnn4.",
        "N",
        32,
        1024,
    )
    resize: Literal["crop", "pad", "squash"] = _key(
        "crop", "crop: centre square; pad: letterbox in black; squash: ignore the aspect ratio. Default: crop."
    )
    crop_fraction: float | None = _key(
        None, "Side of the centre square, fraction of the short side; default: 0.875.", "F", 0.1, 1
    )

    epochs: int = _key(
        8,
        "Total number of epochs, with the frozen ones; 0, with --from: change its classes only.",
        "N",
        0,
        100_000,
    )
    freeze_epochs: int | None = _key(
        None,
        "Epochs at the start with a frozen backbone; default: 1 if pretrained and --epochs > 1, else 0.",
        "N",
        0,
        100_000,
    )
    unfreeze: str = _key("all", "After the frozen epochs: train this stage and all later ones.", "STAGE|all")
    frozen_views: int = _key(
        4,
        "Augmented views of each photo for the frozen epochs; the features of each view are computed once.",
        "N",
        1,
        1000,
    )
    batch_size: int = _key(32, "Photos per training step, summed over all devices.", "N", 2, 65_536)
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
    stage_decay: float = _key(
        1.0, "Learning-rate factor from each stage to the one before it; 1: same rate.", "F", 0.01, 1
    )
    momentum: float = _key(0.9, "Momentum of SGD and RMSprop.", "M", 0, 0.999)
    schedule: Literal["cosine", "constant"] = _key("cosine", "Learning-rate schedule over the steps of a phase.")
    warmup: float = _key(0.15, "Fraction of a phase in which the learning rate rises from 0.", "F", 0, 0.9)
    weight_decay: float = _key(1e-2, "Weight decay.", "D", 0, 10)
    decay_norms: bool = _key(False, "Apply weight decay to norm layers and biases too.")
    clip: float = _key(1.0, "Gradient clipping: maximum norm; 0: off.", "NORM", 0)
    batch_norm: Literal["keep", "update"] | None = _key(
        None, "Batch-norm statistics: keep the pretrained ones (default if pretrained), or update."
    )
    label_smoothing: float = _key(0.1, "Fraction of each label that is spread over all classes.", "F", 0, 0.9)
    mixup: float = _key(0.2, "MixUp: alpha of the Beta distribution; 0: off.", "A", 0, 100)
    cutmix: float = _key(1.0, "CutMix: alpha of the Beta distribution; 0: off.", "A", 0, 100)
    mix_share: float | None = _key(
        None,
        "Fraction of batches with MixUp or CutMix; default: 0.5; 0 if --epochs < 50 or without augmentation.",
        "F",
        0,
        1,
    )
    balance: bool = _key(True, "Weight each class in the loss by 1 / sqrt(its number of photos).")
    ema: float = _key(
        0.998, "Decay of the moving average of the weights, which is validated and saved; 0: off.", "D", 0, 0.99999
    )
    early_stopping: int | None = _key(
        None,
        "Stop a phase after this many epochs without improvement; 0: off; default: 10; 0 with --from.",
        "N",
        0,
        100_000,
    )
    keep: Literal["best", "last"] | None = _key(
        None,
        "Which epoch's weights are saved: best by validation, or last; default: best; last with --from, always "
        "with --folds.",
    )

    augment: Literal["default", "none"] = _key("default", "Augmentation of training photos; none: no augmentation.")
    crop_scale: float | None = _key(
        None,
        "Minimum area of a random crop, fraction of the photo; 1: no crops; default: 0.5; 0.8 if --epochs < 50.",
        "F",
        0.05,
        1,
    )
    flip: bool = _key(True, "Flip photos left-right at random.")
    rotation: float | None = _key(None, "Maximum rotation, degrees.", "DEG", 0, 180)
    shift: float | None = _key(None, "Maximum shift, fraction of the side.", "F", 0, 0.9)
    shear: float | None = _key(None, "Maximum shear, degrees.", "DEG", 0, 80)
    zoom: float | None = _key(None, "Maximum change of scale: 0.2 means 0.8 to 1.2.", "F", 0, 0.9)
    color: float = _key(0.25, "Maximum change of brightness, contrast and saturation.", "F", 0, 0.9)

    classes: tuple[str, ...] = _key((), "Use these class folders only; quote a name with a comma.", "A,B,C")
    max_per_class: int | None = _key(None, "Use at most this many photos per class.", "N", 2, 2**31)
    rename: tuple[str, ...] = _key((), "With --from: the class OLD of that run is called NEW now.", "OLD=NEW")
    drop: tuple[str, ...] = _key((), "With --from: leave this class of that run out.", "NAME")
    merge: tuple[str, ...] = _key((), "With --from: the classes A and B of that run are one class NEW now.", "A,B=NEW")
    earlier_photos: bool = _key(True, "With --from: also use the photos of that run that are still in their places.")
    val_split: Literal["random", "first"] = _key(
        "random", "Without val/: validate on a random fifth of each class, or on the first fifth by file name."
    )
    folds: int = _key(
        0,
        "K-fold cross-validation, 2 or more; 5 is usual. Each photo is validated by a network that was not trained on"
        " it, then one network is trained on all photos. For a few hundred photos; takes K + 1 times as long. 0: off.",
        "K",
        0,
        20,
    )
    group_near_duplicates: bool = _key(True, "Keep near-duplicate photos on the same side of the split.")
    group_by: str | None = _key(
        None,
        "Keep photos that belong together on the same side of the split: folder:1 (the first folder inside the class"
        " folder, such as the camera's; folder:0: the data folder), name:PATTERN (the part of the file name that a"
        " regular expression finds), burst:SECONDS (photos of one camera, each at most so long after the one before),"
        " or a column of the labels table. Default: the table's column group, if there is one; none: no groups.",
        "RULE",
    )
    seed: int = _key(0, "Random seed.", "N", 0, 2**32 - 1)

    device: Literal["auto", "cpu", "cuda"] = _key("auto", "Device to train on.")
    workers: int | None = _key(None, "Loader processes; default: number of CPUs, at most 8.", "N", 0, 1024)
    precision: Literal["auto", "32", "bf16", "fp16"] = _key("auto", "auto: bf16 on GPUs that support it, else 32.")
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
        options: values of all other fields.
        values: field name -> value; earlier names of fields (``RENAMED``) are accepted.
        where: "" if the values are flags, else the recipe file they come from.

    Raises:
        UsageError: a value has the wrong type, is outside its range, or is not one of the choices; or an option is
            given under both its earlier and its present name.
    """
    labels: dict[str, str] = {}  # field name -> how error messages name it
    for name in values:
        field_name = RENAMED.get(name, name)
        if field_name in labels:
            again = name if where else flag(name)
            raise UsageError(f"{labels[field_name]} and {again} are the same option", f"leave {again} out")
        labels[field_name] = f"{where}: {name}" if where else flag(name)
    values = {RENAMED.get(name, name): value for name, value in values.items()}
    known = {f.name: f for f in fields(TrainOptions)}
    return replace(options, **{name: _checked(known[name], value, labels[name]) for name, value in values.items()})


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
    if not ((low is None or value >= low) and (high is None or value <= high)):  # written this way, NaN is refused
        raise UsageError(
            f"{name} {value}: " + (f"not within {low}..{high}" if high is not None else f"give {low} or more")
        )
    return value


_KINDS = {str: "a text in quotes", int: "a whole number", float: "a number", bool: "true or false"}
