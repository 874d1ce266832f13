"""A service that sorts, in a thread of the test, and a browser to look at it."""

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import edgeclf
import uvicorn
from edgeclf.classifier import Classifier
from edgeclf.field.sort_order import SortOrder
from edgeclf.field.sorting import SortFolder
from edgeclf.serve.access import Guard
from edgeclf.serve.predictions import Predictor
from edgeclf.serve.problems import RequestError, answer_edgeclf_error, answer_problem
from edgeclf.serve.settings import Access, Limits
from edgeclf.serve.sort_api import sort_routes
from edgeclf.serve.static import read_page, respond
from edgeclf.serve.work import Work
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextlib.contextmanager
def sorting_service(folder: Path, model: Path, **options: Any) -> Iterator[str]:
    """Serve the sorting page for a folder; gives its address. ``options`` are those of ``sort_routes``."""
    classifier = Classifier(model, threads=1)
    sorting = SortFolder(folder, classifier.labels, classifier.manifest.display_names)
    order, limits = SortOrder(sorting, classifier), Limits()
    files = read_page()

    async def static(request: Request) -> Response:
        return respond(files, request.path_params.get("name", "sort.html"), request)

    routes = sort_routes(sorting, order, Predictor(classifier), Work(1, limits), limits, **options)
    handlers: Any = {RequestError: answer_problem, edgeclf.errors.EdgeclfError: answer_edgeclf_error}
    app = Starlette(
        routes=[*routes, Route("/sort", static), Route("/page/{name}", static)],
        exception_handlers=handlers,
        middleware=[Middleware(Guard, access=Access())],
    )
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/sort"
    finally:
        server.should_exit = True
        thread.join(20)
        order.close()


def until(true: Any, what: str = "") -> None:
    """Wait until something is true."""
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, what or "it never became true"
        time.sleep(0.05)
