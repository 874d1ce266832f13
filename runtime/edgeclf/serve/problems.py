"""Errors of a request, as they are answered: a status, a stable kind, and a message for people."""

import json
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response

from edgeclf.errors import EdgeclfError, UsageError

RETRY_AFTER_SECONDS = 2
STATUS_OF = {
    "usage": 400,
    "token": 401,
    "origin": 403,
    "read-only": 403,
    "not-found": 404,
    "method": 405,
    "timeout": 408,
    "too-large": 413,
    "too-many": 413,
    "host": 421,
    "busy": 503,
    "folder": 503,
    "self-test": 503,
    "starting": 503,
}
_OF_PHOTOS, _OF_OTHERS = 422, 500  # of kinds that are not in the table: of photos that cannot be read; of the service
_DRAINED_BYTES, _DRAIN_SECONDS = 8 * 2**20, 2.0


class RequestError(Exception):
    """A request that cannot be answered.

    Args:
        kind: a stable name, such as "busy"; the HTTP status comes from it.
        message: what is wrong, and what to do next.
        headers: of the answer, beside the usual ones.
    """

    def __init__(self, kind: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.kind, self.message, self.headers = kind, message, headers or {}
        self.status = STATUS_OF.get(kind, _OF_OTHERS)

    def response(self) -> Response:
        """The answer to the request."""
        return json_response({"error": {"kind": self.kind, "message": self.message}}, self.status, self.headers)


class ClientGoneError(Exception):
    """The client closed the connection: there is nobody to answer."""


def busy(what: str) -> RequestError:
    """The answer of a service that has enough to do."""
    message = f"{what}; try again in {RETRY_AFTER_SECONDS} s"
    return RequestError("busy", message, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def bad_argument(message: str) -> RequestError:
    """The answer to an argument that is invalid."""
    return RequestError("usage", message)


def of_error(error: EdgeclfError) -> RequestError:
    """The answer where a library raised an error that is not about one photo."""
    if isinstance(error, UsageError):
        return bad_argument(str(error))
    return RequestError(type(error).__name__.removesuffix("Error").lower(), str(error))


def status_of_photo(kind: str) -> int:
    """The HTTP status of an error that is about one photo, by its kind."""
    return STATUS_OF.get(kind, _OF_PHOTOS)


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer as JSON. Text is ASCII with escapes, as in ``predict --json``, so lone surrogates cannot break it."""
    return Response(json.dumps(value, allow_nan=False), status, headers, "application/json")


async def drain(request: Request) -> None:
    """Read some of what the client still sends: most clients read the answer only after they have sent everything."""
    if getattr(request.state, "ended", False):
        return
    left = _DRAINED_BYTES
    with anyio.move_on_after(_DRAIN_SECONDS):
        while left > 0:
            message = await request.receive()
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return
            left -= len(message.get("body", b""))


async def answer_problem(request: Request, error: Exception) -> Response:
    """The handler of starlette for ``RequestError``."""
    assert isinstance(error, RequestError)
    await drain(request)
    return error.response()


async def answer_edgeclf_error(request: Request, error: Exception) -> Response:
    """The handler of starlette for ``EdgeclfError``."""
    assert isinstance(error, EdgeclfError)
    return of_error(error).response()
