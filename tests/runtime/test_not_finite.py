"""NaN and infinity raise errors in logits, heat maps, manifests and arguments, and never appear in JSON."""

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from edgeclf import Classifier, ModelError
from edgeclf.model.file import MANIFEST_KEY
from helpers import draw
from onnx import helper, numpy_helper

Rebuild = Callable[..., Path]
Run = Callable[..., subprocess.CompletedProcess[str]]
PHOTOS = [np.asarray(draw(number)) for number in range(6)]


def scaled(proto: onnx.ModelProto, suffix: str, factor: float, only: int | None = None) -> None:
    (tensor,) = (one for one in proto.graph.initializer if one.name.endswith(suffix))
    values = numpy_helper.to_array(tensor).copy()
    with np.errstate(all="ignore"):
        values[slice(None) if only is None else only] *= np.float32(factor)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


BROKEN = {
    "a NaN bias": lambda proto: scaled(proto, "head.linears.0.bias", float("nan"), 0),
    "another NaN bias": lambda proto: scaled(proto, "head.linears.0.bias", float("nan"), 2),
    "biases of NaN": lambda proto: scaled(proto, "head.linears.0.bias", float("nan")),
    "infinite biases": lambda proto: scaled(proto, "head.linears.0.bias", float("inf")),
    "one infinite bias": lambda proto: scaled(proto, "head.linears.0.bias", float("inf"), 1),
    "a NaN weight": lambda proto: scaled(proto, "head.linears.0.weight", float("nan"), 0),
    "a sum that overflows": lambda proto: scaled(proto, "features.two.0.weight", 3e38),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_answers_that_are_not_finite_are_the_models_fault(kind: str, rebuild: Rebuild) -> None:
    path = rebuild(BROKEN[kind])
    classifier = Classifier(path, threads=2)
    photo = PHOTOS[0]
    for attempt in (
        lambda: classifier.predict(photo),
        lambda: classifier.explain(photo),
        lambda: classifier.infer(np.asarray(draw(1, 32, 32))),
        lambda: list(classifier.predict_many([photo] * 3)),
    ):
        with pytest.raises(ModelError, match=r"changed\.onnx: its output for a photo is not finite"):
            attempt()


def test_minus_infinity_is_none_either(model: Path) -> None:
    for wrong in (float("nan"), float("inf"), -float("inf")):
        for place in range(3):
            scores = np.zeros(3, np.float32)
            scores[place] = wrong
            with pytest.raises(ModelError, match="not finite"):
                Classifier(model).rank(scores)


def test_answers_before_the_photo_that_showed_it_are_given(rebuild: Rebuild) -> None:
    """A head that adds up the activations, which are >= 0, times what overflows on some photos only."""

    def times(factor: float) -> Classifier:
        def change(proto: onnx.ModelProto) -> None:
            scaled(proto, "head.linears.0.bias", 0)
            for part in ("weight", "bias"):
                scaled(proto, f"features.two.0.{part}", 1e10)
            (tensor,) = (one for one in proto.graph.initializer if one.name.endswith("head.linears.0.weight"))
            values = np.full(tensor.dims, factor, np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

        return Classifier(rebuild(change), threads=2)

    photos = [np.asarray(draw(number, 32, 32)) for number in range(12)]
    sums = [float(times(1).infer(photo)[0].max()) for photo in photos]
    fine, worst = photos[int(np.argmin(sums))], photos[int(np.argmax(sums))]
    limit = float(np.finfo(np.float32).max) / np.sqrt(min(sums) * max(sums))
    answers = times(limit).predict_many([fine, fine, fine, worst, fine])
    for _ in range(3):
        assert next(answers).best
    with pytest.raises(ModelError, match="not finite"):
        next(answers)


def test_maps_that_are_not_finite_spoil_no_ranking(rebuild: Rebuild) -> None:
    def change(proto: onnx.ModelProto) -> None:
        (node,) = (node for node in proto.graph.node if "cam" in node.output)
        node.output[:] = ["cam_before"]
        proto.graph.initializer.append(numpy_helper.from_array(np.full(1, np.nan, np.float32), "nothing"))
        proto.graph.node.append(helper.make_node("Add", ["cam_before", "nothing"], ["cam"]))

    classifier = Classifier(rebuild(change))
    assert classifier.predict(PHOTOS[0]).best
    with pytest.raises(ModelError, match="not finite"):
        classifier.explain(PHOTOS[0])


def test_every_command_says_so_in_one_line(
    model: Path, rebuild: Rebuild, class_folders: Path, tmp_path: Path, edgeclf: Run
) -> None:
    broken = rebuild(BROKEN["a NaN bias"])
    for arguments in (
        ("predict", class_folders, "-m", broken, "--json"),
        ("predict", class_folders, "-m", broken, "--out", tmp_path / "answers.jsonl"),
        ("predict", class_folders, "-m", broken, "--cam", tmp_path / "maps"),
        ("watch", class_folders, "-m", broken, "--out", tmp_path / "seen.csv", "--once", "--settle", "0"),
        ("evaluate", broken, class_folders, "--json"),
        ("compare", model, broken, class_folders, "--json"),
        ("doctor", broken, "--json"),
    ):
        done = edgeclf(*arguments)
        assert done.returncode == 3, (arguments, done.stderr)
        assert "NaN" not in done.stdout.replace("(NaN or infinity)", "")
        assert "Traceback" not in done.stderr
        if arguments[0] != "doctor":
            assert "not finite" in done.stderr.splitlines()[-1]
            assert not done.stdout


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("key", ["temperature", "threshold", "ece_after"])
def test_manifests_hold_finite_numbers_only(
    value: str, key: str, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    from edgeclf.model.file import SEAL_LENGTH, seal
    from edgeclf.model.manifest import Calibration

    calibration = Calibration(1.5, 0.25, 10, 9, 1, 0.125, 0.0625)
    proto = onnx.load_from_string(make_model(calibration=calibration).read_bytes()[:-SEAL_LENGTH])
    (entry,) = (entry for entry in proto.metadata_props if entry.key == MANIFEST_KEY)
    given = json.dumps(getattr(calibration, key))
    entry.value = entry.value.replace(f'"{key}":{given}', f'"{key}":{value}')
    assert value in entry.value
    with pytest.raises(ModelError, match=f"{key} is "):
        Classifier(io.BytesIO(seal(proto.SerializeToString())))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize(
    ("command", "flag"),
    [
        (("predict", "photo.jpg"), "--threshold"),
        (("watch", ".", "--out", "a.csv", "--once"), "--settle"),
        (("bench",), "--seconds"),
        (("export", "run", "-o", "a.onnx"), "--max-drop"),
        (("train", "photos", "--out", "run"), "--head-lr"),
    ],
)
def test_numbers_given_are_finite(
    value: str, command: tuple[str, ...], flag: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeclf.cli.app import run

    monkeypatch.setattr("sys.argv", ["edgeclf", *command, f"{flag}={value}"])
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 2
    assert flag in capsys.readouterr().err
