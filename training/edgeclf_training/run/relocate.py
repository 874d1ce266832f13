"""Finds the photos of a run again after folders were moved, zips unpacked again, or photos deleted."""

import contextlib
import functools
import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from edgeclf.errors import DataError
from edgeclf.evaluation.folder_name_rules import SPLITS
from edgeclf.events import Listener, log, progress, say
from edgeclf.files.in_tar import is_file, open_file, size_and_time
from edgeclf.files.paths import PathLike, as_paths
from edgeclf.files.walk import image_files

from edgeclf_training.dataset.known_photos import KnownPhoto, name_key, read_known, write_known
from edgeclf_training.dataset.samples import KNOWN_PHOTOS_FILE, Sample, write_lists
from edgeclf_training.dataset.scan import Progress, Scanned, absolute, scan
from edgeclf_training.dataset.zip_data import is_zip, open_data
from edgeclf_training.run.run_folder import Run, resume_command, save_run

_MAX_MISSING_SHARE = 0.05  # fraction of the photos that may be missing when a run is resumed


def relocated(run: Run, data: PathLike | Sequence[PathLike] = (), on_event: Listener = log) -> Run:
    """The run with its photos where they are now, as far as they can be found; the others stay where they were.

    A photo is where it was, or else where its content is found: under ``data``, or in the zip that the run was trained
    from. What is found elsewhere is written into the run's lists. A run of an older version recorded no content:
    then names and sizes are compared.

    Args:
        run: a run.
        data: folders or zips where the photos are now; looked through first.
        on_event: gets messages and progress.

    Raises:
        DataError: ``data`` cannot be read, or holds none of the run's photos.
    """
    data = as_paths(data)
    roots = tuple(map(absolute, data))
    given = roots != run.data and roots != ()
    samples = [sample for part in SPLITS for sample in run.split.part(part)]
    wanted = samples if given else [sample for sample in samples if not is_there(sample)]
    if not wanted:
        return run
    with progress(on_event, "unpacking") as update:
        folders = open_data(roots if given else [path for path in run.data if is_zip(path)], update)
    known = _known(run)
    with progress(on_event, "looking for photos") as update:
        places = _find(wanted, known, [path for folder in folders for path in _files(folder)], update)
    if given and not places:
        trained, here = (", ".join(map(str, paths)) for paths in (run.data, data))
        raise DataError(
            f"{run.folder} trained on {trained}: none of its {len(samples)} photos is in {here}",
            "name the folder or zip that holds them now",
        )
    moved = {s: place for s, place in places.items() if place != s}
    if not moved and not given:
        return run
    roots = roots or run.data
    say(on_event, f"{len(places)} of {len(samples)} photos found in {', '.join(map(str, roots))}")
    parts = {part: tuple(moved.get(s, s) for s in run.split.part(part)) for part in SPLITS}
    folds = {moved.get(s, s): fold for s, fold in run.split.folds.items()}
    run = replace(run, data=roots, split=replace(run.split.with_parts(parts), folds=folds))
    called = {_key(s): place for s, place in moved.items()}
    known = [
        replace(k, name=called[key].path.name, size=called[key].size) if (key := _key(k)) in called else k
        for k in known
    ]
    with contextlib.suppress(OSError):  # a read-only run folder can still be used
        write_lists(run.split, run.folder / "split")
        if known:
            write_known(known, run.folder / "split" / KNOWN_PHOTOS_FILE)
        save_run(run)
    return run


def with_photos(run: Run, data: PathLike | Sequence[PathLike] = (), on_event: Listener = log) -> Run:
    """``relocated``; photos that are not found are reported and left out.

    Raises:
        DataError: see ``relocated``.
    """
    data = as_paths(data)
    run = relocated(run, data, on_event)
    there = {part: tuple(filter(is_there, run.split.part(part))) for part in SPLITS}
    gone = [s.path for part in SPLITS for s in run.split.part(part) if not is_there(s)]
    if gone:
        total = len(gone) + sum(map(len, there.values()))
        say(
            on_event,
            f"left out: {len(gone)} of {total} photos are gone or changed, the first is {gone[0]}"
            + ("; if they were moved, say where they are now" if len(gone) > _MAX_MISSING_SHARE * total else ""),
        )
    return replace(run, split=run.split.with_parts(there)) if gone else run


