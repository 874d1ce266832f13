"""What the network sees of a photo and what its EXIF says, from one read of its file."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeclf.images.contract import ImageContract
from edgeclf.images.photo_bytes import NamedPhoto, Photo, photo_bytes
from edgeclf.images.photo_facts import PhotoFacts, facts_in
from edgeclf.images.preprocess import network_input, network_input_and_display

# Network input uint8 [size, size, 3], and what the EXIF says.
InputAndFacts: TypeAlias = tuple[NDArray[np.uint8], PhotoFacts | None]
# Network input; the photo reduced for display; width and height of the upright photo in full; what the EXIF says.
DisplayAndFacts: TypeAlias = tuple[NDArray[np.uint8], Image.Image, tuple[int, int], PhotoFacts | None]


def input_and_facts(photo: Photo, contract: ImageContract, *, facts: bool) -> InputAndFacts:
    """``network_input``, and the photo's facts if they are wanted; pixels have none. Raises the same."""
    read, found = _read(photo) if facts else (photo, None)
    return network_input(read, contract), found


def display_and_facts(photo: Photo, contract: ImageContract, side: int, *, facts: bool) -> DisplayAndFacts:
    """``network_input_and_display``, and the photo's facts as in ``input_and_facts``. Raises the same."""
    read, found = _read(photo) if facts else (photo, None)
    return (*network_input_and_display(read, contract, side), found)


def _read(photo: Photo) -> tuple[Photo, PhotoFacts | None]:
    if isinstance(photo, np.ndarray | Image.Image):
        return photo, None
    data, name = photo_bytes(photo)
    return data if name is None else NamedPhoto(name, data), facts_in(data)
