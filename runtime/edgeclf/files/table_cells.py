"""The cells of a table file: CSV as spreadsheets write it, TSV, or Parquet. Read row by row."""

import codecs
import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from edgeclf.class_names import several
from edgeclf.errors import BackendError, DataError, EdgeclfError
from edgeclf.files.paths import PathLike

# What a column of photos is for, and the names that it may have. Case, spaces and underscores do not matter.
COLUMNS = {
    "path": ("path", "file", "filename", "filepath", "photo", "image", "imagepath"),
    "label": ("label", "class", "classname", "category", "species"),
    "split": ("split", "subset"),
    "group": ("group",),
}
TABLES = (".csv", ".tsv", ".parquet")  # endings of the files that are tables
SEPARATORS = ",;\t|"
EXTRA = "parquet"
_SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
_AS_CSV = "save it as CSV UTF-8, with the columns path and label"
_FIRST_LINE = "the first line names the columns: path,label"
_PARQUET_MAGIC = b"PAR1"
_UTF16 = "utf-16"
_SNIFFED = 65_536  # bytes that tell the encoding and the separator

Row = tuple[int, list[str]]


def plain_name(column: str) -> str:
    """The name of a column as ``COLUMNS`` has it."""
    return re.sub(r"[\W_]+", "", column.casefold())


def used_columns(
    file: PathLike, header: Sequence[str], uses: Iterable[str], error_type: type[EdgeclfError]
) -> dict[str, int]:
    """The position of the column for each use that has one.

    Args:
        file: of the table, for the message.
        header: its first row.
        uses: keys of ``COLUMNS``.
        error_type: of the error.

    Raises:
        error_type: several columns may be meant, and none has the very name of the use.
    """
    plain = [plain_name(name) for name in header]
    columns = {}
    for use in uses:
        there = [position for position, name in enumerate(plain) if name in COLUMNS[use]]
        named = [position for position in there if plain[position] == use]
        if len(there) > 1 and len(named) != 1:
            what = f"{several([header[position] for position in there])} may all be the {use}"
            raise error_type(f"{file}: {what}", f"call the right one {use}, and no other")
        if there:
            columns[use] = (named or there)[0]
    return columns


def read_rows(file: PathLike) -> Iterator[Row]:
    """Read a table; the first row is the header.

    CSV may be separated by commas, semicolons, tabs or ``|`` (the one that is most frequent in the header), and begin
    with a byte order mark or a line ``sep=;``. Bytes that are not UTF-8 become lone surrogates (``surrogateescape``).

    Args:
        file: UTF-8 or UTF-16 text, or a Parquet file (needs the extra ``[parquet]``).

    Returns:
        For each row its line in the file, from 1, and its cells, without spaces around them. Of a Parquet file the
        header is line 0, so that rows count from 1.

    Raises:
        DataError: the file cannot be read, is empty, or is a spreadsheet.
        BackendError: it is a Parquet file, and pyarrow is not installed.
    """
    file = Path(file)
    try:
        with file.open("rb") as opened:
            head = opened.read(_SNIFFED)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})", "check its path") from error
    if head.startswith(_PARQUET_MAGIC):
        yield from _parquet_rows(file)
        return
    if not head.strip():
        raise DataError(f"{file}: is empty", _FIRST_LINE)
    encoding = encoding_of(head)
    if file.suffix.lower() in _SPREADSHEETS or (b"\0" in head and encoding != _UTF16):
        raise DataError(f"{file}: is not a text file", _AS_CSV)
    rows = _text_rows(file, encoding)
    header = next(rows, None)
    if header is None:  # separators only
        raise DataError(f"{file}: is empty", _FIRST_LINE)
    yield header
    yield from rows


def encoding_of(head: bytes) -> str:
    """The encoding of text that begins with these bytes: UTF-16 with its byte order mark, else UTF-8."""
    return _UTF16 if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def cells_of(text: IO[str]) -> Iterator[Row]:
    """The rows of CSV or TSV with the separators of ``read_rows``: the line and the cells as they are.

    Args:
        text: opened with ``newline=""``.
    """
    skipped = 0
    first = text.readline(_SNIFFED)
    while first and not first.strip():
        skipped, first = skipped + 1, text.readline(_SNIFFED)
    if stated := _stated_separator(first):
        skipped, first = skipped + 1, text.readline(_SNIFFED)
    reader = csv.reader(itertools.chain([first], text), delimiter=stated or _separator(first))
    for cells in reader:
        yield reader.line_num + skipped, cells


def _text_rows(file: Path, encoding: str) -> Iterator[Row]:
    try:
        with file.open(encoding=encoding, errors="surrogateescape", newline="") as text:
            for line, cells in cells_of(text):
                stripped = [cell.strip() for cell in cells]
                if any(stripped):
                    yield line, stripped
    except (OSError, UnicodeError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read ({error})", _AS_CSV) from error


def _stated_separator(line: str) -> str:
    """The separator in a first line such as ``sep=;``, which Excel understands; "" if it is another line."""
    stated = line.strip().strip('"')
    return stated[4] if len(stated) == 5 and stated[:4].lower() == "sep=" else ""


def _separator(header: str) -> str:
    outside_quotes = "".join(header.split('"')[::2])
    return max(SEPARATORS, key=outside_quotes.count)


def _parquet_rows(file: Path) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException, types
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise BackendError(
            f"{file}: a Parquet file, and pyarrow is not installed",
            f'pip install "edgeclf[{EXTRA}]", or save it as CSV',
        ) from error
    try:
        with ParquetFile(file) as table:
            schema = table.schema_arrow
            # Images, embeddings and the like are not read: gigabytes.
            large = (types.is_nested, types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
            read = [one.name for one in schema if not any(is_large(one.type) for is_large in large)]
            yield 0, [name.strip() for name in schema.names]
            line = 0
            for batch in table.iter_batches(columns=read):
                there = {name: _texts(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
                for row in range(len(batch)):
                    line += 1
                    yield line, [there[name][row].strip() if name in there else "" for name in schema.names]
    except (OSError, ArrowException) as error:
        raise DataError(f"{file}: cannot be read ({str(error).splitlines()[0]})", "write the file again") from error


def _texts(column: Any) -> list[str]:
    """The cells of a column as text, 1.0 as "1"; "" where there is no value: null or NaN."""
    from pyarrow import string, types

    if types.is_boolean(column.type):
        return ["" if cell is None else str(cell) for cell in column.to_pylist()]
    none = (None, "nan") if types.is_floating(column.type) else (None,)
    return ["" if cell in none else cell for cell in column.cast(string()).to_pylist()]
