"""OpenVINO as a device: the same ranking, logits within the stated tolerance, and one line where it cannot be used."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgeclf import Classifier
from edgeclf.errors import BackendError, UsageError
from edgeclf.model import openvino_session
from edgeclf.model.default_model import DEFAULT_MODEL
from edgeclf.model.file import read_model_file
from edgeclf.model.openvino_session import (
    INT8_TOLERANCE,
    largest_difference,
    open_openvino_session,
    openvino_installed,
    tolerance,
)
from edgeclf.model.session import OPENVINO, open_session
from helpers import draw

Run = Callable[..., subprocess.CompletedProcess[str]]
needs_openvino = pytest.mark.skipif(not openvino_installed(), reason="needs the extra [openvino]")


@needs_openvino
def test_the_networks_answer_within_the_tolerance(make_model: Callable[..., Path]) -> None:
    for path in (DEFAULT_MODEL, make_model(golden=True), make_model(golden=True, int8=True)):
        file = read_model_file(path)
        size = file.manifest.contract.size
        images = np.random.default_rng(3).integers(0, 256, (4, size, size, 3), dtype=np.uint8)
        ours, theirs = open_session(file, "cpu", 1)[0], open_session(file, "OpenVINO", 1)[0]
        for image in images:
            expected, found = (session.run(None, {"image": image[None]}) for session in (ours, theirs))
            assert [one.shape for one in expected] == [one.shape for one in found]
            assert [one.dtype for one in expected] == [one.dtype for one in found]
            largest = np.abs(expected[0]).max()
            assert np.abs(expected[0] - found[0]).max() <= tolerance(file) * largest
        (only,) = theirs.run(["cam_class"], {"image": images[:1]})
        assert only.dtype == np.int64
        assert largest_difference(theirs, file) <= tolerance(file)


@needs_openvino
def test_records_and_a_line_say_that_openvino_computed_them(edgeclf: Run, model: Path, photo: Path) -> None:
    done = edgeclf("predict", photo, "-m", model, "--device", "openvino", "--json")
    assert (done.returncode, len(done.stderr.splitlines())) == (0, 1)
    assert "differ" in done.stderr
    assert json.loads(done.stdout)["device"] == OPENVINO
    assert edgeclf("predict", photo, "-m", model, "--json").stderr == ""


@needs_openvino
def test_many_photos_and_heat_maps_are_as_on_the_cpu(model: Path) -> None:
    photos = [draw(number) for number in range(6)]
    here, there = (Classifier(model, device, threads=2) for device in ("cpu", "openvino"))
    for one, other in zip(here.predict_many(photos), there.predict_many(photos), strict=True):
        assert one.best.label == other.best.label
        assert one.best.probability == pytest.approx(other.best.probability, abs=1e-4)
    one, other = (classifier.explain(photos[0]).cam for classifier in (here, there))
    assert np.abs(one - other).max() <= 1e-3


@needs_openvino
def test_logits_beyond_the_tolerance_are_refused(
    make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = read_model_file(make_model(golden=True))
    for wrong in (0.5, float("nan")):
        monkeypatch.setattr(openvino_session, "largest_difference", lambda *_, wrong=wrong: wrong)
        with pytest.raises(BackendError, match="is allowed") as caught:
            open_openvino_session(file, 1)
        assert "--device cpu" in caught.value.remedy


def test_a_difference_is_relative_to_the_largest_logit(make_model: Callable[..., Path]) -> None:
    file = read_model_file(make_model(golden=True))
    session, _ = open_session(file, "cpu", 1)

    class Doubled:
        """A device that doubles every logit."""

        def run(self, names: list[str], feed: dict[str, object]) -> list[object]:
            return [2 * output for output in session.run(names, feed)]

    class Broken:
        """A device that gives no numbers."""

        def run(self, names: list[str], feed: dict[str, object]) -> list[object]:
            return [np.full((1, 3), np.nan, np.float32)]

    assert largest_difference(Broken(), file) == float("inf")
    assert largest_difference(session, file) < 1e-5
    assert largest_difference(Doubled(), file) == pytest.approx(1.0)
    assert tolerance(file) < tolerance(read_model_file(DEFAULT_MODEL)) == INT8_TOLERANCE


def test_without_the_package_one_line_says_what_to_install(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(BackendError, match="not installed") as caught:
        Classifier(model, "openvino")
    assert "edgeclf[openvino]" in caught.value.remedy


@needs_openvino
def test_a_forked_child_gets_an_error_and_does_not_hang(model: Path) -> None:
    code = (
        "import os, sys; from edgeclf import Classifier; from edgeclf.errors import BackendError\n"
        "classifier = Classifier(sys.argv[1], 'openvino'); child = os.fork()\n"
        "if not child:\n"
        "    try: classifier.device\n"
        "    except BackendError as error: os._exit(7 if 'forked' in error.message else 1)\n"
        "    os._exit(2)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(model)], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("7\n", "")


@needs_openvino
def test_its_telemetry_is_never_imported() -> None:
    code = (
        "import sys; from edgeclf.model.openvino_session import import_openvino; import_openvino(); "
        "print([name for name in sys.modules if name.startswith('openvino_telemetry') and sys.modules[name]])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@needs_openvino
def test_bench_measures_both_in_turns(edgeclf: Run, model: Path, photo: Path) -> None:
    done = edgeclf("bench", model, photo, "--against", "openvino", "--seconds", 1, "--threads", 1, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert [one["device"] for one in told["models"]] == ["CPUExecutionProvider", OPENVINO]
    assert len({one["sha256"] for one in told["models"]}) == 1
    assert len({one["photos"][0]["steps"]["inference"]["count"] for one in told["models"]}) == 1


def test_bench_compares_devices_for_one_model_only(edgeclf: Run, model: Path, photo: Path) -> None:
    done = edgeclf("bench", model, model, photo, "--against", "cpu")
    assert (done.returncode, len(done.stderr.splitlines())) == (UsageError.exit_code, 1)
    assert "--against" in done.stderr
    done = edgeclf("bench", model, photo, "--against", "cpu", "--device", "cpu")
    assert (done.returncode, len(done.stderr.splitlines())) == (UsageError.exit_code, 1)
    assert "the same device" in done.stderr
