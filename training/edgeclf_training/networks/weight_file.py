"""Reads a file of weights, of PyTorch or of safetensors. Pickled objects are never loaded."""

import pickle
import warnings
import zipfile
from pathlib import Path

import torch
from edgeclf.errors import WeightsError
from torch import Tensor

_SAFETENSORS_JSON_AT = 8  # after the length of the description, a JSON object
_TORCH_BEGINNINGS = (b"PK\x03\x04", b"\x80")  # a zip, or a pickle of before 2020
_WRAPPERS = ("state_dict", "model")  # keys of checkpoints of timm, torchvision, DeiT, ConvNeXt, ...
_PREFIX = "module."  # what torch's parallel training puts before all names


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict; never runs code from the file. What the file is, its content tells, not its name.

    Raises:
        WeightsError: no such file, not a plain state dict of tensors, or a tensor has values that are not finite.
    """
    beginning = _beginning(path)
    if beginning[_SAFETENSORS_JSON_AT:] == b"{":
        return _finite(_read_safetensors(path), path)
    if not beginning.startswith(_TORCH_BEGINNINGS):
        raise WeightsError(f"{path} is not a weight file of PyTorch or safetensors", "download or copy it again")
    state = _read_torch(path)
    for key in _WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()) or not state:
        raise WeightsError(f"{path} contains no state dict", "save one with torch.save(model.state_dict(), FILE)")
    names = [str(name) for name in state]
    if all(name.startswith(_PREFIX) for name in names):
        names = [name.removeprefix(_PREFIX) for name in names]
    return _finite(dict(zip(names, state.values(), strict=True)), path)


def _beginning(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_SAFETENSORS_JSON_AT + 1)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such weight file", "check the path given to --weights") from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror})", "give a weight file to --weights") from error


def _read_torch(path: Path) -> object:
    try:
        with warnings.catch_warnings(), path.open("rb") as file:  # given a path, torch goes by its suffix
            warnings.simplefilter("ignore")  # torch warns about unusual files; real problems are raised
            return torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        if not zipfile.is_zipfile(path) and not isinstance(error, pickle.UnpicklingError):
            raise WeightsError(f"{path} is damaged or incomplete", "download or copy it again") from error
        raise WeightsError(
            f"{path} is not a plain PyTorch weight file",
            "give a state dict saved with torch.save(model.state_dict(), FILE); files that carry code are refused",
        ) from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"{path}: the package safetensors is not installed", 'pip install "edgeclf[timm]"'
        ) from error
    try:
        return load(path.read_bytes())
    except SafetensorError as error:
        raise WeightsError(f"{path} is damaged or incomplete ({error})", "download or copy it again") from error


def _finite(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    if broken := [str(name) for name, value in state.items() if not torch.isfinite(value).all()]:
        raise WeightsError(
            f"{path}: {broken[0]} has values that are not finite (NaN or infinity)", "use weights saved earlier"
        )
    return state
