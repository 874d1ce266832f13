"""What a job knows of a photo before it is read: where it is, and which file it was when it was listed."""

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

from edgeclf.cluster.addresses import is_address, read_file, read_part
from edgeclf.errors import PhotoError
from edgeclf.field.photo_id import PhotoFile
from edgeclf.files.photo_names import FoundPath
from edgeclf.images.heatmap_mark import is_marked, not_a_photo
from edgeclf.images.photo_bytes import NamedPhoto


class Entry(NamedTuple):
    """One photo of a job.

    Attributes:
        path: as the user named it or as it was found; of a photo in a .tar file: ``shard.tar/name``.
        size: bytes, None if not known.
        modified: as in ``PhotoFile``, None if not known.
        found: it was not named alone, so heat maps of edgeclf are left out.
        container: the .tar file that it lies in.
        offset: where in that file, bytes.
        error: kind, message and remedy of the error that stands for the photo.
        number: which photo of an evaluation it is.
    """

    path: str
    size: int | None = None
    modified: str | None = None
    found: bool = True
    container: str | None = None
    offset: int = 0
    error: tuple[str, str, str] | None = None
    number: int = 0

    @property
    def file(self) -> PhotoFile | None:
        """The file with its size and time; None if they are not known."""
        if self.size is None or self.modified is None:
            return None
        return PhotoFile(self.path, self.size, self.modified)

    @property
    def digest(self) -> int:
        """64 bits of path, size and time, the same from every working folder; what a job is resumed by."""
        file = self.file
        if file is not None and not is_address(self.path):
            return file.digest()
        text = f"{self.path}\0{self.size}\0{self.modified}"
        return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")

    @property
    def is_remote(self) -> bool:
        """Whether bytes come over the network, so that several should be on their way at a time."""
        return is_address(self.container or self.path)

    def photo(self) -> str | NamedPhoto | PhotoError:
        """What a classifier reads: a path, or the bytes of the file, or the error that stands for the photo."""
        if self.error is not None:
            return PhotoError(*self.error, self.path)
        if self.container is None and not is_address(self.path):
            return FoundPath(self.path) if self.found else self.path
        try:
            if self.container is not None:
                data = read_part(self.container, self.offset, self.size or 0, self.path)
            else:
                data = read_file(self.path)
        except PhotoError as error:
            return error.alone()
        return not_a_photo(self.path) if self.found and is_marked(data) else NamedPhoto(self.path, data)


def failed(path: str, error: PhotoError) -> Entry:
    """The entry of a source that cannot be read."""
    return Entry(path, error=(error.kind, error.message, error.remedy))


def packed(entries: Sequence[Entry]) -> bytes:
    """A block of entries as bytes."""
    return json.dumps(entries).encode()


def unpacked(data: bytes) -> list[Entry]:
    """What ``packed`` gave."""
    return [Entry(*values)._replace(error=values[6] and tuple(values[6])) for values in json.loads(data)]
