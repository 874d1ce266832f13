"""A run folder becomes one model file, checked before it is in place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO

from edgeclf.errors import DataError, ExportError, NotAModelError, UsageError
from edgeclf.events import Listener, log, say
from edgeclf.files.atomic_write import check_writable, write_over
from edgeclf.files.paths import PathLike
from edgeclf.model.file import is_model_file, read_model_file
from edgeclf.model.manifest import Gate, Manifest
from edgeclf_training.dataset.samples import Sample, choose_evenly
from edgeclf_training.run.kept_photos import kept_photos
from edgeclf_training.run.relocate import with_photos
from edgeclf_training.run.run_folder import Run, load_run_or_checkpoint

from edgeclf_export.api.display_names import check_display_names
from edgeclf_export.graph.gradcam import cam_size
from edgeclf_export.graph.to_onnx import to_onnx
from edgeclf_export.int8.calibration_search import FloatNetwork, Int8Photos, search_int8
from edgeclf_export.int8.layer_sensitivity import LayerSensitivity
from edgeclf_export.pack.build import build_model, draft_manifest, seal_model
from edgeclf_export.verify.gate import Budget, HeldOut, verdict
from edgeclf_export.verify.golden import CANDIDATES, golden_photos
from edgeclf_export.verify.judge import Criteria, judge
from edgeclf_export.verify.photos import choose_photos, class_indices
from edgeclf_export.verify.predictions import Predictions, network_predictions

# Largest difference of a logit, relative to the largest logit: what another order of float sums can cause, no more.
FP32_TOLERANCE = 1e-4
# Held-out photos on which ways to choose INT8 ranges are compared, without their labels. 32 were too few: a worse way
# was chosen for ResNet50.
_PROBE_PHOTOS = 128
# Expected calibration error: a warning is given if the file's is larger than the trained network's by more than this.
_ECE_SLACK = 0.05
_MOSTLY_FLOAT = 0.75  # of the FP32 file's size: an INT8 file above it holds mostly floats


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
    cam: bool = True,
    budget: Budget | None = None,
    force: bool = False,
    on_event: Listener = log,
) -> Exported:
    """Write a run's network as one model file.

    The finished network predicts held-out photos (the test split, else the validation split) with the runtime's
    preprocessing and sessions before the file is put in place, and must be within the budget. INT8 that is not is tried
    again with other activation ranges, and then with the most sensitive layers in float.

    Args:
        run: a run, or its folder or checkpoint; of an unfinished one the best weights so far.
        out: the ``.onnx`` file to create or replace.
        data: folders or zips where the run's photos are now, if not where they were. Where no held-out photo can be
            found, the file is checked on the small copies that the run keeps.
        int8: quantize, with activation ranges measured on training photos.
        fp16: store the weights in 16 bits; not together with ``int8``.
        card: what to say about the model.
        calibration_photos: how many training photos activation ranges are measured on, at most.
        check_photos: how many held-out photos the file is checked with, at most.
        cam: with heat maps; a run that was trained without them (``--no-cam``) never has any.
        golden: embed a few held-out photos, small and without EXIF, for the self-test.
        budget: what the file may lose; the default budget if None.
        force: write it even if it is out of budget; its manifest says so.
        on_event: gets a ``Message`` for what the user should know, and ``Progress`` during long steps.

    Returns:
        The file's path, and how it compares with the trained network on the held-out photos.

    Raises:
        DataError: the run folder or ``data`` cannot be used; or photos are needed, and none of the run's is found.
        UsageError: ``out`` cannot be written, the card holds what a manifest may not, or ``int8`` and ``fp16``.
        ExportError: the network has no heat maps; the FP32 file's logits are not those of the trained network; or the
            file is out of budget. Nothing is written then.
    """
    run = run if isinstance(run, Run) else load_run_or_checkpoint(run)
    out, budget = Path(out), budget or Budget()
    if int8 and fp16:
        raise UsageError("INT8 and FP16 at once", "choose one of --int8 and --fp16")
    if out.suffix != ".onnx" or out.is_dir():
        raise UsageError(f"{out}: not a name for a model file", "give -o NAME.onnx")
    check_writable(out, is_model_file, "a model file")
    network = run.network()
    maps = cam_size(network, run.contract.size, cam and run.options.cam)
    if not maps.maps:
        say(on_event, "without heat maps: predictions work as always, --cam says why there is no map")
    manifest = _manifest(run, card or Card())
    if not run.metrics:
        say(on_event, "this run is unfinished: its best weights so far are exported, without metrics")
    split = _split_name(run)
    run = with_photos(run, data, on_event)
    if int8 and not run.split.train:
        raise DataError(
            f"INT8 needs training photos, and none of those of {run.folder} can be found",
            "name the folder or zip where they are now with --data, or export without --int8 (--fp16 needs none)",
        )
    if run.split.folds and not run.split.test:
        say(
            on_event,
            "no photo is held out from a network of --folds: the file is compared with it on photos it was trained on; "
            "its accuracy is that of the folds",
        )
    if run.split.test or run.split.val:
        split, samples = _split_name(run), run.split.test or run.split.val
    else:
        samples = tuple(_kept(run, on_event))
    seed, contract = run.options.seed, run.contract
    photos = choose_photos(samples, contract, check_photos, seed)
    labels = class_indices(photos.samples, run.classes)
    reference = network_predictions(network, photos, on_event)
    temperature = run.calibration.temperature if run.calibration else 1.0
    criteria = Criteria(photos, HeldOut(split, run.classes, labels, reference, temperature), budget)

    float_model = to_onnx(network, contract.size)
    model = build_model(float_model, maps, manifest, "fp32")
    judgement = judge(model, criteria, on_event)
    _check_parity(reference, judgement.predictions)
    predictions = [reference, judgement.predictions]
    tried: tuple[Gate, ...] = (judgement.gate,)
    sensitivities: tuple[LayerSensitivity, ...] = ()
    if int8:
        calibration = choose_photos(run.split.train, contract, calibration_photos, seed)
        probes = choose_photos(photos.samples, contract, _PROBE_PHOTOS, seed)
        float_network = FloatNetwork(float_model, maps, manifest)
        found = search_int8(float_network, Int8Photos(calibration, probes), criteria, on_event)
        model, judgement, tried, sensitivities = found.model, found.judgement, found.tried, found.sensitivities
        predictions.append(judgement.predictions)
    elif fp16:
        model = build_model(float_model, maps, manifest, "fp16")
        judgement = judge(model, criteria, on_event)
        tried = (judgement.gate,)
        predictions.append(judgement.predictions)
    if int8 and predictions[-1].size > _MOSTLY_FLOAT * predictions[1].size:
        share = predictions[-1].size / predictions[1].size
        what = (
            f"INT8 saves little here: the file has {share:.0%} of the FP32 file's size, since only convolutions and the"
        )
        say(on_event, f"{what} head are quantized, not matrix products; --fp16 halves it", "warning")
    gate = judgement.gate
    if not gate.passed and not force:
        raise ExportError(f"{verdict(gate)}; nothing was written", _remedy(tried, int8))
    if gate.ece_after > gate.ece_before + _ECE_SLACK:
        say(
            on_event,
            f"calibration got worse: expected calibration error {gate.ece_after:.3f}, {gate.ece_before:.3f} before",
            "warning",
        )

    model = model.with_manifest(gate=gate)
    if golden:
        candidates = [(one.path, one.label) for one in choose_evenly(photos.samples, CANDIDATES, seed)]
        model = model.with_manifest(golden=golden_photos(model, candidates))
        count = len(model.manifest.golden.photos) if model.manifest.golden else 0
        say(on_event, f"embeds {count} held-out photos, small and without EXIF; --no-golden leaves them out")
    sealed = seal_model(model)
    read_model_file(sealed)  # refuses what is not a whole model file
    _write(out, sealed)
    predictions[-1] = replace(predictions[-1], size=len(sealed))
    rows = tuple(
        Row(one.name, one.size, one.correct(labels), one.agreeing(reference), one.difference(reference))
        for one in predictions
    )
    return Exported(out, split, len(photos), rows, gate, tried, sensitivities)


def _split_name(run: Run) -> str:
    return "test" if run.split.test else "validation"


def _kept(run: Run, on_event: Listener) -> list[Sample]:
    """The small copies that a run keeps, where its photos cannot be found; a warning says what they cannot show."""
    samples = kept_photos(run.folder)
    if not samples:
        raise DataError(
            f"none of the held-out photos of {run.folder} can be found, and it keeps no copies to check a file with",
            "name the folder or zip where they are now with --data",
        )
    say(
        on_event,
        f"the photos were not found, so the file is checked on {len(samples)} small copies that the run keeps: they "
        "show whether the file predicts as the network does, but are too few to measure a loss of accuracy",
        "warning",
    )
    return samples


def _remedy(tried: tuple[Gate, ...], int8: bool) -> str:
    if not int8:
        return "--max-drop and --max-class-drop set the budget, --force writes the file anyway"
    most_float = max(len(gate.float_layers) for gate in tried)
    return (
        f"{len(tried)} ways were tried, up to {most_float} layers in float; try --fp16 or more --calibration-photos; "
        "--max-drop and --max-class-drop set the budget, --force writes the file anyway"
    )


def _write(out: Path, data: bytes) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_over(out, partial(_write_all, data), is_model_file, "a model file")
    except OSError as error:
        raise UsageError(f"{out} cannot be written ({error.strerror or error})", "choose another -o") from error


def _write_all(data: bytes, file: IO[bytes]) -> None:
    file.write(data)


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
    if not difference <= FP32_TOLERANCE:  # written so that NaN fails
        raise ExportError(
            f"the FP32 file's logits differ from the network's by {difference:.1e} of the largest, "
            f"{FP32_TOLERANCE:.0e} is allowed; nothing was written",
            "please report this with the versions that `edgeclf info` prints",
        )
