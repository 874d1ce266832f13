"""Answers of the service are those of ``edgeclf predict --json``, field by field."""

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jpegs
import numpy as np
import pytest
from edgeclf.classifier import Classifier
from edgeclf.field.record import Record
from edgeclf.images.heatmap_mark import is_marked
from exif_photos import SOUTH, TOLD, WHOLE, with_exif
from helpers import draw
from PIL import Image
from serving import Running, Serve

Run = Callable[..., subprocess.CompletedProcess[str]]
SMALLEST_PNG_KINDS = ("PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM")


def encoded(kind: str, seed: int = 1, **options: Any) -> bytes:
    buffer = io.BytesIO()
    draw(seed).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of all kinds, and files that cannot be read."""
    folder = tmp_path_factory.mktemp("photos")
    good = encoded("JPEG", quality=95)
    files = {f"{kind}.jpg": encoded(kind) for kind in SMALLEST_PNG_KINDS}
    turned = draw(2).getexif()
    turned[0x0112] = 6
    files |= {
        "plain.jpg": good,
        "turned.jpg": encoded("JPEG", exif=turned.tobytes()),
        "ペンギン.jpg": good,
        "two words.JPG": good,
        "%22%s{0}.jpg": good,
        "rare.jpg": jpegs.one_colour_after_another(),
        "dated.jpg": with_exif(WHOLE, SOUTH),
        "text.jpg": b"shopping list\n",
        "empty.jpg": b"",
        "half.jpg": good[: len(good) // 2],
        "12-bit.jpg": jpegs.twelve_bit(),
        "no height.jpg": jpegs.baseline(height=0),
        "huge.jpg": jpegs.one_colour_after_another(8, 8).replace(b"\0\10\0\10", b"\xff\xff\xff\xff"),
        "raw.nef": b"II*\0\10\0\0\0" + bytes(200),
        "phone.heic": b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(400),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def as_predict_prints(edgeclf: Run, model: Path, *arguments: object) -> list[dict[str, Any]]:
    done = edgeclf("predict", *arguments, "-m", model, "--json")
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def small(make_model: Callable[..., Path]) -> Path:
    return make_model(display={"king": "Königspinguin"})


def test_each_photo_and_each_error_is_that_of_predict(
    edgeclf: Run, service: Running, photos: Path, small: Path
) -> None:
    paths = sorted(photos.iterdir())
    kinds = set()
    for path in paths:  # one by one: several names at once would make each a photo that was found
        (expected,) = as_predict_prints(edgeclf, small, path, "-k", 2)
        answer = service.post(f"/predict?top_k=2&name={quoted(str(path))}", path.read_bytes())
        assert answer.value == expected
        kind = expected.get("error", {}).get("kind")
        assert answer.status == (200 if kind is None else 413 if kind == "too-large" else 422)
        kinds.add(kind)
    assert {None, "not-an-image", "empty", "damaged", "unsupported", "too-large"} <= kinds


def test_a_form_gives_a_record_or_an_error_for_each_photo_in_order(
    edgeclf: Run, service: Running, photos: Path, small: Path
) -> None:
    paths = [path for path in sorted(photos.iterdir()) if "%" not in path.name]
    expected = [as_predict_prints(edgeclf, small, path)[0] for path in paths]
    sent = [(str(path), path.read_bytes()) for path in paths]
    assert service.post_form("/predict", sent).value == expected
    lines = service.post_form("/predict", sent, Accept="application/x-ndjson")
    assert [json.loads(line) for line in lines.body.splitlines()] == expected
    assert lines.headers["content-type"] == "application/x-ndjson"


@pytest.mark.shared
def test_real_photos_are_answered_as_predict_answers_them(edgeclf: Run, serve: Serve, shared: Path) -> None:
    from edgeclf.classifier import default_model

    folders = ("penguins18", "hymenoptera", "food5", "flowers")
    every = {
        folder: sorted(path for path in (shared / "data" / folder).rglob("*") if path.is_file()) for folder in folders
    }
    paths = [path for photos in every.values() for path in photos[:: max(1, len(photos) // 20)]]
    half = paths[0].parent / "half.jpg"  # sent, not read from here
    sent = [(str(path), path.read_bytes()) for path in paths]
    expected = as_predict_prints(edgeclf, Path(default_model()), *paths)
    service = serve(model=Path(default_model()))
    lines = service.post_form("/predict", [*sent, (str(half), sent[0][1][:5000])], Accept="application/x-ndjson").body
    found = [json.loads(line) for line in lines.splitlines()]
    assert found[:-1] == expected
    assert found[-1]["error"]["kind"] == "damaged"
    assert len(expected) > 80


def test_a_photo_without_a_name_is_that_of_standard_input(edgeclf: Run, service: Running, small: Path) -> None:
    for content in (encoded("JPEG"), b"shopping list\n"):
        done = edgeclf("predict", "-", "-m", small, "--json", stdin=content)
        assert service.post("/predict", content).value == json.loads(done.stdout)


def test_facts_of_a_photo_are_in_its_record_unless_switched_off(
    serve: Serve, service: Running, every_map: Callable[..., Path]
) -> None:
    data = with_exif(WHOLE, SOUTH)
    whole = service.post("/predict", data).value
    assert {key: whole[key] for key in TOLD} == TOLD
    for address, record in (("/predict", lambda value: value), ("/explain?format=json", lambda value: value["record"])):
        shown = record(serve(model=every_map()).post(address, data).value)
        assert {key: shown[key] for key in TOLD} == TOLD
        hidden = record(serve(model=every_map(), facts=False).post(address, data).value)
        assert hidden == {key: value for key, value in shown.items() if key not in TOLD}


def test_the_threshold_of_a_request_decides_what_is_unknown(service: Running, small: Path) -> None:
    best = Classifier(small).predict(encoded("JPEG")).best.probability
    for threshold, unknown in ((best - 0.01, False), (best + 0.01, True), (0, False), (1, True)):
        assert service.post(f"/predict?threshold={threshold}", encoded("JPEG")).value["unknown"] is unknown


def test_the_form_that_hugging_face_answers(service: Running, small: Path) -> None:
    ranking = Classifier(small).predict(encoded("JPEG")).ranking
    answer = service.post("/predict?format=hf&top_k=2", encoded("JPEG"))
    assert answer.value == [{"label": one.name, "score": round(one.probability, 6)} for one in ranking[:2]]
    assert "Königspinguin" in {one["label"] for one in service.post("/predict?format=hf", encoded("JPEG")).value}


def test_the_maps_are_those_of_explain(serve: Serve, every_map: Callable[..., Path]) -> None:
    model = every_map()
    service, data = serve(model=model), encoded("JPEG", 3)
    classifier = Classifier(model)
    answer = service.post("/explain?format=json&name=a.jpg", data).value
    assert Record.from_json(json.dumps(answer["record"])).path == "a.jpg"
    assert [one["label"] for one in answer["maps"]] == [one.label for one in classifier.predict(data, 9).ranking]
    for entry in answer["maps"]:
        explanation = classifier.explain(data, entry["label"])
        shape = entry["height"], entry["width"]
        shares = explanation.cam / max(explanation.cam.max(), 1e-12)
        assert shape == explanation.cam.shape
        assert np.abs(np.reshape(entry["values"], shape) - shares).max() <= 5e-5
        assert entry["probability"] == round(explanation.label.probability, 6)
        assert entry["padding_share"] == round(explanation.padding_share, 4)
        alone = service.post(f"/explain?format=json&class={entry['label']}", data).value
        assert alone["maps"] == [entry]
    assert answer["photo"] == {"width": 160, "height": 120}
    assert answer["seen"] == [round(edge, 2) for edge in explanation.placement.input_on_photo()]


def test_the_overlay_is_the_file_that_cam_writes(
    edgeclf: Run, serve: Serve, every_map: Callable[..., Path], tmp_path: Path
) -> None:
    model, data = every_map(), encoded("PNG", 3)
    (tmp_path / "a.png").write_bytes(data)
    service = serve(model=model)
    for name, kind in (("why.jpg", "image/jpeg"), ("why.png", "image/png")):
        edgeclf("predict", tmp_path / "a.png", "-m", model, "--cam", tmp_path / name, "--cam-class", "gentoo")
        for answer in (
            service.post(f"/explain?class=gentoo&format={kind[6:]}", data),
            service.post("/explain?class=gentoo", data, Accept=f"{kind}, */*"),
            service.ask("POST", "/explain?class=gentoo", data, Accept=kind),
        ):
            assert (answer.status, answer.headers["content-type"]) == (200, kind)
            assert answer.body == (tmp_path / name).read_bytes()
            assert is_marked(answer.body)
    assert Image.open(io.BytesIO(service.post("/explain", data).body)).format == "JPEG"


def test_explain_names_what_has_no_map_or_no_photo(service: Running) -> None:
    missing = service.post("/explain?class=dodo", encoded("JPEG"))
    assert (missing.status, missing.kind) == (400, "usage")
    assert "dodo" in missing.value["error"]["message"]
    unreadable = service.post("/explain?format=json&name=x.jpg", b"text")
    assert (unreadable.status, unreadable.kind, unreadable.value["path"]) == (422, "not-an-image", "x.jpg")
    ranking = service.post("/predict", encoded("JPEG")).value["predictions"]
    last = service.post(f"/explain?class={ranking[-1]['label']}&format=json", encoded("JPEG"))
    assert (last.status, last.kind) == (422, "no-heat-map")  # this network has a map of the best class only
    assert last.value["predictions"] == ranking


def test_a_model_without_heat_maps_says_so(serve: Serve, make_model: Callable[..., Path]) -> None:
    service = serve(model=make_model(cam=False, golden=True))
    assert service.ask("GET", "/model").value["manifest"]["cam_classes"] == 0
    ranking = service.post("/predict", encoded("JPEG")).value["predictions"]
    for form in ("jpeg", "png", "json"):
        answer = service.post(f"/explain?format={form}", encoded("JPEG"))
        assert (answer.status, answer.kind) == (422, "no-heat-map")
        assert "exported without heat maps" in answer.value["error"]["message"]
        assert answer.value["predictions"] == ranking


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/predict?top_k=0", "top_k"),
        ("/predict?top_k=two", "top_k"),
        ("/predict?top_k=99999999999999999999", "top_k"),
        ("/predict?threshold=1.5", "threshold"),
        ("/predict?threshold=nan", "threshold"),
        ("/predict?format=xml", "format"),
        ("/predict?topk=3", "topk"),
        ("/explain?format=gif", "format"),
        ("/explain?threshold=0.5", "there are name, top_k, class, format"),
        ("/predict?token=a-secret-of-mine", "a token does not belong in an address"),
    ],
)
def test_an_argument_that_is_wrong_or_unknown_is_named(service: Running, path: str, names: str) -> None:
    answer = service.post(path, encoded("JPEG"))
    assert (answer.status, answer.kind) == (400, "usage")
    assert names in answer.value["error"]["message"]


def test_model_health_and_metrics(service: Running, small: Path) -> None:
    classifier = Classifier(small)
    model = service.get("/model").value
    assert (model["sha256"], model["device"], model["file"]) == (classifier.sha256, classifier.device, "small.onnx")
    manifest = json.loads(classifier.manifest.to_json())
    del manifest["golden"]
    assert model["manifest"] == manifest
    for path in ("/healthz", "/v2/health/live", "/readyz", "/v2/health/ready", "/v2/models/small/ready"):
        assert service.get(path).status == 200, path
    tensors = service.get("/v2/models/small").value
    assert tensors["inputs"][0]["shape"] == [-1, *[manifest["contract"]["size"]] * 2, 3]
    assert service.get("/v2/models/other").status == 404
    before = service.get("/metrics").body.decode()
    service.post("/predict", encoded("JPEG"))
    service.post("/predict", b"text")
    after = service.get("/metrics").body.decode()
    for line in ('edgeclf_photo_errors_total{kind="not-an-image"}', 'edgeclf_photos_total{result="error"}'):
        assert value(after, line) == value(before, line) + 1
    assert value(after, "edgeclf_requests_waiting") == value(after, "edgeclf_photo_bytes") == 0
    assert value(after, 'edgeclf_requests_total{route="/predict",status="422"}') >= 1


def value(metrics: str, name: str) -> float:
    return next((float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines() if line.startswith(f"{name} ")), 0.0)


def test_a_model_that_fails_its_self_test_is_not_ready(
    serve: Serve, make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeclf.model import selftest

    monkeypatch.setattr(selftest, "network_logits", lambda *_: np.zeros(3, np.float32))  # an arithmetic fault
    service = serve(model=make_model(golden=True, resize="crop"))
    for _ in range(200):
        answer = service.get("/readyz")
        if answer.kind != "starting":
            break
    assert (answer.status, answer.kind) == (503, "self-test")
    assert "logits" in answer.value["error"]["message"]
    assert service.get("/healthz").status == 200


def test_what_does_not_exist_is_answered_in_the_same_form(service: Running) -> None:
    assert (service.get("/nothing").status, service.get("/nothing").kind) == (404, "not-found")
    wrong = service.get("/predict")
    assert (wrong.status, wrong.kind, wrong.headers["allow"]) == (405, "method", "POST")
    for path in ("/page/..%2Fclassifier.py", "/page/../classifier.py", "/page/.%2e/x", "/page/%00", "/page/"):
        assert service.get(path).status == 404, path


def quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
