"""What a network can be computed on here: every execution provider of the installed onnxruntime, tried out."""

from dataclasses import dataclass

from edgeclf.errors import EdgeclfError
from edgeclf.model.default_model import DEFAULT_MODEL
from edgeclf.model.file import read_model_file
from edgeclf.model.session import CPU, automatic, import_onnxruntime, offered, open_session, short_name


@dataclass(frozen=True)
class Device:
    """One of them.

    Attributes:
        name: what to give to ``device``, such as "cpu" or "cuda".
        provider: onnxruntime's name for it, which a classifier that runs on it reports.
        works: it opened the network in the package; "cpu" serves what it cannot compute itself.
        reason: why not; empty where it works.
        auto: "auto" takes it.
    """

    name: str
    provider: str
    works: bool
    reason: str
    auto: bool


def find_devices() -> tuple[Device, ...]:
    """Try all of them with the network in the package.

    Raises:
        BackendError: onnxruntime is not available.
        ModelError: the package is damaged.
    """
    available = offered(import_onnxruntime().get_available_providers())
    file, failures = read_model_file(DEFAULT_MODEL), {}
    for provider in available:
        try:
            open_session(file, provider, 1)
        except EdgeclfError as error:
            failures[provider] = error.message
    wanted = automatic(available)
    taken = CPU if wanted in failures else wanted
    return tuple(
        Device(short_name(name), name, name not in failures, failures.get(name, ""), name == taken)
        for name in available
    )
