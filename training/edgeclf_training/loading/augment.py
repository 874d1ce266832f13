"""Augmentation of training photos, by albumentations. Not used for validation or inference."""

import albumentations as A
import cv2
from edgeclf.images.contract import ImageContract

from edgeclf_training.config.options import TrainOptions

cv2.setNumThreads(0)  # the loader processes already run in parallel


def crops_at_random(contract: ImageContract, options: TrainOptions) -> bool:
    """Whether each photo is cropped at random; only with the resize rule "crop".

    With "pad" and "squash", letterboxing and aspect ratio must be the same as at inference.
    """
    return contract.resize == "crop" and (options.crop_scale or 1.0) < 1


def pipeline(contract: ImageContract, options: TrainOptions) -> A.Compose:
    """The augmentation pipeline of resolved options.

    Returns:
        A transform whose input is an upright RGB photo of any size if ``crops_at_random``, else network input, and
        whose output is uint8 ``[size, size, 3]``. Set its seed before each photo.
    """
    side = contract.size
    rotation, shift, shear, zoom = (getattr(options, key) or 0.0 for key in ("rotation", "shift", "shear", "zoom"))
    steps: list[A.BasicTransform] = []
    if crops_at_random(contract, options):
        scale = (options.crop_scale or 1.0, 1.0)
        steps.append(A.RandomResizedCrop((side, side), scale=scale, ratio=(0.75, 4 / 3), interpolation=cv2.INTER_AREA))
    if rotation or shift or shear or zoom:
        steps.append(
            A.Affine(
                scale=(1 - zoom, 1 + zoom),
                translate_percent=(-shift, shift),
                rotate=(-rotation, rotation),
                shear=(-shear, shear),
                p=1.0,
            )
        )
    if options.flip:
        steps.append(A.HorizontalFlip(p=0.5))
    if c := options.color:
        steps.append(
            A.ColorJitter(
                brightness=(1 - c, 1 + c),
                contrast=(1 - c, 1 + c),
                saturation=(1 - c, 1 + c),
                hue=(-c / 8, c / 8),
                p=0.8,
            )
        )
    return A.Compose(steps)
