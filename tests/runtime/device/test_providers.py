"""Devices: listing them, choosing one, and the same predictions on a GPU."""

import importlib.machinery
import importlib.util
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from edgeclf import Classifier
from edgeclf.device.providers import find_devices
from edgeclf.errors import BackendError, ModelError, PhotoError
from edgeclf.images.preprocess import network_input
from edgeclf.model.openvino_session import openvino_installed
from edgeclf.model.session import CPU, CUDA, OPENVINO, automatic, offered, short_name
from helpers import draw

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_every_device_listed_is_accepted_by_its_name(edgeclf: Run, model: Path) -> None:
    found = find_devices()
    others = {OPENVINO} if openvino_installed() else set()
    assert {device.provider for device in found} == {*offered(onnxruntime.get_available_providers()), *others}
    assert sum(device.auto for device in found) == 1
    for device in found:
        if device.works:
            assert Classifier(model, device.name).device == device.provider
        else:
            with pytest.raises(BackendError):
                Classifier(model, device.name)
    (auto,) = (device for device in found if device.auto)
    assert Classifier(model).device == auto.provider
    told = json.loads(edgeclf("devices", "--json").stdout)
    assert [device["name"] for device in told["devices"]] == [device.name for device in found]
    lines = edgeclf("devices").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [device.name for device in found]
    assert [line.endswith("auto") for line in lines] == [device.auto for device in found]


def test_names_and_what_auto_takes() -> None:
    assert short_name("CoreMLExecutionProvider") == "coreml"
    assert automatic([CUDA, CPU]) == CUDA
    assert automatic(["CoreMLExecutionProvider", CPU]) == CPU
    assert offered(["AzureExecutionProvider", CPU]) == [CPU]


def test_a_provider_that_sends_photos_away_is_refused(model: Path) -> None:
    with pytest.raises(BackendError, match="is not available here"):
        Classifier(model, "azure")


@pytest.mark.parametrize("openvino", [True, False])
def test_an_unknown_device_is_told_which_there_are(
    openvino: bool, edgeclf: Run, model: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, there = importlib.machinery.ModuleSpec("openvino", None) if openvino else None, importlib.util.find_spec

    def find(name: str, package: str | None = None) -> Any:
        return found if name == "openvino" else there(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    done = edgeclf("predict", photo, "-m", model, "--device", "nosuch")
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    (names,) = re.findall(r"available: ([^;]*);", done.stderr)
    assert {"auto", "cpu"} <= set(names.split(", "))
    assert ("openvino" in names.split(", ")) == openvino


def test_predict_says_which_device_served(edgeclf: Run, model: Path, photo: Path) -> None:
    for line in edgeclf("predict", photo, "missing.jpg", "-m", model, "--device", "cpu", "--json").stdout.splitlines():
        assert json.loads(line)["device"] == CPU


def test_without_waiting_errors_come_with_the_first_answer(model: Path, photo: Path) -> None:
    patient = Classifier(model, wait=False)
    assert patient.predict(photo) == Classifier(model).predict(photo)
    hurried = Classifier(model, "abacus", wait=False)
    for _ in range(2):
        with pytest.raises(BackendError, match="abacus"):
            hurried.predict(photo)
    with pytest.raises(BackendError, match="abacus"):
        _ = hurried.device
    with pytest.raises(PhotoError):
        hurried.predict("missing.jpg")
    with pytest.raises(ModelError):
        Classifier(photo, wait=False)


def test_a_model_that_onnxruntime_refuses_is_said_before_any_photo(
    edgeclf: Run, rebuild: Callable[..., Path], photo: Path
) -> None:
    broken = rebuild(lambda proto: proto.graph.output.pop())
    done = edgeclf("predict", "missing.jpg", photo, "-m", broken)
    assert (done.returncode, done.stdout) == (ModelError.exit_code, "")
    assert len(done.stderr.splitlines()) == 1
    assert str(broken) in done.stderr


@pytest.fixture
def cuda() -> None:
    if CUDA not in onnxruntime.get_available_providers():
        pytest.skip("needs onnxruntime-gpu")


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_fp32_on_cuda_is_close_to_the_cpu(make_model: Callable[..., Path], head: str) -> None:
    path = make_model(head=head)
    there, here = Classifier(path, "cuda"), Classifier(path, "cpu")
    assert there.device == CUDA
    for seed in range(8):
        image = network_input(draw(seed), here.manifest.contract)
        (logits, cams, _), (expected, maps, _) = there.infer(image), here.infer(image)
        np.testing.assert_allclose(logits, expected, atol=1e-2)
        np.testing.assert_allclose(cams, maps, atol=1e-2)


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
def test_int8_on_cuda_gives_the_same_classes(make_model: Callable[..., Path]) -> None:
    path = make_model(int8=True)
    there, here = Classifier(path, "cuda"), Classifier(path, "cpu")
    assert there.device == CUDA
    agreeing = [there.predict(draw(i)).best.label == here.predict(draw(i)).best.label for i in range(40)]
    assert sum(agreeing) >= 38
