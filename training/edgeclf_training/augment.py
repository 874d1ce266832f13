"""Augmentation of training photos, by albumentations. Validation and the field never come here."""

import os

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # read at import: no network call
import albumentations as A
import cv2
from edgeclf.contract import ImageContract

KINDS = ("default", "none")

cv2.setNumThreads(0)  # the loader's workers are the parallelism


def pipeline(contract: ImageContract) -> A.Compose:
    """The default augmentation: upright RGB photo of any size -> uint8 ``[size, size, 3]``.

    With "crop" a random part of the photo is cut out, so the whole decoded photo goes in. With "pad" and "squash" the
    door's own resize comes first: only so do letterboxing and aspect ratio stay what the field will see.
    """
    side = contract.size
    geometry = (
        [A.RandomResizedCrop((side, side), scale=(0.5, 1.0), ratio=(0.75, 4 / 3), interpolation=cv2.INTER_AREA)]
        if contract.resize == "crop"
        else [A.Affine(scale=(0.8, 1.2), translate_percent=(-0.1, 0.1), rotate=(-15, 15), shear=(-8, 8), p=0.9)]
    )
    return A.Compose(
        [
            *geometry,
            A.HorizontalFlip(p=0.5),
            A.ColorJitter(
                brightness=(0.75, 1.25), contrast=(0.75, 1.25), saturation=(0.75, 1.25), hue=(-0.03, 0.03), p=0.8
            ),
        ]
    )
