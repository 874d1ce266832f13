"""Weights that timm names: in a repository of the Hugging Face hub, or at an address that is only told."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from edgeclf.errors import WeightsError

_FILES = ("model.safetensors", "pytorch_model.bin")  # of a repository on the hub, the first that it has
_MAX_REASON_CHARACTERS = 160
_CONNECT_SECONDS = 10


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
        reason: Exception | None = _no_way(huggingface_hub.constants)
        for file in files if reason is None else ():
            try:
                with _quiet():
                    return Path(huggingface_hub.hf_hub_download(self.repository, file))
            except LocalEntryNotFoundError as error:  # no network; it is an EntryNotFoundError too
                reason = error
                break
            except EntryNotFoundError as error:  # the repository has no file of this name
                reason = error
            except Exception as error:  # errors of the network have no common type across versions
                reason = error
                break
        url = f"{huggingface_hub.constants.ENDPOINT}/{self.repository}/resolve/main/{files[0]}"
        raise WeightsError(
            f"the weights {self.repository} are not cached and cannot be downloaded ({_short(reason)})",
            f"fetch {url} on a connected machine and give it with --weights FILE, or train with --weights none",
        )

    def describe(self, network: str) -> str:
        """What they are, for the model file's provenance."""
        return self.repository


@dataclass(frozen=True)
class LinkedWeights:
    """Weights at an address outside the hub: they are never fetched, the address is told."""

    url: str
    licence: str

    def fetch(self) -> Path:
        """Never a file.

        Raises:
            WeightsError: always; it says where to fetch them.
        """
        raise WeightsError(
            "the weights of this network are not on the Hugging Face hub",
            f"fetch {self.url} and give it with --weights FILE, or train with --weights none",
        )

    def describe(self, network: str) -> str:
        """What they are, for the model file's provenance."""
        return self.url


def _no_way(hub: object) -> Exception | None:
    """Why the hub cannot be reached, told at once: huggingface_hub itself tries for half a minute.

    Not asked where the user has chosen to be offline, which huggingface_hub says itself, nor behind a proxy.
    """
    address = urlsplit(str(getattr(hub, "ENDPOINT", "")))
    proxies = getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    if getattr(hub, "HF_HUB_OFFLINE", False) or proxy or not address.hostname:
        return None
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname, port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        return OSError(f"{address.hostname}: {error.strerror or error or type(error).__name__}")
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without huggingface_hub's lines about each try: one error says it all."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _short(error: BaseException | None) -> str:
    """The first sentence of what huggingface_hub met first: its own errors explain at length."""
    while error is not None and error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(" For more ")[0].split(". ")[0][:_MAX_REASON_CHARACTERS]
