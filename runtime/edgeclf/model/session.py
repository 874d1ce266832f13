"""Opening onnxruntime sessions: the device, the only set of session options, and no silent fallback."""

import os
from pathlib import Path
from types import ModuleType
from typing import Any

from edgeclf.errors import BackendError, ModelDamagedError, ModelError, ModelTooNewError
from edgeclf.hardware import cpu_quota
from edgeclf.model import fork_safety
from edgeclf.model.features_output import FEATURES
from edgeclf.model.file import ModelFile
from edgeclf.model.manifest import Manifest
from edgeclf.telemetry import disable_telemetry

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
OPENVINO = "OpenVINO"  # by itself, not as a provider of onnxruntime: see ``edgeclf.model.openvino_session``
_SUFFIX = "ExecutionProvider"
# Part of every onnxruntime. It sends its input to a service on the network and computes nothing itself.
_REFUSED = "AzureExecutionProvider"
_MAX_REASON_CHARACTERS = 300
_INSTALL_HINT = "check its driver and libraries, or use --device cpu"


def import_onnxruntime() -> ModuleType:
    """Import onnxruntime with its telemetry off.

    Returns:
        The module.

    Raises:
        BackendError: it is not installed or does not load.
    """
    disable_telemetry("onnxruntime")
    try:
        import onnxruntime
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        raise BackendError(
            "onnxruntime is not installed" if missing else f"onnxruntime does not load ({error})",
            'pip install "edgeclf[cpu]" (or "edgeclf[gpu]" on a machine with an NVIDIA GPU, not both)',
        ) from error
    if not hasattr(onnxruntime, "InferenceSession"):  # one of its two packages was uninstalled
        raise BackendError("onnxruntime is broken", 'pip install --force-reinstall "edgeclf[cpu]"')
    # The environment variable does not stop Windows events, and comes too late if onnxruntime was imported before.
    getattr(onnxruntime, "disable_telemetry_events", lambda: None)()
    module: ModuleType = onnxruntime
    return module


