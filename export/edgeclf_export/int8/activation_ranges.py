"""The value range that INT8 must hold for each activation: observed on calibration photos, some outliers cut off.

onnxruntime's own percentile and entropy calibrators keep every activation of every photo in memory. Here one pass finds
minimum and maximum and a second pass fills histograms between them, one photo at a time: memory does not grow with the
number of photos.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import length_hint
from typing import Any

import numpy as np
import onnx
from edgeclf.events import Listener, log, progress
from edgeclf.model.session import open_cpu_session
from numpy.typing import NDArray
from onnx import TensorProto, helper

# What onnxruntime runs in integers on a CPU, plus operators that only move values.
OPERATORS = ("Conv", "Gemm", "Add", "Relu", "Clip", "MaxPool", "GlobalAveragePool", "Flatten", "Reshape", "Transpose")
BINS = 2048

Ranges = Mapping[str, tuple[float, float]]  # tensor name -> lowest and highest value that INT8 represents
Photos = Iterable[NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class ActivationStats:
    """Minimum, maximum and mean of each channel of an activation on calibration photos, float64 ``[channels]``."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mean: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Histogram:
    """The distribution of an activation's values: int64 ``counts`` of equal bins from ``low`` to ``high``."""

    low: float
    high: float
    counts: NDArray[np.int64]

    @property
    def centres(self) -> NDArray[np.float64]:
        """The middle of every bin."""
        width = (self.high - self.low) / len(self.counts)
        return np.asarray(self.low + width * (np.arange(len(self.counts)) + 0.5))


@dataclass(frozen=True, eq=False)
class _ObservedModel:
    """A session whose outputs are all activations that may be quantized.

    Attributes:
        session: of onnxruntime.
        names: of its outputs.
    """

    session: Any
    names: tuple[str, ...]

    def activations(self, photo: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """All activations of one photo, by name."""
        return dict(zip(self.names, self.session.run(self.names, {"image": photo[None]}), strict=True))


def observe(
    model: onnx.ModelProto, photos: Photos, on_event: Listener = log, task: str = "measuring activation ranges"
) -> dict[str, ActivationStats]:
    """Measure every activation that may be quantized; its second axis counts as channels.

    Args:
        model: a float graph of ``to_onnx``.
        photos: as the network takes them, uint8 ``[size, size, 3]``; read once, one at a time.
        on_event: gets ``Progress``.
        task: its name in ``Progress``.

    Returns:
        The statistics of each activation, by name.

    Raises:
        BackendError: onnxruntime is not installed.
    """
    stats: dict[str, ActivationStats] = {}
    observed = _observed(model)
    with progress(on_event, task) as update:
        for done, photo in enumerate(photos, 1):
            for name, values in observed.activations(photo).items():
                parts = values.reshape(*values.shape[:2], -1)  # several where a photo is cut into windows, as in Swin
                low, high = (extreme.astype(np.float64) for extreme in (parts.min((0, 2)), parts.max((0, 2))))
                mean = parts.mean((0, 2), dtype=np.float64)
                if before := stats.get(name):
                    low, high = np.minimum(low, before.low), np.maximum(high, before.high)
                    mean = before.mean + (mean - before.mean) / done
                stats[name] = ActivationStats(low, high, mean)
            update(done, length_hint(photos))
    return stats


def minmax(stats: Mapping[str, ActivationStats]) -> dict[str, tuple[float, float]]:
    """The lowest and highest value of every activation."""
    return {name: (float(one.low.min()), float(one.high.max())) for name, one in stats.items()}


def histograms(
    model: onnx.ModelProto,
    photos: Photos,
    extremes: Ranges,
    on_event: Listener = log,
    task: str = "measuring activation ranges, second pass",
) -> dict[str, Histogram]:
    """Histograms of the same activations between their ``extremes``; other arguments as for ``observe``."""
    counts = {name: np.zeros(BINS, np.int64) for name in extremes}
    observed = _observed(model)
    with progress(on_event, task) as update:
        for done, photo in enumerate(photos, 1):
            for name, values in observed.activations(photo).items():
                low, high = extremes[name]
                scale = BINS / (high - low) if high > low else 0.0
                bins = ((values.ravel() - np.float32(low)) * np.float32(scale)).astype(np.int32)
                counts[name] += np.bincount(np.clip(bins, 0, BINS - 1), minlength=BINS)
            update(done, length_hint(photos))
    return {name: Histogram(*extremes[name], counts[name]) for name in extremes}


def full_range(histogram: Histogram) -> tuple[float, float]:
    """The range that cuts nothing off."""
    return histogram.low, histogram.high


def percentile(histogram: Histogram, share: float) -> tuple[float, float]:
    """The range that holds ``share`` (0..1) of all values; the rest is cut off evenly on both sides."""
    edges = np.linspace(histogram.low, histogram.high, len(histogram.counts) + 1)
    cut = histogram.counts.sum() * (1 - share) / 2
    below = np.cumsum(histogram.counts)
    first = int(np.searchsorted(below, cut, side="right"))
    last = len(below) - 1 - int(np.searchsorted(np.cumsum(histogram.counts[::-1]), cut, side="right"))
    return float(edges[min(first, last)]), float(edges[last + 1])


def least_error(histogram: Histogram) -> tuple[float, float]:
    """The range with the least mean square error of rounding to 256 values and cutting off the rest.

    The two ends are searched in turn on a grid of hundredths. Rounding costs scale^2 / 12 (a uniform error).
    """
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    ends = [low, high]
    for side in (1, 0, 1, 0):
        candidates = np.linspace(0.02, 1, 99) * (low, high)[side]
        errors = []
        for candidate in candidates:
            ends[side] = float(candidate)
            errors.append(_square_error(histogram, *ends))
        ends[side] = float(candidates[-1 - int(np.argmin(errors[::-1]))])  # the widest of equal ones
    return ends[0], ends[1]


def _square_error(histogram: Histogram, low: float, high: float) -> float:
    values = histogram.centres
    beyond = np.maximum(low - values, 0) + np.maximum(values - high, 0)
    inside = histogram.counts[beyond == 0].sum()
    return float((histogram.counts * beyond**2).sum() + inside * ((high - low) / 255) ** 2 / 12)


def _observed(model: onnx.ModelProto) -> _ObservedModel:
    """A session that also returns every float tensor that is input or output of a quantizable node."""
    watched = onnx.shape_inference.infer_shapes(model)
    graph = watched.graph
    constants = {tensor.name for tensor in graph.initializer}
    floats = {
        info.name
        for info in (*graph.value_info, *graph.output)
        if info.type.tensor_type.elem_type == TensorProto.FLOAT and info.name not in constants
    }
    quantizable = [name for node in graph.node if node.op_type in OPERATORS for name in (*node.input, *node.output)]
    names = tuple(sorted(floats.intersection(quantizable)))
    outputs = {output.name for output in graph.output}
    graph.output.extend(helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in names if n not in outputs)
    return _ObservedModel(open_cpu_session(watched.SerializeToString()), names)
