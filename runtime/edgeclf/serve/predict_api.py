"""The routes that take photos: ``/predict`` and ``/explain``."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from edgeclf.errors import EdgeclfError, PhotoError
from edgeclf.field.record import Record
from edgeclf.images.photo_bytes import NamedPhoto
from edgeclf.serve.access import client_of
from edgeclf.serve.arguments import JSON_LINES, ExplainArguments, PredictArguments
from edgeclf.serve.metrics import Metrics
from edgeclf.serve.predictions import Predictor, as_huggingface
from edgeclf.serve.problems import (
    ClientGoneError,
    RequestError,
    bad_argument,
    drain,
    json_response,
    of_error,
    status_of_photo,
)
from edgeclf.serve.settings import Limits
from edgeclf.serve.uploads import is_multipart, read_parts, read_photo
from edgeclf.serve.work import Work, in_thread

Keep = Callable[[NamedPhoto, Record], None]  # keeps an unsure photo, in a thread
_KEEPING = 2  # threads that write kept photos: on a slow disk the others go on classifying
_AHEAD = 2  # photos of one form that wait for each thread, in memory


class PhotoRoutes:
    """The routes, and what they share.

    Args:
        predictor: the classifier.
        work: admission and threads.
        limits: those of the service.
        metrics: counts photos.
        keep: what happens to a photo whose class is unknown; None: nothing.
    """

    def __init__(self, predictor: Predictor, work: Work, limits: Limits, metrics: Metrics, keep: Keep | None) -> None:
        self._predictor, self._work, self._limits, self._metrics = predictor, work, limits, metrics
        self._keep, self._keeping = keep, asyncio.Semaphore(_KEEPING)

    def routes(self) -> list[Route]:
        """The routes for starlette."""
        return [
            Route("/predict", self.predict, methods=["POST"]),
            Route("/explain", self.explain, methods=["POST"]),
        ]

    async def predict(self, request: Request) -> Response:
        """Classify the photo in the body, or each photo of a form."""
        arguments = PredictArguments.of(request)
        if is_multipart(request):
            return _Records(self, request, arguments)
        with self._work.admitted(client_of(request)):
            photo = await self._one_photo(request, arguments.name)
            with self._counted(photo):
                record = await self._record(photo, arguments)
        if arguments.huggingface and record.error is None:
            return json_response(as_huggingface(record))
        return _answer(record)

    async def explain(self, request: Request) -> Response:
        """Draw the heat map of a class of the photo in the body, or give the maps as JSON."""
        arguments = ExplainArguments.of(request)
        with self._work.admitted(client_of(request)):
            photo = await self._one_explained(request, arguments.name)
            if isinstance(photo, PhotoError):
                record = Record.of(arguments.name, photo, self._predictor.classifier.device)
                self._metrics.photo(record)
                return _answer(record)
            with self._counted(photo):
                label, top_k = arguments.label, arguments.top_k
                if arguments.form == "json":
                    record, value = await self._work.run(self._predictor.explain, photo, label, top_k)
                    answer: Any = None if value is None else json_response(value)
                else:
                    suffix = ".png" if arguments.form == "png" else ".jpg"
                    record, picture = await self._work.run(self._predictor.overlay, photo, label, top_k, suffix)
                    answer = None if picture is None else Response(picture, media_type=arguments.media_type)
            self._metrics.photo(record)
            return answer or _answer(record)

    async def records(self, request: Request, arguments: PredictArguments) -> AsyncGenerator[Record, None]:
        """The records of the photos in a form, in order. Reading goes on while photos are classified.

        Raises:
            RequestError, ClientGoneError: as ``read_parts``.
        """
        free = asyncio.Semaphore(_AHEAD * self._work.threads)
        waiting: asyncio.Queue[asyncio.Task[Record] | None] = asyncio.Queue()
        running: set[asyncio.Task[Any]] = set()

        def begin(photo: NamedPhoto | PhotoError) -> asyncio.Task[Record]:
            def end(task: "asyncio.Task[Record]") -> None:  # called for a task, too, that was cancelled before it began
                running.discard(task)
                free.release()
                self._give_back(photo)

            task = asyncio.create_task(self._record(photo, arguments))
            running.add(task)
            task.add_done_callback(end)
            return task

        async def read() -> None:
            try:
                async with aclosing(read_parts(request, self._limits, self._work)) as parts:
                    async for photo in parts:
                        waiting.put_nowait(begin(photo))
                        del photo  # while the next part comes
                        await free.acquire()
            finally:
                waiting.put_nowait(None)

        reader = asyncio.create_task(read())
        try:
            while (task := await waiting.get()) is not None:
                yield await task
            await reader
        finally:
            left = [reader, *running]
            for one in left:
                one.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _record(self, photo: NamedPhoto | PhotoError, arguments: PredictArguments) -> Record:
        name = photo.path or arguments.name if isinstance(photo, PhotoError) else photo.name
        record = await self._work.run(self._predictor.predict, photo, arguments.top_k, arguments.threshold, name)
        if record.unknown and self._keep is not None and isinstance(photo, NamedPhoto):
            await in_thread(self._keeping, self._keep, photo, record)
        self._metrics.photo(record)
        return record

    async def _one_photo(self, request: Request, name: str) -> NamedPhoto | PhotoError:
        try:
            return await read_photo(request, name, self._limits, self._work)
        except PhotoError as error:
            await drain(request)
            return error.alone()

    async def _one_explained(self, request: Request, name: str) -> NamedPhoto | PhotoError:
        """The photo in the body, or the only one in a form."""
        if not is_multipart(request):
            return await self._one_photo(request, name)
        found: list[NamedPhoto | PhotoError] = []
        try:
            async with aclosing(read_parts(request, self._limits, self._work)) as parts:
                async for photo in parts:
                    found.append(photo)
                    if len(found) > 1:
                        raise bad_argument("the form has several photos; send one")
            if not found:
                raise bad_argument("the form has no photo; send one")
        except BaseException:
            for photo in found:
                self._give_back(photo)
            raise
        return found[0]

    @contextmanager
    def _counted(self, photo: NamedPhoto | PhotoError) -> Iterator[None]:
        """A context at whose end the photo's bytes are not needed any more."""
        try:
            yield
        finally:
            self._give_back(photo)

    def _give_back(self, photo: NamedPhoto | PhotoError) -> None:
        if isinstance(photo, NamedPhoto):
            self._work.give_back(len(photo.data))


