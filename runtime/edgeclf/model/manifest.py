"""The manifest: the description of a model, kept as JSON inside the ``.onnx`` file.

The schema is versioned. Files of older schemas can still be loaded; a newer one raises ``ModelTooNewError``.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from edgeclf.errors import EdgeclfError, ModelTooNewError, NotAModelError
from edgeclf.images.contract import ImageContract
from edgeclf.model.json_to_dataclass import json_to_dataclass

SCHEMA_VERSION = 4  # 2: calibration; 3: golden photos, gate; 4: expected_wrong
_MAX_REASON_CHARACTERS = 300  # of an error message: it may quote the file


@dataclass(frozen=True)
class Metrics:
    """Counts on one split, made with the trained network that this file was exported from.

    Attributes:
        split: "validation" (it selected the weights, so its accuracy is optimistic) or "test" (used for nothing else).
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
    """How logits become calibrated probabilities, and the probability below which a photo is "unknown".

    Attributes:
        temperature: logits are divided by it before the softmax (Guo et al. 2017, arXiv:1706.04599), > 0.
        threshold: a photo whose best probability is below it is "unknown", 0..1.
        photos: validation photos that both were chosen on.
        answered: how many of them reach the threshold.
        wrong: how many of the answered ones are wrong.
        ece_before, ece_after: expected calibration error on these photos without and with the temperature, 0..1.
        expected_wrong: share of the answered photos that their calibrated probabilities expect to be wrong, 0..1; None
            in schema 1 to 3.
    """

    temperature: float
    threshold: float
    photos: int
    answered: int
    wrong: int
    ece_before: float
    ece_after: float
    expected_wrong: float | None = None


@dataclass(frozen=True)
class GoldenPhoto:
    """One photo of the self-test: the pixels that preprocessing must give, and the logits that the network must give.

    Attributes:
        label: its true class.
        jpeg: a small JPEG of it, without EXIF.
        pixels: the network input made from the JPEG at export, averaged over blocks: uint8 ``[side, side, 3]``.
        logits: the network's output for ``pixels``, enlarged: float32 ``[classes]``, little-endian.
    """

    label: str
    jpeg: bytes
    pixels: bytes
    logits: bytes


@dataclass(frozen=True)
class Golden:
    """The self-test in a model file.

    Attributes:
        side: height and width of ``GoldenPhoto.pixels``, at most the network's input size.
        tolerance: largest difference of a logit, relative to the photo's largest one; 0: the same bits.
        photos: held-out photos of as many classes as the size limit allows, and some between two classes.
    """

    side: int
    tolerance: float
    photos: tuple[GoldenPhoto, ...]


@dataclass(frozen=True)
class Gate:
    """How the predictions of this file compare with those of the trained network on held-out photos, and the budget.

    Both are made with onnxruntime.

    Attributes:
        split: "validation" or "test".
        photos: photos that both predicted.
        correct_before, correct_after: photos that the trained network and this file predicted correctly.
        agreeing: photos for which both predict the same class.
        drop: accuracy lost, in percentage points; negative if the file is better.
        drop_low, drop_high: its paired 95 % interval.
        worst_class: the class that lost most, None if none lost.
        worst_drop: percentage points that it lost.
        ece_before, ece_after: expected calibration error, 0..1.
        max_drop, max_class_drop: the budget, in percentage points.
        calibration: how the INT8 activation ranges were chosen ("minmax", ...), "none" for floats.
        float_layers: layers that stayed in float, by the name of their node.
        passed: the loss is within the budget, as far as this number of photos can show.
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
        seed: seed of the run, None if nothing was trained.
        data_sha256: fingerprint of the training data: SHA-256 over split, class, file name and size of every photo,
            None if nothing was trained.
        weights: what the network started from, one line each ("ImageNet-1k, resnet50; sha256 0676...; BSD-3-Clause").
        versions: package -> version, of the packages that trained and exported it.
    """

    trained: str
    seed: int | None = None
    data_sha256: str | None = None
    weights: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """The description of a model in its file.

    Attributes:
        schema_version: of this structure.
        classes: names of the training folders, in index order of the logits.
        contract: how photos become network input.
        contract_sha256: ``contract.digest()`` as it was at export.
        architecture, head: such as "resnet50" and "linear".
        precision: "fp32", "fp16", "int8", or "mixed": INT8 with some layers in float.
        cam_classes: number of heat maps per photo, one for each of the best-ranked classes.
        opset, ir_version: of the ONNX file.
        min_onnxruntime: the lowest onnxruntime that loads it.
        figures: counts on held-out photos, per split.
        calibration: temperature and "unknown" threshold; None if the model was not calibrated (schema 1: always).
        gate: how the file compares with the trained network; None if no photos were held out. A file that did not
            pass was exported with ``--force``.
        golden: the self-test; None if the file has no golden photos.
        display_names: class name -> name for people, in any script; classes may be missing.
        provenance: where the model comes from.
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
    figures: tuple[Metrics, ...] = ()
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
            manifest: Manifest = json_to_dataclass(Manifest, values, "manifest")
            _check(manifest)
        except (ValueError, RecursionError) as error:
            what = str(error)[:_MAX_REASON_CHARACTERS]
            raise NotAModelError(f"{path}: its manifest is not valid ({what})", "export the model again") from error
        except EdgeclfError as error:
            what = error.message if path in error.message else f"{path}: {error.message[:_MAX_REASON_CHARACTERS]}"
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
        raise ValueError("a display name belongs to no class")
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
            raise ValueError("the self-test's side or tolerance is invalid")
        for photo in g.photos:
            if photo.label not in names:
                raise ValueError("a golden photo has an unknown class")
            if len(photo.pixels) != g.side * g.side * 3 or len(photo.logits) != 4 * len(names):
                raise ValueError("a golden photo has the wrong size")
