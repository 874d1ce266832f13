"""What a model file says about itself: the manifest, kept as JSON inside the ``.onnx`` file.

The schema is versioned. Files of older schemas keep loading; a newer one is refused with a clear error.
"""

import base64
import functools
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from typing import Any, TypeVar

from edgeclf.errors import EdgeclfError, ModelTooNewError, NotAModelError
from edgeclf.images.contract import ImageContract

SCHEMA_VERSION = 3  # 2: calibration; 3: golden photos, gate
_MAX_TEXT = 2000
_MAX_REASON = 300
_MAX_NAME = 60  # characters of a text that is told
T = TypeVar("T")


@dataclass(frozen=True)
class Figures:
    """What was counted on one split through the network this file was made from.

    Attributes:
        split: "validation" (it selected the weights, so it flatters) or "test" (never looked at before).
        photos: photos counted.
        correct: photos whose best-ranked class is the true one.
        confusion: ``[true class][predicted class]`` counts in class-index order.
    """

    split: str
    photos: int
    correct: int
    confusion: tuple[tuple[int, ...], ...]

    @property
    def accuracy(self) -> float:
        """Share of correct photos, 0..1; 0 without photos."""
        return self.correct / self.photos if self.photos else 0.0


@dataclass(frozen=True)
class Calibration:
    """How logits become probabilities that can be believed, and from which probability on to believe them.

    Attributes:
        temperature: logits are divided by it before the softmax (Guo et al. 2017, arXiv:1706.04599), > 0.
        threshold: a photo whose best probability is below it is "unknown", 0..1.
        photos: validation photos both were chosen on.
        answered: how many of them reach the threshold.
        wrong: how many of those answered are wrong.
        ece_before, ece_after: expected calibration error on these photos without and with the temperature, 0..1.
    """

    temperature: float
    threshold: float
    photos: int
    answered: int
    wrong: int
    ece_before: float
    ece_after: float


@dataclass(frozen=True)
class GoldenPhoto:
    """One photo of the self-test: what the door must make of it, and what the network must answer.

    Attributes:
        label: its true class.
        jpeg: a small JPEG of it, without EXIF.
        pixels: what the door made of the JPEG at export, averaged over blocks: uint8 ``[side, side, 3]``, row by row.
        logits: of the network, given ``pixels`` enlarged: float32 ``[classes]``, little-endian.
    """

    label: str
    jpeg: bytes
    pixels: bytes
    logits: bytes


@dataclass(frozen=True)
class Golden:
    """The self-test a model file carries.

    Attributes:
        side: height and width of ``GoldenPhoto.pixels``, at most the network's input size.
        tolerance: largest difference of a logit, relative to the photo's largest one; 0: the same bits.
        photos: held-out photos of as many classes as it may cost, and those between two classes.
    """

    side: int
    tolerance: float
    photos: tuple[GoldenPhoto, ...]


@dataclass(frozen=True)
class Gate:
    """How this file compares with the trained network on held-out photos, through onnxruntime, and what was allowed.

    Attributes:
        split: "validation" or "test".
        photos: photos both were asked about.
        correct_before, correct_after: photos right by the trained network and by this file.
        agreeing: photos both give the same class.
        drop: accuracy lost, in points; negative where the file does better.
        drop_low, drop_high: its paired 95 % interval.
        worst_class: the class that lost most, None where none lost.
        worst_drop: points it lost.
        ece_before, ece_after: expected calibration error, 0..1.
        max_drop, max_class_drop: the budget, in points.
        calibration: how INT8 ranges were chosen ("minmax", ...), "none" for floats.
        float_layers: layers left in float, by their node's name.
        passed: within the budget, as far as the sample can tell.
    """

    split: str
    photos: int
    correct_before: int
    correct_after: int
    agreeing: int
    drop: float
    drop_low: float
    drop_high: float
    worst_class: str | None
    worst_drop: float
    ece_before: float
    ece_after: float
    max_drop: float
    max_class_drop: float
    calibration: str
    float_layers: tuple[str, ...]
    passed: bool


