"""``timm:NAME``: any network of the package timm (Wightman 2019) that ends in a pool and a classifier.

What timm knows of a network is taken from its configuration: normalisation, input size, classifier, licence, and where
the weights are. How it is cut into stages: ``timm_parts.py``.
"""

import difflib
import os
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from edgeclf.errors import BackendError, UsageError, WeightsError
from torch import nn

from edgeclf_training.networks.architectures import Architecture
from edgeclf_training.networks.timm_parts import cut_timm
from edgeclf_training.networks.weights import State

_FILES = ("model.safetensors", "pytorch_model.bin")  # of a repository on the hub, the first that it has
_MAX_REASON_CHARACTERS = 160


@dataclass(frozen=True)
class HubWeights:
    """Weights in a repository of the Hugging Face hub.

    Attributes:
        repository: such as "timm/resnet18.a1_in1k".
        file: its name; None for the usual ones.
        licence: of the weights, as timm states it.
    """

    repository: str
    file: str | None
    licence: str

    def fetch(self) -> Path:
        """The file in the cache of huggingface_hub; downloaded first if it is missing.

        Raises:
            WeightsError: not cached, and the download fails.
        """
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        import huggingface_hub
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        files = (self.file,) if self.file else _FILES
        for file in files:  # the cache first: a run needs no network twice
            cached = huggingface_hub.try_to_load_from_cache(self.repository, file)
            if isinstance(cached, str):
                return Path(cached)
        reason: Exception | None = None
        for file in files:
            try:
                return Path(huggingface_hub.hf_hub_download(self.repository, file))
            except LocalEntryNotFoundError as error:  # no network; it is an EntryNotFoundError too
                reason = error
                break
            except EntryNotFoundError as error:  # the repository has no file of this name
                reason = error
            except Exception as error:  # errors of the network have no common type across versions
                reason = error
                break
        url = f"https://huggingface.co/{self.repository}/resolve/main/{files[0]}"
        raise WeightsError(
            f"the weights {self.repository} are not cached and cannot be downloaded ({_short(reason)})",
            f"fetch {url} on a connected machine and give it with --weights FILE, or train with --weights none",
        )

    def describe(self, network: str) -> str:
        """What they are, for the model file's provenance."""
        return self.repository


@lru_cache
def timm_architecture(name: str) -> Architecture:
    """The network of this name, as timm's own configuration describes it.

    Args:
        name: without "timm:"; with or without the tag of its weights, such as "resnet18.a1_in1k".

    Raises:
        BackendError: timm is not installed.
        UsageError: timm has no network of this name, or it does not take RGB photos.
    """
    if find_spec("timm") is None:
        raise BackendError(f"the network timm:{name} needs the package timm", 'pip install "edgeclf[timm]"')
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import timm
    from timm.models import get_pretrained_cfg, is_model, split_model_name_tag

    plain, tag = split_model_name_tag(name)
    if not is_model(plain):
        near = difflib.get_close_matches(plain, timm.list_models(), 3, 0.5)
        remedy = f"did you mean {' or '.join(f'timm:{one}' for one in near)}?" if near else "see timm.list_models()"
        raise UsageError(f"timm {timm.__version__} has no network {plain!r}", remedy)
    try:
        config = get_pretrained_cfg(name)
    except RuntimeError:
        config = None
    if config is None and tag:
        tags = [one.partition(".")[2] for one in timm.list_pretrained(plain)]
        raise UsageError(
            f"timm {timm.__version__} has no weights {tag!r} of {plain}", f"choose one of {', '.join(tags)}"
        )
    if config is None or config.input_size[0] != 3:
        raise UsageError(f"timm:{name} does not take RGB photos, or is not described by timm", "choose another network")
    classifier = (config.classifier,) if isinstance(config.classifier, str) else tuple(config.classifier or ())
    weights = None
    if config.hf_hub_id:
        weights = HubWeights(config.hf_hub_id, config.hf_hub_filename, config.license or "unknown")
    return Architecture(
        partial(_skeleton, name),
        cut_timm,
        classifier=tuple(f"{one}." for one in classifier) or ("head.",),
        mean=cast(Any, tuple(value * 255 for value in config.mean)),
        std=cast(Any, tuple(value * 255 for value in config.std)),
        image_size=max(config.input_size[1:]),
        imagenet=weights,
        adapt_state=partial(_adapted, name),
    )


def _skeleton(name: str) -> nn.Module:
    import timm

    return timm.create_model(name, pretrained=False)


def _adapted(name: str, state: State) -> State:
    """A state dict under timm's names: timm's own rules know those of the networks' authors."""
    import timm

    try:
        overlay = {"state_dict": dict(state), "custom_load": False}
        net = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay)
    except Exception:  # names of no origin that timm knows: the caller says which tensors are missing
        return state
    return dict(net.state_dict())


def _short(error: Exception | None) -> str:
    """The first sentence of an error of huggingface_hub, which explains at length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(". ")[0][:_MAX_REASON_CHARACTERS]