def usable_threads(root: Path = Path("/")) -> int:
    """How many CPUs this process may use.

    Args:
        root: the folder that has /proc and /sys.

    Returns:
        The CPUs of its affinity, or its container's CPU quota rounded down if that is less; at least 1.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = cpu_quota(root)
    return count if quota is None else max(1, min(count, int(quota)))


def session_options(threads: int, *, spin: bool = False, low_memory: bool = False) -> Any:
    """The options of every onnxruntime session in edgeclf: prediction, self-test, benchmarks, INT8 export.

    Args:
        threads: CPU threads that work on one inference.
        spin: the threads wait for work in a busy loop for a while, onnxruntime's default. Measured on 2 cores: no
            faster on a machine that does nothing else, 1.7 times as slow beside one busy process (docs/design.md).
        low_memory: return memory to the system after each inference.

    Returns:
        A new ``onnxruntime.SessionOptions``.

    Raises:
        BackendError: onnxruntime is not available.
    """
    options = import_onnxruntime().SessionOptions()
    options.log_severity_level = 3  # errors only: stderr belongs to the command line
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if not spin:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = options.enable_mem_pattern = not low_memory
    return options


def open_cpu_session(model: str | bytes, threads: int | None = None, *, spin: bool = False) -> Any:
    """Open any ONNX model on the CPU, without the checks of a model file: for export and benchmarks.

    Args:
        model: a path, or the bytes of an ``.onnx`` file.
        threads: CPU threads that work on one inference; ``usable_threads()`` if None.
        spin: as for ``session_options``.

    Returns:
        The session.

    Raises:
        BackendError: onnxruntime is not available. onnxruntime raises errors of its own for a bad model.
    """
    options = session_options(threads or usable_threads(), spin=spin)
    return import_onnxruntime().InferenceSession(model, options, providers=[CPU])


def open_session(
    model: ModelFile, device: str, threads: int | None, *, spin: bool = False, low_memory: bool = False
) -> tuple[Any, str]:
    """Open a model on a device.

    Args:
        model: a checked model file.
        device: "auto" (CUDA if it is available, else CPU), "cpu", "cuda", the name of any execution provider, or
            "openvino" (see ``edgeclf.model.openvino_session``).
        threads: CPU threads that work on one inference; ``usable_threads()`` if None.
        spin, low_memory: as for ``session_options``.

    Returns:
        The session, and the execution provider that runs it.

    Raises:
        BackendError: onnxruntime or the device is not available.
        ModelTooNewError: this onnxruntime is too old for the file.
        ModelError: onnxruntime cannot load the file, or its inputs and outputs contradict its manifest.
        ModelDamagedError: the file was overwritten after it was checked.
    """
    with fork_safety.opening:
        if device.lower() == OPENVINO.lower():
            # Imported here: it needs numpy, and `edgeclf doctor` imports nothing that could crash.
            from edgeclf.model.openvino_session import open_openvino_session

            return open_openvino_session(model, threads or usable_threads()), OPENVINO
        return _open_session(model, device, threads, spin, low_memory)


def _open_session(model: ModelFile, device: str, threads: int | None, spin: bool, low_memory: bool) -> tuple[Any, str]:
    onnxruntime = import_onnxruntime()
    if _version(onnxruntime.__version__) < _version(model.manifest.min_onnxruntime):
        raise ModelTooNewError(
            f"{model.path}: needs onnxruntime {model.manifest.min_onnxruntime}, {onnxruntime.__version__} is installed",
            "pip install --upgrade onnxruntime",
        )
    wanted = _provider(device, onnxruntime.get_available_providers())
    options = session_options(threads or usable_threads(), spin=spin, low_memory=low_memory)

    def create(*providers: str) -> Any:
        # TF32 keeps 10 of FP32's 23 mantissa bits in products: some logits would be off by more than 1e-2.
        chosen = [(name, {"use_tf32": "0"}) if name == CUDA else name for name in providers]
        with model.content.opened() as content:
            session = onnxruntime.InferenceSession(content, options, providers=chosen, enable_fallback=0)
        fork_safety.never_destroy_in_children(session)
        session.disable_fallback()  # onnxruntime's own fallback raises no error, and prints to stdout
        return session

    try:
        session = create(wanted) if wanted == CPU else create(wanted, CPU)
    except ModelDamagedError:
        raise
    except Exception as error:  # onnxruntime raises bare RuntimeErrors and a dozen classes of its own
        if wanted != CPU and device != "auto":
            raise BackendError(f"{wanted} cannot run {model.path} ({_reason(error)})", _INSTALL_HINT) from error
        try:
            session = create(CPU)
        except ModelDamagedError:
            raise
        except Exception as refused:
            remedy = "export the model again"
            raise ModelError(f"{model.path}: onnxruntime cannot load it ({_reason(refused)})", remedy) from refused
    serving: str = session.get_providers()[0]
    if device != "auto" and serving != wanted:
        raise BackendError(f"{wanted} was requested, but onnxruntime fell back to {serving}", _INSTALL_HINT)
    _check_shape(session, model.manifest, model.path)
    return session, serving


def offered(available: list[str]) -> list[str]:
    """Those of onnxruntime's available execution providers that edgeclf uses, in onnxruntime's order of preference."""
    return [name for name in available if name != _REFUSED]


def short_name(provider: str) -> str:
    """The value of ``device`` that selects an execution provider: "cuda" for "CUDAExecutionProvider"."""
    return provider.removesuffix(_SUFFIX).lower()


def automatic(available: list[str]) -> str:
    """The execution provider that "auto" tries first; if it fails, the CPU is used."""
    return CUDA if CUDA in available else CPU


def _provider(device: str, available: list[str]) -> str:
    available = offered(available)
    if device == "auto":
        return automatic(available)
    for name in available:
        if device.lower() in (name.lower(), short_name(name)):
            return name
    hint = 'pip install "edgeclf[gpu]" in place of "edgeclf[cpu]"' if "cuda" in device.lower() else "use --device cpu"
    from edgeclf.model.openvino_session import openvino_installed

    others = [OPENVINO] if openvino_installed() else []
    names = ", ".join(["auto", *map(short_name, [*available, *others])])
    raise BackendError(f"device {device!r} is not available here; available: {names}", f"{hint}; see `edgeclf devices`")


def _check_shape(session: Any, manifest: Manifest, path: str) -> None:
    side, classes = manifest.contract.size, len(manifest.classes)
    inputs = [(i.name, i.type, list(i.shape[1:])) for i in session.get_inputs()]
    outputs = {o.name: o.type for o in session.get_outputs()}
    features = outputs.pop(FEATURES, "tensor(float)")  # only if somebody asked for them
    logits = [list(o.shape[1:]) for o in session.get_outputs() if o.name == "logits"]
    if (
        inputs != [("image", "tensor(uint8)", [side, side, 3])]
        or outputs != {"logits": "tensor(float)", "cam": "tensor(float)", "cam_class": "tensor(int64)"}
        or (features, logits) != ("tensor(float)", [[classes]])
    ):
        raise ModelError(f"{path}: its inputs and outputs contradict its manifest", "export the model again")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:_MAX_REASON_CHARACTERS]


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("+")[0].split(".")[:3] if part.isdigit())
