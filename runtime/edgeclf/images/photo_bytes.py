"""What may be given as a photo, and the bytes of its file."""

import os
from dataclasses import dataclass
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeclf.files.hanging_disk import read_regular, too_many_bytes
from edgeclf.files.photo_names import FoundPath
from edgeclf.images import limits
from edgeclf.images.heatmap_mark import is_marked, not_a_photo


@dataclass(frozen=True, slots=True)
class NamedPhoto:
    """The bytes of an image file that came under a name, such as an upload: errors name it as they name a path.

    Attributes:
        name: only for messages; no file of this name is read.
        data: the bytes of the file.
    """

    name: str
    data: bytes


Photo: TypeAlias = str | os.PathLike[str] | bytes | NamedPhoto | IO[bytes] | Image.Image | NDArray[np.uint8]

_CHUNK_BYTES = 2**20


def is_one_photo(photos: object) -> bool:
    """Whether an argument that should be several photos is a single one.

    Without this check, each letter of a path and each row of an image would be taken for a photo.
    """
    if isinstance(photos, np.ndarray):
        return photos.ndim < 3 or (photos.ndim == 3 and photos.shape[2] in (1, 3, 4))
    one = (str, os.PathLike, bytes, bytearray, memoryview, NamedPhoto, Image.Image)
    return isinstance(photos, one) or hasattr(photos, "read")


def photo_bytes(photo: Any) -> tuple[bytes, str | None]:
    """Read the file of a photo.

    Args:
        photo: a path, the bytes of an image file, with or without a name, or a binary file object.

    Returns:
        The bytes of the file, and its path or name; None if it has neither.

    Raises:
        PhotoError: the file cannot be read, is too large, or is a heat map that was found among photos.
        TypeError: it is none of these.
    """
    if isinstance(photo, bytes | bytearray | memoryview):
        if len(photo) > limits.MAX_FILE_BYTES:
            raise too_many_bytes(None, limits.MAX_FILE_BYTES)
        return bytes(photo), None
    if isinstance(photo, NamedPhoto):
        if len(photo.data) > limits.MAX_FILE_BYTES:
            raise too_many_bytes(photo.name, limits.MAX_FILE_BYTES)
        return photo.data, photo.name
    if isinstance(photo, str | os.PathLike):
        name = os.fspath(photo)
        data = read_regular(name, limits.MAX_FILE_BYTES)
        if isinstance(name, FoundPath) and is_marked(data):
            raise not_a_photo(name)
        return data, name
    if hasattr(photo, "read"):
        return photo_bytes(read_photo_file(photo))
    raise TypeError(
        f"a photo is a path, bytes, a binary file, a PIL image or a uint8 array, not {type(photo).__name__}"
        + (" (several photos: predict_many)" if isinstance(photo, list | tuple) else "")
    )


def read_photo_file(file: Any) -> bytes:
    """All bytes of a binary file object; of one that is too large, just enough bytes to see that.

    Raises:
        TypeError: the file is in text mode.
    """
    chunks, length = [], 0
    # In chunks: to read all at once, Python would reserve the maximum, which small boards do not have.
    while length <= limits.MAX_FILE_BYTES and (chunk := file.read(_CHUNK_BYTES)):
        if not isinstance(chunk, bytes):  # else the content of a text file would be taken for a path
            raise TypeError(f"a photo's file must be open in binary mode, not give {type(chunk).__name__}")
        chunks.append(chunk)
        length += len(chunk)
    return b"".join(chunks)
