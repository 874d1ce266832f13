"""Hostile model files with a valid seal, so that only the other checks can refuse them."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from edgeclf.classifier import Classifier
from edgeclf.errors import ModelError, ModelTooNewError, NotAModelError
from edgeclf.model.file import MANIFEST_KEY, read_model_file, seal
from edgeclf.model.manifest import SCHEMA_VERSION
from onnx import TensorProto, helper


def refusal(path: Path, kind: type[ModelError], says: str) -> None:
    with pytest.raises(kind, match=says) as caught:
        read_model_file(path)
    assert str(path) in str(caught.value)


def test_sealed_again_unchanged_is_the_same_file(rebuild: Callable[..., Path]) -> None:
    """Precondition of the tests below: the files are refused because of the change alone."""
    assert Classifier(rebuild(lambda proto: None)).labels


def external_tensor() -> TensorProto:
    tensor = TensorProto(name="outside", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    return tensor


def in_initializer(proto: onnx.ModelProto) -> None:
    proto.graph.initializer.append(external_tensor())


def in_constant(proto: onnx.ModelProto) -> None:
    proto.graph.node.append(helper.make_node("Constant", [], ["outside"], value=external_tensor()))


def in_tensor_list(proto: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["outside"])
    node.attribute.add(name="values", type=onnx.AttributeProto.TENSORS).tensors.append(external_tensor())
    proto.graph.node.append(node)


def in_sparse(proto: onnx.ModelProto) -> None:
    proto.graph.sparse_initializer.add().values.CopyFrom(external_tensor())


def in_branch(proto: onnx.ModelProto) -> None:
    branch = helper.make_graph([], "b", [], [], [external_tensor()])
    proto.graph.node.append(helper.make_node("If", ["c"], ["outside"], then_branch=branch, else_branch=branch))


def in_graph_list(proto: onnx.ModelProto) -> None:
    node = helper.make_node("Relu", ["x"], ["outside"])
    node.attribute.add(name="graphs", type=onnx.AttributeProto.GRAPHS).graphs.add().initializer.append(
        external_tensor()
    )
    proto.graph.node.append(node)


def in_sparse_attribute(proto: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["outside"])
    attribute = node.attribute.add(name="sparse_value", type=onnx.AttributeProto.SPARSE_TENSOR)
    attribute.sparse_tensor.indices.CopyFrom(external_tensor())
    proto.graph.node.append(node)


def in_sparse_list(proto: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["outside"])
    attribute = node.attribute.add(name="sparse_values", type=onnx.AttributeProto.SPARSE_TENSORS)
    attribute.sparse_tensors.add().values.CopyFrom(external_tensor())
    proto.graph.node.append(node)


def in_function(proto: onnx.ModelProto) -> None:
    proto.functions.append(helper.make_function("", "F", [], [], [], []))


def flag_without_location(proto: onnx.ModelProto) -> None:
    in_initializer(proto)
    del proto.graph.initializer[-1].external_data[:]
    proto.graph.initializer[-1].doc_string = "location"


@pytest.mark.parametrize(
    "hide",
    [
        in_initializer,
        in_constant,
        in_tensor_list,
        in_sparse,
        in_branch,
        in_graph_list,
        in_sparse_attribute,
        in_sparse_list,
        in_function,
        flag_without_location,
    ],
)
def test_tensors_in_other_files_are_refused(
    hide: Callable[[onnx.ModelProto], None], rebuild: Callable[..., Path]
) -> None:
    refusal(rebuild(hide), ModelError, "from other files")


def test_the_word_location_alone_is_harmless(rebuild: Callable[..., Path]) -> None:
    path = rebuild(lambda proto: setattr(proto.graph, "name", "location"))
    assert read_model_file(path).manifest.classes


def test_custom_operators_are_refused(rebuild: Callable[..., Path]) -> None:
    path = rebuild(lambda proto: proto.opset_import.append(helper.make_opsetid("evil.example", 1)))
    refusal(path, ModelError, r"custom operators \(evil\.example\)")


def test_operators_that_open_other_files_are_refused(rebuild: Callable[..., Path]) -> None:
    def with_context(proto: onnx.ModelProto) -> None:
        proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        proto.graph.node.append(
            helper.make_node(
                "EPContext", [], ["x"], domain="com.microsoft", embed_mode=0, ep_cache_context="../../etc/passwd"
            )
        )

    refusal(rebuild(with_context), ModelError, r"custom operators \(com\.microsoft\)")


def set_manifest(text: str) -> Callable[[onnx.ModelProto], None]:
    def change(proto: onnx.ModelProto) -> None:
        (entry,) = [entry for entry in proto.metadata_props if entry.key == MANIFEST_KEY]
        entry.value = text

    return change


@pytest.mark.parametrize("text", ["", "{}", "[" * 50_000, '{"classes": ' + "[" * 500 + "]" * 500 + "}", "\0", "é"])
def test_hostile_manifest_under_a_good_seal(text: str, rebuild: Callable[..., Path]) -> None:
    refusal(rebuild(set_manifest(text)), NotAModelError, "manifest is not valid")


def test_newer_schema_under_a_good_seal(rebuild: Callable[..., Path]) -> None:
    path = rebuild(set_manifest(f'{{"schema_version": {SCHEMA_VERSION + 1}}}'))
    refusal(path, ModelTooNewError, f"reads up to {SCHEMA_VERSION}")


def nested(depth: int) -> bytes:
    """Graphs within nodes within graphs, beyond what protobuf itself would parse."""

    def field(number: int, content: bytes) -> bytes:
        size, length = len(content), b""
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + content

    graph = field(2, b"location")
    for _ in range(depth):
        graph = field(1, field(5, field(6, graph)))
    return field(7, graph) + field(8, b"\x10\x12")


@pytest.mark.parametrize(
    "content",
    [
        b"\x38" + b"\xff" * 9 + b"\x01" + b"\x42\x02\x10\x12",  # a graph that is a number beyond 63 bits
        b"\x3a" + b"\xff" * 9 + b"\x7f",  # a graph longer than memory
        b"\x42" + b"\xff" * 30,  # a length without end
        b"\x3b\x3c",  # the wire format's groups
        nested(1000),
    ],
    ids=["huge number", "huge length", "endless varint", "groups", "nested"],
)
def test_hostile_wire_format(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "hostile.onnx"
    path.write_bytes(seal(content))
    refusal(path, NotAModelError, "not an ONNX model|without edgeclf's manifest")


def test_file_not_shaped_as_its_manifest_says(model: Path, rebuild: Callable[..., Path]) -> None:
    text = read_model_file(model).manifest.to_json().replace('"king"', '"king","emperor"')
    path = rebuild(set_manifest(text))
    assert len(read_model_file(path).manifest.classes) == 4
    with pytest.raises(ModelError, match="contradict its manifest"):
        Classifier(path)
