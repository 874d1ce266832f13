"""What was trained is what the file answers: parity, one sealed file, the same bytes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from edgeclf import Classifier
from edgeclf.errors import DataError, ExportError, UsageError
from edgeclf.events import Event, Message
from edgeclf.images.preprocess import network_input
from edgeclf.model.file import read_model_file, seal
from edgeclf_export.api import export_run as exporting
from edgeclf_export.api.display_names import read_display_names
from edgeclf_export.api.export_network import export_network
from edgeclf_export.api.export_run import export_run
from edgeclf_export.graph.to_onnx import to_onnx
from edgeclf_export.verify.gate import Budget
from edgeclf_training.networks import ARCHITECTURES, Network, build_network
from edgeclf_training.run.run_folder import Run
from helpers import ROOT, SHARED, draw, manifest_for, with_linear_heads


def names(count: int) -> tuple[str, ...]:
    return tuple(f"class{i}" for i in range(count))


@pytest.fixture
def run(trained: Callable[..., Run]) -> Run:
    return trained()


@pytest.mark.parametrize(("name", "head"), [*with_linear_heads(ARCHITECTURES), ("vgg16", "mlp"), ("cnn4", "mlp")])
def test_torch_and_onnxruntime_agree_for_any_batch(
    name: str, head: str, untrained: Callable[[str, str], Network], exported_untrained: Callable[[str, str], Path]
) -> None:
    network, path = untrained(name, head), exported_untrained(name, head)
    classifier = Classifier(path)
    maps = classifier.manifest.cam_classes
    assert maps == 4 or head == "mlp", "all maps, but where carrying gradients back through a wide head costs too much"
    assert not {"BatchNormalization"} & {node.op_type for node in onnx.load(path).graph.node}, "folded"
    photos = np.stack([np.asarray(draw(i).resize((96, 96))) for i in range(7)])
    for batch in (1, 2, 7):
        with torch.inference_mode():
            expected = network(torch.from_numpy(photos[:batch])).numpy()
        logits, cam, cam_class = classifier._session.run(None, {"image": photos[:batch]})
        assert np.abs(logits - expected).max() <= 1e-4 * max(1, np.abs(expected).max())
        assert cam.shape[:2] == cam_class.shape == (batch, maps)
        best_first = -np.sort(-logits, axis=1)[:, :maps]
        assert (np.take_along_axis(logits, cam_class, 1) == best_first).all()
    with torch.inference_mode():
        for photo in real_photos():
            (expected,) = network(torch.from_numpy(network_input(photo, classifier.manifest.contract)[None])).numpy()
            answer = classifier.predict(photo, logits=True)
            assert answer.logits is not None
            assert np.abs(answer.logits - expected).max() <= 1e-4 * max(1, np.abs(expected).max())
            assert answer.best.index == expected.argmax()


def real_photos() -> list[Path]:
    """Dishes and flowers, where the team's photos are."""
    return [photo for kind in ("food5", "flowers") for photo in sorted((SHARED / "data" / kind).rglob("*.jpg"))[::1500]]


