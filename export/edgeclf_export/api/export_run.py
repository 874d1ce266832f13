"""A run folder becomes one model file, checked before it is in place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from edgeclf.classifier import Classifier
from edgeclf.errors import DataError, ExportError, NotAModelError, UsageError
from edgeclf.events import Listener, log, progress, say
from edgeclf.files.atomic_write import check_writable, write_over
from edgeclf.files.paths import PathLike
from edgeclf.images.preprocess import network_input
from edgeclf.model.file import is_model_file
from edgeclf.model.manifest import Gate, Manifest
from edgeclf_training.dataset.samples import Sample, choose_evenly
from edgeclf_training.run.kept_photos import kept_photos
from edgeclf_training.run.relocate import with_photos
from edgeclf_training.run.run_folder import Run, load_run_or_checkpoint
from numpy.typing import NDArray

from edgeclf_export.api.display_names import check_display_names
from edgeclf_export.graph.to_onnx import to_onnx
from edgeclf_export.int8.calibration_search import search_int8, verdict
from edgeclf_export.int8.layer_sensitivity import LayerSensitivity
from edgeclf_export.pack.build import draft_manifest, manifest_of, pack, with_manifest
from edgeclf_export.verify.gate import Budget, HeldOut, measure
from edgeclf_export.verify.golden import CANDIDATES, with_golden
from edgeclf_export.verify.predictions import Predictions, file_predictions, network_predictions, truth

# Relative to the largest logit: what reordering float sums can do, and no more.
FP32_TOLERANCE = 1e-4
# Held-out photos on which calibrations are compared; their labels are not looked at. With 32 of them a worse one was
# chosen for ResNet50.
_PROBES = 128
# Expected calibration error by which a file may exceed the trained network's before that is remarked on.
_CALIBRATION_SLACK = 0.05


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
    """A written model file and how it compares on held-out photos: torch first, then the files.

    Attributes:
        gate: the judgement on the file written; not passed where it was forced.
        tried: the judgements on everything tried, in order; the last one is not always the one chosen.
        sensitivities: what quantizing each layer alone does, the most sensitive first; empty where it was not needed.
    """

    path: Path
    split: str
    photos: int
    rows: tuple[Row, ...]
    gate: Gate
    tried: tuple[Gate, ...]
    sensitivities: tuple[LayerSensitivity, ...] = ()


def export_run(
    run: Run | PathLike,
    out: PathLike,
    *,
    data: PathLike | Sequence[PathLike] = (),
    int8: bool = False,
    fp16: bool = False,
    card: Card | None = None,
    calibration_photos: int = 256,
    check_photos: int = 1000,
    golden: bool = True,
    budget: Budget | None = None,
    force: bool = False,
    on_event: Listener = log,
) -> Exported:
    """Write a run's network as one model file.

    The finished file answers held-out photos (the test split, else the validation split) through the runtime's
    ``Classifier`` before it is put in place, and must be within the budget. INT8 that is not is tried again with other
    calibrations and then with the most sensitive layers in float.

    Args:
        run: a run, or its folder or checkpoint; of an unfinished one the best weights so far.
        out: the ``.onnx`` file to create or replace.
        data: folders or zips where the run's photos are now, if not where they were. Where no held-out photo can be
            found, the file is checked on the small copies that the run keeps.
        int8: quantize, calibrated on training photos.
        fp16: store the weights in 16 bits; not together with ``int8``.
        card: what to say about the model.
        calibration_photos: at most so many, spread over the classes.
        check_photos: at most so many held-out photos are checked.
        golden: embed a few held-out photos, small and without EXIF, for the self-test.
        budget: what the file may lose; the default budget if None.
        force: write it even if it is out of budget; its manifest says so.
        on_event: gets a ``Message`` for what a person should know and ``Progress`` while something takes long.

    Returns:
        The file's path, and how it compares with the trained network on the held-out photos.

    Raises:
        DataError: the run folder or ``data`` cannot be used; or photos are needed, and none of the run's is there.
        UsageError: ``out`` cannot be written, the card holds what no manifest may, or ``int8`` and ``fp16``.
        ExportError: the FP32 file does not answer as the trained network does, or the file is out of budget; nothing
            is written then.
    """
    run = run if isinstance(run, Run) else load_run_or_checkpoint(run)
    out, budget = Path(out), budget or Budget()
    if int8 and fp16:
        raise UsageError("INT8 and FP16 at once", "choose one of --int8 and --fp16")
    if out.suffix != ".onnx" or out.is_dir():
        raise UsageError(f"{out}: not a name for a model file", "give -o NAME.onnx")
    check_writable(out, is_model_file, "a model file")
    network = run.network()
    manifest = _manifest(run, card or Card())
    if not run.metrics:
        say(on_event, "this run is unfinished: its best weights so far are exported, without metrics")
    split = "test" if run.split.test else "validation"
    run = with_photos(run, data, on_event)
    if int8 and not run.split.train:
        raise DataError(
            f"INT8 is calibrated with training photos, and none of those of {run.folder} can be found",
            "name the folder or zip where they are now with --data, or export without --int8 (--fp16 needs none)",
        )
    if run.split.test or run.split.val:
        split = "test" if run.split.test else "validation"
        samples = choose_evenly(run.split.test or run.split.val, check_photos, run.options.seed)
    else:
        samples = choose_evenly(_kept(run, on_event), check_photos, run.options.seed)

    def predict(data: bytes) -> Predictions:
        """As the field will: through the runtime."""
        with progress(on_event, "checking") as update:
            return file_predictions(
                Classifier(data, device="cpu"), samples, len(data), lambda done: update(done, len(samples))
            )

    with progress(on_event, "predicting with the trained network") as update:
        reference = network_predictions(network, run.contract, samples, lambda done: update(done, len(samples)))
    held_out = HeldOut(
        split,
        run.classes,
        truth(samples, run.classes),
        reference,
        run.calibration.temperature if run.calibration else 1.0,
    )
    model = to_onnx(network, run.contract.size)
    packed = pack(model, network, manifest, "fp32")
    predictions = [reference, predict(packed)]
    _check_parity(reference, predictions[1])
    gate = measure(held_out, predictions[1], budget)
    tried: tuple[Gate, ...] = (gate,)
    sensitivities: tuple[LayerSensitivity, ...] = ()
    if int8:
        chosen = choose_evenly(run.split.train, calibration_photos, run.options.seed)
        probes = choose_evenly(samples, _PROBES, run.options.seed)
        found = search_int8(
            model,
            lambda: (network_input(sample.path, run.contract) for sample in chosen),
            len(chosen),
            lambda: (network_input(sample.path, run.contract) for sample in probes),
            held_out,
            budget,
            lambda quantized, precision: pack(quantized, network, manifest, precision),
            predict,
            on_event,
        )
        packed, gate, tried, sensitivities = found.chosen.data, found.chosen.gate, found.tried, found.sensitivities
        predictions.append(found.chosen.predictions)
    elif fp16:
        packed = pack(model, network, manifest, "fp16")
        predictions.append(predict(packed))
        gate = measure(held_out, predictions[-1], budget)
        tried = (gate,)
    if not gate.passed and not force:
        raise ExportError(f"{verdict(gate)}; nothing was written", _remedy(tried, int8))
    if gate.ece_after > gate.ece_before + _CALIBRATION_SLACK:
        say(
            on_event,
            f"calibration got worse: expected calibration error {gate.ece_after:.3f}, {gate.ece_before:.3f} before",
            "warning",
        )
    packed = with_manifest(packed, replace(manifest_of(packed), gate=gate))
    if golden:
        packed, count = with_golden(
            packed, [(s.path, s.label) for s in choose_evenly(samples, CANDIDATES, run.options.seed)]
        )
        say(on_event, f"embeds {count} held-out photos, small and without EXIF; --no-golden leaves them out")
    _write(out, packed)
    rows = tuple(
        _row(a, reference, held_out.labels) for a in (*predictions[:-1], replace(predictions[-1], size=len(packed)))
    )
    return Exported(out, held_out.split, len(samples), rows, gate, tried, sensitivities)


def _kept(run: Run, on_event: Listener) -> list[Sample]:
    """The small copies that a run keeps, for want of its photos; what they cannot tell is said."""
    samples = kept_photos(run.folder)
    if not samples:
        raise DataError(
            f"none of the held-out photos of {run.folder} can be found, and it keeps no copies to check a file with",
            "name the folder or zip where they are now with --data",
        )
    say(
        on_event,
        f"checked on {len(samples)} small copies of held-out photos that the run keeps, for want of the photos: they "
        "tell that the file answers as the network does, but hardly what it loses in accuracy, least of all by class",
        "warning",
    )
    return samples


def _remedy(tried: tuple[Gate, ...], int8: bool) -> str:
    if not int8:
        return "--max-drop and --max-class-drop set the budget, --force writes it all the same"
    most = max(len(gate.float_layers) for gate in tried)
    return (
        f"{len(tried)} ways were tried, up to {most} layers in float; try --fp16 or more --calibration-photos; "
        "--max-drop and --max-class-drop set the budget, --force writes it all the same"
    )


def _write(out: Path, data: bytes) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_over(out, lambda file: file.write(data), is_model_file, "a model file")
    except OSError as error:
        raise UsageError(f"{out} cannot be written ({error.strerror or error})", "choose another -o") from error


def _manifest(run: Run, card: Card) -> Manifest:
    manifest = draft_manifest(
        run.classes,
        run.contract,
        run.options.arch,
        run.options.head or "linear",
        run.provenance,
        figures=run.metrics,
        calibration=run.calibration,
        display_names=check_display_names(card.display_names, run.classes),
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


def _check_parity(reference: Predictions, predictions: Predictions) -> None:
    difference = predictions.difference(reference)
    if not difference <= FP32_TOLERANCE:  # so put that NaN does not pass
        raise ExportError(
            f"the FP32 file's logits differ from the network's by {difference:.1e} of the largest, "
            f"{FP32_TOLERANCE:.0e} is allowed; nothing was written",
            "please report this with the versions that `edgeclf info` prints",
        )


def _row(predictions: Predictions, reference: Predictions, labels: NDArray[np.int64]) -> Row:
    return Row(
        predictions.name,
        predictions.size,
        predictions.correct(labels),
        predictions.agreeing(reference),
        predictions.difference(reference),
    )
