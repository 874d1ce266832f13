"""Predicting on a cluster: as a Ray dataset, or into a folder of answer files."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from edgeclf.argument_checks import check_settings, check_whole
from edgeclf.cluster import job as jobs
from edgeclf.cluster.answer_folder import PARQUET, AnswerFolder, block_file
from edgeclf.cluster.entries import Entry, packed
from edgeclf.cluster.job import Counts
from edgeclf.cluster.listing import blocks
from edgeclf.cluster.predictor import AnswerFiles, RecordTables
from edgeclf.cluster.resume import Answered, repair
from edgeclf.cluster.session import Actors, actors_for, connect, connected, errors_of_edgeclf
from edgeclf.cluster.sources import check_sources, entries
from edgeclf.field.photo_id import Digests
from edgeclf.model.default_model import default_model
from edgeclf.model.file import Model, ModelFile, read_model_file

if TYPE_CHECKING:
    import ray.data

BATCH = 256  # photos in a block
_BLOCK_BYTES = 64 * 2**10  # of Ray: a few hundred paths


def predict(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    model: Model | None = None,
    *,
    top_k: int = 5,
    threshold: float | None = None,
    threads: int | None = None,
    batch: int = BATCH,
    facts: bool = True,
    address: str | None = None,
) -> "ray.data.Dataset":
    """Predict photos as a Ray dataset, for those who go on with it. Nothing runs until it is consumed.

    Args:
        source: folders, files, patterns, lists of paths (.txt, .csv, .tsv, .parquet), .tar files of photos, or
            addresses such as ``s3://bucket/folder/``; one or several.
        model: as for ``Classifier``; it is sent once to each node, and checked by its seal there.
        top_k: how many classes are ranked.
        threshold: as for ``Classifier``.
        threads: CPU threads of an actor; None: 1, or the CPUs divided by the GPUs.
        batch: photos that are listed, sent and predicted together.
        facts: records hold time, place and camera.
        address: as for ``edgeclf.cluster.session.connected``; not used if Ray runs in this process already.

    Returns:
        One row for each photo, in no particular order, with the columns of ``edgeclf.cluster.record_table.schema``. A
        photo that cannot be read is a row with its ``error`` and ``message``.

    Raises:
        BackendError: Ray is not installed, or the cluster cannot be reached.
        ModelError: the model file cannot be used.
        UsageError: an argument is invalid.
    """
    sources, file = _checked(source, model, top_k, threshold, threads, batch)
    ray, _ = connect(address)
    work = jobs.job_of(file, file.path, top_k, threshold, facts)
    listed = partial(_new_blocks, sources, batch, None)
    return predicted(ray, listed, file, work, RecordTables, (), threads=threads)


def predict_into(
    out: str | os.PathLike[str],
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    model: Model | None = None,
    *,
    resume: bool = False,
    top_k: int = 5,
    threshold: float | None = None,
    threads: int | None = None,
    batch: int = BATCH,
    facts: bool = True,
    address: str | None = None,
    progress: Callable[[Counts], None] | None = None,
) -> Counts:
    """Predict photos into a folder of Parquet and JSON Lines files, each photo once.

    Args:
        out: a folder that all nodes see, or an address such as ``s3://bucket/answers``. It must be empty, or hold this
            job if ``resume``.
        source, model, top_k, threshold, threads, batch, facts, address: as for ``predict``.
        resume: continue a job that was interrupted: photos that have an answer are left out.
        progress: called with the counts so far, after each block.

    Returns:
        The counts of the whole job, earlier attempts included.

    Raises:
        BackendError, ModelError, UsageError: as for ``predict``.
        RecordError: the folder holds a job with another model, threshold or version; it cannot be written; or another
            run has taken the job over.
    """
    sources, file = _checked(source, model, top_k, threshold, threads, batch)
    folder = AnswerFolder.at(out)
    work = jobs.job_of(file, file.path, top_k, threshold, facts)
    if not resume:  # before Ray is started, which takes seconds
        jobs.check_empty(folder)
    with connected(address), errors_of_edgeclf():
        import ray

        attempt = jobs.begin(folder, work, sources, resume=resume)
        before: Answered = _remote(ray, repair, folder)
        counts, names = before.counts, set(before.blocks)
        listed = partial(_new_blocks, sources, batch, ray.put(before.digests))
        # Each listed block goes to an actor by itself.
        dataset = predicted(ray, listed, file, work, AnswerFiles, (folder, attempt), threads=threads, block_bytes=1)
        for row in dataset.iter_rows():
            name = row.pop("name")
            if name is not None and name not in names:  # a block that was predicted again has the same name
                names.add(name)
                counts += Counts(**row)
                if progress:
                    progress(counts)
            elif name is None:
                counts += Counts(**row)
        _drop_late_blocks(folder, names)
        jobs.end(folder, work, sources, attempt, counts)
    return counts


def predicted(
    ray: Any,
    listed: Callable[[], Iterable[list[Entry]]],
    file: ModelFile,
    work: jobs.Job,
    actor: type[Any],
    arguments: tuple[Any, ...],
    *,
    threads: int | None,
    block_bytes: int = _BLOCK_BYTES,
) -> "ray.data.Dataset":
    """The dataset of a job: one task lists photos in blocks, a pool of actors predicts the blocks.

    The task stays on this node and needs no CPU, so it never waits for actors that hold all CPUs. Its blocks are small
    enough to live in this process's memory: no other node's death takes them away.

    Args:
        ray: the module, connected.
        listed: gives the photos in blocks, in the task.
        file: the model.
        work: the job.
        actor: a class like ``RecordTables``; its instances get packed blocks.
        arguments: of the actor, after job, model and threads.
        threads: CPU threads of an actor.
        block_bytes: of blocks of entries and of results, about.
    """
    resources = ray.cluster_resources()
    pool: Actors = actors_for(resources.get("CPU", 1), resources.get("GPU", 0), threads)
    model = ray.put(file.content.read())

    def blocks_of_photos() -> Iterator[Any]:
        import pyarrow as pa

        for block in listed():
            yield pa.table({"block": pa.array([packed(block)], pa.large_binary())})

    with _block_size(block_bytes):
        source = _listing(blocks_of_photos)
        dataset = ray.data.read_datasource(source, override_num_blocks=1, num_cpus=0, label_selector=_here(ray))
        return dataset.map_batches(
            actor,
            fn_constructor_args=(work, partial(_model_bytes, model), pool.cpus, *arguments),
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=pool.count),
            num_cpus=pool.cpus,
            num_gpus=pool.gpus or None,
        )


def _new_blocks(sources: Sequence[str], batch: int, known: Any) -> Iterator[list[Entry]]:
    """In the listing task: the photos of the sources in blocks, without those whose digests are ``known``."""
    if known is None:
        return blocks(entries(sources), batch, Digests())
    import ray

    return blocks(entries(sources), batch, Digests.of(ray.get(known)))


def _model_bytes(model: Any) -> bytes:
    """In an actor: the model, which is sent to a node when its first actor asks for it."""
    import ray

    data: bytes = ray.get(model)
    return data


def _listing(read: Callable[[], Iterator[Any]]) -> Any:
    """A Ray datasource of one task. Made here, since its base class is Ray's."""
    from ray.data.block import BlockMetadata
    from ray.data.datasource import Datasource, ReadTask

    class Photos(Datasource):  # type: ignore[misc]
        def get_read_tasks(self, *_: Any, **__: Any) -> list[Any]:
            return [ReadTask(read, BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None))]

        def estimate_inmemory_data_size(self) -> int | None:
            return None

    return Photos()


