"""The features of a photo: an output that is added to the graph when somebody asks for it."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from edgeclf import Classifier, ModelError, PhotoError
from edgeclf.classifier import default_model
from edgeclf.model.features_output import FEATURES, features_tensor, with_features
from edgeclf.model.file import read_model_file
from edgeclf.model.session import open_cpu_session, open_session
from helpers import OLD_MODELS, draw
from onnx import numpy_helper

PHOTOS = [np.asarray(draw(number)) for number in range(6)]
OUTPUTS = ["logits", "cam", "cam_class"]


@pytest.mark.parametrize("options", [{}, {"int8": True}, {"head": "mlp"}], ids=str)
def test_the_other_outputs_are_the_same_bits(make_model: Callable[..., Path], options: dict[str, object]) -> None:
    path = make_model(**options)
    before = path.read_bytes()
    file = read_model_file(path)
    plain, asked = open_session(file, "cpu", 1)[0], open_session(with_features(file), "cpu", 1)[0]
    assert [output.name for output in asked.get_outputs()] == [*OUTPUTS, FEATURES]
    photos = np.random.default_rng(0).integers(0, 256, (20, 1, *plain.get_inputs()[0].shape[1:]), np.uint8)
    for photo in photos:
        *others, features = asked.run([*OUTPUTS, FEATURES], {"image": photo})
        assert features.dtype == np.float32
        for one, other in zip(plain.run(OUTPUTS, {"image": photo}), others, strict=True):
            assert np.array_equal(one, other)
    assert path.read_bytes() == before


def test_a_linear_head_makes_the_logits_of_them(model: Path) -> None:
    graph = onnx.load(model).graph
    weights = {tensor.name.rsplit(".", 1)[-1]: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    classifier = Classifier(model)
    seen = set()
    for photo in PHOTOS:
        features = classifier.features(photo)
        logits = classifier.predict(photo, logits=True).logits
        assert np.allclose(features @ weights["weight"].T + weights["bias"], logits, rtol=1e-4, atol=1e-4)
        seen.add(features.tobytes())
    assert len(seen) == len(PHOTOS), "features depend on the photo"


def test_many_photos_give_the_same_as_one(model: Path, tmp_path: Path) -> None:
    classifier = Classifier(model, threads=2)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    photos = [*PHOTOS, str(tmp_path / "broken.jpg")]
    *found, error = classifier.features_many(photos, top_k=2)
    assert isinstance(error, PhotoError)
    assert error.kind == "damaged"
    for photo, one in zip(PHOTOS, found, strict=True):
        assert np.array_equal(one.vector, classifier.features(photo))
        assert one.prediction == classifier.predict(photo, 2)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_give_them_too(model: Path, again: Callable[[Classifier], Classifier]) -> None:
    classifier = Classifier(model)
    wanted = classifier.features(PHOTOS[0])
    assert np.array_equal(again(classifier).features(PHOTOS[0]), wanted)


def test_files_of_earlier_versions_give_them(tmp_path: Path) -> None:
    for name in ("schema1", "schema2", "schema3"):
        classifier = Classifier(OLD_MODELS / f"{name}.onnx")
        assert np.isfinite(classifier.features(PHOTOS[0])).all()
    features = Classifier(default_model()).features(PHOTOS[0])
    assert features.shape == (1280,)
    assert features.min() >= 0, "they come after the last activation and its mean"


def test_a_file_whose_head_has_no_name_says_so_in_one_line(rebuild: Callable[..., Path]) -> None:
    def rename(proto: onnx.ModelProto) -> None:
        for node in proto.graph.node:
            node.name = node.name.replace("head_linear", "other")

    classifier = Classifier(rebuild(rename))
    classifier.predict(PHOTOS[0])
    for ask in (lambda: classifier.features(PHOTOS[0]), lambda: list(classifier.features_many(PHOTOS))):
        with pytest.raises(ModelError, match=r"gives no features.*; export the model again") as caught:
            ask()
        assert "\n" not in str(caught.value)


def test_only_the_node_with_the_name_counts(model: Path) -> None:
    proto = onnx.load(model)
    (head,) = (node for node in proto.graph.node if node.name == "head_linear_0")
    wanted = head.input[0].encode()
    proto.graph.node[0].doc_string = "not head_linear_0"
    long = onnx.helper.make_node("Identity", ["image"], ["unused" * 40], "head_linear_01")
    proto.graph.node.insert(0, long)
    assert features_tensor(proto.SerializeToString()) == wanted
    head.input[0] = "x" * 300  # longer than one byte of length can say
    assert features_tensor(proto.SerializeToString()) == b"x" * 300


def test_long_names_are_written_right(model: Path) -> None:
    proto = onnx.load(model)
    (head,) = (node for node in proto.graph.node if node.name == "head_linear_0")
    old, new = head.input[0], "x" * 300
    for node in proto.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    from edgeclf.model.features_output import _entry

    data = proto.SerializeToString() + _entry(new.encode())
    onnx.checker.check_model(onnx.load_from_string(data))
    (features,) = open_cpu_session(data, 1).run([FEATURES], {"image": np.asarray(draw(0, 32, 32))[None]})
    assert features.ndim == 2


def test_features_that_are_not_finite_are_the_models_fault(rebuild: Callable[..., Path]) -> None:
    def overflow(proto: onnx.ModelProto) -> None:
        (tensor,) = (one for one in proto.graph.initializer if one.name.endswith("features.two.0.bias"))
        values = numpy_helper.to_array(tensor).copy()
        values[0] = np.inf
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    with pytest.raises(ModelError, match="not finite"):
        Classifier(rebuild(overflow)).features(PHOTOS[0])
