"""What runs in an actor: from a block of entries to records, as ``Classifier.predict_many`` predicts them."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

from edgeclf.classifier import Classifier
from edgeclf.cluster.addresses import is_address
from edgeclf.cluster.answer_folder import AnswerFolder
from edgeclf.cluster.entries import Entry, unpacked
from edgeclf.cluster.job import Counts, Job, check_attempt, versions_here
from edgeclf.cluster.record_table import to_table
from edgeclf.cluster.resume import write_block
from edgeclf.concurrency import in_order
from edgeclf.errors import BackendError, ModelDamagedError, PhotoError
from edgeclf.field.record import Record
from edgeclf.images.heatmap_mark import OVERLAY_KIND

_FETCHERS = 6  # objects of a store that are on their way at a time, for one actor

Results = Iterator[tuple[Entry, Record]]


class Predictor:
    """Predicts blocks. Its classifier is opened with the first block, in the actor.

    Args:
        job: what all answers have in common.
        model: gives the bytes of the model file; they are checked by the seal here, on this node.
        threads: CPU threads.
    """

    def __init__(self, job: Job, model: Callable[[], bytes], threads: int) -> None:
        self._job, self._model, self._threads = job, model, threads

    @cached_property
    def classifier(self) -> Classifier:
        """The classifier of the job.

        Raises:
            BackendError: this node has other versions than the machine where the job was started.
            ModelError: the model did not arrive as it was sent.
        """
        with suppress(OSError):  # absolute paths and addresses need no folder
            os.chdir(self._job.folder)
        here = versions_here()
        if here != self._job.versions:
            wanted = self._job.versions.items()
            differ = ", ".join(f"{name} {here[name]}, not {other}" for name, other in wanted if here[name] != other)
            raise BackendError(f"node {_node()}: other versions: {differ}", "install the same versions on every node")
        classifier = Classifier(self._model(), threads=self._threads, threshold=self._job.threshold, for_many=True)
        if classifier.sha256 != self._job.model:
            raise ModelDamagedError(f"node {_node()}: got another model than was sent", "start the job again")
        return classifier

    def results(self, entries: Sequence[Entry]) -> Results:
        """The record of each photo, as it stands in a record file, in order."""
        classifier, job = self.classifier, self._job
        remote = any(entry.is_remote for entry in entries)
        photos = in_order(Entry.photo, entries, _FETCHERS) if remote else (entry.photo() for entry in entries)
        with closing(photos), closing(classifier.predict_many(photos, job.top_k, facts=job.facts)) as predictions:
            for entry, prediction in zip(entries, predictions, strict=True):
                record = Record.of(entry.path, prediction, classifier.device)
                record = record.in_file(entry.file, job.model[:16], job.settings)
                yield entry, replace(record, folder=None) if is_address(entry.path) else record

    def records(self, data: bytes) -> tuple[list[Record], list[int], int]:
        """The records of a packed block and the digests of their photos, and how many heat maps were left out."""
        results = list(self.results(unpacked(data)))
        kept = [(record, entry.digest) for entry, record in results if not is_heat_map(record)]
        return [record for record, _ in kept], [digest for _, digest in kept], len(results) - len(kept)


class RecordTables(Predictor):
    """For ``predict``: blocks become tables of records."""

    def __call__(self, blocks: Any) -> Any:
        """A table with a column ``block`` of packed entries becomes a table of ``record_table.schema()``."""
        import pyarrow as pa

        tables = [to_table(*self.records(data)[:2]) for data in blocks["block"].to_pylist()]
        return pa.concat_tables(tables)


class AnswerFiles(Predictor):
    """For ``predict_into``: each block becomes files of the answer folder, and its counts a row.

    Args:
        folder: where the files go.
        attempt: of the job; a block is not written if a later attempt has begun.
        others: as for ``Predictor``.
    """

    def __init__(self, job: Job, model: Callable[[], bytes], threads: int, folder: AnswerFolder, attempt: int) -> None:
        super().__init__(job, model, threads)
        self._folder, self._attempt = folder, attempt

    def __call__(self, blocks: Any) -> Any:
        """A table with a column ``block`` of packed entries becomes a table of ``Counts``, and the blocks' names."""
        import pyarrow as pa

        rows = []
        for data in blocks["block"].to_pylist():
            records, digests, heat_maps = self.records(data)
            name = f"block-{self._attempt}-{hashlib.blake2b(data, digest_size=8).hexdigest()}"
            check_attempt(self._folder, self._attempt)
            counts = write_block(self._folder, name, records, digests) if records else Counts()
            rows.append({**asdict(counts + Counts(heat_maps=heat_maps)), "name": name if records else None})
        return pa.Table.from_pylist(rows)


class BestClasses(Predictor):
    """For ``evaluate``: of each photo the best class only, its probability not rounded."""

    def __call__(self, blocks: Any) -> Any:
        """A table with a column ``block`` becomes one with a row for each photo; ``number`` says which it is."""
        import pyarrow as pa

        rows: list[dict[str, Any]] = []
        for data in blocks["block"].to_pylist():
            entries = unpacked(data)
            predictions = self.classifier.predict_many((entry.photo() for entry in entries), top_k=1)
            with closing(predictions):
                for entry, found in zip(entries, predictions, strict=True):
                    row = dict.fromkeys(("index", "probability", "unknown", "kind", "message", "remedy"))
                    if isinstance(found, PhotoError):
                        row |= {"kind": found.kind, "message": found.message, "remedy": found.remedy}
                    else:
                        best = found.best
                        row |= {"index": best.index, "probability": best.probability, "unknown": found.unknown}
                    rows.append({"number": entry.number, **row})
        whole, text = pa.int64(), pa.string()
        kinds = [("number", whole), ("index", whole), ("probability", pa.float64()), ("unknown", pa.bool_())]
        return pa.Table.from_pylist(rows, pa.schema([*kinds, ("kind", text), ("message", text), ("remedy", text)]))


def is_heat_map(record: Record) -> bool:
    """Whether a file is not a photo, but a heat map that edgeclf made."""
    return record.error is not None and record.error.kind == OVERLAY_KIND


def _node() -> str:
    import socket

    return socket.gethostname()
