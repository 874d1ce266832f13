"""A run folder becomes one model file, checked before it is in place."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from edgeclf.classifier import Classifier
from edgeclf.cli.console import Console
from edgeclf.errors import ExportError, NotAModelError, UsageError
from edgeclf.files import write_atomically
from edgeclf.image import network_input
from edgeclf.manifest import SCHEMA_VERSION, Manifest
from edgeclf_training.data import Sample, spread
from edgeclf_training.networks import Network
from edgeclf_training.runs import Run
from numpy.typing import NDArray

from edgeclf_export.golden import CANDIDATES, with_golden
from edgeclf_export.packing import draft_manifest, export_network
from edgeclf_export.verify import Answers, file_answers, torch_answers, truth

# Relative to the largest logit: what reordering float sums can do, and no more.
FP32_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Card:
    """What the user says about the model; ``display_names``: class name -> name for people."""

    author: str | None = None
    licence: str | None = None
    description: str | None = None
    display_names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One line of the comparison: a way to compute the network, its size in bytes and its counts on held-out photos."""

    name: str
    size: int
    correct: int
    agreeing: int
    difference: float


@dataclass(frozen=True)
class Exported:
    """A written model file and how it compares on held-out photos: torch first, then the files."""

    path: Path
    split: str
    photos: int
    rows: tuple[Row, ...]


def export_run(
    run: Run,
    out: Path,
    *,
    int8: bool = False,
    card: Card | None = None,
    calibration_photos: int = 256,
    check_photos: int = 1000,
    golden: bool = True,
    console: Console | None = None,
) -> Exported:
    """Write a run's network as one model file.

    The finished file answers held-out photos (the test split, else the validation split) through the runtime's
    ``Classifier`` before it is put in place.

    Args:
        run: a finished run.
        out: the ``.onnx`` file to create or replace.
        int8: quantize, calibrated on training photos.
        card: what to say about the model.
        calibration_photos: at most so many, spread over the classes.
        check_photos: at most so many held-out photos are checked.
        golden: embed a few held-out photos, small and without EXIF, for the self-test.
        console: where to report; silent if None.

    Raises:
        DataError: the run folder cannot be used.
        PhotoError: a photo of the run is no longer there.
        UsageError: ``out`` cannot be written, or the card holds what no manifest may.
        ExportError: the FP32 file does not answer as the trained network does; nothing is written then.
    """
    console = console or Console(quiet=True)
    if out.suffix != ".onnx" or out.is_dir():
        raise UsageError(f"{out}: not a name for a model file", "give -o NAME.onnx")
    network = run.network()
    manifest = _manifest(run, card or Card())
    if not run.figures:
        console.line("this run is unfinished: its best weights so far are exported, without figures")
    held_out = spread(run.split.test or run.split.val, check_photos, run.options.seed)
    files = [export_network(network, manifest)]
    if int8:
        chosen = spread(run.split.train, calibration_photos, run.options.seed)
        with console.progress("calibrating") as progress:
            photos = (network_input(sample.path, run.contract) for sample in chosen)
            files.append(export_network(network, manifest, photos, lambda done: progress(done, len(chosen))))
    answers = _ask(network, run, held_out, files, console)
    _check_parity(answers[0], answers[1])
    data = files[-1]
    if golden:
        data, count = with_golden(data, [(s.path, s.label) for s in spread(held_out, CANDIDATES, run.options.seed)])
        console.line(f"embeds {count} held-out photos, small and without EXIF; --no-golden leaves them out")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, lambda file: file.write(data))
    except OSError as error:
        raise UsageError(f"{out} cannot be written ({error.strerror or error})", "choose another -o") from error
    rows = tuple(_row(a, answers[0], truth(held_out, run.classes)) for a in answers)
    rows = (*rows[:-1], replace(rows[-1], size=len(data)))
    return Exported(out, "test" if run.split.test else "validation", len(held_out), rows)


def _ask(
    network: Network, run: Run, samples: Sequence[Sample], files: Sequence[bytes], console: Console
) -> list[Answers]:
    """What the network answers, then what each file answers through the runtime, as the field will ask it."""
    total = len(samples) * (len(files) + 1)
    with tempfile.TemporaryDirectory() as folder, console.progress("checking") as progress:
        weights = (run.folder / "network.pt").stat().st_size
        answers = [torch_answers(network, run.contract, samples, weights, lambda done: progress(done, total))]
        for number, data in enumerate(files, 1):
            path = Path(folder) / f"{number}.onnx"
            path.write_bytes(data)
            before = number * len(samples)
            tell = partial(_tell, progress, total, before)
            answers.append(file_answers(Classifier(path, device="cpu"), samples, len(data), tell))
    return answers


def read_display_names(path: Path, classes: Sequence[str]) -> dict[str, str]:
    """Read a JSON object of class name -> display name.

    Raises:
        UsageError: not such a file, or it names a class that does not exist.
    """
    try:
        names = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path}: cannot be read as JSON ({error})", 'give {"class": "name for people", ...}'
        ) from error
    if not isinstance(names, dict) or not all(isinstance(v, str) and v.isprintable() and v for v in names.values()):
        raise UsageError(f"{path}: not an object of names", 'give {"class": "name for people", ...}')
    if unknown := sorted(set(names) - set(classes)):
        raise UsageError(f"{path}: no class {', '.join(unknown)}", f"the classes are {', '.join(classes)}")
    return names


def _manifest(run: Run, card: Card) -> Manifest:
    manifest = draft_manifest(
        schema_version=SCHEMA_VERSION,
        classes=run.classes,
        contract=run.contract,
        contract_sha256=run.contract.digest(),
        architecture=run.options.arch,
        head=run.options.head or "linear",
        provenance=run.provenance,
        figures=run.figures,
        calibration=run.calibration,
        display_names=card.display_names,
        author=card.author,
        licence=card.licence,
        description=card.description,
    )
    try:
        Manifest.from_json(manifest.to_json(), str(run.folder))
    except NotAModelError as error:
        raise UsageError(
            error.message, "change what was given to --author, --license, --description or a name"
        ) from error
    return manifest


def _tell(progress: Callable[[int, int], None], total: int, before: int, done: int) -> None:
    progress(before + done, total)


def _check_parity(reference: Answers, answers: Answers) -> None:
    difference = answers.difference(reference)
    if not difference <= FP32_TOLERANCE:  # so put that NaN does not pass
        raise ExportError(
            f"the FP32 file's logits differ from the network's by {difference:.1e} of the largest, "
            f"{FP32_TOLERANCE:.0e} is allowed; nothing was written",
            "please report this with the versions that `edgeclf info` prints",
        )


def _row(answers: Answers, reference: Answers, labels: NDArray[np.int64]) -> Row:
    return Row(
        answers.name,
        answers.size,
        answers.correct(labels),
        answers.agreeing(reference),
        answers.difference(reference),
    )
