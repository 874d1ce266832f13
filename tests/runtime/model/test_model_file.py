"""Model files: the seal, files that edgeclf did not make, and models that onnxruntime cannot run."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from edgeclf.classifier import Classifier
from edgeclf.errors import ModelDamagedError, ModelError, ModelTooNewError, NotAModelError
from edgeclf.model.file import SEAL_LENGTH, read_model_file
from onnx import TensorProto, helper
from PIL import Image

ALL_MODEL_ERRORS = (ModelError, NotAModelError, ModelDamagedError, ModelTooNewError)


def refusal(path: Path, kind: type[ModelError] = ModelError, says: str = ".") -> ModelError:
    with pytest.raises(kind, match=says) as caught:
        read_model_file(path)
    assert type(caught.value) in ALL_MODEL_ERRORS
    assert str(path) in str(caught.value)
    return caught.value


def test_good_file_says_what_it_is(model: Path) -> None:
    file = read_model_file(model)
    assert (file.path, file.size) == (str(model), model.stat().st_size)
    assert file.sha256.encode() == model.read_bytes()[-64:]
    assert file.manifest.classes == ("adelie", "gentoo", "king")
    assert read_model_file(str(model)) == file


def test_onnx_itself_accepts_the_sealed_file(model: Path) -> None:
    onnx.checker.check_model(onnx.load(model))


def test_any_flipped_bit_is_refused(model: Path, tmp_path: Path) -> None:
    content = model.read_bytes()
    rng = np.random.default_rng(5)
    everywhere = rng.integers(len(content), size=300)
    edges = [*range(60), *range(len(content) - 100, len(content))]
    path = tmp_path / "flipped.onnx"
    for position in [*edges, *map(int, everywhere)]:
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        refusal(path)


def test_any_truncation_is_refused(model: Path, tmp_path: Path) -> None:
    content = model.read_bytes()
    path = tmp_path / "cut.onnx"
    lengths = np.random.default_rng(6).integers(len(content), size=100)
    for length in [*range(1, SEAL_LENGTH + 2), *map(int, lengths), len(content) - SEAL_LENGTH, len(content) - 1]:
        path.write_bytes(content[:length])
        refusal(path)


def test_appended_bytes_break_the_seal(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "longer.onnx"
    path.write_bytes(model.read_bytes() + b"\x08\x09")  # a valid protobuf field
    refusal(path, ModelDamagedError, "the seal is broken")


def test_changed_weight_breaks_the_seal(model: Path, tmp_path: Path) -> None:
    proto = onnx.load_from_string(model.read_bytes())
    weights = max(proto.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    position = model.read_bytes().index(weights.raw_data)
    content = bytearray(model.read_bytes())
    content[position] ^= 1
    path = tmp_path / "weight.onnx"
    path.write_bytes(content)
    refusal(path, ModelDamagedError, "the seal is broken")


def test_files_that_are_no_model(tmp_path: Path) -> None:
    for name, content in {"text": b"dear diary\n" * 20, "short": b"\x08", "zeros": bytes(500)}.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        refusal(path, NotAModelError, "not an ONNX model")
    picture = tmp_path / "picture.onnx"
    Image.new("RGB", (9, 9)).save(picture, "PNG")
    refusal(picture, NotAModelError, "not an ONNX model")
    empty = tmp_path / "empty.onnx"
    empty.touch()
    refusal(empty, ModelDamagedError, r"empty \(0 bytes\)")
    refusal(tmp_path / "missing.onnx", NotAModelError, "no such model file")
    refusal(tmp_path, NotAModelError, "is not a file")
    with pytest.raises(NotAModelError):
        read_model_file("nul\0.onnx")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_named_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    path = tmp_path / "pipe.onnx"
    os.mkfifo(path)
    found: list[ModelError] = []
    worker = threading.Thread(target=lambda: found.append(refusal(path, NotAModelError)), daemon=True)
    worker.start()
    worker.join(5)
    assert found


def test_somebody_elses_onnx_file(tmp_path: Path) -> None:
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", value[:1], value[1:])
    path = tmp_path / "other.onnx"
    onnx.save(helper.make_model(graph), path)
    error = refusal(path, NotAModelError, "without edgeclf's manifest")
    assert "edgeclf export" in error.remedy


def test_what_onnxruntime_refuses_is_a_model_error(rebuild: Callable[..., Path]) -> None:
    path = rebuild(lambda proto: setattr(proto.graph.node[0], "op_type", "NoSuchOperator"))
    with pytest.raises(ModelError, match="onnxruntime cannot load it") as caught:
        Classifier(path)
    assert "\n" not in str(caught.value)


def test_too_old_onnxruntime_says_upgrade(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "__version__", "1.15.1")
    with pytest.raises(ModelTooNewError, match=r"1\.15\.1 is installed"):
        Classifier(model)


def test_file_may_carry_any_name(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "модель 企鹅.bin"
    shutil.copy(model, path)
    assert Classifier(path).labels
