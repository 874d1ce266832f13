"""Reads the few fields of an ONNX file that edgeclf checks, without the ``onnx`` package.

An ``.onnx`` file is a protobuf message (``ModelProto`` of onnx.proto). Its wire format is simple enough to read opsets
and metadata, and to find out whether a tensor's data is in another file.
"""

import mmap
from collections.abc import Iterator
from typing import TypeAlias

_MAX_MANIFEST_BYTES = 16 * 2**20

Buffer: TypeAlias = bytes | mmap.mmap


def scan_model(data: Buffer) -> tuple[dict[str, str], set[str], bool]:
    """Read the top-level fields of a model.

    Returns:
        Metadata, operator-set domains, and whether a tensor's data is in another file.

    Raises:
        ValueError, IndexError, OverflowError, RecursionError: the bytes are not a model.
    """
    metadata: dict[str, str] = {}
    domains: set[str] = set()
    external, has_graph = False, False
    for number, start, end in protobuf_fields(data, 0, len(data)):
        if number == 7:  # graph
            has_graph = True
            external = external or _has_external_data(data, start, end, _GRAPH)
        elif number == 8:  # opset_import
            domains.add(_strings(data, start, end).get(1, ""))
        elif number == 14:  # metadata_props
            if end - start > _MAX_MANIFEST_BYTES:
                raise ValueError("metadata too long")
            entry = _strings(data, start, end)
            metadata[entry.get(1, "")] = entry.get(2, "")
        elif number == 25 and end > start:  # functions: edgeclf writes none, and they could contain tensors
            external = True
    if not has_graph or not domains:
        raise ValueError("no graph")
    return metadata, domains, external


# Messages that can contain tensors: message -> {field number of onnx.proto: submessage}.
_GRAPH = {1: "node", 5: "tensor", 15: "sparse"}
_NESTED = {
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "graph": _GRAPH,
    "tensor": {},
}


def _has_external_data(data: Buffer, start: int, end: int, nested: dict[int, str]) -> bool:
    for number, a, b in protobuf_fields(data, start, end):
        kind = nested.get(number)
        if kind == "tensor":
            if any(n == 13 or (n == 14 and value_start != 0) for n, value_start, _ in protobuf_fields(data, a, b)):
                return True
        # Every external tensor has the key "location": nodes without these bytes are skipped.
        elif kind == "node" and data.find(b"location", a, b) < 0:
            continue
        elif kind is not None and _has_external_data(data, a, b, _NESTED[kind]):
            return True
    return False


def protobuf_fields(data: Buffer, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(field number, start, end) of each field of a message; for a varint (field number, value, 0)."""
    while position < end:
        key = data[position]
        position += 1
        if key >= 0x80:
            key, position = _varint(data, position - 1, end)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, position = _varint(data, position, end)
            yield number, value, 0
            continue
        if wire == 2:
            if position >= end:
                raise ValueError("truncated")
            length = data[position]
            position += 1
            if length >= 0x80:
                length, position = _varint(data, position - 1, end)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError("unknown wire type")
        if number == 0 or position + length > end:
            raise ValueError("field out of bounds")
        yield number, position, position + length
        position += length


def _varint(data: Buffer, position: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            raise ValueError("truncated")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("varint too long")


def _strings(data: Buffer, start: int, end: int) -> dict[int, str]:
    """The length-delimited fields of a message without submessages, as text."""
    return {number: str(data[a:b], "utf-8") for number, a, b in protobuf_fields(data, start, end) if b}
