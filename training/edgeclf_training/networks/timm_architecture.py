"""``timm:NAME``: any network of the package timm (Wightman 2019) that ends in a pool and a classifier.

What timm knows of a network is taken from its configuration: normalisation, input size, classifier, licence, and where
the weights are. How it is cut into stages: ``timm_parts.py``.
"""

import difflib
import os
from collections.abc import Sequence
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import Any, cast

from edgeclf.errors import BackendError, UsageError
from torch import nn

from edgeclf_training.networks.architectures import Architecture
from edgeclf_training.networks.hub_weights import HubWeights, LinkedWeights
from edgeclf_training.networks.timm_parts import cut_timm
from edgeclf_training.networks.weights import State, WeightsSource

_NEAR = 3  # names that are suggested for one that does not exist


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
        raise UsageError(
            f"timm {timm.__version__} has no network {plain!r}", _suggestion(name.strip(), timm.list_models())
        )
    try:
        config = get_pretrained_cfg(name)
    except RuntimeError:
        config = None
    if config is None and plain != name:
        tags = [one.partition(".")[2] for one in timm.list_pretrained(plain)]
        remedy = f"choose one of {', '.join(tags)}" if tag and tags else f"give timm:{plain}"
        raise UsageError(f"timm {timm.__version__} has no weights {tag!r} of {plain}", remedy)
    if config is None:
        raise UsageError(f"timm does not say what photos timm:{name} takes", "choose another network")
    if config.input_size[0] != 3:
        what = f"timm:{name} takes images of {config.input_size[0]} channels, not RGB photos"
        raise UsageError(what, "choose another network")
    classifier = (config.classifier,) if isinstance(config.classifier, str) else tuple(config.classifier or ())
    weights: WeightsSource | None = None
    licence = config.license or "unknown"
    if config.hf_hub_id:
        weights = HubWeights(config.hf_hub_id, config.hf_hub_filename, licence)
    elif isinstance(config.url, str) and config.url:
        weights = LinkedWeights(config.url, licence)
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


def _suggestion(name: str, known: Sequence[str]) -> str:
    """What to do about a name that does not exist: longer names of the same beginning, else names that look alike."""
    wanted = name.lower().removeprefix("timm:").partition(".")[0]
    if not wanted:
        return "give one, such as timm:resnet18; timm.list_models() in Python gives all"
    if ":" in wanted or "/" in name:
        return "give a name of timm.list_models(), not an address; --weights FILE takes weights from elsewhere"
    near = sorted((one for one in known if one.startswith(wanted)), key=lambda one: (len(one), one))[:_NEAR]
    near = near or difflib.get_close_matches(wanted, known, _NEAR, 0.5)
    return f"did you mean {' or '.join(f'timm:{one}' for one in near)}?" if near else "see timm.list_models()"


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
