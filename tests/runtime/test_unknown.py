"""Calibrated probabilities and "unknown" photos; files of the first schema, which have neither."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from edgeclf import Classifier, UsageError
from edgeclf.model.manifest import Calibration
from helpers import OLD_MODELS

Cli = Callable[..., CompletedProcess[str]]
MODELS = OLD_MODELS


@pytest.fixture(scope="module")
def make(make_model: Callable[..., Path]) -> Callable[..., Path]:
    def build(temperature: float, threshold: float) -> Path:
        return make_model(calibration=Calibration(temperature, threshold, 60, 50, 2, 0.08, 0.03))

    return build


@pytest.mark.parametrize("temperature", [0.05, 0.6, 3.0])
def test_probabilities_are_the_softmax_of_the_logits_over_the_temperature(
    temperature: float, make: Callable[..., Path], model: Path, photo: Path
) -> None:
    answer = Classifier(make(temperature, 0.0)).predict(photo, logits=True)
    plain = Classifier(model).predict(photo, logits=True)
    assert answer.logits is not None
    assert plain.logits is not None
    np.testing.assert_array_equal(answer.logits, plain.logits)
    for ranking, divisor in ((answer.ranking, temperature), (plain.ranking, 1.0)):
        weights = [math.exp(float(x) / divisor) for x in answer.logits]
        for entry in ranking:
            assert entry.probability == pytest.approx(weights[entry.index] / sum(weights), rel=1e-9)
    explained = Classifier(make(temperature, 0.0)).explain(photo)
    assert explained.prediction == answer


def test_below_the_threshold_a_photo_is_unknown_at_it_it_is_not(make: Callable[..., Path], photo: Path) -> None:
    best = Classifier(make(2.0, 0.0)).predict(photo).best.probability
    above = math.nextafter(best, 1)
    for file_says, caller_says, unknown in (
        (0.0, None, False),
        (best, None, False),
        (above, None, True),
        (above, 0.0, False),
        (0.0, above, True),
        (0.0, 1.0, True),
    ):
        classifier = Classifier(make(2.0, file_says), threshold=caller_says)
        for prediction in (classifier.predict(photo), classifier.explain(photo).prediction):
            assert prediction.unknown is unknown
            assert prediction.best.probability == best, "the ranking stays"


def test_without_calibration_only_the_caller_can_make_a_photo_unknown(model: Path, photo: Path) -> None:
    assert not Classifier(model).predict(photo).unknown
    assert Classifier(model).threshold == 0
    assert Classifier(model, threshold=1.0).predict(photo).unknown


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_that_is_no_probability_is_refused(threshold: float, model: Path) -> None:
    with pytest.raises(UsageError, match="threshold is"):
        Classifier(model, threshold=threshold)


def test_command_line(edgeclf: Cli, make: Callable[..., Path], photo: Path, tmp_path: Path) -> None:
    sure = make(1.0, 0.999)
    first, *ranked = edgeclf("predict", photo, "-m", sure).stdout.splitlines()
    assert first == f"{photo}: unknown"
    assert len(ranked) == 3, "the ranking is shown all the same"
    answer = json.loads(edgeclf("predict", photo, "-m", sure, "--json", "--cam", tmp_path / "why.png").stdout)
    assert answer["unknown"] is True
    assert len(answer["predictions"]) == 3
    overridden = edgeclf("predict", photo, "-m", sure, "--threshold", 0)
    assert (overridden.returncode, overridden.stdout.splitlines()[0]) == (0, str(photo))
    for wrong in ("1.5", "-0.1", "nan", "often"):
        done = edgeclf("predict", photo, "-m", sure, "--threshold", wrong)
        assert done.returncode == 2
        assert "threshold" in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


def test_info_tells_what_the_threshold_gave(edgeclf: Cli, make: Callable[..., Path]) -> None:
    done = edgeclf("info", make(1.25, 0.7))
    line = next(line for line in done.stdout.splitlines() if line.startswith("calibrated"))
    for part in ("temperature 1.25", "unknown below 0.7", "60 validation photos", "50 answered", "2 of them wrong"):
        assert part in line
    shown = json.loads(edgeclf("info", make(1.25, 0.7), "--json").stdout)
    assert shown["calibration"]["temperature"] == 1.25


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_of_an_older_schema_answers(version: int, edgeclf: Cli, photo: Path) -> None:
    """A committed file of an older edgeclf: every later version must be able to use it."""
    path = MODELS / f"schema{version}.onnx"
    classifier = Classifier(path)
    manifest = classifier.manifest
    assert (manifest.schema_version, manifest.gate, manifest.golden) == (version, None, None)
    assert (manifest.calibration is None) == (version == 1)
    prediction = classifier.predict(photo)
    assert sum(entry.probability for entry in prediction.ranking) == pytest.approx(1)
    assert prediction.unknown == (version == 2), "its threshold is 0.4"
    assert ("calibrated" in edgeclf("info", path).stdout) == (version == 2)


def test_a_file_of_schema_3_passes_its_own_self_test(edgeclf: Cli, photo: Path) -> None:
    path = MODELS / "schema3.onnx"
    manifest = Classifier(path).manifest
    assert manifest.schema_version == 3
    assert manifest.gate is not None
    assert manifest.gate.worst_class == "king"
    assert manifest.golden is not None
    assert len(manifest.golden.photos) == 8
    assert edgeclf("doctor", path).returncode == 0
    assert edgeclf("predict", photo, "-m", path).returncode == 0
