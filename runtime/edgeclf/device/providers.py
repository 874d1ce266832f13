"""The devices of this machine: every execution provider of the installed onnxruntime is tried with a network."""

from dataclasses import dataclass

from edgeclf.errors import EdgeclfError
from edgeclf.model.default_model import DEFAULT_MODEL
from edgeclf.model.file import read_model_file
from edgeclf.model.openvino_session import openvino_installed
from edgeclf.model.session import CPU, OPENVINO, automatic, import_onnxruntime, offered, open_session, short_name


@dataclass(frozen=True)
class Device:
    """A device that a network can run on.

    Attributes:
        name: the value of ``device`` that selects it, such as "cpu" or "cuda".
        provider: onnxruntime's name for it, as in ``Classifier.device``.
        works: it opened the network in the package; operators that it does not have run on the CPU.
        reason: why it does not work; empty if it works.
        auto: "auto" selects it.
    """

    name: str
    provider: str
    works: bool
    reason: str
    auto: bool


def find_devices() -> tuple[Device, ...]:
    """Try all execution providers with the network in the package.

    Returns:
        The devices, in onnxruntime's order of preference.

    Raises:
        BackendError: onnxruntime is not available.
        ModelError: the package is damaged.
    """
    available = offered(import_onnxruntime().get_available_providers())
    if openvino_installed():
        available = [*available, OPENVINO]
    file, failures = read_model_file(DEFAULT_MODEL), {}
    for provider in available:
        try:
            open_session(file, provider, 1)
        except EdgeclfError as error:
            failures[provider] = error.message
    wanted = automatic(available)
    selected = CPU if wanted in failures else wanted
    return tuple(
        Device(short_name(name), name, name not in failures, failures.get(name, ""), name == selected)
        for name in available
    )
