"""The accuracy of a model on a cluster: the same metrics as ``edgeclf.evaluation.evaluate``, to the last digit."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, islice
from typing import Any

from edgeclf.classifier import Classifier
from edgeclf.cluster import job as jobs
from edgeclf.cluster.entries import Entry
from edgeclf.cluster.predictions import BATCH, predicted
from edgeclf.cluster.predictor import BestClasses
from edgeclf.cluster.session import connected, errors_of_edgeclf
from edgeclf.errors import PhotoError
from edgeclf.evaluation.evaluate import Evaluation
from edgeclf.evaluation.evaluate import evaluate as evaluate_here
from edgeclf.evaluation.labelled_photos import LabelledPhotos
from edgeclf.model.file import read_model_file
from edgeclf.results import Prediction, RankedLabel


def evaluate(
    model: str | os.PathLike[str],
    photos: LabelledPhotos,
    *,
    threads: int | None = None,
    batch: int = BATCH,
    address: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    report: Callable[[PhotoError], None] | None = None,
) -> Evaluation:
    """Predict every photo on a cluster and compare with its class.

    The best class of each photo comes back to this process, which counts: no sum depends on how the photos were
    distributed.

    Args:
        model: the model file.
        photos: from ``find_labelled_photos`` or ``read_labelled_list``; all nodes must see the paths.
        threads, batch, address: as for ``edgeclf.cluster.predict``.
        progress, report: as for ``edgeclf.evaluation.evaluate.evaluate``.

    Returns:
        What ``edgeclf.evaluation.evaluate.evaluate`` gives for these photos on one machine.

    Raises:
        BackendError, ModelError, UsageError: as for ``edgeclf.cluster.predict``.
    """
    file = read_model_file(model, copied=True)
    classifier = Classifier(model, threads=1)
    work = jobs.job_of(file, file.path, 1, None, facts=False)
    paths = [path for path, _ in photos.photos]
    with connected(address), errors_of_edgeclf():
        import ray

        listed = partial(_blocks, ray.put(paths), batch)
        dataset = predicted(ray, listed, file, work, BestClasses, (), threads=threads)
        predictions = (_prediction(row, paths, classifier) for row in in_their_order(dataset.iter_rows()))
        return evaluate_here(classifier, photos, predictions=predictions, progress=progress, report=report)


def in_their_order(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows by their ``number``, from 0 on; those that come too early wait."""
    waiting: dict[int, dict[str, Any]] = {}
    wanted = 0
    for row in rows:
        waiting[row["number"]] = row
        while wanted in waiting:
            yield waiting.pop(wanted)
            wanted += 1


def _blocks(paths: Any, batch: int) -> Iterator[list[Entry]]:
    import ray

    numbered = zip(count(), ray.get(paths), strict=False)
    while block := [Entry(path, number=number) for number, path in islice(numbered, batch)]:
        yield block


def _prediction(row: dict[str, Any], paths: list[str], classifier: Classifier) -> Prediction | PhotoError:
    if row["kind"] is not None:
        return PhotoError(row["kind"], row["message"], row["remedy"], paths[row["number"]])
    index = row["index"]
    return Prediction((RankedLabel(classifier.labels[index], index, row["probability"]),), row["unknown"])
