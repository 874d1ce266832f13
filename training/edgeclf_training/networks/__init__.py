"""Networks: features in named stages, an optional pool, and a linear or MLP head."""

from edgeclf_training.networks.architectures import ARCHITECTURES, Architecture, build_network, get_architecture
from edgeclf_training.networks.network import Head, Network, freeze, train_mode
from edgeclf_training.networks.weights import Loaded, read_state

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Head",
    "Loaded",
    "Network",
    "build_network",
    "freeze",
    "get_architecture",
    "read_state",
    "train_mode",
]