@contextmanager
def _block_size(number: int) -> Iterator[None]:
    """Ray would collect 128 MB of names before the first photo is predicted."""
    from ray.data import DataContext

    context = DataContext.get_current()
    before = context.target_max_block_size, context.enable_progress_bars
    context.target_max_block_size, context.enable_progress_bars = number, False
    try:
        yield
    finally:
        context.target_max_block_size, context.enable_progress_bars = before


def _remote(ray: Any, call: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a task on this node, so that the memory it needs is not this process's."""
    return ray.get(ray.remote(call).options(num_cpus=0, label_selector=_here(ray)).remote(*arguments))


def _here(ray: Any) -> dict[str, str]:
    """Selects this process's node."""
    return {"ray.io/node-id": ray.get_runtime_context().get_node_id()}


def _drop_late_blocks(folder: AnswerFolder, names: set[str]) -> None:
    """Delete blocks that an earlier run, thought dead, wrote after this one had looked: their photos are in others."""
    from edgeclf.cluster.answer_folder import JSONL

    for kind in (PARQUET, JSONL):
        for name in set(folder.blocks(kind)) - names:
            folder.delete(block_file(kind, name))


def _checked(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    model: Model | None,
    top_k: int,
    threshold: float | None,
    threads: int | None,
    batch: int,
) -> tuple[list[str], ModelFile]:
    check_whole("top_k", top_k)
    check_whole("batch", batch)
    check_settings("cpu", threads, threshold)
    named = [source] if isinstance(source, str | os.PathLike) else source
    sources = [os.fspath(name) for name in named]
    check_sources(sources)
    return sources, read_model_file(model if model is not None else default_model(), copied=True)