def test_the_same_network_gives_the_same_bytes(
    traced: Callable[[Network, int], onnx.ModelProto], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, _ = build_network("cnn4", 3, image_size=64)
    network.eval()
    photos = [np.asarray(draw(i).resize((64, 64))) for i in range(5)]
    for trace, calibration in ((to_onnx, None), (traced, photos)):
        monkeypatch.setattr("edgeclf_export.api.export_network.to_onnx", trace)
        first, again = (export_network(network, manifest_for(64, names(3)), calibration) for _ in range(2))
        assert first == again


def test_a_file_tells_nothing_about_the_machine_that_made_it(model: Path) -> None:
    data = model.read_bytes()
    for trace in (b"site-packages", b".py", str(Path.home()).encode() + b"/", str(ROOT).encode()):
        assert trace not in data


def test_onnx_itself_takes_the_file(make_model: Callable[..., Path]) -> None:
    for path in (make_model(), make_model(head="mlp", int8=True)):
        loaded = onnx.load(path)
        onnx.checker.check_model(loaded, full_check=True)
        assert loaded.ir_version <= 9
        assert {e.domain: e.version for e in loaded.opset_import} == {"": 18}


def test_export_writes_one_checked_file_with_the_run_inside(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, events = tmp_path / "new" / "model.onnx", list[Event]()
    monkeypatch.setattr(exporting, "_MOSTLY_FLOAT", 0.1)  # as if it were one that INT8 hardly shrinks
    exported = export_run(run, out, int8=True, on_event=events.append)
    (told,) = [event for event in events if isinstance(event, Message) and event.level == "warning"]
    assert told.text.startswith("INT8 saves little here: the file has ")
    assert [p.name for p in out.parent.iterdir()] == ["model.onnx"]
    assert exported.photos == 6
    assert [row.name for row in exported.rows] == ["torch fp32", "onnx fp32", "onnx int8"]
    assert exported.rows[1].agreeing == 6
    assert exported.rows[1].difference <= 1e-4
    assert exported.rows[2].agreeing >= 5
    assert exported.rows[2].size < exported.rows[1].size * 0.36
    manifest = read_model_file(out).manifest
    assert manifest.precision == "int8"
    assert manifest.figures == run.metrics
    assert manifest.classes == run.classes
    assert manifest.contract == run.contract
    assert manifest.provenance.data_sha256 == run.split.fingerprint()


def test_an_int8_file_is_sealed_once(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = []

    def counted(unsealed: bytes) -> bytes:
        sealed.append(seal(unsealed))
        return sealed[-1]

    monkeypatch.setattr("edgeclf_export.pack.build.seal", counted)
    export_run(run, tmp_path / "model.onnx", int8=True, budget=Budget(-100), force=True)
    assert sealed == [(tmp_path / "model.onnx").read_bytes()], "attempts are judged without a seal"


def test_a_file_of_somebody_else_is_not_written_over(run: Run, tmp_path: Path) -> None:
    for name in ("photo.onnx", "other.onnx"):
        (tmp_path / name).write_bytes(b"somebody else's")
        with pytest.raises(UsageError, match="exists already and is not a model file made by edgeclf"):
            export_run(run, tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"somebody else's"


def test_a_file_with_other_logits_is_never_written(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "model.onnx"
    earlier = seal(b"an earlier model")
    out.write_bytes(earlier)
    real = exporting.to_onnx

    def spoiled(network: torch.nn.Module, *arguments: object) -> onnx.ModelProto:
        with torch.no_grad():
            network.head.linears[-1].bias += 0.01  # type: ignore[union-attr, index, operator]
        model = real(network, *arguments)  # type: ignore[arg-type]
        with torch.no_grad():
            network.head.linears[-1].bias -= 0.01  # type: ignore[union-attr, index, operator]
        return model

    monkeypatch.setattr(exporting, "to_onnx", spoiled)
    with pytest.raises(ExportError, match="logits differ"):
        export_run(run, out)
    assert out.read_bytes() == earlier
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"], "no temporary file is left"


def test_display_names_reach_the_prediction(run: Run, tmp_path: Path, class_folders: Path) -> None:
    table = tmp_path / "names.json"
    table.write_text('{"king": "オウサマペンギン"}', "utf-8")
    shown = read_display_names(table, run.classes)
    out = tmp_path / "model.onnx"
    export_run(run, out, card=exporting.Card(display_names=shown))
    ranking = Classifier(out).predict(class_folders / "king" / "king_000.jpg").ranking
    assert {r.label: r.display_name for r in ranking} == {"king": "オウサマペンギン", "adelie": None, "gentoo": None}
    for text, message in (('{"skua": "x"}', "no class 'skua'"), ("[]", "not an object"), ("{", "cannot be read")):
        table.write_text(text)
        with pytest.raises(UsageError, match=message):
            read_display_names(table, run.classes)


def test_names_that_are_no_model_files_are_refused(run: Run, tmp_path: Path) -> None:
    for out in (tmp_path / "model.txt", tmp_path):
        with pytest.raises(UsageError, match="not a name for a model file"):
            export_run(run, out)


def test_fewer_maps_where_all_would_cost_more_than_a_hundredth(tmp_path: Path) -> None:
    network, _ = build_network("cnn4", 200, head="linear", image_size=64)
    path = tmp_path / "model.onnx"
    path.write_bytes(export_network(network.eval(), manifest_for(64, names(200))))
    classifier = Classifier(path)
    maps = classifier.manifest.cam_classes
    assert 1 <= maps < 200
    logits, cam, cam_class = classifier._session.run(None, {"image": np.asarray(draw(0).resize((64, 64)))[None]})
    assert cam.shape[1] == maps
    assert set(cam_class[0]) == set(np.argsort(-logits[0], kind="stable")[:maps])


def test_a_card_that_no_manifest_may_hold_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    for field, text in (("description", "two\nlines"), ("author", "\x1b[31m"), ("licence", "x" * 9999)):
        with pytest.raises(UsageError, match=rf"{field}.*(a control character|9999 characters)"):
            export_run(run, tmp_path / "model.onnx", card=exporting.Card(**{field: text}))


def test_a_network_that_answers_nan_is_not_exported(run: Run, tmp_path: Path) -> None:
    spoiled = replace(run, folder=tmp_path / "run")
    spoiled.folder.mkdir()
    state = run.network().state_dict()
    state["head.linears.1.bias"][0] = float("nan")
    torch.save(state, spoiled.folder / "network.pt")
    with pytest.raises(DataError, match=r"head\.linears\.1\.bias has values that are not finite"):
        export_run(spoiled, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
