"""INT8 within the budget: the best activation ranges first, then others, then the most sensitive layers in float.

Bounded by counts, never by time: the same run must give the same file.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx
from edgeclf.events import Listener, log, say
from edgeclf.model.manifest import Gate, Manifest
from numpy.typing import NDArray

from edgeclf_export.graph.gradcam import CamSize
from edgeclf_export.int8.activation_ranges import (
    ActivationStats,
    Histogram,
    Ranges,
    full_range,
    histograms,
    least_error,
    minmax,
    observe,
    percentile,
)
from edgeclf_export.int8.equalize import correct_bias, cross_layer_equalize
from edgeclf_export.int8.layer_sensitivity import LayerSensitivity, logit_error, measure_sensitivity, rmse
from edgeclf_export.int8.quantize import layer_names, quantize
from edgeclf_export.pack.build import BuiltModel, build_model
from edgeclf_export.verify.gate import verdict
from edgeclf_export.verify.judge import Criteria, Judgement, judge
from edgeclf_export.verify.photos import NetworkInputs

_SENSITIVITY_PHOTOS = 16
MAX_FLOAT_LAYERS = 8  # and at most half of all layers: beyond that FP16 is the better choice

# How a range is chosen from a histogram, by the name that a manifest records. None of them is best for every network;
# the probe photos show which one to try first.
CALIBRATIONS: dict[str, Callable[[Histogram], tuple[float, float]]] = {
    "minmax": full_range,
    "percentile 99.999": partial(percentile, share=0.99999),
    "percentile 99.99": partial(percentile, share=0.9999),
    "least error": least_error,
}


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """What is quantized.

    Attributes:
        model: a float graph of ``to_onnx``.
        cam: the heat maps that the file gets.
        manifest: of the file, as for ``build_model``.
    """

    model: onnx.ModelProto
    cam: CamSize
    manifest: Manifest


@dataclass(frozen=True, eq=False)
class Int8Photos:
    """Training photos and others.

    Attributes:
        calibration: training photos from which activation ranges are measured; read twice.
        probes: a few other photos, on which ways to choose ranges are compared and the sensitivity of layers is
            measured. The calibration photos themselves may be the reason for bad ranges.
    """

    calibration: NetworkInputs
    probes: NetworkInputs


@dataclass(frozen=True, eq=False)
class Found:
    """What a search ended with.

    Attributes:
        model: the first one that passed, else the one that lost least.
        judgement: of ``model``.
        tried: what the gate found about every model, in order.
        sensitivities: of all layers, the most sensitive first; empty if they were not measured.
    """

    model: BuiltModel
    judgement: Judgement
    tried: tuple[Gate, ...]
    sensitivities: tuple[LayerSensitivity, ...]


@dataclass(frozen=True, eq=False)
class _Equalized:
    """A float graph after ``cross_layer_equalize``, what its activations do, and their ranges by each calibration."""

    model: onnx.ModelProto
    stats: Mapping[str, ActivationStats]
    ranges: Mapping[str, Ranges]


def search_int8(network: FloatNetwork, photos: Int8Photos, criteria: Criteria, on_event: Listener = log) -> Found:
    """Quantize until the budget is kept, or until there is nothing left to try.

    Args:
        network: what is quantized.
        photos: for measuring ranges.
        criteria: what each model is judged by.
        on_event: gets ``Progress``, and a message for every model beyond the first and for the sensitivity of each
            layer.

    Raises:
        ExportError: logits are not finite.
        PhotoError: a photo cannot be read.
        BackendError: onnxruntime is not installed.
    """
    equalized = _equalized(network.model, photos.calibration, on_event)
    probes = list(photos.probes)
    models: list[BuiltModel] = []
    judgements: list[Judgement] = []
    for name, quantized in _best_first(equalized, probes):
        models.append(build_model(quantized, network.cam, network.manifest, "int8"))
        judgements.append(judge(models[-1], criteria, on_event, name))
        _report(judgements, on_event)
        if judgements[-1].gate.passed:
            return _found(models, judgements, criteria, ())
    errors = _logit_errors(judgements, criteria)
    best = judgements[errors.index(min(errors))].gate.calibration
    ranges, sensitivity_photos = equalized.ranges[best], probes[:_SENSITIVITY_PHOTOS]
    sensitivities = measure_sensitivity(equalized.model, equalized.stats, ranges, sensitivity_photos, on_event)
    _report_sensitivities(sensitivities, on_event)
    for count in range(1, min(MAX_FLOAT_LAYERS, len(layer_names(equalized.model.graph)) // 2) + 1):
        in_float = tuple(one.layer for one in sensitivities[:count])
        quantized = quantize(correct_bias(equalized.model, equalized.stats, in_float), ranges, in_float)
        models.append(build_model(quantized, network.cam, network.manifest, "mixed"))
        judgements.append(judge(models[-1], criteria, on_event, best, in_float))
        _report(judgements, on_event)
        if judgements[-1].gate.passed:
            break
    return _found(models, judgements, criteria, sensitivities)


def _found(
    models: Sequence[BuiltModel],
    judgements: Sequence[Judgement],
    criteria: Criteria,
    sensitivities: tuple[LayerSensitivity, ...],
) -> Found:
    """The last model if it passed; else the one with the smallest drop, and of equal ones the smallest logit error."""
    errors = _logit_errors(judgements, criteria)
    chosen = len(models) - 1
    if not judgements[chosen].gate.passed:
        chosen = min(range(len(models)), key=lambda index: (judgements[index].gate.drop, errors[index]))
    return Found(models[chosen], judgements[chosen], tuple(one.gate for one in judgements), sensitivities)


def _logit_errors(judgements: Sequence[Judgement], criteria: Criteria) -> list[float]:
    reference = criteria.held_out.reference.logits
    return [rmse(one.predictions.logits, reference) for one in judgements]


def _equalized(model: onnx.ModelProto, photos: NetworkInputs, on_event: Listener) -> _Equalized:
    equalized, stats = cross_layer_equalize(model, observe(model, photos, on_event))
    counts = histograms(equalized, photos, minmax(stats), on_event)
    ranges = {
        name: {tensor: choose(histogram) for tensor, histogram in counts.items()}
        for name, choose in CALIBRATIONS.items()
    }
    return _Equalized(equalized, stats, ranges)


def _best_first(equalized: _Equalized, probes: Sequence[NDArray[np.uint8]]) -> Iterator[tuple[str, onnx.ModelProto]]:
    """The network quantized with each calibration's ranges, that with the least error of the logits first."""
    corrected = correct_bias(equalized.model, equalized.stats)
    quantized = {name: quantize(corrected, ranges) for name, ranges in equalized.ranges.items()}
    errors = dict(zip(quantized, logit_error(equalized.model, list(quantized.values()), probes), strict=True))
    return ((name, quantized[name]) for name in sorted(quantized, key=errors.__getitem__))


def _report(judgements: Sequence[Judgement], on_event: Listener) -> None:
    """Say what the gate found about the last model, unless it was the first one and passed."""
    gate = judgements[-1].gate
    if gate.passed and len(judgements) == 1:
        return
    layers = len(gate.float_layers)
    way = gate.calibration + (f", {layers} layer{'s' * (layers > 1)} in float" if layers else "")
    say(on_event, f"{way}: {verdict(gate)}")


def _report_sensitivities(sensitivities: Sequence[LayerSensitivity], on_event: Listener) -> None:
    say(on_event, "error of the logits when only this layer is quantized:")
    for one in sensitivities[: 2 * MAX_FLOAT_LAYERS]:
        say(on_event, f"  {one.error:8.4f}  {one.layer}")
