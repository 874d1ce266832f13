"""The routes that the sorting page asks."""

import io
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs the extra [serve]")
pytest.importorskip("httpx", reason="starlette's test client needs it")

from edgeclf.classifier import Classifier
from edgeclf.errors import EdgeclfError
from edgeclf.field.sort_order import SortOrder
from edgeclf.field.sorting import SortFolder
from edgeclf.serve.predictions import Predictor
from edgeclf.serve.problems import RequestError, answer_edgeclf_error, answer_problem
from edgeclf.serve.settings import Access, Settings
from edgeclf.serve.sort_api import SortRoutes
from edgeclf.serve.work import Work
from helpers import draw
from PIL import Image
from starlette.applications import Starlette

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it asks for httpx2, of which there are few versions yet
    from starlette.testclient import TestClient

Client = Callable[..., TestClient]


@pytest.fixture
def client(make_model: Callable[..., Path], tmp_path: Path) -> Iterator[Client]:
    """Makes a client of a service that sorts ``tmp_path``."""
    open_orders = []

    def make(*, read_only: bool = False, training_run: str | None = None) -> TestClient:
        classifier = Classifier(make_model(display={"king": "Königspinguin"}), threads=1)
        folder = SortFolder(tmp_path, classifier.labels, classifier.manifest.display_names)
        order = SortOrder(folder, classifier)
        open_orders.append(order)
        settings = Settings(Access(read_only=read_only), training_run=training_run)
        work = Work(1, settings.limits)
        routes = SortRoutes(folder, order, Predictor(classifier), work, settings).routes()
        handlers: Any = {RequestError: answer_problem, EdgeclfError: answer_edgeclf_error}
        return TestClient(Starlette(routes=routes, exception_handlers=handlers))

    yield make
    for order in open_orders:
        order.close()


def fill(folder: Path, count: int = 4) -> None:
    place = folder / "_unsorted" / "king"
    place.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        draw(seed, 640, 480).save(place / f"{seed}.png")


def ids(client: TestClient) -> dict[str, str]:
    return {photo["name"]: photo["id"] for photo in client.get("/sort/photos").json()["photos"]}


def test_state_photos_label_and_undo(client: Client, tmp_path: Path) -> None:
    fill(tmp_path)
    service = client(training_run="runs/my run")
    state = service.get("/sort/state").json()
    assert state == {
        "classes": [
            {"label": "adelie", "display_name": "adelie", "count": 0},
            {"label": "gentoo", "display_name": "gentoo", "count": 0},
            {"label": "king", "display_name": "Königspinguin", "count": 0},
        ],
        "left": 4,
        "done": 0,
        "read_only": False,
        "train_line": f"edgeclf train {tmp_path} --from 'runs/my run'",
        "can_undo": None,
    }
    end = time.monotonic() + 30
    while (listed := service.get("/sort/photos").json())["unpredicted"]:
        assert time.monotonic() < end
    assert (listed["left"], len(listed["photos"])) == (4, 4)
    first = listed["photos"][0]
    assert (first["guess"], first["display_name"]) == ("king", "Königspinguin")
    assert first["probability"] == first["ranking"][0]["probability"]
    assert [set(one) for one in first["ranking"]] == [{"label", "probability", "display_name"}] * 3
    assert len({photo["group"] for photo in listed["photos"]}) == 4
    sure = [photo["probability"] for photo in listed["photos"]]
    assert sure == sorted(sure)
    page = service.get("/sort/photos?offset=1&limit=2").json()
    assert [photo["id"] for photo in page["photos"]] == [photo["id"] for photo in listed["photos"][1:3]]

    chosen = [photo["id"] for photo in listed["photos"][:2]]
    me, other = {"X-Edgeclf-Client": "me"}, {"X-Edgeclf-Client": "other"}
    done = service.post("/sort/label", json={"ids": chosen, "label": "gentoo"}, headers=me).json()
    assert done == {"moved": chosen, "failed": [], "action": 1, "label": "gentoo"}
    late = service.post("/sort/label", json={"ids": chosen[:1], "none": True}, headers=other).json()
    assert late["failed"] == [{"id": chosen[0], "message": "already sorted as gentoo by someone else"}]
    new = {"ids": [listed["photos"][2]["id"]], "label": "rock/hopper", "new": True}
    assert service.post("/sort/label", json=new, headers=me).json()["label"] == "rock_hopper"
    state = service.get("/sort/state", headers=me).json()
    assert (state["left"], state["done"], state["can_undo"]) == (1, 3, "1 photo sorted as rock_hopper")
    assert {c["label"]: c["count"] for c in state["classes"]} == {
        "adelie": 0,
        "gentoo": 2,
        "king": 0,
        "rock_hopper": 1,
    }
    assert service.get("/sort/state", headers=other).json()["can_undo"] is None
    assert service.post("/sort/undo", headers=other).json() == {"restored": [], "failed": [], "action": 0}
    assert service.post("/sort/undo", json={"action": 1}, headers=me).json()["restored"] == chosen
    assert len(service.post("/sort/undo", headers=me).json()["restored"]) == 1
    assert service.get("/sort/state").json()["left"] == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["_unsorted"]