def going_on(run: Run, data: Sequence[Path], on_event: Listener) -> Run:
    """``with_photos`` for a run that is resumed: a few photos may be missing, but not many.

    Raises:
        DataError: see ``with_photos``; or more than one photo and more than 5 % of them are missing.
    """
    before = sum(len(run.split.part(part)) for part in SPLITS)
    found = with_photos(run, data, on_event)
    left = sum(len(found.split.part(part)) for part in SPLITS)
    labels = {sample.label for sample in found.split.train}
    if before - left > max(1, _MAX_MISSING_SHARE * before) or labels != set(run.classes) or not found.split.val:
        first = next(s.path for part in SPLITS for s in run.split.part(part) if not is_there(s))
        raise DataError(
            f"{before - left} of {before} photos of {run.folder} are gone or changed, the first is {first}",
            f"name the folder or zip where they are now: {resume_command(run.folder)} --data PHOTOS",
        )
    return found


def is_there(sample: Sample) -> bool:
    """Whether the file is where it was, and as large as it was."""
    try:
        return is_file(sample.path) and size_and_time(sample.path)[0] == sample.size
    except (OSError, DataError):  # DataError: the .tar that it lies in is damaged
        return False


def _known(run: Run) -> list[KnownPhoto]:
    try:
        return list(read_known(run.folder / "split" / KNOWN_PHOTOS_FILE))
    except FileNotFoundError:  # a run of an older version
        return []


def _find(
    wanted: Sequence[Sample], known: Sequence[KnownPhoto], files: Sequence[Path], progress: Progress | None
) -> dict[Sample, Sample]:
    """Where samples are now: files of the same bytes, else of the same pixels; without content, of name and size."""
    contents: dict[tuple[str, str, int], list[Scanned]] = defaultdict(list)
    for photo in known:
        if photo.scan:
            contents[_key(photo)].append(photo.scan)
    named: dict[Hashable, list[Path]] = defaultdict(list)
    sized: dict[int, list[Path]] = defaultdict(list)
    for path in files:
        with contextlib.suppress(OSError):
            size, _ = size_and_time(path)
            sized[size].append(path)
            named[name_key(path.name, size)].append(path)

    @functools.cache
    def by_bytes(size: int) -> dict[str, Path]:
        return {_digest(path): path for path in sized[size]}

    places: dict[Sample, Sample] = {}
    left: dict[str, Sample] = {}
    for sample in wanted:
        scans = contents[_key(sample)]
        bytes_ = {scan.sha256 for scan in scans}
        candidates = sorted(named[name_key(sample.path.name, sample.size)], key=lambda p: p.parent.name != sample.label)
        place = next((path for path in candidates if not scans or _digest(path) in bytes_), None)
        if place is None and scans:
            place = next((by_bytes(sample.size)[b] for b in bytes_ if b in by_bytes(sample.size)), None)
        if place is not None:
            places[sample] = replace(sample, path=place)
        elif not is_there(sample):
            left |= {scan.pixels: sample for scan in scans}
    if left:  # file edited, same pixels
        taken = {place.path for place in places.values()}
        rest = [path for path in (*files, *(s.path for s in left.values() if is_file(s.path))) if path not in taken]
        for path, look in scan(rest, progress=progress).items():
            if look.pixels in left and (sample := left[look.pixels]) not in places:
                places[sample] = Sample(path, sample.label, size_and_time(path)[0])
    return places


def _key(photo: Sample | KnownPhoto) -> tuple[str, str, int]:
    """The key that joins the photos in a run's lists with the recorded content of photos."""
    return photo.label, photo.path.name if isinstance(photo, Sample) else photo.name, photo.size


def _files(folder: Path) -> Iterator[Path]:
    return map(absolute, image_files(str(folder)))


def _digest(path: Path) -> str:
    try:
        with open_file(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
