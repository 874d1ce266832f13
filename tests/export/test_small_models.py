"""The committed files that stand in for torch in the runtime's tests are what the exporter makes today."""

import json
from typing import Any

import numpy as np
import onnx
import pytest
from edgeclf.model.file import SEAL_LENGTH, read_model_file
from helpers import CLASSES
from onnx import numpy_helper
from small_models import COMMITTED, SMALL_MODELS, Small, committed, exported


def parts(data: bytes) -> tuple[list[Any], dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """Nodes, tensors and manifest, without what names the versions of other packages."""
    model = onnx.load_model_from_string(data[:-SEAL_LENGTH])
    (entry,) = model.metadata_props
    manifest = json.loads(entry.value)
    del manifest["provenance"]["versions"]
    nodes = [(node.op_type, list(node.input), list(node.output)) for node in model.graph.node]
    return nodes, {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}, manifest


@pytest.mark.parametrize(
    "wanted",
    [
        Small(),
        Small(head="mlp"),
        Small(resize="pad", int8=True, golden=True),
        Small(classes=(*CLASSES, "emperor"), every_map=True, display={"king": "K\u00f6nigspinguin"}),
    ],
    ids=lambda wanted: wanted.file_name,
)
def test_a_committed_file_is_what_is_exported_today(wanted: Small) -> None:
    (nodes, tensors, manifest), (nodes_today, tensors_today, manifest_today) = (
        parts(data) for data in (committed(wanted), exported(wanted))
    )
    assert nodes == nodes_today
    assert manifest == manifest_today
    assert tensors.keys() == tensors_today.keys()
    for name, tensor in tensors.items():
        np.testing.assert_allclose(tensor, tensors_today[name], rtol=1e-5, atol=1e-7, err_msg=name)


def test_the_committed_files_are_those_named_and_of_the_newest_schema() -> None:
    assert {path.name for path in SMALL_MODELS.iterdir()} == {wanted.file_name for wanted in COMMITTED}
    schemas = {read_model_file(path).manifest.schema_version for path in SMALL_MODELS.iterdir()}
    assert len(schemas) == 1
