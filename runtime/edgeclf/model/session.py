"""Opening an onnxruntime session: which device, how many threads, and never a silent fallback."""

import os
from pathlib import Path
from types import ModuleType
from typing import Any

from edgeclf.errors import BackendError, ModelDamagedError, ModelError, ModelTooNewError
from edgeclf.hardware import cpu_quota
from edgeclf.model import fork_safety as forks
from edgeclf.model.file import ModelFile
from edgeclf.model.manifest import Manifest
from edgeclf.telemetry import hush

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
_SUFFIX = "ExecutionProvider"
# Is in every onnxruntime, sends what it is given to a service on the network, and computes nothing itself.
_REFUSED = "AzureExecutionProvider"


def import_onnxruntime() -> ModuleType:
    """The onnxruntime module, which keeps and sends nothing about who uses it.

    Raises:
        BackendError: it is not installed or does not load.
    """
    hush("onnxruntime")
    try:
        import onnxruntime
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        raise BackendError(
            "onnxruntime is not installed" if missing else f"onnxruntime does not load ({error})",
            'pip install "edgeclf[cpu]" (or "edgeclf[gpu]" on a machine with an NVIDIA GPU, not both)',
        ) from error
    if not hasattr(onnxruntime, "InferenceSession"):  # what is left when one of its two packages was uninstalled
        raise BackendError("onnxruntime is broken", 'pip install --force-reinstall "edgeclf[cpu]"')
    # The switch does not reach Windows' events, nor an onnxruntime that somebody else has imported before.
    getattr(onnxruntime, "disable_telemetry_events", lambda: None)()
    module: ModuleType = onnxruntime
    return module


def usable_threads(root: Path = Path("/")) -> int:
    """CPUs this process may use: its affinity, and the CPU quota of its container, rounded down; at least 1.

    ``root`` is where /proc and /sys lie.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = cpu_quota(root)
    return count if quota is None else max(1, min(count, int(quota)))


def open_session(
    model: ModelFile, device: str, threads: int | None, *, spin: bool = True, low_memory: bool = False
) -> tuple[Any, str]:
    """Open a model on a device.

    Args:
        model: a checked model file.
        device: "auto" (CUDA where it is to be had, else CPU), "cpu", "cuda", or the name of any execution provider.
        threads: CPU threads inside one operator; ``usable_threads()`` if None.
        spin: the threads may spin after an inference, waiting for the next one.
        low_memory: return memory to the system after each inference.

    Returns:
        The session and the execution provider that serves it.

    Raises:
        BackendError: onnxruntime or the device is not to be had.
        ModelTooNewError: this onnxruntime is too old for the file.
        ModelError: onnxruntime refuses the file, or it is not shaped as its manifest says.
        ModelDamagedError: the file was written over since it was checked.
    """
    with forks.opening:
        return _open_session(model, device, threads, spin, low_memory)


def _open_session(model: ModelFile, device: str, threads: int | None, spin: bool, low_memory: bool) -> tuple[Any, str]:
    onnxruntime = import_onnxruntime()
    if _version(onnxruntime.__version__) < _version(model.manifest.min_onnxruntime):
        raise ModelTooNewError(
            f"{model.path}: needs onnxruntime {model.manifest.min_onnxruntime}, {onnxruntime.__version__} is installed",
            "pip install --upgrade onnxruntime",
        )
    wanted = _provider(device, onnxruntime.get_available_providers())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: stderr belongs to the command line
    options.intra_op_num_threads = threads or usable_threads()
    options.inter_op_num_threads = 1
    if not spin:  # measured: two sessions of 2 threads that take turns need 71 ms each instead of 33 while they spin
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")

    options.enable_cpu_mem_arena = options.enable_mem_pattern = not low_memory

    def create(*providers: str) -> Any:
        # TF32 keeps 10 bits of FP32's 23 in products: some logits would be off by more than 1e-2.
        chosen = [(name, {"use_tf32": "0"}) if name == CUDA else name for name in providers]
        with model.content.opened() as content:
            session = onnxruntime.InferenceSession(content, options, providers=chosen, enable_fallback=0)
        forks.leave_behind(session)
        session.disable_fallback()  # onnxruntime's own fallback is silent, and prints to stdout
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
            raise ModelError(f"{model.path}: onnxruntime refuses it ({_reason(refused)})", remedy) from refused
    serving: str = session.get_providers()[0]
    if device != "auto" and serving != wanted:
        raise BackendError(f"{wanted} was asked for, but onnxruntime fell back to {serving}", _INSTALL_HINT)
    _check_shape(session, model.manifest, model.path)
    return session, serving


_INSTALL_HINT = "check its driver and libraries, or use --device cpu"


def offered(available: list[str]) -> list[str]:
    """The execution providers edgeclf runs networks on, of those an onnxruntime has, in its order of preference."""
    return [name for name in available if name != _REFUSED]


def short_name(provider: str) -> str:
    """What to give to ``device`` for an execution provider: "cuda" for "CUDAExecutionProvider"."""
    return provider.removesuffix(_SUFFIX).lower()


def automatic(available: list[str]) -> str:
    """The execution provider that "auto" tries first; where it fails, the CPU serves."""
    return CUDA if CUDA in available else CPU


def _provider(device: str, available: list[str]) -> str:
    available = offered(available)
    if device == "auto":
        return automatic(available)
    for name in available:
        if device.lower() in (name.lower(), short_name(name)):
            return name
    hint = 'pip install "edgeclf[gpu]" in place of "edgeclf[cpu]"' if "cuda" in device.lower() else "use --device cpu"
    names = ", ".join(["auto", *map(short_name, available)])
    raise BackendError(f"device {device!r} is not to be had here, there are {names}", f"{hint}; see `edgeclf devices`")


def _check_shape(session: Any, manifest: Manifest, path: str) -> None:
    side, classes = manifest.contract.size, len(manifest.classes)
    inputs = [(i.name, i.type, list(i.shape[1:])) for i in session.get_inputs()]
    outputs = {o.name: o.type for o in session.get_outputs()}
    logits = [list(o.shape[1:]) for o in session.get_outputs() if o.name == "logits"]
    if (
        inputs != [("image", "tensor(uint8)", [side, side, 3])]
        or outputs != {"logits": "tensor(float)", "cam": "tensor(float)", "cam_class": "tensor(int64)"}
        or logits != [[classes]]
    ):
        raise ModelError(f"{path}: its inputs and outputs are not what its manifest says", "export the model again")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("+")[0].split(".")[:3] if part.isdigit())
