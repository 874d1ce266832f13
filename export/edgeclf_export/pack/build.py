"""A graph becomes a model file: heat maps, fast normalisation, smaller weights, manifest, seal.

A file is the serialized graph, then one metadata entry with the manifest, then the seal. So a graph is serialized once:
what the checks find out is written into the manifest later, and the file is sealed when all of it is known.
"""

from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

import onnx
from edgeclf.images.contract import ImageContract
from edgeclf.model.file import MANIFEST_KEY, SEAL_LENGTH, read_model_file, seal
from edgeclf.model.manifest import SCHEMA_VERSION, Manifest, Provenance

from edgeclf_export.graph.compact import compact
from edgeclf_export.graph.fp16_weights import store_fp16_weights
from edgeclf_export.graph.gradcam import CAM_TABLE, CamSize, attach_cam
from edgeclf_export.graph.normalisation import speed_up_normalisation
from edgeclf_export.graph.to_onnx import IR_VERSION, MIN_ONNXRUNTIME, OPSET, strip

_UNTRAINED = Provenance("1970-01-01T00:00:00+00:00")  # of networks nobody trained


@dataclass(frozen=True, eq=False)
class BuiltModel:
    """All of a model file but the manifest's entry and the seal.

    Attributes:
        graph: the serialized ONNX model, without metadata: inputs ``image``; outputs ``logits``, ``cam``,
            ``cam_class``.
        operators: the operator types of its nodes.
        manifest: what the file will say about itself, as far as it is known yet.
    """

    graph: bytes = field(repr=False)
    operators: frozenset[str]
    manifest: Manifest

    @property
    def size(self) -> int:
        """Bytes of the file that ``seal_model`` makes of it."""
        return len(self.graph) + len(_manifest_entry(self.manifest)) + SEAL_LENGTH

    def with_manifest(self, **changes: Any) -> "BuiltModel":
        """The same graph with other fields of the manifest, which becomes one of today's schema."""
        return replace(self, manifest=replace(self.manifest, schema_version=SCHEMA_VERSION, **changes))


def build_model(model: onnx.ModelProto, cam: CamSize, manifest: Manifest, precision: str) -> BuiltModel:
    """Complete a graph of ``to_onnx`` or ``quantize``, and serialize it.

    Args:
        model: not changed.
        cam: how many heat maps it gets, see ``cam_size``.
        manifest: as the caller knows it; precision, heat maps, opset, IR version, lowest onnxruntime and the exporting
            packages' versions are filled in here.
        precision: "fp32", "fp16" (stores the weights so), "int8" or "mixed".

    Returns:
        What ``seal_model`` makes a file of. The same arguments give the same bytes.
    """
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    attach_cam(whole, cam)
    speed_up_normalisation(whole.graph)
    if precision != "fp32":
        # The heat maps' own table would otherwise be as large as an INT8 head, or larger.
        store_fp16_weights(whole.graph, None if precision == "fp16" else CAM_TABLE)
    if precision in ("int8", "mixed"):
        compact(whole.graph)
    strip(whole)
    del whole.graph.value_info[:]
    # The quantizer lists its own domains, used or not.
    used = {node.domain for node in whole.graph.node}
    for entry in [entry for entry in whole.opset_import if entry.domain not in used]:
        whole.opset_import.remove(entry)
    whole.ir_version = IR_VERSION
    onnx.checker.check_model(whole)
    finished = replace(
        manifest,
        precision=precision,
        cam_classes=cam.maps,
        opset=OPSET,
        ir_version=IR_VERSION,
        min_onnxruntime=MIN_ONNXRUNTIME,
        provenance=replace(
            manifest.provenance,
            versions={**manifest.provenance.versions, **{name: version(name) for name in ("onnx", "onnxscript")}},
        ),
    )
    operators = frozenset(node.op_type for node in whole.graph.node)
    return BuiltModel(whole.SerializeToString(deterministic=True), operators, finished)


def seal_model(model: BuiltModel) -> bytes:
    """The bytes of the model file: graph, manifest, seal."""
    return seal(model.graph + _manifest_entry(model.manifest))


def unseal_model(data: bytes) -> BuiltModel:
    """The inverse of ``seal_model``, for a file whose manifest is to change.

    Raises:
        ModelError: these are not the bytes of a whole model file.
    """
    manifest = read_model_file(data).manifest
    model = onnx.load_model_from_string(data)
    del model.metadata_props[:]
    operators = frozenset(node.op_type for node in model.graph.node)
    return BuiltModel(model.SerializeToString(deterministic=True), operators, manifest)


def draft_manifest(
    classes: tuple[str, ...],
    contract: ImageContract,
    architecture: str,
    head: str = "linear",
    provenance: Provenance = _UNTRAINED,
    **known: Any,
) -> Manifest:
    """A manifest with what ``build_model`` fills in left at placeholders; ``known``: any other of its fields."""
    return Manifest(
        schema_version=SCHEMA_VERSION,
        classes=classes,
        contract=contract,
        contract_sha256=contract.digest(),
        architecture=architecture,
        head=head,
        provenance=provenance,
        precision="",
        cam_classes=0,
        opset=0,
        ir_version=0,
        min_onnxruntime="",
        **known,
    )


def _manifest_entry(manifest: Manifest) -> bytes:
    """The manifest as protobuf writes it: metadata is a model's last field, so it can follow the rest of the bytes."""
    metadata = onnx.ModelProto()
    entry = metadata.metadata_props.add()
    entry.key, entry.value = MANIFEST_KEY, manifest.to_json()
    return bytes(metadata.SerializeToString(deterministic=True))
