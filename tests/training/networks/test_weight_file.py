"""``--weights FILE``: what is read whatever its name, and what is refused in one line."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from edgeclf.errors import WeightsError
from edgeclf_training.networks import read_state

STATE = {"conv.weight": torch.arange(4.0), "fc.bias": torch.ones(2)}


def saved(value: object, path: Path) -> Path:
    torch.save(value, path)
    return path


@pytest.mark.parametrize(
    "wrapped",
    [
        {"state_dict": STATE, "epoch": 3, "optimizer": {}},
        {"model": STATE},
        {"state_dict": {"model": STATE}},
        {f"module.{name}": tensor for name, tensor in STATE.items()},
    ],
)
def test_checkpoints_of_others_are_unwrapped(wrapped: dict[str, object], tmp_path: Path) -> None:
    state = read_state(saved(wrapped, tmp_path / "checkpoint.pth"))
    assert state.keys() == STATE.keys()
    assert torch.equal(state["conv.weight"], STATE["conv.weight"])


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors", "weights.bin", "WEIGHTS"])
@pytest.mark.parametrize("old", [False, True, None], ids=["zip", "pickle", "safetensors"])
def test_the_content_tells_what_a_file_is_not_its_name(name: str, old: bool | None, tmp_path: Path) -> None:
    path = tmp_path / name
    if old is None:
        pytest.importorskip("safetensors.torch").save_file(STATE, path)
    else:
        torch.save(STATE, path, _use_new_zipfile_serialization=not old)
    assert torch.equal(read_state(path)["conv.weight"], STATE["conv.weight"])


def shortened(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-40])
    return path


def written(content: bytes, path: Path) -> Path:
    path.write_bytes(content)
    return path


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "gone": (lambda path: path, "no such weight file"),
    "folder": (lambda path: path.parent, "cannot be read (Is a directory)"),
    "empty": (lambda path: written(b"", path), "is not a weight file of PyTorch or safetensors"),
    "page": (lambda path: written(b"<html>Not found</html>", path), "is not a weight file of PyTorch or safetensors"),
    "pointer": (lambda path: written(b"version https://git-lfs", path), "is not a weight file of PyTorch"),
    "cut": (lambda path: shortened(saved(STATE, path)), "is damaged or incomplete"),
    "cut header": (lambda path: written(b'\xff\0\0\0\0\0\0\0{"conv', path), "is damaged or incomplete"),
    "whole network": (lambda path: saved(torch.nn.Linear(2, 2), path), "files that carry code are refused"),
    "list": (lambda path: saved([1, 2], path), "contains no state dict"),
    "one tensor": (lambda path: saved(torch.zeros(2), path), "contains no state dict"),
    "nothing": (lambda path: saved({}, path), "contains no state dict"),
    "no tensors": (lambda path: saved({"a": 1}, path), "contains no state dict"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_is_told_in_one_line(kind: str, tmp_path: Path) -> None:
    make, says = REFUSED[kind]
    path = make(tmp_path / "weights.pth")
    with pytest.raises(WeightsError) as caught:
        read_state(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert says in message
    assert len(message.splitlines()) == 1
