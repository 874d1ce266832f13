"""What an interrupted job left: which photos have an answer, and what must be put right before it continues."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.cluster.answer_folder import JSONL, PARQUET, AnswerFolder, block_file
from edgeclf.cluster.job import Counts
from edgeclf.cluster.record_table import from_table, to_table
from edgeclf.errors import RecordError
from edgeclf.field.record import Record
from edgeclf.field.record_file import PERMANENT

_COLUMNS = ["digest", "error", "unknown"]


@dataclass(frozen=True, eq=False)
class Answered:
    """What is answered already.

    Attributes:
        digests: of the photos, uint64 ``[photos]``, sorted.
        counts: of their records.
        blocks: names of their blocks.
    """

    digests: NDArray[np.uint64]
    counts: Counts
    blocks: frozenset[str]


def repair(folder: AnswerFolder) -> Answered:
    """Make the folder hold whole blocks only, each photo once, and say which photos they answer.

    JSON lines without a Parquet file are of a block that was interrupted, and deleted. A photo with an error that may
    go away is taken out, to be tried again; so is the second record of a photo, which a run writes that was thought
    dead. Call it while no block is written. It may itself be interrupted at any moment.

    Raises:
        RecordError: a file is damaged, or cannot be read or written.
    """
    names = folder.blocks(PARQUET)
    lines = set(folder.blocks(JSONL))
    for orphan in lines - set(names):
        folder.delete(block_file(JSONL, orphan))
    counts, kept, parts = Counts(), [], [np.empty(0, np.uint64)]
    seen = np.empty(0, np.uint64)
    for name in names:
        table = _read(folder, name, _COLUMNS)
        digests = table["digest"].to_numpy()
        temporary = np.array([kind is not None and kind not in PERMANENT for kind in table["error"].to_pylist()], bool)
        first = np.zeros(len(digests), bool)
        first[np.unique(digests, return_index=True)[1]] = True
        wanted = first & ~temporary & ~_contains(seen, parts, digests)
        if not wanted.all():
            _keep(folder, name, wanted)
            table, digests = table.filter(wanted), digests[wanted]
        elif name not in lines:
            _write_lines(folder, name, from_table(_read(folder, name)))
        if len(digests):
            parts.append(np.sort(digests))
            kept.append(name)
            counts += counts_of(table)
        if len(parts) > 64:
            seen, parts = _merged(seen, parts), [np.empty(0, np.uint64)]
    return Answered(_merged(seen, parts), counts, frozenset(kept))


def counts_of(table: Any) -> Counts:
    """Count the records of a block: a table with the columns error and unknown."""
    import pyarrow.compute as pc

    return Counts(
        photos=table.num_rows,
        errors=table.num_rows - table["error"].null_count,
        unknown=pc.sum(table["unknown"]).as_py() or 0,
        blocks=1,
    )


def write_block(folder: AnswerFolder, name: str, records: Sequence[Record], digests: Sequence[int]) -> Counts:
    """Write the files of a block; it counts as answered from the moment when the second is there."""
    table = to_table(records, digests)
    _write_lines(folder, name, records)
    _write_table(folder, name, table)
    return counts_of(table)


def _write_lines(folder: AnswerFolder, name: str, records: Sequence[Record]) -> None:
    lines = "".join(f"{record.to_json()}\n" for record in records)
    folder.write(block_file(JSONL, name), lines.encode())


def _keep(folder: AnswerFolder, name: str, wanted: NDArray[np.bool_]) -> None:
    """Write a block again with some of its rows. Without JSON lines it is put right by the next repair."""
    table = _read(folder, name).filter(wanted)
    folder.delete(block_file(JSONL, name))
    if not table.num_rows:
        folder.delete(block_file(PARQUET, name))
        return
    _write_table(folder, name, table)
    _write_lines(folder, name, from_table(table))


def _write_table(folder: AnswerFolder, name: str, table: Any) -> None:
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    folder.write(block_file(PARQUET, name), buffer.getvalue())


def _read(folder: AnswerFolder, name: str, columns: list[str] | None = None) -> Any:
    from pyarrow import lib, parquet

    file = block_file(PARQUET, name)
    data = folder.read(file)
    try:
        return parquet.read_table(io.BytesIO(data or b""), columns=columns)
    except (lib.ArrowException, OSError, KeyError) as error:
        what = f"{folder.name_of(file)}: is damaged"
        raise RecordError(what, "delete it and run again with --resume: its photos are predicted again") from error


def _contains(
    seen: NDArray[np.uint64], parts: list[NDArray[np.uint64]], digests: NDArray[np.uint64]
) -> NDArray[np.bool_]:
    found = np.zeros(len(digests), bool)
    for part in (seen, *parts):
        if len(part):
            place = np.minimum(part.searchsorted(digests), len(part) - 1)
            found |= part[place] == digests
    return found


def _merged(seen: NDArray[np.uint64], parts: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    merged = np.concatenate((seen, *parts))
    merged.sort(kind="stable")
    return merged
