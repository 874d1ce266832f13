"""The gate can fail, repairs what can be repaired, and lets nothing out of budget through unless forced."""

import inspect
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import onnx
import pytest
import torch
from edgeclf import Classifier
from edgeclf.cli.app import main
from edgeclf.errors import ExportError
from edgeclf.events import Event, Message, Progress
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import network_input
from edgeclf.model.file import read_model_file
from edgeclf_export.api.export_run import export_run
from edgeclf_export.cli import export
from edgeclf_export.int8 import calibration_search as search
from edgeclf_export.int8.activation_ranges import (
    Histogram,
    full_range,
    histograms,
    least_error,
    minmax,
    observe,
    percentile,
)
from edgeclf_export.int8.layer_sensitivity import measure_sensitivity
from edgeclf_export.int8.quantize import layer_names, quantize
from edgeclf_export.verify import photos
from edgeclf_export.verify.gate import Budget, HeldOut, measure, within_budget
from edgeclf_export.verify.predictions import Predictions
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.fit.train import train
from edgeclf_training.networks import Network
from edgeclf_training.run.run_folder import Run, load_run
from PIL import Image

Trace = Callable[[Network, int], onnx.ModelProto]

SIZE = 48


def write_waves(root: Path, per_class: int, seed: int) -> None:
    """Class folders of noisy waves of any colour: only their direction tells the class."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    for label, phase in {"across": y, "along": x, "aslant": (x + y) / 2**0.5}.items():
        (root / label).mkdir(parents=True)
        for index in range(per_class):
            wave = np.sin(phase * rng.uniform(0.5, 0.9) + rng.uniform(0, 6))[..., None] * rng.uniform(25, 60, 3)
            pixels = rng.uniform(80, 170, 3) + wave + rng.normal(0, 25, (SIZE, SIZE, 3))
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(root / label / f"{label}{index:03}.png")


@pytest.fixture(scope="module")
def run(once: Callable[..., Path]) -> Run:
    """A small network, really trained, and 60 test photos."""

    def make(path: Path) -> None:
        write_waves(path / "photos" / "train", 30, 1)
        write_waves(path / "photos" / "test", 20, 2)
        options = TrainOptions(
            arch="cnn4",
            weights="none",
            epochs=6,
            image_size=SIZE,
            batch_size=8,
            workers=0,
            head_lr=2e-3,
            augment="none",
        )
        train([path / "photos"], path / "run", options)

    done = load_run(once("waves", make) / "run")
    assert done.metrics[-1].accuracy >= 0.8, "a network that guesses proves nothing"
    return done


@pytest.fixture(scope="module")
def lopsided(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same function with one channel a thousand times larger than its neighbours: no range suits both."""
    other = replace(run, folder=tmp_path_factory.mktemp("lopsided"))
    shutil.copytree(run.folder, other.folder, dirs_exist_ok=True)
    state = run.network().state_dict()
    first, second = [name for name, tensor in state.items() if tensor.ndim == 4][:2]
    state[first][0] *= 1000
    state[first.replace("weight", "bias")][0] *= 1000
    state[second][:, 0] /= 1000
    torch.save(state, other.folder / "network.pt")
    return other


