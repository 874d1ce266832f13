"""Intel's OpenVINO in place of onnxruntime: faster with many networks on Intel processors, but not bit-exact.

It is not a dependency: ``pip install "edgeclf[openvino]"``. Its INT8 kernels round otherwise than onnxruntime's, so
every file is tested with its golden photos, within ``TOLERANCE``, before it answers anything.
"""

import importlib.util
import os
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import BackendError, ModelDamagedError
from edgeclf.model import fork_safety
from edgeclf.model.file import ModelFile
from edgeclf.model.selftest import logit_difference, network_logits
from edgeclf.telemetry import disable_telemetry

# Largest difference of a golden photo's logit, relative to the photo's largest one. Floats: another order of sums.
# INT8: other roundings, layer after layer. Measured with the default model on 170 photos: at most 0.062 from
# onnxruntime's logits, which themselves are at most 0.135 from those of FP32.
TOLERANCE = {"fp32": 1e-3, "fp16": 1e-3}
INT8_TOLERANCE = 0.1
_process: int | None = None  # that used OpenVINO first: its threads do not survive a fork, and a child would hang


class OpenVinoSession:
    """A compiled network that runs like an onnxruntime session.

    Args:
        compiled: of ``openvino.Core.compile_model``.
    """

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._request = compiled.create_infer_request()
        self._outputs = {name: output for output in compiled.outputs for name in output.get_names()}

    def run(self, names: tuple[str, ...] | list[str] | None, feed: dict[str, NDArray[np.uint8]]) -> list[Any]:
        """Run one inference; not from two threads at once.

        Args:
            names: of the outputs; all of them, in the file's order, if None.
            feed: ``{"image": uint8 [N, size, size, 3]}``.

        Returns:
            The outputs, copied: the next inference does not change them.
        """
        found = self._request.infer(feed)
        outputs = self._compiled.outputs if names is None else [self._outputs[name] for name in names]
        return [np.array(found[output]) for output in outputs]


def openvino_installed() -> bool:
    """Whether the package openvino is there; it is not imported."""
    return importlib.util.find_spec("openvino") is not None


def import_openvino() -> ModuleType:
    """Import openvino without its telemetry.

    Returns:
        The module.

    Raises:
        BackendError: it is not installed, or does not load.
    """
    disable_telemetry("openvino")
    try:
        import openvino
    except Exception as error:  # missing system libraries raise what they like
        missing = isinstance(error, ModuleNotFoundError)
        raise BackendError(
            "OpenVINO is not installed" if missing else f"OpenVINO does not load ({error})",
            'pip install "edgeclf[openvino]", or use --device cpu',
        ) from error
    module: ModuleType = openvino
    return module


def open_openvino_session(model: ModelFile, threads: int) -> OpenVinoSession:
    """Open a model with OpenVINO on the CPU, and test it with the file's golden photos if it has any.

    Args:
        model: a checked model file.
        threads: CPU threads that work on one inference.

    Returns:
        The session, tested.

    Raises:
        BackendError: OpenVINO is not available, cannot run the file, was used before this process was forked, or its
            logits are beyond the tolerance.
        ModelDamagedError: the file was overwritten after it was checked.
    """
    global _process
    if _process not in (None, os.getpid()):
        raise BackendError(
            "OpenVINO does not work in a process that was forked after it was used",
            'start processes with multiprocessing\'s "spawn", or use device "cpu"',
        )
    openvino = import_openvino()
    _process = os.getpid()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",  # else it may compute in 16 bits
        "CACHE_DIR": "",
    }
    try:
        with model.content.opened() as content:
            core = openvino.Core()
            session = OpenVinoSession(core.compile_model(core.read_model(content), "CPU", settings))
    except ModelDamagedError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise BackendError(f"OpenVINO cannot run {model.path} ({reason})", "use --device cpu") from error
    fork_safety.never_destroy_in_children(session)
    largest, allowed = largest_difference(session, model), tolerance(model)
    if not largest <= allowed:  # written so that NaN fails
        raise BackendError(
            f"{model.path}: OpenVINO's logits differ by {largest:.1e} of the largest, {allowed:.0e} is allowed",
            "use --device cpu",
        )
    return session


def tolerance(model: ModelFile) -> float:
    """The largest difference of a logit that is allowed, relative to the photo's largest one."""
    return TOLERANCE.get(model.manifest.precision, INT8_TOLERANCE)


def largest_difference(session: Any, model: ModelFile) -> float:
    """The largest difference of a golden photo's logit from that at export, relative to the photo's largest one.

    Args:
        session: of the same file.
        model: without golden photos the result is 0.

    Returns:
        The difference; infinity if a logit is not finite.
    """
    if (golden := model.manifest.golden) is None:
        return 0.0
    differences = [0.0]
    for photo in golden.photos:
        pixels = np.frombuffer(photo.pixels, np.uint8).reshape(golden.side, golden.side, 3)
        logits = network_logits(session, pixels, model.manifest.contract.size)
        difference = logit_difference(logits, photo)
        differences.append(float("inf") if difference is None else difference)
    return max(differences)
