"""``edgeclf info``: the description in a model file."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgeclf.model.manifest import Gate

_MAX_CLASSES_LISTED = 30


def info(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Default: $EDGECLF_MODEL, else the network in the package.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole manifest as JSON.")] = False,
) -> None:
    """Show the description in a model file.

    \b
    edgeclf info birds.onnx
    edgeclf info birds.onnx --json

    Classes, preprocessing, metrics, requirements and origin. The checksum is verified.
    """
    from edgeclf.class_names import natural_order
    from edgeclf.cli.console import printable
    from edgeclf.evaluation.calibration_text import calibration_text
    from edgeclf.evaluation.metrics import accuracy_text
    from edgeclf.model.default_model import default_model
    from edgeclf.model.file import read_model_file

    file = read_model_file(model or default_model())
    if as_json:
        manifest = json.loads(file.manifest.to_json())  # bytes become Base64
        print(json.dumps({"path": file.path, "bytes": file.size, "sha256": file.sha256, **manifest}, allow_nan=False))
        return
    m, origin = file.manifest, file.manifest.provenance
    resize = {
        "crop": f"centre square ({m.contract.crop_fraction:.1%} of the short side)",
        "pad": "whole photo, letterboxed in black",
        "squash": "whole photo, aspect ratio ignored",
    }[m.contract.resize]
    by = "" if m.precision == "fp32" else ", of the trained network"
    rows = [
        ("file", f"{printable(file.path)} ({file.size / 1e6:.1f} MB, sha256 {file.sha256[:12]}, checksum correct)"),
        ("network", f"{m.architecture}, {m.head} head, {m.precision}"),
        ("input", f"{m.contract.size} x {m.contract.size} pixels, {resize}"),
        ("heat maps", f"of the {m.cam_classes} best-ranked classes" if m.cam_classes else "none"),
        ("needs", f"onnxruntime {m.min_onnxruntime} or newer (opset {m.opset}, IR {m.ir_version})"),
        *((f.split, f"{accuracy_text(f)}{by}") for f in m.figures),
        *([("this file", _gate_text(m.gate))] if m.gate else []),
        *([("calibrated", calibration_text(m.calibration))] if m.calibration else []),
        *([("self-test", f"{len(m.golden.photos)} photos inside, see `edgeclf doctor MODEL`")] if m.golden else []),
        ("trained", origin.trained + (f", seed {origin.seed}" if origin.seed is not None else "")),
        *(("weights", line) for line in origin.weights),
        *((key, value) for key in ("author", "licence", "description") if (value := getattr(m, key))),
        ("versions", ", ".join(f"{name} {version}" for name, version in origin.versions.items())),
        ("classes", str(len(m.classes))),
    ]
    for key, value in rows:
        print(f"{key:<12} {value}")
    order = natural_order(m.classes)  # the number is the class index
    shown = order if len(order) <= _MAX_CLASSES_LISTED + 10 else order[:_MAX_CLASSES_LISTED]
    for index in shown:
        print(f"  {index:>4}  {m.classes[index]}  {m.display_names.get(m.classes[index], '')}".rstrip())
    if len(shown) < len(m.classes):
        print(f"   ...  {len(m.classes) - len(shown)} more: edgeclf info --json, or Classifier.labels")


def _gate_text(g: "Gate") -> str:
    layers = len(g.float_layers)
    return (
        ("" if g.passed else "FORCED, over the accuracy budget: ")
        + f"{g.correct_after} of {g.photos} {g.split} photos right, the trained network {g.correct_before}; "
        + f"{g.agreeing} with the same prediction; lost {g.drop:.1f} points "
        + f"(95 % interval {g.drop_low:.1f} to {g.drop_high:.1f})"
        + (f", most in {g.worst_class} ({g.worst_drop:.1f})" if g.worst_class else "")
        + f"; {g.max_drop:g} allowed, {g.max_class_drop:g} in a class"
        + (f"; ranges by {g.calibration}" if g.calibration != "none" else "")
        + (f", {layers} layer{'s' * (layers > 1)} in float" if layers else "")
    )
