"""The pooled features of a photo, from any model file: a graph gets one more output when somebody asks for it.

The file itself has the outputs ``logits``, ``cam`` and ``cam_class`` only, so it costs nothing and every version of
edgeclf opens it. In the protobuf format, a message that is written twice is merged: its lists are joined. So a second
``graph`` with one node and one output, some 60 bytes behind the file's own, makes ``features`` an output too. No byte
that was checked is changed, and logits and maps are the same bits.
"""

import hashlib
import os
from dataclasses import replace

from edgeclf.errors import ModelError
from edgeclf.model.file import ModelFile
from edgeclf.model.onnx_scan import Buffer, protobuf_fields
from edgeclf.model.verified_bytes import ModelBytes, sealed_copy

FEATURES = "features"  # the output: float32 [N, K]
_HEAD = b"head_linear_0"  # name of the node, in all files that edgeclf writes, that reads the features
_GRAPH = 7  # field of onnx.proto's ModelProto; the next ones: of GraphProto, NodeProto, ValueInfoProto and TypeProto
_NODE, _OUTPUT, _VALUE_NAME = 1, 12, 1
_INPUT, _NODE_OUTPUT, _NODE_NAME, _OPERATOR = 1, 2, 3, 4
# TypeProto: a tensor (field 1); its elements (field 1) are float32 (1), its shape (field 2) has two free dimensions.
_FLOAT_MATRIX = b"\x0a\x08\x08\x01\x12\x04\x0a\x00\x0a\x00"


def with_features(file: ModelFile) -> ModelFile:
    """The same model with the additional output ``features``: what goes into the head, float32 ``[N, K]``.

    Args:
        file: a checked model file.

    Returns:
        A model to open sessions from; its path, digest and manifest are those of the file.

    Raises:
        ModelError: the file does not say where its head begins.
        ModelDamagedError: the file was overwritten after it was checked.
    """
    data = file.content.read()
    source = features_tensor(data)
    if source is None:
        raise ModelError(f"{file.path}: gives no features, its head is not marked", "export the model again")
    data += _entry(source)
    digest = hashlib.sha256(data).hexdigest()
    copy = sealed_copy(data, len(data))  # onnxruntime needs less memory for a path than for bytes
    if copy is None:
        return replace(file, content=ModelBytes(file.path, digest, data=data))
    content = ModelBytes(file.path, digest, descriptor=copy, status=os.fstat(copy), sealed=True)
    return replace(file, content=content)


def features_tensor(data: Buffer) -> bytes | None:
    """The name of the tensor that the head reads, None if no node has the head's name.

    Args:
        data: the bytes of a checked model file.
    """
    for field, start, end in protobuf_fields(data, 0, len(data)):
        if field != _GRAPH:
            continue
        for part, first, last in protobuf_fields(data, start, end):
            if part != _NODE or data.find(_HEAD, first, last) < 0:
                continue
            fields = [(number, data[a:b]) for number, a, b in protobuf_fields(data, first, last) if b]
            if (_NODE_NAME, _HEAD) in fields:
                return next((value for number, value in fields if number == _INPUT), None)
    return None


def _entry(source: bytes) -> bytes:
    """A second ``graph``: a node that gives the tensor the name of the output, and the output."""
    name = FEATURES.encode()
    node = _field(_INPUT, source) + _field(_NODE_OUTPUT, name) + _field(_OPERATOR, b"Identity")
    output = _field(_VALUE_NAME, name) + _field(2, _FLOAT_MATRIX)
    return _field(_GRAPH, _field(_NODE, node) + _field(_OUTPUT, output))


def _field(number: int, value: bytes) -> bytes:
    """A length-delimited field of a protobuf message."""
    length, size = b"", len(value)
    while size >= 0x80:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + value
