"""From the photos of a job to blocks of them, without those that have an answer already."""

from collections.abc import Iterable, Iterator
from contextlib import closing

from edgeclf.cluster.addresses import is_address
from edgeclf.cluster.entries import Entry
from edgeclf.concurrency import in_order
from edgeclf.field.photo_id import Digests, look_at

_LOOKERS = 8  # threads that ask a file system for sizes and times


def blocks(entries: Iterable[Entry], size: int, known: Digests) -> Iterator[list[Entry]]:
    """Put photos into blocks, each photo once.

    Args:
        entries: the photos, in any order; taken a few ahead.
        size: photos in a block.
        known: photos that are left out, by ``Entry.digest``; those of the blocks are added.
    """
    block: list[Entry] = []
    with closing(in_order(_looked_at, entries, _LOOKERS)) as looked:
        for entry, digest in looked:
            if digest in known:
                continue
            known.add(digest)
            block.append(entry)
            if len(block) == size:
                yield block
                block = []
    if block:
        yield block


def _looked_at(entry: Entry) -> tuple[Entry, int]:
    """The entry with size and time, as far as its file system gives them, and its digest."""
    if entry.size is None and entry.error is None:
        if is_address(entry.path):
            entry = _remote(entry)
        elif (file := look_at(entry.path)) is not None:
            entry = entry._replace(size=file.size, modified=file.modified)
    return entry, entry.digest


def _remote(entry: Entry) -> Entry:
    from edgeclf.cluster.sources import size_and_time

    known = size_and_time(entry.path)
    return entry if known is None else entry._replace(size=known[0], modified=known[1])
