"""INT8 within the budget: the best calibration first, then the others, then the most harmful layers back to float.

Bounded by counts, never by time: the same run must give the same file.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnx
from edgeclf.cli.console import Console
from edgeclf.model.manifest import Gate
from numpy.typing import NDArray

from edgeclf_export.int8.activation_ranges import (
    Histogram,
    Ranges,
    Seen,
    extremes,
    histograms,
    least_error,
    minmax,
    observe,
    percentile,
)
from edgeclf_export.int8.equalize import correct_bias, equalise
from edgeclf_export.int8.layer_sensitivity import Harm, apart, logit_error, measure_harm
from edgeclf_export.int8.quantize import layer_names, quantize
from edgeclf_export.verify.gate import Budget, HeldOut, measure
from edgeclf_export.verify.predictions import Answers

_HARM_PHOTOS = 16
MOST_FLOAT_LAYERS = 8  # and at most half of all: beyond that FP16 serves better

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
    """One way to quantize: the file's bytes, what it answered and how it was judged."""

    data: bytes
    answers: Answers
    gate: Gate
    error: float  # root mean square difference of the logits from the trained network's


@dataclass(frozen=True, eq=False)
class Found:
    """What a search ended with.

    Attributes:
        chosen: the first attempt that passed, else the one that lost least.
        tried: the judgements of all attempts, in order.
        harms: of all layers, the most harmful first; empty if it did not come to that.
    """

    chosen: Attempt
    tried: tuple[Gate, ...]
    harms: tuple[Harm, ...]


def search_int8(
    model: onnx.ModelProto,
    photos: PhotoSource,
    count: int,
    probes: PhotoSource,
    held_out: HeldOut,
    budget: Budget,
    pack: Callable[[onnx.ModelProto, str], bytes],
    ask: Callable[[bytes], Answers],
    console: Console,
) -> Found:
    """Quantize until the budget is kept, or until there is nothing left to try.

    Args:
        model: a float graph of ``to_onnx``.
        photos: calibration photos; read twice.
        count: how many there are.
        probes: a few other photos, on which calibrations are compared and layers' harm is measured: what is wrong with
            the ranges may be the calibration photos themselves.
        held_out: what the gate judges by.
        budget: what may be lost.
        pack: makes a file of a quantized graph and its precision.
        ask: a file's answers on the held-out photos.
        console: told of every attempt beyond the first, and of each layer's harm.
    """
    attempts: list[Attempt] = []

    def attempt(calibration: str, quantized: onnx.ModelProto, in_float: tuple[str, ...] = ()) -> bool:
        data = pack(quantized, "mixed" if in_float else "int8")
        answers = ask(data)
        gate = measure(held_out, answers, budget, calibration, in_float)
        attempts.append(Attempt(data, answers, gate, apart(answers.logits, held_out.reference.logits)))
        if not (gate.passed and len(attempts) == 1):
            console.line(f"{_described(gate)}: {verdict(gate)}")
        return gate.passed

    with console.progress("calibrating") as progress:
        seen = observe(model, photos(), lambda done: progress(done, count))
    model, seen = equalise(model, seen)
    with console.progress("calibrating, second pass") as progress:
        counted = histograms(model, photos(), minmax(seen), lambda done: progress(done, count))
    tables = {name: {key: choose(one) for key, one in counted.items()} for name, choose in CALIBRATIONS.items()}
    asked = list(probes())
    for name, quantized in _best_first(model, seen, tables, asked):
        if attempt(name, quantized):
            break
    harms: tuple[Harm, ...] = ()
    if not attempts[-1].gate.passed:
        best = min(attempts, key=lambda a: a.error).gate.calibration
        harms = _harms(model, seen, tables[best], asked[:_HARM_PHOTOS], console)
        for number in range(1, min(MOST_FLOAT_LAYERS, len(layer_names(model.graph)) // 2) + 1):
            in_float = tuple(harm.layer for harm in harms[:number])
            if attempt(best, quantize(correct_bias(model, seen, in_float), tables[best], in_float), in_float):
                break
    chosen = next((a for a in attempts if a.gate.passed), None)
    chosen = chosen or min(attempts, key=lambda a: (a.gate.drop, a.error))
    return Found(chosen, tuple(a.gate for a in attempts), harms)


def _best_first(
    model: onnx.ModelProto,
    seen: Mapping[str, Seen],
    tables: Mapping[str, Ranges],
    photos: Sequence[NDArray[np.uint8]],
) -> list[tuple[str, onnx.ModelProto]]:
    """The network by every table of ranges, by the error of its logits."""
    corrected = correct_bias(model, seen)
    quantized = {name: quantize(corrected, ranges) for name, ranges in tables.items()}
    errors = dict(zip(quantized, logit_error(model, list(quantized.values()), photos), strict=True))
    return [(name, quantized[name]) for name in sorted(quantized, key=errors.__getitem__)]


def _harms(
    model: onnx.ModelProto,
    seen: Mapping[str, Seen],
    ranges: Ranges,
    photos: Sequence[NDArray[np.uint8]],
    console: Console,
) -> tuple[Harm, ...]:
    with console.progress("measuring each layer's harm") as progress:
        harms = measure_harm(model, seen, ranges, photos, progress)
    console.line("error of the logits when only this layer is quantized:")
    for harm in harms[: 2 * MOST_FLOAT_LAYERS]:
        console.line(f"  {harm.error:8.4f}  {harm.layer}")
    return harms


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
