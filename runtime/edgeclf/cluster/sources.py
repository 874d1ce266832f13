"""From what a user names to the photos of a job, one by one: folders, patterns, lists, .tar files, object stores."""

import csv
import io
import os
import tarfile
import time
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from edgeclf.cluster.addresses import is_address, opened
from edgeclf.cluster.entries import Entry, failed
from edgeclf.errors import DataError, PhotoError, UsageError
from edgeclf.field.find_photos import STDIN, find_photos
from edgeclf.files.hanging_disk import reason
from edgeclf.files.in_tar import COMPRESSED
from edgeclf.files.paths import in_folder
from edgeclf.files.photo_names import FoundPath, is_ignored, is_photo_name
from edgeclf.files.table_cells import TABLES, cells_of, encoding_of, plain_name, used_columns
from edgeclf.files.tar_index import members

LISTS = (".txt", *TABLES)
_ROWS = 10_000  # of a Parquet list in memory at a time
_TAR_BUFFER_BYTES = 2**16


def entries(sources: Sequence[str]) -> Iterator[Entry]:
    """All photos of the sources, in order, while they are listed.

    Sizes and times are known where listing gives them: in object stores, .tar files and lists that have them.

    Args:
        sources: folders, files, patterns, .tar files of photos; lists of paths (.txt, .csv, .tsv, .parquet); addresses.
    """
    for source in sources:
        try:
            yield from _entries(source, alone=len(sources) == 1)
        except PhotoError as error:
            yield failed(source, error)


def check_sources(sources: Sequence[str]) -> None:
    """Refuse, before a cluster is started, what a job cannot read.

    Raises:
        UsageError: nothing is named, or standard input is.
    """
    if not sources:
        raise UsageError("no photos are named", "name folders, patterns, lists or addresses")
    for source in sources:
        if source == STDIN:
            raise UsageError("-: a cluster cannot read standard input", "name a file with the paths, such as list.txt")
        if source.lower().endswith(COMPRESSED):
            raise UsageError(
                f"{source}: is a compressed archive", "make a .tar without compression; JPEGs gain nothing"
            )


def _entries(source: str, alone: bool) -> Iterator[Entry]:
    ending = os.path.splitext(source)[1].lower()
    is_folder = not is_address(source) and os.path.isdir(source)
    if ending == ".tar" and not is_folder:
        yield from _in_tar(source)
    elif ending in LISTS and not is_folder:
        yield from _in_list(source, ending)
    elif is_address(source):
        yield from _at_address(source, alone)
    else:
        for one in find_photos([source]):
            if isinstance(one.source, PhotoError):
                yield failed(one.path, one.source)
            else:
                yield Entry(one.path, found=not alone or isinstance(one.source, FoundPath))


def _in_tar(source: str) -> Iterator[Entry]:
    try:
        with _binary(source) as file:
            for member in members(file):
                name = os.path.basename(member.name)
                if member.isfile() and is_photo_name(name) and not is_ignored(name):
                    modified = _moment(member.mtime)
                    yield Entry(
                        f"{source}/{member.name}", member.size, modified, container=source, offset=member.offset_data
                    )
    except FileNotFoundError as error:
        raise PhotoError("not-found", f"{source}: no such file", "check the path", source) from error
    except (OSError, tarfile.TarError, EOFError, ValueError, OverflowError) as error:  # OverflowError: of a time
        what = f"{source}: not a whole .tar file ({reason(error)})"
        raise PhotoError("damaged", what, "copy it again", source) from error


def _in_list(source: str, ending: str) -> Iterator[Entry]:
    """Relative paths count from the folder of the list; rows with size and modified are not asked for again."""
    folder = source.rpartition("/")[0] if is_address(source) else os.path.dirname(source)

    def entry(path: str, size: Any = None, modified: Any = None) -> Entry:
        inside = folder and not is_address(path) and not os.path.isabs(path)
        known = (int(size), str(modified)) if size not in (None, "") and modified not in (None, "") else (None, None)
        if inside and is_address(folder):
            return Entry(f"{folder}/{path}", *known)
        return Entry(path if is_address(path) else in_folder(folder, path), *known)

    try:
        with _binary(source) as file:
            if ending == ".parquet":
                for row in _parquet_rows(file, source):
                    yield entry(*row)
                return
            encoding = encoding_of(file.peek(2))
            text = io.TextIOWrapper(file, encoding, "surrogateescape", newline=None if ending == ".txt" else "")
            if ending == ".txt":
                yield from (entry(path) for line in text if (path := line.rstrip("\n")))
                return
            rows = (cells for _, cells in cells_of(text))
            places = _columns(next(rows, []), source)
            for cells in rows:
                if cells and (path := cells[places[0]]):
                    yield entry(path, *(cells[place] for place in places[1:]))
    except FileNotFoundError as error:
        raise PhotoError("not-found", f"{source}: no such file", "check the path", source) from error
    except (OSError, ValueError, csv.Error, IndexError) as error:
        what = f"{source}: this list cannot be read ({reason(error)})"
        raise PhotoError(
            "damaged", what, "write one path a line, or CSV or Parquet with a column path", source
        ) from error