@pytest.fixture
def darken_training_photos(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Has exports calibrate on training photos so much darker than they are; 0 is black."""

    def darken(brightness: float) -> None:
        def darkened(photo: Path, contract: ImageContract) -> np.ndarray:
            training = photo.parent.parent.name == "train"
            return (network_input(photo, contract) * (brightness if training else 1.0)).astype(np.uint8)

        monkeypatch.setattr(photos, "network_input", darkened)

    return darken


def test_which_drops_are_within_budget() -> None:
    def passes(lost: int, gained: int, photos: int) -> bool:
        return within_budget(lost, gained, photos, 0.5, 1.0)

    assert passes(2, 0, 70)
    assert not passes(3, 0, 70)  # the interval holds 0, but it is three photos of 70
    assert passes(1055, 1000, 10_000)
    assert not passes(55, 0, 10_000)
    assert not passes(1300, 1000, 10_000)
    assert passes(50, 0, 10_000)
    assert passes(0, 9, 70)


def held_out(labels: np.ndarray, logits: np.ndarray) -> HeldOut:
    return HeldOut("test", ("a", "b", "c"), labels, Predictions("torch fp32", logits, 0))


def test_a_large_loss_in_one_class_fails_the_file() -> None:
    labels = np.repeat(np.arange(3), 400)
    right = np.eye(3, dtype=np.float32)[labels] * 3
    answered = labels.copy()
    answered[1150:1170] = 0  # 20 of the 400 photos of c
    answers = Predictions("onnx int8", np.eye(3, dtype=np.float32)[answered] * 3, 0)
    gate = measure(held_out(labels, right), answers, Budget(2.0, 2.0), "minmax")
    assert (gate.worst_class, gate.worst_drop) == ("c", 5.0)
    assert (gate.correct_before, gate.correct_after, gate.agreeing) == (1200, 1180, 1180)
    assert gate.drop == pytest.approx(20 / 12, abs=1e-3)
    assert gate.drop_low < gate.drop < gate.drop_high
    assert gate.ece_after != gate.ece_before
    assert not gate.passed
    assert measure(held_out(labels, right), answers, Budget(2.0, 5.0), "minmax").passed
    same = measure(held_out(labels, right), Predictions("onnx int8", right, 0), Budget(0, 0))
    assert same.passed
    assert same.worst_class is None
    with pytest.raises(ExportError, match="not finite"):
        measure(held_out(labels, right), Predictions("onnx int8", right * np.float32("nan"), 0), Budget())


def test_good_int8_passes_at_once_and_says_so(
    run: Run, tmp_path: Path, edgeclf: Callable[..., CompletedProcess[str]]
) -> None:
    out = tmp_path / "model.onnx"
    done = export_run(run, out, int8=True, calibration_photos=24)
    gate = read_model_file(out).manifest.gate
    assert gate == done.gate == done.tried[0]
    assert gate is not None
    assert gate.passed
    assert (gate.split, gate.photos, gate.float_layers) == ("test", 60, ())
    assert gate.calibration in search.CALIBRATIONS
    assert done.rows[-1].size == out.stat().st_size
    export_run(run, tmp_path / "again.onnx", int8=True, calibration_photos=24)
    assert (tmp_path / "again.onnx").read_bytes() == out.read_bytes()
    shown = edgeclf("info", out).stdout
    assert f"this file    {gate.correct_after} of 60 test photos right" in shown
    assert "FORCED" not in shown


def test_ranges_from_black_photos_are_detected_and_refused(
    run: Run, tmp_path: Path, darken_training_photos: Callable[[float], None]
) -> None:
    """No range anywhere fits, which half of the layers in float cannot repair."""
    darken_training_photos(0)
    with pytest.raises(ExportError, match=r"OUT OF BUDGET; nothing was written; 7 ways were tried, up to 3 layers"):
        export_run(run, tmp_path / "model.onnx", int8=True, calibration_photos=24)
    assert not list(tmp_path.iterdir())


def test_ranges_from_dark_photos_are_detected_and_repaired(
    run: Run, tmp_path: Path, darken_training_photos: Callable[[float], None]
) -> None:
    darken_training_photos(0.5)
    done = export_run(run, tmp_path / "model.onnx", int8=True, calibration_photos=24)
    assert not done.tried[0].passed
    assert done.tried[0].drop > 5
    assert done.gate == done.tried[-1]
    assert done.gate.passed
    assert 1 <= len(done.gate.float_layers) <= 3


def test_force_writes_and_says_so(
    run: Run,
    tmp_path: Path,
    darken_training_photos: Callable[[float], None],
    edgeclf: Callable[..., CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    darken_training_photos(0)
    monkeypatch.setattr(search, "CALIBRATIONS", {"minmax": full_range})
    monkeypatch.setattr(search, "MAX_FLOAT_LAYERS", 2)
    out = tmp_path / "model.onnx"
    done = export_run(run, out, int8=True, force=True, calibration_photos=24)
    assert not done.gate.passed
    assert len(done.tried) == 3
    assert done.gate.drop == min(gate.drop for gate in done.tried), "the best of what was tried"
    assert read_model_file(out).manifest.gate == done.gate
    assert "FORCED, over the accuracy budget" in edgeclf("info", out).stdout
    assert json.loads(edgeclf("info", out, "--json").stdout)["gate"]["passed"] is False


def test_an_impossible_budget_is_refused_on_the_command_line(
    run: Run,
    tmp_path: Path,
    darken_training_photos: Callable[[float], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    darken_training_photos(0)
    monkeypatch.setattr(search, "CALIBRATIONS", {"minmax": full_range})
    monkeypatch.setattr(search, "MAX_FLOAT_LAYERS", 1)
    out = tmp_path / "model.onnx"
    arguments = ["export", run.folder, "-o", out, "--int8", "--calibration-photos", 3, "--check-photos", 24]
    monkeypatch.setattr("sys.argv", ["edgeclf", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 6
    assert "--force writes the file anyway" in capsys.readouterr().err
    assert not out.exists()


def test_the_most_sensitive_layer_returns_to_float(lopsided: Run, tmp_path: Path, traced: Trace) -> None:
    out, events = tmp_path / "model.onnx", list[Event]()
    done = export_run(lopsided, out, int8=True, calibration_photos=24, on_event=events.append)
    assert not done.tried[0].passed, "one range for both channels ought to fail"
    assert done.gate.passed
    assert read_model_file(out).manifest.precision == "mixed"
    assert done.gate.float_layers == tuple(one.layer for one in done.sensitivities[: len(done.gate.float_layers)])
    assert len(done.gate.float_layers) == 1
    layers = layer_names(traced(lopsided.network(), SIZE).graph)
    assert done.gate.float_layers == (layers[1],), "the one that takes the lopsided activation"
    assert out.stat().st_size < 0.5 * done.rows[1].size
    told = "\n".join(event.text for event in events if isinstance(event, Message))
    assert "OUT OF BUDGET" in told
    assert "saves little" not in told
    assert f"{done.sensitivities[0].error:.4f}  {layers[1]}" in told
    tasks = {event.task for event in events if isinstance(event, Progress) and event.ended}
    assert {"checking", "measuring activation ranges", "measuring the sensitivity of each layer"} <= tasks
    assert Classifier(out).explain(lopsided.split.test[0].path).cam.max() > 0


def test_a_float_layer_takes_an_input_that_was_never_quantized(run: Run, traced: Trace) -> None:
    network = run.network()
    model = traced(network, SIZE)
    before = model.SerializeToString()
    images = [network_input(sample.path, run.contract) for sample in run.split.train[:6]]
    stats = observe(model, images)
    ranges = minmax(stats)
    names = layer_names(model.graph)
    everything = quantize(model, ranges, names)
    assert not [node for node in everything.graph.node if node.op_type.endswith("QuantizeLinear")]
    one = quantize(model, ranges, [names[2]])
    (node,) = [node for node in one.graph.node if node.name == names[2]]
    producers = {output: n.op_type for n in one.graph.node for output in n.output}
    assert producers[node.input[0]] != "DequantizeLinear"
    assert node.input[1] not in producers, "its weights are the float ones"
    assert sum(
        n.op_type in ("Conv", "Gemm") and producers.get(n.input[1]) == "DequantizeLinear" for n in one.graph.node
    )
    assert model.SerializeToString() == before, "the float graph is not changed"
    found = measure_sensitivity(model, stats, ranges, images)
    assert sorted(one.layer for one in found) == sorted(names)
    assert all(one.error > 0 for one in found)


def test_streamed_histograms_hold_every_value(run: Run, traced: Trace) -> None:
    model = traced(run.network(), SIZE)
    images = [network_input(sample.path, run.contract) for sample in run.split.train[:3]]
    ranges = minmax(observe(model, iter(images)))
    found = histograms(model, iter(images), ranges)
    assert found.keys() == ranges.keys()
    first = found[next(node.input[0] for node in model.graph.node if node.op_type == "Conv")]
    assert first.counts.sum() == 3 * SIZE * SIZE * 3
    pixels = (np.stack(images) - run.network().mean.numpy()) / run.network().std.numpy()
    assert (first.low, first.high) == pytest.approx((pixels.min(), pixels.max()), rel=1e-5)
    expected, _ = np.histogram(pixels, len(first.counts), (first.low, first.high))
    assert np.abs(np.cumsum(expected) - np.cumsum(first.counts)).max() <= 0.01 * first.counts.sum()
    low, high = percentile(first, 0.99)
    inside = np.mean((pixels >= low) & (pixels <= high))
    assert inside == pytest.approx(0.99, abs=0.005)


def test_ranges_cut_off_what_is_rare() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(0, 1, 100_000), [1000.0]])
    counts, _ = np.histogram(values, 2048, (-5, 1000))
    histogram = Histogram(-5.0, 1000.0, counts)
    low, high = percentile(histogram, 0.999)
    assert -5 <= low < -2
    assert 2 < high < 10
    even = Histogram(0.0, 1.0, np.full(2048, 10))
    assert percentile(even, 0.9) == pytest.approx((0.05, 0.95), abs=1e-3)
    assert least_error(even) == pytest.approx((0.0, 1.0), abs=0.011)
    # 8 bits hold a normal distribution best when cut off at 3.92 deviations (Banner et al. 2019, arXiv:1810.05723).
    edges = np.linspace(-8, 8, 2049)
    normal = (1e9 * np.exp(-(((edges[1:] + edges[:-1]) / 2) ** 2) / 2)).astype(np.int64)
    assert least_error(Histogram(-8.0, 8.0, normal)) == pytest.approx((-3.92, 3.92), abs=0.12)


def test_the_command_states_the_budget_that_python_has() -> None:
    flags = inspect.signature(export).parameters
    assert (flags["max_drop"].default, flags["max_class_drop"].default) == (Budget().drop, Budget().class_drop)
