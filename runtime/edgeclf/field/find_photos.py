"""From what a user names (files, folders, patterns, "-") to photos, one by one."""

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from edgeclf.errors import PhotoError, UsageError
from edgeclf.files.glob_patterns import is_pattern, matching
from edgeclf.files.hanging_disk import reason, with_time_limit
from edgeclf.files.photo_names import FoundPath
from edgeclf.files.walk import image_files
from edgeclf.images.camera_raw import Tally
from edgeclf.images.photo_bytes import read_photo_file

STDIN = "-"
Source: TypeAlias = str | bytes | PhotoError


@dataclass(frozen=True)
class Found:
    """One photo to classify: ``path`` as the user named it or as it was found in a folder, and what to read."""

    path: str
    source: Source


def find_photos(arguments: list[str], raws: Tally | None = None) -> Iterator[Found]:
    """Expand files, folders (see ``edgeclf.files.walk``), globs and "-", in the order of the arguments.

    Folders are walked while the result is consumed, with constant memory; of a glob all names are kept. Only a photo
    that is the only argument may be a heat map, since a shell makes many names of ``*.jpg``.

    Args:
        arguments: as the user typed them.
        raws: counts the camera raw files in folders, which are left out.
    """
    for argument in arguments:
        try:
            yield from _expand(argument, raws or Tally(), alone=len(arguments) == 1)
        except PhotoError as error:
            yield Found(argument, error)


def _expand(argument: str, raws: Tally, alone: bool) -> Iterator[Found]:
    if argument == STDIN:
        if sys.stdin is None:
            raise UsageError("-: there is no standard input", "name a photo")
        try:
            data = read_photo_file(sys.stdin.buffer)
        except OSError as error:
            raise PhotoError("unreadable", f"{STDIN}: {reason(error)}", "check what is piped in", STDIN) from error
        from edgeclf.images.two_photos_in_file import holds_second  # imported here: few photos come from standard input

        if holds_second(data):
            remedy = "name the files instead, or pipe in one photo at a time"
            raise PhotoError("unsupported", f"{STDIN}: holds more than one photo", remedy, STDIN)
        yield Found(STDIN, data)
    elif with_time_limit(lambda _: os.path.isdir(argument), argument):
        yield from _in_folder(argument, raws)
    elif with_time_limit(lambda _: is_pattern(argument), argument):
        matches = with_time_limit(lambda progress: matching(argument, progress), argument)
        yield from (Found(name, FoundPath(name)) for name in matches)
        if not matches:
            raise PhotoError("not-found", f"{argument}: no file matches", "check the pattern", argument)
    else:
        yield Found(argument, argument if alone else FoundPath(argument))


def _in_folder(folder: str, raws: Tally) -> Iterator[Found]:
    """The photos below a folder, then the folders that could not be listed, as errors."""
    closed: list[OSError] = []
    empty = True
    for photo in image_files(folder, closed.append, onraw=raws.add):
        empty = False
        yield Found(photo, photo)
    for error in closed:
        name = str(error.filename or folder)
        what = f"{name}: the folder cannot be listed ({error.strerror})"
        yield Found(name, PhotoError("unreadable", what, "check its permissions", name))
    if empty and not closed:
        raise PhotoError("no-images", f"{folder}: no images in this folder", "give a folder of photos", folder)


def each_once(found: Iterable[Found]) -> Iterator[Found]:
    """Leave out photos that were found before, such as those of a folder that are named as well. Errors all stay."""
    seen = set[str]()
    for one in found:
        if isinstance(one.source, str):
            if (place := os.path.abspath(one.source)) in seen:
                continue
            seen.add(place)
        yield one
