"""Networks: features in named stages, an optional pool, and a linear or MLP head."""

from edgeclf_training.networks.architectures import ARCHITECTURES, Architecture
from edgeclf_training.networks.build import build_network
from edgeclf_training.networks.network import Head, Network, freeze, train_mode
from edgeclf_training.networks.registry import TIMM, architecture_names, get_architecture, register_architecture
from edgeclf_training.networks.weight_file import read_state
from edgeclf_training.networks.weights import Loaded

__all__ = [
    "ARCHITECTURES",
    "TIMM",
    "Architecture",
    "Head",
    "Loaded",
    "Network",
    "architecture_names",
    "build_network",
    "freeze",
    "get_architecture",
    "read_state",
    "register_architecture",
    "train_mode",
]
