"""Metrics for Prometheus: photos, errors, durations, and what is in work."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeclf import __version__
from edgeclf.field.record import Record
from edgeclf.serve.work import Work

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ROUTES = ("/predict", "/explain", "/model", "/sort/label", "/sort/undo", "/sort/photos", "/")
_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds


class Metrics:
    """The metrics of one service.

    Args:
        work: what is in work.
        model: the first 16 hex digits of the model's ``sha256``.
        device: the execution provider.
    """

    def __init__(self, work: Work, model: str, device: str) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self._photos = Counter(
            "edgeclf_photos", "Photos by result: known, unknown, error", ["result"], registry=registry
        )
        self._errors = Counter("edgeclf_photo_errors", "Photos that could not be read", ["kind"], registry=registry)
        self._requests = Counter("edgeclf_requests", "Requests", ["route", "status"], registry=registry)
        self._seconds = Histogram(
            "edgeclf_request_seconds",
            "Seconds from a request's first byte to the last of its answer",
            ["route"],
            buckets=_BUCKETS,
            registry=registry,
        )
        for name, text, value in (
            ("edgeclf_requests_waiting", "Requests with photos that are in work or wait", lambda: work.requests),
            ("edgeclf_photos_in_work", "Photos that are being classified or wait for a thread", lambda: work.photos),
            (
                "edgeclf_photo_bytes",
                "Bytes of photos that were received and not classified yet",
                lambda: work.photo_bytes,
            ),
        ):
            Gauge(name, text, registry=registry).set_function(value)
        info = Gauge("edgeclf_info", "Version, model and device", ["version", "model", "device"], registry=registry)
        info.labels(__version__, model, device).set(1)

    def photo(self, record: Record) -> None:
        """Count a photo by its record."""
        if record.error is not None:
            self._errors.labels(record.error.kind).inc()
        result = "error" if not record.predictions else "unknown" if record.unknown else "known"
        self._photos.labels(result).inc()

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        route = path if path in _ROUTES else "other"
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self._registry)


class Measured:
    """Middleware that counts requests and their durations.

    Args:
        app: what is measured.
        metrics: counts.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 0

        async def remember(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, remember)
        finally:
            self._metrics.request(scope["path"], status, time.monotonic() - began)
