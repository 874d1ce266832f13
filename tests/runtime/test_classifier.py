"""The classifier from Python: rankings, batches, threads, devices, and the default model."""

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeclf import Classifier
from edgeclf.classifier import DEFAULT_MODEL
from edgeclf.errors import BackendError, ModelError, PhotoError, UsageError
from edgeclf.images.preprocess import network_input
from edgeclf.model.session import import_onnxruntime, usable_threads
from edgeclf.results import Prediction, best_first
from helpers import draw
from numpy.typing import NDArray
from PIL import Image


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    draw(seed).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def classifier(model: Path) -> Classifier:
    return Classifier(model, device="cpu", threads=1)


def logits_of(classifier: Classifier, photo: Any) -> NDArray[np.float32]:
    logits = classifier.predict(photo, logits=True).logits
    assert logits is not None
    return logits


def test_ranking_is_the_softmax_of_the_logitsbest_first(classifier: Classifier) -> None:
    answer = classifier.predict(draw(1), top_k=3, logits=True)
    assert answer.logits is not None
    assert (answer.logits.shape, answer.logits.dtype) == ((3,), np.float32)
    shares = np.exp(answer.logits.astype(float)) / np.exp(answer.logits.astype(float)).sum()
    assert [entry.index for entry in answer.ranking] == np.argsort(-shares).tolist()
    for entry in answer.ranking:
        assert entry.probability == pytest.approx(shares[entry.index], abs=1e-12)
        assert entry.label == entry.name == classifier.labels[entry.index]
    assert sum(entry.probability for entry in answer.ranking) == pytest.approx(1, abs=1e-12)
    assert answer.best is answer.ranking[0]


def test_logits_are_those_of_the_network(model: Path, classifier: Classifier) -> None:
    session = import_onnxruntime().InferenceSession(str(model), providers=["CPUExecutionProvider"])
    image = network_input(draw(1), classifier.manifest.contract)
    (expected,) = session.run(["logits"], {"image": image[None]})
    np.testing.assert_allclose(logits_of(classifier, draw(1)), expected[0], rtol=1e-5)
    assert classifier.predict(draw(1)).logits is None


def test_extreme_logits_neither_overflow_nor_lose_their_order(classifier: Classifier) -> None:
    ranking = classifier.rank(np.array([900.0, -900.0, 900.0], np.float32), 3).ranking
    assert [(entry.index, entry.probability) for entry in ranking] == [(0, 0.5), (2, 0.5), (1, 0.0)]


@pytest.mark.parametrize(("top_k", "expected"), [(1, 1), (2, 2), (3, 3), (1000, 3)])
def test_top_k_is_bounded_by_the_classes(classifier: Classifier, top_k: int, expected: int) -> None:
    assert len(classifier.predict(draw(1), top_k=top_k).ranking) == expected
    assert classifier.predict(draw(1), top_k=top_k).best == classifier.predict(draw(1)).best


@pytest.mark.parametrize("top_k", [0, -1])
def test_top_k_below_one_is_a_usage_error_at_once(classifier: Classifier, top_k: int) -> None:
    for call in (classifier.predict, classifier.explain):
        with pytest.raises(UsageError, match="top_k"):
            call(draw(1), top_k=top_k)
    with pytest.raises(UsageError, match="top_k"):
        classifier.predict_many([], top_k=top_k)  # without a next()


