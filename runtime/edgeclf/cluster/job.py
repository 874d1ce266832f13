"""What a job is: the model, the rule for "unknown", the versions; and its manifest ``job.json``."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from typing import Any

import edgeclf
from edgeclf.cluster.answer_folder import AnswerFolder
from edgeclf.errors import RecordError, UsageError
from edgeclf.field.record import PredictSettings

MANIFEST = "job.json"
_SCHEMA = 1
_MATTER = ("numpy", "pillow", "onnxruntime")  # pixels and logits may differ between their versions


@dataclass(frozen=True)
class Job:
    """What all answers of a job have in common, on every node.

    Attributes:
        model: ``Classifier.sha256``.
        model_name: for people.
        top_k: how many classes are ranked.
        threshold: best probability below which a photo is "unknown", 0..1.
        facts: records hold time, place and camera.
        folder: where relative paths count from.
        versions: of edgeclf and of the libraries that answers depend on, by name.
    """

    model: str
    model_name: str
    top_k: int
    threshold: float
    facts: bool
    folder: str
    versions: dict[str, str]

    @property
    def settings(self) -> PredictSettings:
        """The settings in each record."""
        return PredictSettings(self.threshold)


@dataclass(frozen=True)
class Counts:
    """How many photos were answered.

    Attributes:
        photos: with a record.
        errors: of these, photos that could not be read.
        unknown: of these, photos whose best probability is below the threshold.
        heat_maps: heat maps of edgeclf among the photos; they have no record.
        blocks: answer files.
    """

    photos: int = 0
    errors: int = 0
    unknown: int = 0
    heat_maps: int = 0
    blocks: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


def versions_here() -> dict[str, str]:
    """Versions of what answers depend on, in this process."""
    return {"edgeclf": edgeclf.__version__, **{name: _version(name) for name in _MATTER}}


def begin(folder: AnswerFolder, job: Job, sources: Sequence[str], *, resume: bool) -> int:
    """Write the manifest of a new job, or of the next attempt at one.

    Returns:
        The number of this attempt, from 1.

    Raises:
        UsageError: the folder holds something, and ``resume`` is False.
        RecordError: it holds no job; or one with another model, threshold, and so on; or it cannot be written.
    """
    before = _read(folder)
    if not resume:
        check_empty(folder)
    if before is None and not folder.is_empty():
        raise RecordError(f"{folder.where}: holds other files, but no job", "name another folder")
    if before is not None:
        _check_same(folder, Job(**{one.name: before["job"][one.name] for one in fields(Job)}), job)
    attempt = 1 if before is None else int(before["attempt"]) + 1
    folder.make()
    _write(folder, job, sources, attempt, None, _now())
    return attempt


def check_empty(folder: AnswerFolder) -> None:
    """A new job needs a folder of its own.

    Raises:
        UsageError: something is in it.
    """
    if not folder.is_empty():
        raise UsageError(
            f"{folder.where}: is not empty", "continue the job in it with --resume, or name another folder"
        )


def check_attempt(folder: AnswerFolder, attempt: int) -> None:
    """Called before each block is written: a job that was started again must not get blocks of the earlier run.

    Raises:
        RecordError: another run has begun in this folder.
    """
    now = _read(folder)
    if now is None or now["attempt"] != attempt:
        raise RecordError(f"{folder.where}: another run continues this job", "stop one of them")


def end(folder: AnswerFolder, job: Job, sources: Sequence[str], attempt: int, counts: Counts) -> None:
    """Complete the manifest with the counts of all attempts."""
    begun = (_read(folder) or {}).get("begun", _now())
    _write(folder, job, sources, attempt, counts, begun)


def _write(
    folder: AnswerFolder, job: Job, sources: Sequence[str], attempt: int, counts: Counts | None, begun: str
) -> None:
    values = {
        "schema": _SCHEMA,
        "job": asdict(job),
        "sources": list(sources),
        "attempt": attempt,
        "begun": begun,
        "complete": counts is not None,
        "ended": _now() if counts is not None else None,
        "counts": asdict(counts) if counts is not None else None,
    }
    folder.write(MANIFEST, json.dumps(values, indent=1).encode() + b"\n")


def _read(folder: AnswerFolder) -> dict[str, Any] | None:
    data = folder.read(MANIFEST)
    if data is None:
        return None
    try:
        values: dict[str, Any] = json.loads(data)
        if values["schema"] != _SCHEMA:
            raise RecordError(f"{folder.name_of(MANIFEST)}: is of a newer edgeclf", "install that version")
        int(values["attempt"]), [values["job"][one.name] for one in fields(Job)]
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{folder.name_of(MANIFEST)}: is not a job's manifest", "name another folder") from error
    return values


def _check_same(folder: AnswerFolder, was: Job, job: Job) -> None:
    for name, what in (("model", "model"), ("threshold", "--threshold"), ("top_k", "--top-k"), ("facts", "--no-exif")):
        if getattr(was, name) != getattr(job, name):
            before = was.model_name if name == "model" else getattr(was, name)
            values = f"{before} ({was.model[:16]})" if name == "model" else f"{before}"
            remedy = f"give the same {what} as before, or name another folder"
            raise RecordError(f"{folder.where}: was begun with another {what}: {values}", remedy)
    if was.versions != job.versions:
        changed = ", ".join(f"{name} {old}" for name, old in was.versions.items() if job.versions.get(name) != old)
        raise RecordError(f"{folder.where}: was begun with {changed}", "install these versions, or name another folder")


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:  # onnxruntime may be onnxruntime-gpu
        return version(f"{name}-gpu")


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def job_of(model: Any, name: str, top_k: int, threshold: float | None, facts: bool) -> Job:
    """The job of a model file (``edgeclf.model.file.ModelFile``) in the current folder."""
    calibration = model.manifest.calibration
    own = calibration.threshold if calibration else 0.0
    ranks = min(top_k, len(model.manifest.classes))
    limit = own if threshold is None else float(threshold)
    return Job(model.sha256, name, ranks, limit, facts, os.getcwd(), versions_here())
