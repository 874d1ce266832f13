"""Post-training static INT8: uint8 activations, int8 weights per channel, the same answer on every CPU.

AVX2 machines without VNNI multiply uint8 by int8 in pairs and add each pair in a saturating 16-bit register
(``vpmaddubsw``), so full-range weights give other answers there. The usual cure, 7-bit weights, costs accuracy. Only
the sum of two *adjacent* products must fit, so each output channel is scaled by its worst adjacent pair instead.
"""

import logging
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from edgeclf.session import import_onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

# What onnxruntime runs in integers on a CPU, plus what only moves values.
_OPERATORS = ["Conv", "Gemm", "Add", "Relu", "Clip", "MaxPool", "GlobalAveragePool", "Flatten", "Reshape", "Transpose"]


def quantize(
    model: onnx.ModelProto,
    photos: Iterable[NDArray[np.uint8]],
    progress: Callable[[int], None] | None = None,
) -> onnx.ModelProto:
    """Quantize a graph of ``to_onnx``.

    Args:
        model: float; not changed.
        photos: calibration photos as the network takes them, uint8 ``[size, size, 3]``; read once, one at a time.
        progress: called with the number of photos done.

    Returns:
        A QDQ graph with the same input and output. Logits leave it in float: their ranking is not rounded.

    Raises:
        BackendError: onnxruntime is not installed.
    """
    import_onnxruntime()
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._photos = enumerate(photos, 1)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            done, photo = next(self._photos, (0, None))
            if photo is None:
                return None
            if progress:
                progress(done)
            return {"image": photo[None]}

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises a pre-processing that torch's exporter has done already
    try:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "int8.onnx"
            quantization.quantize_static(
                model,
                target,
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=_OPERATORS,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod.MinMax,
                extra_options={
                    "TensorQuantOverrides": _pair_ranges(model.graph),
                    "OpTypesToExcludeOutputQuantization": ["Gemm"],
                },
            )
            return onnx.load(target)
    finally:
        root.setLevel(level)


def pair_safe_peak(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """The value that becomes 127 in each output channel, so that no adjacent pair can saturate.

    A pair of the same sign may reach 128 together: 255 * 128 < 2^15. Pairs are (0, 1), (2, 3), ... of the filter
    flattened as (h, w, c) and as (c, h, w), the two orders in which kernels read it. A depthwise filter (one input
    channel) is multiplied by other kernels, in 32 bits, and keeps the full range.

    Args:
        weights: ``[out, in]`` or ``[out, in, h, w]``.

    Returns:
        float32 ``[out]``, > 0.
    """
    peak = np.abs(weights.reshape(len(weights), -1)).max(1)
    if weights.ndim == 2 or weights.shape[1] > 1:
        orders = [weights] if weights.ndim == 2 else [weights, weights.transpose(0, 2, 3, 1)]
        for order in orders:
            flat = order.reshape(len(weights), -1)
            even = np.pad(flat, ((0, 0), (0, flat.shape[1] % 2)))
            first, second = even[:, 0::2], even[:, 1::2]
            together = np.where(first * second > 0, np.abs(first + second), 0)
            peak = np.maximum(peak, together.max(1))
    return np.asarray(np.maximum(peak, np.finfo(np.float32).tiny), dtype=np.float32)


def _pair_ranges(graph: onnx.GraphProto) -> dict[str, list[dict[str, Any]]]:
    constants = {tensor.name: tensor for tensor in graph.initializer}
    ranges = {}
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm") and node.input[1] in constants:
            peaks = pair_safe_peak(numpy_helper.to_array(constants[node.input[1]]))
            ranges[node.input[1]] = [
                {"axis": 0, "rmin": np.float32(-peak), "rmax": np.float32(peak), "symmetric": True} for peak in peaks
            ]
    return ranges