@dataclass(frozen=True)
class Provenance:
    """Where the model comes from.

    Attributes:
        trained: ISO 8601 date and time (UTC) of the training run, or of the weights' publication.
        seed: seed of the run, None where nothing was trained.
        data_sha256: fingerprint of the training data: SHA-256 over split, class, file name and size of every photo,
            None where nothing was trained.
        weights: what the network started from, one line each ("ImageNet-1k, resnet50; sha256 0676...; BSD-3-Clause").
        versions: package -> version of what trained and exported it.
    """

    trained: str
    seed: int | None = None
    data_sha256: str | None = None
    weights: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """Everything a model file says about itself.

    Attributes:
        schema_version: of this structure.
        classes: names in index order of the logits, as the training folders were called.
        contract: how photos become network input.
        contract_sha256: ``contract.digest()`` as it was at export.
        architecture, head: such as "resnet50" and "linear".
        precision: "fp32", "fp16", "int8", or "mixed": INT8 with some layers in float.
        cam_classes: heat maps per photo: those of the best-ranked classes.
        opset, ir_version: of the ONNX file.
        min_onnxruntime: the lowest onnxruntime that loads it.
        figures: counts on held-out photos, per split.
        calibration: temperature and "unknown" threshold; None where nothing was calibrated (schema 1: always).
        gate: how the file compares with the trained network; None where no photos were held out. A file that did not
            pass was written by force.
        golden: the self-test; None where the file carries no photos.
        display_names: class name -> name for people, in any script; may leave classes out.
        provenance: where it comes from.
        author, licence, description: free text, None if not given.
    """

    schema_version: int
    classes: tuple[str, ...]
    contract: ImageContract
    contract_sha256: str
    architecture: str
    head: str
    precision: str
    cam_classes: int
    opset: int
    ir_version: int
    min_onnxruntime: str
    provenance: Provenance
    figures: tuple[Figures, ...] = ()
    calibration: Calibration | None = None
    gate: Gate | None = None
    golden: Golden | None = None
    display_names: Mapping[str, str] = field(default_factory=dict)
    author: str | None = None
    licence: str | None = None
    description: str | None = None

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, plain ASCII."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), default=_base64, allow_nan=False)

    @staticmethod
    def from_json(text: str, path: str) -> "Manifest":
        """Read and check a manifest.

        Args:
            text: the JSON.
            path: the model file, for error messages.

        Raises:
            ModelTooNewError: written by a newer edgeclf.
            NotAModelError: not a manifest, or one that contradicts itself.
        """
        try:
            values = json.loads(text)
            if not isinstance(values, dict):
                raise ValueError("not an object")
            version = values.get("schema_version")
            if isinstance(version, int) and version > SCHEMA_VERSION:
                raise ModelTooNewError(
                    f"{path}: its manifest has schema {version}, this edgeclf reads up to {SCHEMA_VERSION}",
                    "pip install --upgrade edgeclf",
                )
            manifest: Manifest = _build(Manifest, values, "manifest")
            _check(manifest)
        except (ValueError, RecursionError) as error:
            what = str(error)[:_MAX_REASON]  # it may quote the file
            raise NotAModelError(f"{path}: its manifest is not valid ({what})", "export the model again") from error
        except EdgeclfError as error:
            what = error.message if path in error.message else f"{path}: {error.message[:_MAX_REASON]}"
            raise type(error)(what, error.remedy) from error
        return manifest


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _check(manifest: Manifest) -> None:
    names = manifest.classes
    if not names or len(set(names)) != len(names):
        raise ValueError("class names are missing or not unique")
    if not all((*names, *manifest.display_names.values())):
        raise ValueError("a class name is empty")
    if not manifest.display_names.keys() <= set(names):
        raise ValueError("a display name is for no class")
    if manifest.contract.digest() != manifest.contract_sha256:
        raise ValueError("the preprocessing contract does not match its hash")
    if not 0 <= manifest.cam_classes <= len(names):
        raise ValueError("more heat maps than classes")
    if (c := manifest.calibration) is not None:
        if c.temperature <= 0:
            raise ValueError(f"the temperature is {c.temperature}")
        if not 0 <= c.threshold <= 1:
            raise ValueError(f"the threshold is {c.threshold}")
    if (g := manifest.golden) is not None:
        if not (0 < g.side <= manifest.contract.size and g.tolerance >= 0):
            raise ValueError("the self-test's side or tolerance makes no sense")
        for photo in g.photos:
            if photo.label not in names:
                raise ValueError("a golden photo is of no class")
            if len(photo.pixels) != g.side * g.side * 3 or len(photo.logits) != 4 * len(names):
                raise ValueError("a golden photo has not the size it should have")


def _build(kind: Any, value: Any, where: str) -> Any:
    """Turn plain JSON values into the annotated types, checking every one. Raises ValueError."""
    origin = typing.get_origin(kind)
    if is_dataclass(kind):
        return _build_dataclass(kind, value, where)
    if origin is tuple:
        _expect(value, list, where)
        item = typing.get_args(kind)[0]
        return tuple(_build(item, v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is types.UnionType:
        return None if value is None else _build(typing.get_args(kind)[0], value, where)
    if origin is typing.Literal:
        if value not in typing.get_args(kind):
            raise ValueError(f"{where} is {value!r}")
        return value
    if origin is not None:  # Mapping[str, str]
        _expect(value, dict, where)
        return {str(k): _build(str, v, f"{where}.{k}") for k, v in value.items()}
    if kind is bytes:
        _expect(value, str, where)
        return base64.b64decode(value, validate=True)
    _expect(value, (int, float) if kind is float else kind, where)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}")
    if kind is str:
        if len(value) > _MAX_TEXT:
            raise ValueError(f"{where} is too long: {len(value)} characters, {_MAX_TEXT} at most")
        if not value.isprintable():
            from edgeclf.class_names import no_text, shown  # most names are plain: imported for the others

            if odd := no_text(value):
                raise ValueError(f"{where}, '{shown(value[:_MAX_NAME])}', has {odd}, which is no text")
    return value


def _build_dataclass(kind: Any, value: Any, where: str) -> Any:
    _expect(value, dict, where)
    hints, required = _plan(kind)
    if missing := sorted(required - value.keys()):
        raise ValueError(f"{where} lacks {', '.join(missing)}")
    if unknown := sorted(value.keys() - hints.keys()):
        raise ValueError(f"{where} has unknown keys {', '.join(map(repr, unknown))}")
    return kind(**{k: _build(hints[k], v, f"{where}.{k}") for k, v in value.items()})


@functools.cache  # a thousand classes are a thousand dataclasses, and resolving their annotations is what costs
def _plan(kind: Any) -> tuple[dict[str, Any], frozenset[str]]:
    required = (f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING)
    return typing.get_type_hints(kind), frozenset(required)


def _expect(value: Any, kind: Any, where: str) -> None:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{where} is {type(value).__name__}")
