"""Photos that a person should look at: copies, in folders named for the network's guess.

    DIR/_unsorted/<guess>/IMG_0042.JPG        look at it, and move it to DIR/<class>/: that is its label

``edgeclf train DIR`` takes the class folders and leaves ``_unsorted`` alone.
"""

import contextlib
import filecmp
import os
import re
import shutil
import time
from pathlib import Path

from edgeclf.errors import RecordError, UsageError
from edgeclf.files.atomic_write import sync_folder, write_new
from edgeclf.files.photo_names import UNSORTED

_ABANDONED = 3600.0  # seconds
_UNSAFE = re.compile(r'[\x00-\x1f<>:"/\\|?*]|^\.+|[. ]+$')


class ReviewFolder:
    """Where photos to look at are copied.

    Args:
        folder: made when the first copy is.
        watched: the folder the photos come from.

    Raises:
        UsageError: copies would be taken for new photos.
    """

    def __init__(self, folder: Path, watched: Path) -> None:
        self.folder = folder
        review, source = Path(os.path.realpath(folder)), Path(os.path.realpath(watched))
        if review == source or source.is_relative_to(review / UNSORTED):
            raise UsageError(
                f"--review {folder}: its copies would be watched as well", "name a folder beside the watched one"
            )
        for leftover in (folder / UNSORTED).glob("*/.edgeclf-*.tmp"):  # of copies that a power cut or a kill ended
            with contextlib.suppress(OSError):
                if time.time() - leftover.stat().st_mtime > _ABANDONED:  # another process may be copying right now
                    leftover.unlink()

    def copy(self, photo: str, guess: str) -> Path | None:
        """Copy a photo to the folder of a class and return the copy; the same photo twice is one copy.

        Another file of its name is never overwritten: the copy is then called ``name-2.jpg`` and so on.

        Returns:
            None if the photo is gone.

        Raises:
            RecordError: the copy cannot be written.
        """
        folder = self.folder / UNSORTED / safe_name(guess)
        stem, suffix = os.path.splitext(os.path.basename(photo))
        try:
            with open(photo, "rb") as source:
                folder.mkdir(parents=True, exist_ok=True)
                number = 1
                while True:
                    target = folder / (f"{stem}-{number}{suffix}" if number > 1 else f"{stem}{suffix}")
                    if target.exists():
                        if filecmp.cmp(photo, target, shallow=False):
                            return target
                    else:
                        source.seek(0)
                        if write_new(target, lambda file: shutil.copyfileobj(source, file)):
                            sync_folder(folder)
                            return target
                    number += 1
        except OSError as error:
            if not os.path.exists(photo):
                return None
            raise RecordError(
                f"--review {folder}: a copy cannot be written ({error.strerror or error})",
                "check the folder, its permissions and the space left",
            ) from error


def safe_name(label: str) -> str:
    """A class name as a folder's name, on any system."""
    return _UNSAFE.sub("_", label) or "_"
