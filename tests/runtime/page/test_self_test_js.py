"""The words of the self-test on a device, for each kind of result; what it finds is tested in a browser."""

from collections.abc import Callable
from typing import Any

import pytest

WORDS = """
    const { resultOf, verdictOf } = await load("self-test-words.js");
    const model = { file: "birds.onnx", bytes: 4900000, device: "wasm", runtime: { "onnxruntime-web": "1.30.0" },
        manifest: { architecture: "resnet50", precision: "int8" } };
    return argument.map(([tolerance, photos, canvas]) => {
        const result = resultOf(model, tolerance, photos, { name: "canvas", status: canvas, detail: "", remedy: "" });
        const shown = Object.fromEntries(result.checks.map((one) => [one.name, `${one.status}: ${one.detail}`]));
        return { verdict: verdictOf(result), passed: result.passed, exact: result.exact, ...shown };
    });
"""
GOOD = {
    "label": "king",
    "pixels": 0,
    "network": 0,
    "same_bits": True,
    "pixels_passed": True,
    "network_passed": True,
    "error": None,
}


def _one(in_node: Callable[..., Any], tolerance: float, *photos: dict[str, Any], canvas: str = "ok") -> dict[str, Any]:
    found: dict[str, Any] = in_node(WORDS, [[tolerance, photos, canvas]])[0]
    return found


def test_exact(in_node: Callable[..., Any]) -> None:
    found = _one(in_node, 0, GOOD, GOOD)
    assert (found["verdict"], found["passed"], found["exact"]) == ("Exact on this device", True, True)
    assert found["network"] == "ok: 2 photos: logits bit-identical to those at export"
    assert found["pixels"] == "ok: 2 photos: pixels identical to those at export"
    assert found["model"] == "ok: birds.onnx (4.9 MB, resnet50, int8, sealed)"
    assert found["onnxruntime"] == "ok: 1.30.0: wasm"


def test_a_browser_that_alters_pixels(in_node: Callable[..., Any]) -> None:
    found = _one(in_node, 0, GOOD, canvas="warning")
    assert (found["verdict"], found["passed"]) == ("Exact on this device, for JPEGs only", True)


def test_close(in_node: Callable[..., Any]) -> None:
    found = _one(in_node, 1e-4, GOOD, {**GOOD, "network": 2.4e-6, "same_bits": False})
    assert (found["verdict"], found["exact"]) == ("Close on this device, not the same bits", False)
    assert found["network"] == "ok: 2 photos: logits differ by at most 2e-06 of the largest (1e-04 allowed)"
    pixels = _one(in_node, 0, {**GOOD, "pixels": 0.25})
    assert pixels["pixels"] == "ok: 1 photos: mean difference at most 0.25 of 255 (1 allowed)"
    assert not pixels["exact"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"network": 1e-7}, "network: logits differ by 1.0e-07 of the largest logit, the same bits are expected"),
        ({"network": None}, "network: logits are not finite, the same bits are expected"),
    ],
)
def test_another_network(in_node: Callable[..., Any], changed: dict[str, Any], said: str) -> None:
    wrong = {**GOOD, **changed, "same_bits": False, "network_passed": False}
    found = _one(in_node, 0, GOOD, wrong, wrong)
    assert found["verdict"] == f"Differs on this device: photo 2 (king): {said} (and 1 more of 3)"
    assert (found["passed"], found["exact"]) == (False, False)


def test_other_pixels(in_node: Callable[..., Any]) -> None:
    found = _one(in_node, 0, {**GOOD, "pixels": 3.5, "pixels_passed": False})
    assert found["pixels"] == "FAIL: photo 1 (king): pixels: mean difference 3.50 of 255, 1 is allowed"
    unread = _one(in_node, 0, {**GOOD, "pixels": None, "pixels_passed": False, "error": "the photo: damaged"})
    assert unread["pixels"] == "FAIL: photo 1 (king): pixels: the photo: damaged"
    assert not unread["passed"]


def test_nothing_to_test_with(in_node: Callable[..., Any]) -> None:
    found = _one(in_node, 0)
    assert (found["verdict"], found["exact"]) == ("Not tested: the model has no test photos", False)
    assert found["network"].startswith("warning: loads and runs; the file has no golden photos")
