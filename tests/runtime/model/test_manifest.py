"""The manifest: writing and reading JSON, and everything that makes a manifest invalid."""

import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, replace
from typing import Any

import pytest
from edgeclf.errors import ModelError, ModelTooNewError, NotAModelError
from edgeclf.images.contract import ImageContract
from edgeclf.model.manifest import SCHEMA_VERSION, Calibration, Manifest, Metrics, Provenance

CONTRACT = ImageContract(32, "pad")
MANIFEST = Manifest(
    schema_version=SCHEMA_VERSION,
    classes=("adelie", "gentoo", "king"),
    contract=CONTRACT,
    contract_sha256=CONTRACT.digest(),
    architecture="resnet50",
    head="linear",
    precision="int8",
    cam_classes=3,
    opset=18,
    ir_version=9,
    min_onnxruntime="1.16.3",
    provenance=Provenance("2026-01-01T00:00:00+00:00", 7, "ab" * 32, ("ImageNet-1k",), {"torch": "2.15"}),
    figures=(Metrics("test", 30, 28, ((10, 0, 0), (1, 9, 0), (0, 1, 9))),),
    calibration=Calibration(1.4, 0.7, 60, 50, 2, 0.08, 0.03),
    display_names={"king": "Königspinguin", "gentoo": "ジェンツーペンギン"},
    author="someone",
    licence="CC0-1.0",
    description="penguins",
)


def read(values: Any) -> Manifest:
    return Manifest.from_json(values if isinstance(values, str) else json.dumps(values), "birds.onnx")


def test_json_round_trip() -> None:
    text = MANIFEST.to_json()
    again = read(text)
    assert again == MANIFEST
    assert again.to_json() == text
    assert text.isascii()
    assert isinstance(again.figures[0].confusion[0], tuple)
    assert again.figures[0].accuracy == pytest.approx(28 / 30)


def test_optional_keys_may_be_absent() -> None:
    values = asdict(MANIFEST)
    for key in ("figures", "calibration", "display_names", "author", "licence", "description"):
        del values[key]
    del values["provenance"]["seed"], values["provenance"]["versions"]
    again = read(values)
    assert (again.figures, again.display_names, again.author, again.provenance.seed) == ((), {}, None, None)


def test_manifest_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        MANIFEST.opset = 3  # type: ignore[misc]


def test_figures_without_photos_have_no_accuracy() -> None:
    assert Metrics("test", 0, 0, ()).accuracy == 0


Change = Callable[[dict[str, Any]], Any]


def put(*path: Any) -> Change:
    """Sets values[path[0]][path[1]]... = path[-1]."""

    def change(values: dict[str, Any]) -> None:
        *parents, key, value = path
        for parent in parents:
            values = values[parent]
        values[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (put("surprise", 1), "unknown keys 'surprise'"),
        (put("provenance", "surprise", 1), "manifest.provenance has unknown keys"),
        (put("contract", "surprise", 1), "manifest.contract has unknown keys"),
        (lambda v: v.pop("opset"), "lacks opset"),
        (lambda v: v["provenance"].pop("trained"), "manifest.provenance lacks trained"),
        (put("opset", "18"), "manifest.opset is str"),
        (put("opset", 18.0), "manifest.opset is float"),
        (put("opset", True), "manifest.opset is bool"),
        (put("opset", None), "manifest.opset is NoneType"),
        (put("classes", "adelie"), "manifest.classes is str"),
        (put("classes", 1, 5), r"manifest.classes\[1\] is int"),
        (put("figures", 0, "confusion", 1, 1, "9"), r"confusion\[1\]\[1\] is str"),
        (put("provenance", "versions", "torch", 2), "versions.torch is int"),
        (put("provenance", []), "manifest.provenance is list"),
        (put("author", 3), "manifest.author is int"),
        (put("classes", []), "class names are missing"),
        (put("classes", 1, "king"), "not unique"),
        (put("classes", 0, ""), "class name is empty"),
        (put("classes", 0, "x" * 2001), "too long"),
        (put("classes", 0, "line\nbreak"), r"U\+000A \(a control"),
        (put("classes", 0, "\x1b[31mred"), r"U\+001B"),
        (put("classes", 0, "right\u202eleft"), "RIGHT-TO-LEFT OVERRIDE"),
        (put("display_names", "king", "bell\a"), r"U\+0007"),
        (put("display_names", "emperor", "Kaiserpinguin"), "display name belongs to no class"),
        (put("cam_classes", 4), "more heat maps than classes"),
        (put("cam_classes", -1), "heat maps"),
        (put("calibration", "temperature", 0), "the temperature is 0"),
        (put("calibration", "temperature", float("inf")), "temperature is inf"),
        (put("calibration", "temperature", float("nan")), "temperature is nan"),
        (put("calibration", "threshold", 1.01), "the threshold is 1.01"),
        (put("calibration", "threshold", float("nan")), "threshold is nan"),
        (put("calibration", "answered", 1.5), "manifest.calibration.answered is float"),
        (put("calibration", {}), "manifest.calibration lacks answered"),
        (put("contract_sha256", "00" * 32), "does not match its hash"),
        (put("contract", "size", 64), "does not match its hash"),
        (put("contract", "resize", "stretch"), "resize is 'stretch'"),
        (put("contract", "size", 2), "size 2 is not within"),
        (put("contract", "door", 99), "preprocessing version"),
        (put("contract", "crop_fraction", float("nan")), "crop_fraction"),
    ],
)
def test_invalid_manifest_is_refused_saying_why(change: Change, says: str) -> None:
    values = json.loads(MANIFEST.to_json())
    change(values)
    with pytest.raises(ModelError, match=says) as caught:
        read(values)
    assert str(caught.value).count("birds.onnx") == 1
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', "[" * 100_000, "NaN", '{"schema_version": 1e999}'])
def test_what_is_no_manifest_at_all(text: str) -> None:
    with pytest.raises(NotAModelError, match=r"birds\.onnx: its manifest is not valid"):
        read(text)


def test_newer_schema_says_upgrade_before_it_stumbles_on_unknown_keys() -> None:
    values = {**asdict(MANIFEST), "schema_version": SCHEMA_VERSION + 1, "golden": []}
    with pytest.raises(ModelTooNewError, match=f"schema {SCHEMA_VERSION + 1}") as caught:
        read(values)
    assert "upgrade" in caught.value.remedy


def test_crop_fraction_of_a_whole_number_reads_back() -> None:
    contract = ImageContract(32, crop_fraction=1)
    manifest = replace(MANIFEST, contract=contract, contract_sha256=contract.digest())
    assert read(manifest.to_json()).contract == contract


def test_schema_1_has_no_calibration_and_keeps_loading() -> None:
    values = {**asdict(MANIFEST), "schema_version": 1}
    del values["calibration"]
    assert read(values) == replace(MANIFEST, schema_version=1, calibration=None)