def test_every_route_gives_the_same_answer(classifier: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(png(2))
    expected = logits_of(classifier, path)
    for photo in (str(path), png(2), io.BytesIO(png(2)), Image.open(path), np.asarray(draw(2))):
        np.testing.assert_array_equal(logits_of(classifier, photo), expected)
    assert not np.array_equal(logits_of(classifier, png(3)), expected)


def test_display_names_come_along(make_model: Callable[..., Path]) -> None:
    model = make_model(display={"king": "キングペンギン"})
    ranking = Classifier(model).predict(draw(1)).ranking
    names = {entry.label: (entry.display_name, entry.name) for entry in ranking}
    assert names["king"] == ("キングペンギン", "キングペンギン")
    assert names["gentoo"] == (None, "gentoo")


def test_predict_many_is_lazy_and_keeps_order_and_errors(classifier: Classifier) -> None:
    taken: list[int] = []

    def photos() -> Iterator[bytes]:
        for number in range(4):
            taken.append(number)
            yield b"no photo" if number == 1 else png(number)

    answers = classifier.predict_many(photos(), top_k=3)
    assert taken == []
    first = next(answers)
    assert taken == [0]
    second, third = next(answers), next(answers)
    assert taken == [0, 1, 2]
    assert first == classifier.predict(png(0), top_k=3)
    assert isinstance(second, PhotoError)
    assert second.kind == "not-an-image"
    assert third == classifier.predict(png(2), top_k=3)
    assert len(list(answers)) == 1


def test_predict_many_names_the_path_of_a_failure(classifier: Classifier, tmp_path: Path) -> None:
    (answer,) = classifier.predict_many([tmp_path / "missing.jpg"])
    assert isinstance(answer, PhotoError)
    assert answer.path == str(tmp_path / "missing.jpg")


def test_errors_go_through_a_pickle(tmp_path: Path) -> None:
    """Process pools pickle them."""
    import pickle

    for error in (PhotoError("empty", "a  b", "c", "p"), ModelError("m", "r"), UsageError("u")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_threads_share_one_classifier(classifier: Classifier) -> None:
    photos = [png(number) for number in range(24)]
    expected = [logits_of(classifier, photo) for photo in photos]
    assert len({logits.tobytes() for logits in expected}) == len(photos)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda photo: logits_of(classifier, photo), photos * 20))
    for answer, right in zip(answers, expected * 20, strict=True):
        assert answer.tobytes() == right.tobytes()


def test_device_and_provider_names(model: Path) -> None:
    for device in ("cpu", "CPU", "CPUExecutionProvider", "cpuexecutionprovider"):
        assert Classifier(model, device=device).device == "CPUExecutionProvider"


@pytest.mark.parametrize(
    ("device", "remedy"),
    [("cuda", "edgeclf[gpu]"), ("CUDAExecutionProvider", "edgeclf[gpu]"), ("abacus", "--device cpu")],
)
def test_device_that_is_not_there_is_an_error_never_a_fallback(model: Path, device: str, remedy: str) -> None:
    if device != "abacus" and "CUDAExecutionProvider" in import_onnxruntime().get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(BackendError, match=device) as caught:
        Classifier(model, device=device)
    assert remedy in caught.value.remedy
    assert "available: auto, " in caught.value.message
    assert "cpu" in caught.value.message


def test_provider_that_falls_back_silently_is_an_error(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime-gpu without a driver lists CUDA, then serves from the CPU."""
    onnxruntime = import_onnxruntime()
    original = onnxruntime.InferenceSession
    offered = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda path, options, providers, **_: original(path, options, providers=["CPUExecutionProvider"]),
    )
    with pytest.raises(BackendError, match="fell back to CPUExecutionProvider"):
        Classifier(model, device="cuda")
    assert Classifier(model, device="auto").device == "CPUExecutionProvider"


@pytest.mark.parametrize("threads", [0, -2])
def test_threads_below_one(model: Path, threads: int) -> None:
    with pytest.raises(UsageError, match="threads"):
        Classifier(model, threads=threads)


def test_usable_threads_are_not_more_than_the_affinity() -> None:
    import os

    assert 1 <= usable_threads() <= len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else True


def test_missing_onnxruntime_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendError, match=r"edgeclf\[cpu\]"):
        import_onnxruntime()


def test_default_model_answers_and_the_variable_overrides_it(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    default = Classifier()
    assert len(default.labels) == 1000
    answer = default.predict(draw(4, 300, 200))
    assert isinstance(answer, Prediction)
    assert len(answer.ranking) == 5
    monkeypatch.setenv("EDGECLF_MODEL", str(model))
    assert Classifier().labels == ("adelie", "gentoo", "king")
    assert len(Classifier(DEFAULT_MODEL).labels) == 1000
    monkeypatch.setenv("EDGECLF_MODEL", "nowhere.onnx")
    with pytest.raises(ModelError, match=r"nowhere\.onnx: no such model file"):
        Classifier()


@pytest.mark.parametrize("count", [1, 5, 10, 11, 50])
def test_the_best_come_first_and_equal_ones_by_index(count: int) -> None:
    rng = np.random.default_rng(count)
    for values in (rng.integers(0, 4, 30).astype(float), np.full(30, -np.inf), np.array([1.0, np.nan, 2.0] * 10)):
        expected = np.argsort(-values, kind="stable")[:count].tolist()
        found = best_first(values, count)
        assert len(found) == len(set(found)) == min(count, 30)
        assert np.isnan(values).any() or found == expected