def _parquet_rows(file: Any, source: str) -> Iterator[tuple[Any, ...]]:
    from pyarrow import parquet

    table = parquet.ParquetFile(file)
    names = table.schema_arrow.names
    columns = [names[place] for place in _columns(names, source)]
    for batch in table.iter_batches(_ROWS, columns=columns):
        yield from zip(*(column.to_pylist() for column in batch.select(columns).columns), strict=True)


def _columns(header: Sequence[str], source: str) -> list[int]:
    """The place of the column path, and those of size and modified if both are there."""
    try:
        place = used_columns(source, header, ["path"], DataError).get("path")
    except DataError as error:
        raise PhotoError("damaged", error.message, error.remedy, source) from error
    if place is None:
        raise PhotoError("damaged", f"{source}: has no column path", "name the column of the paths path", source)
    plain = [plain_name(name) for name in header]
    both = "size" in plain and "modified" in plain
    return [place, plain.index("size"), plain.index("modified")] if both else [place]


def _at_address(source: str, alone: bool) -> Iterator[Entry]:
    from pyarrow import fs

    system, name = opened(source)
    prefix = source[: len(source) - len(name)] if source.endswith(name) else f"{source.partition('://')[0]}://"
    if any(character in name for character in "*?["):
        start = name[: min(name.index(c) for c in "*?[" if c in name)].rpartition("/")[0]
        yield from (
            entry for entry in _below(system, start, prefix) if fnmatchcase(entry.path.removeprefix(prefix), name)
        )
        return
    try:
        info = system.get_file_info(name.rstrip("/"))
    except OSError as error:
        raise PhotoError("unreadable", f"{source}: {reason(error)}", "check address and credentials", source) from error
    if info.type == fs.FileType.File:
        yield _entry(info, prefix)._replace(found=not alone)
    elif info.type == fs.FileType.NotFound:
        raise PhotoError("not-found", f"{source}: nothing is there", "check the address", source)
    else:
        empty = True
        for entry in _below(system, name.rstrip("/"), prefix):
            empty = False
            yield entry
        if empty:
            raise PhotoError("no-images", f"{source}: no images there", "give a folder of photos", source)


def _below(system: Any, folder: str, prefix: str) -> Iterator[Entry]:
    """Photos below a folder of an object store, folder by folder; the names of one folder are in memory."""
    from pyarrow import fs

    waiting = [folder]
    while waiting:
        path = waiting.pop()
        try:
            infos = system.get_file_info(fs.FileSelector(path, recursive=False))
        except OSError as error:
            name = f"{prefix}{path}"
            yield failed(name, PhotoError("unreadable", f"{name}: cannot be listed ({reason(error)})", "run it again"))
            continue
        infos.sort(key=lambda info: info.path)
        folders = []
        for info in infos:
            if is_ignored(info.base_name):
                continue
            if info.type == fs.FileType.Directory:
                folders.append(info.path)
            elif is_photo_name(info.base_name):
                yield _entry(info, prefix)
        waiting += reversed(folders)


def _entry(info: Any, prefix: str) -> Entry:
    return Entry(f"{prefix}{info.path}", info.size, _moment((info.mtime_ns or 0) / 1e9))


def size_and_time(address: str) -> tuple[int, str] | None:
    """Size and time of an object; None if it is not there or cannot be asked for: reading it gives the error."""
    from pyarrow import fs

    try:
        system, name = opened(address)
        info = system.get_file_info(name)
    except (OSError, UsageError):
        return None
    if info.type != fs.FileType.File:
        return None
    entry = _entry(info, "")
    return info.size, str(entry.modified)


def _moment(seconds: float) -> str:
    whole, part = divmod(round(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{part:03}000000Z"


def _binary(source: str) -> io.BufferedReader:
    if not is_address(source):
        return io.BufferedReader(io.FileIO(source), _TAR_BUFFER_BYTES)
    system, name = opened(source)
    return io.BufferedReader(system.open_input_file(name), _TAR_BUFFER_BYTES)
