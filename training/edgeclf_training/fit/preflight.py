"""Checks before training starts: run folders already in use, full disks."""

import contextlib
import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgeclf.errors import UsageError

from edgeclf_training.networks import Network


def claim(out: Path, data: Sequence[Path]) -> None:
    """Refuse a run folder that is in use, not writable, or inside the photo folders.

    Raises:
        UsageError: it is one of these.
    """
    if inside := [root for root in data if out.resolve().is_relative_to(root.resolve())]:
        raise UsageError(f"{out} lies inside the photos in {inside[0]}", "choose an --out elsewhere")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        or_resume = f", or continue it with --resume {shlex.quote(str(out))}" if (out / "run.json").exists() else ""
        raise UsageError(f"{out} already exists and is not empty", f"choose another --out{or_resume}")
    if not os.access(_existing(out), os.W_OK):
        raise UsageError(f"{out} cannot be created: {_existing(out)} is not writable", "choose another --out")


def discard(out: Path) -> None:
    """Delete a run folder that ``claim`` allowed, and that holds no weights yet.

    A link to a folder and the working directory stay, empty.
    """
    for path in list(out.iterdir()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    with contextlib.suppress(OSError):
        out.rmdir()


def need_space(out: Path, network: Network) -> None:
    """Refuse to start if the disk is too small for the checkpoints.

    A checkpoint contains up to five copies of the weights (current, best, averaged, and two in the optimiser). The
    next checkpoint is written before the previous one is deleted.

    Raises:
        UsageError: the disk has too little free space.
    """
    weights = sum(t.numel() * t.element_size() for t in network.state_dict().values())
    needed, free = 11 * weights + 2**24, shutil.disk_usage(_existing(out)).free
    if free < needed:
        raise UsageError(
            f"{out}: the disk has {free / 1e6:.0f} MB left, checkpoints may take {needed / 1e6:.0f} MB",
            "free some space, or choose another --out",
        )


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.absolute().parents) if p.exists())


@contextlib.contextmanager
def writing(folder: Path, then: str = "choose another --out") -> Iterator[None]:
    """Convert an ``OSError`` (full disk, missing folder) into a ``UsageError`` whose remedy ends with ``then``."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{folder} cannot be written ({reason})", f"free some space, {then}") from error