def _answer(record: Record) -> Response:
    """A record, with the status of its photo's error if it has one."""
    return json_response(record.to_dict(), status_of_photo(record.error.kind) if record.error is not None else 200)


class _Records(Response):
    """The records of a form: a JSON list, or JSON lines as they become ready.

    Not a ``StreamingResponse``: that one reads the request to see whether the client is gone, and here the request is
    still being read for photos.
    """

    def __init__(self, routes: PhotoRoutes, request: Request, arguments: PredictArguments) -> None:
        super().__init__()
        self._routes, self._request, self._arguments = routes, request, arguments
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._routes._work.admitted(client_of(self._request)):
                answer = await (self._lines(send) if self._arguments.lines else self._list())
        except RequestError as problem:
            await drain(self._request)
            answer = problem.response()
        except EdgeclfError as error:
            answer = of_error(error).response()
        except ClientGoneError:
            return
        if answer is not None:
            if self._started:  # the status is sent already: the last line says what went wrong
                await send({"type": "http.response.body", "body": bytes(answer.body) + b"\n", "more_body": False})
            else:
                await answer(scope, receive, send)

    async def _list(self) -> Response:
        found = [self._value(record) async for record in self._all()]
        return json_response(found)

    async def _lines(self, send: Send) -> Response | None:
        async for record in self._all():
            await self._start(send)
            line = json.dumps(self._value(record), allow_nan=False).encode() + b"\n"
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await self._start(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return None

    async def _start(self, send: Send) -> None:
        if not self._started:
            self._started = True
            headers = [(b"content-type", JSON_LINES.encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _all(self) -> AsyncGenerator[Record, None]:
        async with aclosing(self._routes.records(self._request, self._arguments)) as records:
            async for record in records:
                yield record

    def _value(self, record: Record) -> Any:
        if self._arguments.huggingface and record.error is None:
            return as_huggingface(record)
        return record.to_dict()
