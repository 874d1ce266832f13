"""The OpenAPI document against the service: the same addresses, methods, arguments and errors."""

import re
from pathlib import Path
from typing import Any

import pytest
from edgeclf.classifier import Classifier
from edgeclf.serve.app import create_app
from edgeclf.serve.settings import Access, Settings
from serving import Running, Serve
from starlette.routing import Route

FOR_PEOPLE = {"/", "/docs", "/sort", "/login", "/page/{name}"}  # pages, and their files
TOKEN = "a-long-token"


@pytest.fixture(scope="module")
def document(service: Running) -> Any:
    return service.get("/openapi.json").value


def operations(document: Any) -> set[tuple[str, str]]:
    return {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}


def parameters(document: Any, path: str, method: str, where: str) -> list[str]:
    return [one["name"] for one in document["paths"][path][method].get("parameters", []) if one["in"] == where]


def test_every_address_is_described_and_nothing_else(document: Any, model: Path, tmp_path: Path) -> None:
    """But those of the sorting page, which are its own."""
    app = create_app(Classifier(model, threads=1), Settings(review=tmp_path))
    routes = [route for route in app.routes if isinstance(route, Route)]
    assert len(routes) == len(app.routes)
    there = {(route.path, method) for route in routes for method in (route.methods or set()) - {"HEAD"}}
    own = {(path, method) for path, method in there if path in FOR_PEOPLE or path.startswith("/sort/")}
    assert {path for path, _ in own} > FOR_PEOPLE
    assert operations(document) == there - own


def test_arguments_are_those_that_the_service_knows(document: Any, service: Running) -> None:
    for path in ("/predict", "/explain"):
        message = service.post(f"{path}?unknown=1", b"").value["error"]["message"]
        known = message.partition("there are ")[2].split(", ")
        assert parameters(document, path, "post", "query") == known
        for one in document["paths"][path]["post"]["parameters"]:
            for value in (
                *one["schema"].get("enum", ()),
                *(one["schema"][k] for k in ("minimum", "maximum") if k in one["schema"]),
            ):
                answer = service.post(f"{path}?{one['name']}={value}", b"")
                assert answer.status == 422, (path, one["name"], value, answer.body)  # the photo is empty
    for path, _ in operations(document):
        method = next(iter(document["paths"][path]))
        assert parameters(document, path, method, "path") == re.findall(r"\{(\w+)\}", path)


def test_errors_that_the_service_gives_are_described(document: Any, serve: Serve) -> None:
    service = serve(access=Access(TOKEN))
    for path, method in sorted(operations(document)):
        described = set(document["paths"][path][method.lower()]["responses"])
        address = path.replace("{name}", "small")
        assert service.ask(method, address, Authorization=f"Bearer {TOKEN}").status in map(int, described)
        assert ("401" in described) == (service.ask(method, address).status == 401), path
        assert service.ask(method, address, Host="other.example", Authorization=f"Bearer {TOKEN}").status == 421
        assert "421" in described
        foreign = service.ask(method, address, Origin="https://other.example", Authorization=f"Bearer {TOKEN}")
        assert ("403" in described) == (foreign.status == 403), path
        if "{name}" in path:
            assert service.ask(method, path.replace("{name}", "x"), Authorization=f"Bearer {TOKEN}").status == 404
            assert "404" in described


def test_references_lead_somewhere(document: Any) -> None:
    found: list[str] = []

    def walk(value: Any) -> None:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if key == "$ref":
                found.append(inner)
            elif isinstance(inner, dict | list):
                walk(inner)

    walk(document)
    assert len(found) > 20
    for reference in found:
        place = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def test_the_login_form_has_a_limit_that_its_message_tells(serve: Serve) -> None:
    answer = serve(access=Access(TOKEN)).post("/login", b"token=" + b"x" * 5000)
    assert (answer.status, answer.kind) == (413, "too-large")
    assert "more than 4096 bytes" in answer.value["error"]["message"]