def test_photos_and_their_heat_maps(client: Client, tmp_path: Path) -> None:
    fill(tmp_path, 1)
    place = tmp_path / "_unsorted" / "king"
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    draw(9, 640, 480).save(place / "turned.jpg", exif=exif)
    (place / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    service = client()
    known = ids(service)
    answer = service.get(f"/sort/photo/{known['turned.jpg']}?side=100")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"].startswith("private")
    assert Image.open(io.BytesIO(answer.content)).size == (75, 100)
    assert Image.open(io.BytesIO(service.get(f"/sort/photo/{known['0.png']}").content)).size == (640, 480)
    etag = {"If-None-Match": answer.headers["etag"]}
    assert service.get(f"/sort/photo/{known['turned.jpg']}?side=100", headers=etag).status_code == 304
    broken = service.get(f"/sort/photo/{known['broken.jpg']}")
    assert (broken.status_code, broken.json()["error"]["kind"]) == (422, "damaged")
    value = service.get(f"/sort/explain/{known['turned.jpg']}").json()
    assert (value["photo"], len(value["seen"])) == ({"width": 480, "height": 640}, 4)
    assert value["record"]["path"] == "turned.jpg"
    assert len(value["maps"][0]["values"]) == value["maps"][0]["height"] * value["maps"][0]["width"]
    assert service.get(f"/sort/explain/{known['broken.jpg']}").status_code == 422
    (place / "0.png").unlink()
    for path in (
        f"photo/{known['0.png']}",
        f"explain/{known['0.png']}",
        "photo/..%2f..%2fetc%2fpasswd",
        "photo/..",
        "photo/king%2F0.png",
    ):
        assert service.get(f"/sort/{path}").status_code == 404, path


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 100_000, 400),
        (b'{"ids": "abc", "label": "king"}', 400),
        (b'{"ids": [1], "label": "king"}', 400),
        (b'{"ids": [], "label": 5}', 400),
        (b'{"ids": []}', 400),
        (b'{"ids": [], "label": "king", "none": true}', 400),
        (b'{"ids": [], "none": true, "new": true}', 400),
        (b'{"ids": [], "none": "yes"}', 400),
        (b'{"ids": [], "label": "nothing"}', 400),
        (b'{"ids": [], "label": "\\ud800", "new": true}', 400),
        (b'{"ids": [], "label": "train", "new": true}', 400),
        (b'{"ids": [], "label": "king", "lable": "x"}', 400),
        (b'{"ids": ["\\ud800", "\\u0000", ""], "label": "king"}', 200),
        (json.dumps({"ids": ["x"] * 1001, "label": "king"}).encode(), 413),
        (json.dumps({"ids": ["x" * 1100 * 1024], "label": "king"}).encode(), 413),
        (json.dumps({"ids": ["x"] * 1000, "label": "king"}).encode(), 200),
    ],
)
def test_bad_bodies_are_one_clear_error(body: bytes, status: int, client: Client, tmp_path: Path) -> None:
    fill(tmp_path, 1)
    answer = client().post("/sort/label", content=body)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert set(answer.json()["error"]) == {"kind", "message"}
    assert [path.name for path in (tmp_path / "_unsorted" / "king").iterdir()] == ["0.png"]


def test_bad_queries_and_actions(client: Client, tmp_path: Path) -> None:
    fill(tmp_path, 1)
    service = client()
    for query in ("limit=0", "limit=201", "limit=x", "limit=-1", "offset=-1", "limit=\u0662", "offset=1e3", "limit="):
        assert service.get(f"/sort/photos?{query}").status_code == 400, query
    misspelt = service.get("/sort/photos?limt=5").json()["error"]["message"]
    assert misspelt == "there is no argument 'limt'; there are offset, limit"
    assert service.get("/sort/state?limit=5").json()["error"]["message"].endswith("there are none here")
    id = ids(service)["0.png"]
    for side in ("15", "2049", "x", "99999999999999999999"):
        assert service.get(f"/sort/photo/{id}?side={side}").status_code == 400
    for body in ('{"action": "1"}', '{"action": true}', '{"action": 7}', '{"action": 1.5}', '{"action": -1}'):
        assert service.post("/sort/undo", content=body).status_code == 400, body
    assert service.get("/sort/label").status_code == 405


def test_a_read_only_view(client: Client, tmp_path: Path) -> None:
    fill(tmp_path, 1)
    service = client(read_only=True, training_run="run")
    state = service.get("/sort/state").json()
    assert (state["read_only"], state["train_line"], state["can_undo"]) == (True, None, None)
    id = ids(service)["0.png"]
    assert service.get(f"/sort/photo/{id}").status_code == 200
    for path, body in (("label", {"ids": [id], "label": "king"}), ("undo", {})):
        answer = service.post(f"/sort/{path}", json=body)
        assert (answer.status_code, answer.json()["error"]["kind"]) == (403, "read-only")
    assert [path.name for path in (tmp_path / "_unsorted").iterdir()] == ["king"], "nothing is written"


def test_a_folder_that_cannot_be_written(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, 1)
    service = client()
    id = ids(service)["0.png"]

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgeclf.field.sort_journal.flush", refuse)
    answer = service.post("/sort/label", json={"ids": [id], "label": "king"})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "folder")
    assert "No space left on device" in answer.json()["error"]["message"]
