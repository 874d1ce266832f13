"""FP16: half the size, the same answers; and what a checkpoint gives."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from edgeclf import Classifier
from edgeclf.errors import DataError, UsageError
from edgeclf.model.file import read_model_file
from edgeclf.model.session import CUDA
from edgeclf_export.api.export_network import export_network
from edgeclf_export.api.export_run import export_run
from edgeclf_export.graph.fp16_weights import store_fp16_weights
from edgeclf_export.pack.build import seal_model, unseal_model
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.fit.train import train
from edgeclf_training.networks import build_network
from edgeclf_training.run.run_folder import Run, load_run, load_run_or_checkpoint
from helpers import CLASSES, draw, manifest_for
from onnx import helper, numpy_helper

SIZE = 64


@pytest.fixture
def run(trained: Callable[..., Run]) -> Run:
    return trained()


@pytest.mark.parametrize(("name", "head"), [("cnn4", "linear"), ("cnn4", "mlp")])
def test_half_the_size_and_the_same_answers(name: str, head: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, _ = build_network(name, len(CLASSES), head=head, image_size=SIZE)
    network.eval()
    photos = np.stack([np.asarray(draw(i).resize((SIZE, SIZE))) for i in range(4)])
    outputs, sizes = [], []
    for fp16 in (False, True):
        path = tmp_path / f"{fp16}.onnx"
        path.write_bytes(export_network(network, manifest_for(SIZE, CLASSES), fp16=fp16))
        classifier = Classifier(path)
        assert classifier.manifest.precision == ("fp16" if fp16 else "fp32")
        outputs.append(classifier._session.run(None, {"image": photos}))
        sizes.append(path.stat().st_size)
    (logits, cams, order), (half_logits, half_cams, half_order) = outputs
    assert half_logits.dtype == np.float32
    assert np.abs(half_logits - logits).max() <= 1e-2 * max(1, np.abs(logits).max())
    assert np.abs(half_logits - logits).max() > 0, "the weights really are others"
    assert (order == half_order).all()
    assert np.abs(half_cams - cams).max() <= 1e-2 * cams.max()
    assert 0.45 * sizes[0] <= sizes[1] <= 0.56 * sizes[0]
    onnx.checker.check_model(onnx.load(path), full_check=True)


def test_what_16_bits_cannot_hold_stays_as_it_is() -> None:
    tensors = {"large": 1e5, "tiny": 1e-9, "plain": 1.0, "vector": 1.0, "zero": 0.0}
    graph = onnx.GraphProto()
    for name, value in tensors.items():
        shape = 4 if name == "vector" else (2, 2)
        graph.initializer.append(numpy_helper.from_array(np.full(shape, value, np.float32), name))
    graph.node.append(helper.make_node("MatMul", ["plain", "large"], ["out"]))
    store_fp16_weights(graph)
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    assert types.pop("plain_half") == onnx.TensorProto.FLOAT16
    assert set(types.values()) == {onnx.TensorProto.FLOAT}
    assert [node.op_type for node in graph.node] == ["Cast", "MatMul"]


@pytest.mark.parametrize("size", [64, 96])
def test_an_int8_mlp_head_carries_a_small_table_and_the_same_maps(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network, _ = build_network("cnn4", len(CLASSES), head="mlp", image_size=size)
    network.eval()
    photos = np.stack([np.asarray(draw(i).resize((size, size))) for i in range(6)])
    small, wide = tmp_path / "small.onnx", tmp_path / "wide.onnx"
    small.write_bytes(export_network(network, manifest_for(size, CLASSES), photos))
    monkeypatch.setattr("edgeclf_export.pack.build.store_fp16_weights", lambda *_: None)
    wide.write_bytes(export_network(network, manifest_for(size, CLASSES), photos))
    maps = [Classifier(path)._session.run(["cam"], {"image": photos})[0] for path in (small, wide)]
    assert maps[1].max() > 0
    assert (maps[0] == maps[1]).all(), "16 bits hold its whole numbers"
    assert small.stat().st_size < wide.stat().st_size
    whole = len(export_network(network, manifest_for(size, CLASSES)))
    assert small.stat().st_size <= (0.27 if size == 96 else 0.31) * whole


def test_fp16_is_exported_from_a_run_and_gated(run: Run, tmp_path: Path) -> None:
    done = export_run(run, tmp_path / "model.onnx", fp16=True)
    assert [row.name for row in done.rows] == ["torch fp32", "onnx fp32", "onnx fp16"]
    manifest = read_model_file(tmp_path / "model.onnx").manifest
    assert manifest.precision == "fp16"
    assert manifest.gate == done.gate
    assert done.gate.passed
    export_run(run, tmp_path / "again.onnx", fp16=True)
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "model.onnx").read_bytes()
    with pytest.raises(UsageError, match="at once"):
        export_run(run, tmp_path / "both.onnx", fp16=True, int8=True)


def test_another_manifest_is_all_that_changes(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export_run(run, path)
    data = path.read_bytes()
    model = unseal_model(data)
    assert seal_model(model) == data
    assert model.size == len(data)
    changed = seal_model(replace(model, manifest=replace(model.manifest, author="A. Birder")))
    (tmp_path / "changed.onnx").write_bytes(changed)
    photo = run.split.val[0].path
    answers = [Classifier(p).predict(photo, logits=True).logits for p in (path, tmp_path / "changed.onnx")]
    assert (answers[0] == answers[1]).all()
    assert read_model_file(tmp_path / "changed.onnx").manifest.author == "A. Birder"


def test_a_checkpoint_gives_the_best_weights_so_far(
    class_folders: Path, tmp_path: Path, edgeclf: Callable[..., CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeclf_training.run import history

    finished = itertools.count(1)
    real = history.History.on_train_epoch_end

    def interrupted(self: history.History, *arguments: object) -> None:
        real(self, *arguments)  # type: ignore[arg-type]
        if next(finished) == 2:
            raise RuntimeError("the power went")

    monkeypatch.setattr(history.History, "on_train_epoch_end", interrupted)
    options = TrainOptions(arch="cnn4", weights="none", epochs=4, image_size=48, batch_size=8, workers=0)
    with pytest.raises(RuntimeError, match="the power went"):
        train([class_folders], tmp_path / "run", options)
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    kept = load_run(tmp_path / "run").network().state_dict()
    (tmp_path / "run" / "network.pt").unlink()
    found = load_run_or_checkpoint(checkpoint).network().state_dict()
    assert all(torch.equal(found[name], kept[name]) for name in kept)
    done = edgeclf("export", checkpoint, "-o", tmp_path / "model.onnx", "--fp16", "--max-drop", "100")
    assert done.returncode == 0, done.stderr
    assert "within budget" in done.stdout
    assert read_model_file(tmp_path / "model.onnx").manifest.figures == ()
    checkpoint.write_bytes(b"not one")
    with pytest.raises(DataError):
        load_run_or_checkpoint(checkpoint).network()


@pytest.mark.gpu
def test_fp16_on_cuda_gives_the_same_classes(tmp_path: Path) -> None:
    if CUDA not in onnxruntime.get_available_providers():
        pytest.skip("needs onnxruntime-gpu")
    torch.manual_seed(0)
    network, _ = build_network("cnn4", len(CLASSES), image_size=SIZE)
    path = tmp_path / "fp16.onnx"
    path.write_bytes(export_network(network.eval(), manifest_for(SIZE, CLASSES), fp16=True))
    there, here = Classifier(path, "cuda"), Classifier(path, "cpu")
    assert there.device == CUDA
    agreeing = [there.predict(draw(i)).best.label == here.predict(draw(i)).best.label for i in range(40)]
    assert sum(agreeing) >= 38
