"""Photos for a person to review: copies, in folders with the name of the predicted class.

    DIR/_unsorted/<guess>/IMG_0042.JPG        review it, and move it to DIR/<class>/ to label it

``edgeclf train DIR`` uses the class folders and ignores ``_unsorted``.
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

_LEFTOVER_AGE = 3600.0  # seconds until the temporary file of an interrupted copy is deleted
_UNSAFE = re.compile(r'[\x00-\x1f<>:"/\\|?*]|^\.+|[. ]+$')


class ReviewFolder:
    """The folder that photos for review are copied to.

    Args:
        folder: created with the first copy.
        watched: the folder that the photos come from.

    Raises:
        UsageError: the copies would be found as new photos.
    """

    def __init__(self, folder: Path, watched: Path) -> None:
        self.folder = folder
        review, source = Path(os.path.realpath(folder)), Path(os.path.realpath(watched))
        if review == source or source.is_relative_to(review / UNSORTED):
            raise UsageError(
                f"--review {folder}: its copies would be watched as well", "name a folder beside the watched one"
            )
        for leftover in (folder / UNSORTED).glob("*/.edgeclf-*.tmp"):  # of copies interrupted by a power cut or a kill
            with contextlib.suppress(OSError):
                if (
                    time.time() - leftover.stat().st_mtime > _LEFTOVER_AGE
                ):  # if younger, another process may still be copying
                    leftover.unlink()

    def copy(self, photo: str, guess: str) -> Path | None:
        """Copy a photo to the folder of a class; a photo that is there already is not copied again.

        Another file with its name is never overwritten: the copy is then called ``name-2.jpg`` and so on.

        Args:
            photo: path of the photo.
            guess: the predicted class.

        Returns:
            The path of the copy, None if the photo does not exist any more.

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
                "check the folder, its permissions and the free space",
            ) from error


def safe_name(label: str) -> str:
    """A class name as a folder name that is valid on every system."""
    return _UNSAFE.sub("_", label) or "_"
