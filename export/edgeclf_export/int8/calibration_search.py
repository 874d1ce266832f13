"""INT8 within the budget: the best calibration first, then the others, then the most sensitive layers back to float.

Bounded by counts, never by time: the same run must give the same file.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnx
from edgeclf.events import Listener, log, progress, say
from edgeclf.model.manifest import Gate
from numpy.typing import NDArray

from edgeclf_export.int8.activation_ranges import (
    ActivationStats,
    Histogram,
    Ranges,
    extremes,
    histograms,
    least_error,
    minmax,
    observe,
    percentile,
)
from edgeclf_export.int8.equalize import correct_bias, cross_layer_equalize
from edgeclf_export.int8.layer_sensitivity import LayerSensitivity, logit_error, measure_sensitivity, rmse
from edgeclf_export.int8.quantize import layer_names, quantize
from edgeclf_export.verify.gate import Budget, HeldOut, measure
from edgeclf_export.verify.predictions import Predictions

_SENSITIVITY_PHOTOS = 16
MAX_FLOAT_LAYERS = 8  # and at most half of all: beyond that FP16 serves better

# How a range is chosen from a histogram. None is best for every network; probe photos say which is tried first.
CALIBRATIONS: dict[str, Callable[[Histogram], tuple[float, float]]] = {
    "minmax": extremes,
    "percentile 99.999": lambda histogram: percentile(histogram, 0.99999),
    "percentile 99.99": lambda histogram: percentile(histogram, 0.9999),
    "least error": least_error,
}


class PhotoSource(Protocol):
    """Photos that can be read more than once, one at a time, uint8 ``[size, size, 3]`` each."""

    def __call__(self) -> Iterator[NDArray[np.uint8]]: ...


@dataclass(frozen=True, eq=False)
class Attempt:
    """One way to quantize: the file's bytes, what it predicted and what the gate found."""

    data: bytes
    predictions: Predictions
    gate: Gate
    error: float  # root mean square difference of the logits from the trained network's


@dataclass(frozen=True, eq=False)
class Found:
    """What a search ended with.

    Attributes:
        chosen: the first attempt that passed, else the one that lost least.
        tried: the judgements of all attempts, in order.
        sensitivities: of all layers, the most sensitive first; empty if they were not measured.
    """

    chosen: Attempt
    tried: tuple[Gate, ...]
    sensitivities: tuple[LayerSensitivity, ...]


def search_int8(
    model: onnx.ModelProto,
    photos: PhotoSource,
    count: int,
    probes: PhotoSource,
    held_out: HeldOut,
    budget: Budget,
    pack: Callable[[onnx.ModelProto, str], bytes],
    predict: Callable[[bytes], Predictions],
    on_event: Listener = log,
) -> Found:
    """Quantize until the budget is kept, or until there is nothing left to try.

    Args:
        model: a float graph of ``to_onnx``.
        photos: calibration photos; read twice.
        count: how many there are.
        probes: a few other photos, on which calibrations are compared and the sensitivity of layers is measured. The
            calibration photos themselves may be the reason for bad ranges.
        held_out: what the gate judges by.
        budget: what may be lost.
        pack: makes a file of a quantized graph and its precision.
        predict: a file's predictions on the held-out photos.
        on_event: gets a message for every attempt beyond the first, and of the sensitivity of each layer.
    """
    attempts: list[Attempt] = []

    def attempt(calibration: str, quantized: onnx.ModelProto, in_float: tuple[str, ...] = ()) -> bool:
        data = pack(quantized, "mixed" if in_float else "int8")
        predictions = predict(data)
        gate = measure(held_out, predictions, budget, calibration, in_float)
        attempts.append(Attempt(data, predictions, gate, rmse(predictions.logits, held_out.reference.logits)))
        if not (gate.passed and len(attempts) == 1):
            say(on_event, f"{_described(gate)}: {verdict(gate)}")
        return gate.passed

    with progress(on_event, "calibrating") as update:
        stats = observe(model, photos(), lambda done: update(done, count))
    model, stats = cross_layer_equalize(model, stats)
    with progress(on_event, "calibrating, second pass") as update:
        counted = histograms(model, photos(), minmax(stats), lambda done: update(done, count))
    tables = {name: {key: choose(one) for key, one in counted.items()} for name, choose in CALIBRATIONS.items()}
    probe_photos = list(probes())
    for name, quantized in _best_first(model, stats, tables, probe_photos):
        if attempt(name, quantized):
            break
    sensitivities: tuple[LayerSensitivity, ...] = ()
    if not attempts[-1].gate.passed:
        best = min(attempts, key=lambda a: a.error).gate.calibration
        sensitivities = _sensitivities(model, stats, tables[best], probe_photos[:_SENSITIVITY_PHOTOS], on_event)
        for number in range(1, min(MAX_FLOAT_LAYERS, len(layer_names(model.graph)) // 2) + 1):
            in_float = tuple(one.layer for one in sensitivities[:number])
            if attempt(best, quantize(correct_bias(model, stats, in_float), tables[best], in_float), in_float):
                break
    chosen = next((a for a in attempts if a.gate.passed), None)
    chosen = chosen or min(attempts, key=lambda a: (a.gate.drop, a.error))
    return Found(chosen, tuple(a.gate for a in attempts), sensitivities)


def _best_first(
    model: onnx.ModelProto,
    stats: Mapping[str, ActivationStats],
    tables: Mapping[str, Ranges],
    photos: Sequence[NDArray[np.uint8]],
) -> list[tuple[str, onnx.ModelProto]]:
    """The network by every table of ranges, by the error of its logits."""
    corrected = correct_bias(model, stats)
    quantized = {name: quantize(corrected, ranges) for name, ranges in tables.items()}
    errors = dict(zip(quantized, logit_error(model, list(quantized.values()), photos), strict=True))
    return [(name, quantized[name]) for name in sorted(quantized, key=errors.__getitem__)]


def _sensitivities(
    model: onnx.ModelProto,
    stats: Mapping[str, ActivationStats],
    ranges: Ranges,
    photos: Sequence[NDArray[np.uint8]],
    on_event: Listener,
) -> tuple[LayerSensitivity, ...]:
    with progress(on_event, "measuring the sensitivity of each layer") as update:
        sensitivities = measure_sensitivity(model, stats, ranges, photos, update)
    say(on_event, "error of the logits when only this layer is quantized:")
    for one in sensitivities[: 2 * MAX_FLOAT_LAYERS]:
        say(on_event, f"  {one.error:8.4f}  {one.layer}")
    return sensitivities


def verdict(gate: Gate) -> str:
    """What a gate found, in one line."""
    worst = f", {gate.worst_class} {_change(gate.worst_drop)}" if gate.worst_class else ""
    allowed = f"-{gate.max_drop:g} allowed, -{gate.max_class_drop:g} in a class"
    return (
        f"{gate.correct_after} of {gate.photos} {gate.split} photos right, {gate.correct_before} before: "
        f"{_change(gate.drop)} points ({_change(gate.drop_high)} to {_change(gate.drop_low)}){worst}; {allowed}: "
        f"{'within budget' if gate.passed else 'OUT OF BUDGET'}"
    )


def _change(drop: float) -> str:
    return f"{-drop + 0.0:+.1f}"


def _described(gate: Gate) -> str:
    layers = len(gate.float_layers)
    return gate.calibration + (f", {layers} layer{'s' * (layers > 1)} in float" if layers else "")
