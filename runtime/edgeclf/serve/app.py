"""The application: all routes of a service around one classifier."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeclf import __version__
from edgeclf.classifier import Classifier
from edgeclf.errors import EdgeclfError, RecordError
from edgeclf.events import Listener, log
from edgeclf.events import Message as TextMessage
from edgeclf.field.record import Record
from edgeclf.hardware import memory
from edgeclf.images.photo_bytes import NamedPhoto
from edgeclf.model.description import describe
from edgeclf.serve.access import Guard, log_in
from edgeclf.serve.metrics import MEDIA_TYPE, Measured, Metrics
from edgeclf.serve.openapi import openapi
from edgeclf.serve.predict_api import Keep, PhotoRoutes
from edgeclf.serve.predictions import Predictor
from edgeclf.serve.problems import (
    ClientGoneError,
    RequestError,
    answer_edgeclf_error,
    answer_problem,
    busy,
    json_response,
)
from edgeclf.serve.settings import Limits, Settings
from edgeclf.serve.static import read_page, respond
from edgeclf.serve.work import Work

_PHOTO_BYTES = 256 * 2**20  # what the largest photos take while their overlay is drawn: 253 MiB were measured
_PAGES = {"/": "index.html", "/sort": "sort.html", "/docs": "api.html", "/login": "login.html"}


def create_app(
    classifier: Classifier, settings: Settings, *, low_memory: bool = False, on_event: Listener = log
) -> Starlette:
    """The application of a service, for any ASGI server.

    It works in one process: limits and the queue are counted there. All requests share the classifier.

    Args:
        classifier: predicts; its ``threshold`` is used where a request gives none.
        settings: who may use the service, limits, and the review folder.
        low_memory: one photo at a time.
        on_event: gets messages, such as that an unsure photo could not be kept.

    Returns:
        The application. When it starts, it runs the model's self-test; ``/readyz`` says 503 until that passed.

    Raises:
        BackendError: onnxruntime or the device is not available.
        UsageError: the review folder cannot be used.
    """
    work = Work(1 if low_memory else _threads(classifier, settings.limits), settings.limits)
    predictor = Predictor(classifier, facts=settings.facts)
    metrics = Metrics(work, classifier.sha256[:16], classifier.device)
    files = read_page()
    description = _description(classifier, settings)

    async def page(request: Request) -> Response:
        return respond(files, _PAGES[request.url.path], request)

    async def static(request: Request) -> Response:
        return respond(files, request.path_params["name"], request)

    async def model(request: Request) -> Response:
        return json_response(description)

    async def alive(request: Request) -> Response:
        return json_response({"status": "ok"})

    async def ready(request: Request) -> Response:
        if predictor.ready:
            return json_response({"status": "ready"})
        if predictor.failure is None:
            raise RequestError("starting", "the model's self-test is still running", {"Retry-After": "1"})
        raise RequestError("self-test", f"{predictor.failure}; run `edgeclf doctor` on this machine")

    async def measured(request: Request) -> Response:
        return Response(metrics.text(), media_type=MEDIA_TYPE)

    async def described(request: Request) -> Response:
        prefix = request.headers.get("x-forwarded-prefix") or request.headers.get("x-ingress-path")
        return json_response(openapi(description, prefix or "."))

    async def served_model(request: Request) -> Response:
        if request.path_params["name"] != description["name"]:
            raise RequestError("not-found", f"the model is called {description['name']}")
        return await ready(request) if request.url.path.endswith("/ready") else json_response(_tensors(description))

    async def login(request: Request) -> Response:
        return await log_in(request, settings.access, settings.limits)

    def route(path: str, endpoint: Callable[[Request], Any], *methods: str) -> Route:
        return Route(path, endpoint, methods=list(methods) or ["GET"])

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        test = asyncio.create_task(anyio.to_thread.run_sync(predictor.test))
        yield
        await test
        work.close()
        close_sorting()

    sorting, close_sorting = _sorting(classifier, predictor, work, settings)
    photos = PhotoRoutes(predictor, work, settings.limits, metrics, _keeper(settings, on_event))
    routes = [
        *photos.routes(),
        *sorting,
        *(route(path, page) for path in _PAGES if path != "/sort" or settings.review is not None),
        route("/login", login, "POST"),
        route("/page/{name}", static),
        route("/model", model),
        *(route(path, alive) for path in ("/healthz", "/v2/health/live")),
        *(route(path, ready) for path in ("/readyz", "/v2/health/ready")),
        *(route(path, served_model) for path in ("/v2/models/{name}", "/v2/models/{name}/ready")),
        route("/metrics", measured),
        route("/openapi.json", described),
    ]
    origins = settings.access.origins
    across = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type"],
    )
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(_Ending),
            Middleware(Measured, metrics=metrics),
            *([across] if origins else []),
            Middleware(Guard, access=settings.access),
        ],
        exception_handlers={
            RequestError: answer_problem,
            EdgeclfError: answer_edgeclf_error,
            ClientGoneError: _answer_nobody,
            HTTPException: _answer_http,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # it would answer with an absolute address, which is another one behind a proxy
    return app


def _threads(classifier: Classifier, limits: Limits) -> int:
    """How many photos are worked on at once: as many as threads, fewer if the memory does not suffice."""
    available = memory().available
    if available is None:
        return classifier.threads
    return min(classifier.threads, max(1, (available - limits.memory_bytes) // _PHOTO_BYTES))


def _description(classifier: Classifier, settings: Settings) -> dict[str, Any]:
    """What ``/model`` answers."""
    manifest, device = classifier.manifest, classifier.device
    return {
        **describe(settings.model_file, classifier.sha256, manifest, device, classifier.threshold),
        "version": __version__,
        "sorting": settings.review is not None,
        "read_only": settings.access.read_only,
        "keeps_unsure": settings.keep_unsure,
        "limits": {"photo_bytes": settings.limits.photo_bytes, "photos": settings.limits.photos},
    }


def _tensors(description: dict[str, Any]) -> dict[str, Any]:
    """The model in the words of the Open Inference Protocol."""
    side, classes = description["manifest"]["contract"]["size"], len(description["manifest"]["classes"])
    return {
        "name": description["name"],
        "versions": [description["model"]],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, side, side, 3]}],
        "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, classes]}],
    }


def _sorting(
    classifier: Classifier, predictor: Predictor, work: Work, settings: Settings
) -> tuple[list[Route], Callable[[], None]]:
    """The routes of the sorting page, and what ends its work in the background; none without a review folder."""
    if settings.review is None:
        return [], lambda: None
    from edgeclf.field.sort_order import SortOrder
    from edgeclf.field.sorting import SortFolder
    from edgeclf.serve.sort_api import SortRoutes

    folder = SortFolder(settings.review, classifier.labels, classifier.manifest.display_names)
    order = SortOrder(folder, classifier, lambda: work.photos > 0)
    return SortRoutes(folder, order, predictor, work, settings).routes(), order.close


def _keeper(settings: Settings, on_event: Listener) -> Keep | None:
    """Keeps photos whose class is unknown for sorting, if that is wanted."""
    if settings.review is None or not settings.keep_unsure:
        return None
    from edgeclf.field.review import ReviewFolder

    trays, said = ReviewFolder(settings.review), set[str]()

    def keep(photo: NamedPhoto, record: Record) -> None:
        try:
            trays.keep(photo.data, photo.name, record.predictions[0].label)
        except RecordError as error:  # the client gets its answer all the same
            if error.message not in said:
                said.add(error.message)
                on_event(TextMessage(str(error), "warning"))

    return keep


class _Ending:
    """Middleware: who is still waiting when the service has to end is told so."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def remember(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, remember)
        except asyncio.CancelledError:
            if scope["type"] == "http" and not started:
                await busy("the service is ending").response()(scope, receive, send)


async def _answer_nobody(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # the connection is closed: it is not sent


async def _answer_http(request: Request, error: Exception) -> Response:
    """Errors of the router in the same form as all others."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return RequestError("method", f"use {allowed} here", dict(error.headers or {})).response()
    return RequestError("not-found", "there is no such address; see /docs").response()
