"""Chooses values for all options that the user did not set: once, before anything is written."""

import os
from dataclasses import replace
from typing import TypeVar

import torch
from edgeclf.errors import BackendError, UsageError
from edgeclf.model.session import usable_threads

from edgeclf_training.config.options import CLASS_CHANGES, TrainOptions, check, flag
from edgeclf_training.fit.lightning_module import Phase
from edgeclf_training.networks import Network, get_architecture

T = TypeVar("T")
_LONG_RUN_EPOCHS = 50  # runs of at least this many epochs get mixed batches and smaller random crops by default


def resolve(options: TrainOptions, start: TrainOptions | None = None) -> TrainOptions:
    """Fill in every None and every "auto".

    Args:
        options: as the user set them.
        start: options of the run to start from; network and preprocessing are taken from them.

    Raises:
        UsageError: a value is invalid.
        BackendError: the device is not available.
    """
    check(options)
    if start is None:
        _check_without_start(options)
    else:
        kept = ("arch", "head", "image_size", "resize", "crop_fraction", "normalize")
        options = replace(options, weights="none", **{key: getattr(start, key) for key in kept})
        options = replace(options, cam=options.cam and start.cam)
    spec = get_architecture(options.arch)
    weights = options.weights or ("imagenet" if spec.imagenet else "none")
    if weights not in ("imagenet", "none"):
        weights = os.path.abspath(weights)  # the run may be resumed from another working directory
    pretrained = weights != "none" or start is not None
    if (options.freeze_epochs or 0) > options.epochs:
        raise UsageError(f"--freeze-epochs {options.freeze_epochs}: more than --epochs {options.epochs}")
    if options.folds and options.epochs == 0:
        raise UsageError("--epochs 0 trains nothing, so --folds has nothing to measure", "leave --folds out")
    if options.folds == 1:
        raise UsageError("--folds 1: nothing would be left to train on", "give 2 or more; 5 is usual")
    if options.folds:  # the epoch is not chosen on the photos that the accuracy is told of
        options = replace(options, keep="last", early_stopping=0)
    # Strong augmentation prevents overfitting in long runs; short runs use less of it (docs/study.md).
    short = options.epochs < _LONG_RUN_EPOCHS
    # Random crops already vary position and scale; padded and squashed photos get an affine transform for that.
    moves = (0.0, 0.0, 0.0, 0.0) if options.resize == "crop" else (15.0, 0.1, 8.0, 0.2)
    rotation, shift, shear, zoom = moves
    return resolve_machine(
        replace(
            options,
            weights=weights,
            head=options.head or spec.default_head,  # type: ignore[arg-type]
            image_size=_value_or(options.image_size, spec.image_size),
            crop_fraction=_value_or(options.crop_fraction, 0.875) if options.resize == "crop" else 1.0,
            # The validation photos have chosen the earlier network's epoch: a comparison with them favours it.
            early_stopping=_value_or(options.early_stopping, 10 if start is None else 0),
            keep=options.keep or ("best" if start is None else "last"),
            freeze_epochs=_value_or(options.freeze_epochs, max(0, min(1 if pretrained else 0, options.epochs - 1))),
            head_lr=_value_or(options.head_lr, 3e-3 if pretrained else spec.scratch_lr),
            frozen_head_lr=_value_or(
                options.frozen_head_lr, _value_or(options.head_lr, 3e-3 if pretrained else spec.scratch_lr)
            ),
            backbone_lr=_value_or(options.backbone_lr, 3e-4 if pretrained else spec.scratch_lr),
            batch_norm=options.batch_norm or ("keep" if pretrained else "update"),
            mix_share=_value_or(options.mix_share, 0.0 if short or options.augment == "none" else 0.5),
            crop_scale=_value_or(options.crop_scale, 0.8 if short else 0.5),
            rotation=_value_or(options.rotation, rotation),
            shift=_value_or(options.shift, shift),
            shear=_value_or(options.shear, shear),
            zoom=_value_or(options.zoom, zoom),
        )
    )


def resolve_machine(options: TrainOptions) -> TrainOptions:
    """Fill in the options of this machine: device, workers, precision.

    Raises:
        UsageError: the precision or the number of devices does not fit the other options.
        BackendError: the device is not available.
    """
    has_gpu = torch.cuda.is_available()
    if options.device == "cuda" and not has_gpu:
        raise BackendError("device cuda is not available: torch sees no GPU", "check the driver, or use --device cpu")
    device = "cuda" if has_gpu and options.device != "cpu" else "cpu"
    precision = options.precision
    if precision == "auto":
        precision = "bf16" if device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    if precision == "fp16" and device == "cpu":
        raise UsageError("--precision fp16 needs a GPU", "give bf16 or 32")
    if device == "cuda" and options.devices > torch.cuda.device_count():
        raise BackendError(f"--devices {options.devices}: this machine has {torch.cuda.device_count()} GPUs")
    processes = options.devices * options.num_nodes
    if options.folds and processes > 1:
        raise UsageError("--folds trains on one device", "leave out --devices and --num-nodes, or --folds")
    if options.batch_size % processes:
        raise UsageError(
            f"--batch-size {options.batch_size} cannot be divided among {processes} processes",
            f"give a multiple of {processes}",
        )
    workers = min(8, usable_threads()) if options.workers is None else options.workers
    return replace(options, device=device, precision=precision, workers=workers)  # type: ignore[arg-type]


def phases_of(options: TrainOptions, network: Network) -> list[Phase]:
    """The training phases of resolved options.

    Raises:
        UsageError: the network has no stage of that name.
    """
    if options.unfreeze not in ("all", *network.stages):
        raise UsageError(
            f"--unfreeze {options.unfreeze}: {options.arch} has no such stage",
            f"give all, or one of {', '.join(network.stages)}",
        )
    frozen = options.freeze_epochs or 0
    phases = [Phase("frozen", frozen, None, options.frozen_head_lr or 0.0)] if frozen else []
    if options.epochs > frozen:
        phases.append(Phase("fine-tune", options.epochs - frozen, options.unfreeze, options.head_lr or 0.0))
    return phases


def _check_without_start(options: TrainOptions) -> None:
    """Refuse options that only make sense for a run that starts from an earlier one."""
    if used := [flag(name) for name in CLASS_CHANGES if getattr(options, name)]:
        raise UsageError(f"{', '.join(used)}: changes the classes of an earlier run", "name that run with --from RUN")
    if options.epochs == 0:
        raise UsageError("--epochs 0 trains nothing", "give at least 1; 0 is for changing the classes of --from RUN")


def _value_or(value: T | None, default: T) -> T:
    return default if value is None else value
