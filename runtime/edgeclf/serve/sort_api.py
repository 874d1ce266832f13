"""The routes of the page that sorts photos: ``/sort/...``."""

import asyncio
import io
import json
import re
import shlex
from collections.abc import Callable
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edgeclf.class_names import shown
from edgeclf.errors import PhotoError, RecordError
from edgeclf.field.sort_order import Look, SortOrder
from edgeclf.field.sort_results import Failure
from edgeclf.field.sorting import SortFolder
from edgeclf.field.trays import TrayPhoto
from edgeclf.images.contract import ImageContract
from edgeclf.images.photo_bytes import NamedPhoto
from edgeclf.images.preprocess import upright_rgb
from edgeclf.images.resize import shrunk
from edgeclf.serve.access import client_of
from edgeclf.serve.arguments import known_only, whole_number
from edgeclf.serve.predictions import Predictor
from edgeclf.serve.problems import RequestError, bad_argument, json_response, status_of_photo
from edgeclf.serve.settings import Settings
from edgeclf.serve.uploads import body_chunks
from edgeclf.serve.work import Work, in_thread

Result = TypeVar("Result")

CLIENT_HEADER = "x-edgeclf-client"  # a random name that a page gives itself, so that an undo takes back its own labels
_MAX_PHOTOS = 200  # in one answer
_MAX_IDS = 1000  # in one request
_SIDES = (16, 2048)  # pixels of a photo's longest side
_DEFAULT_SIDE = 1600
_JPEG_QUALITY = 85
_LOOKING = 4  # threads that list folders
_MOVING = 1  # that move photos: they take turns anyway, and on a slow disk those who look go on
_CACHE = "private, no-cache"  # asked for again by its ETag: the computer may be shared


class SortRoutes:
    """The routes, and what they share. The caller ends ``order`` with the service.

    Args:
        folder: whose photos are sorted.
        order: puts them in order.
        predictor: explains them.
        work: admission and threads.
        settings: the limits, whether anything may be moved, and the run that the line for the next training names.
    """

    def __init__(
        self, folder: SortFolder, order: SortOrder, predictor: Predictor, work: Work, settings: Settings
    ) -> None:
        self._folder, self._order, self._predictor, self._work = folder, order, predictor, work
        self._looking, self._moving = asyncio.Semaphore(_LOOKING), asyncio.Semaphore(_MOVING)
        self._limits, self._read_only = settings.limits, settings.access.read_only
        run = f" --from {shlex.quote(settings.training_run)}" if settings.training_run is not None else ""
        self._train_line = f"edgeclf train {shlex.quote(str(folder.folder))}{run}"

    def routes(self) -> list[Route]:
        """The routes for starlette."""
        return [
            Route("/sort/state", self.state, methods=["GET"]),
            Route("/sort/photos", self.photos, methods=["GET"]),
            Route("/sort/photo/{id}", self.photo, methods=["GET"]),
            Route("/sort/explain/{id}", self.explain, methods=["GET"]),
            Route("/sort/label", self.label, methods=["POST"]),
            Route("/sort/undo", self.undo, methods=["POST"]),
        ]

    async def state(self, request: Request) -> Response:
        """How far the sorting is, and the classes."""
        known_only(request.query_params)
        state = await self._looked(self._folder.state, _client(request))
        classes = [{"label": c.label, "display_name": c.display_name, "count": c.count} for c in state.classes]
        return json_response(
            {
                "classes": classes,
                "left": state.left,
                "done": state.done,
                "read_only": self._read_only,
                "train_line": None if self._read_only else self._train_line,
                "can_undo": None if self._read_only else state.can_undo,
            }
        )

    async def photos(self, request: Request) -> Response:
        """Photos that wait for a label, the most useful first."""
        known_only(request.query_params, "offset", "limit")
        offset = whole_number(request, "offset", 0, 0, 10**9)
        limit = whole_number(request, "limit", 60, 1, _MAX_PHOTOS)
        ordered = await self._looked(lambda: self._order.ordered(self._folder.photos()))
        chosen = ordered[offset : offset + limit]
        return json_response(
            {
                "photos": [self._described(photo, look) for photo, look in chosen],
                "left": len(ordered),
                "unpredicted": sum(look is None for _, look in ordered),
            }
        )

    async def photo(self, request: Request) -> Response:
        """A photo, upright, as a JPEG."""
        known_only(request.query_params, "side")
        side = whole_number(request, "side", _DEFAULT_SIDE, *_SIDES)
        photo = await self._found(request)
        headers = {"ETag": f'"{photo.id}-{side}"', "Cache-Control": _CACHE}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        with self._work.admitted(client_of(request)):
            try:
                data = await self._work.run(self._jpeg, photo, side)
            except PhotoError as error:
                return _unreadable(error)
        return Response(data, headers=headers, media_type="image/jpeg")

    async def explain(self, request: Request) -> Response:
        """The heat maps of a photo, as ``/explain`` gives them."""
        known_only(request.query_params)
        photo = await self._found(request)
        with self._work.admitted(client_of(request)):
            try:
                record, value = await self._work.run(self._explained, photo)
            except PhotoError as error:
                return _unreadable(error)
        return (
            json_response(value)
            if value is not None
            else json_response(record.to_dict(), status_of_photo(record.error.kind if record.error else ""))
        )

    async def label(self, request: Request) -> Response:
        """Move photos into the folder of a class."""
        body = await self._body(request, "ids", "label", "none", "new")
        ids, label, none, new = (body.get(name) for name in ("ids", "label", "none", "new"))
        if not isinstance(ids, list) or not all(isinstance(id, str) for id in ids):
            raise bad_argument('"ids" is not a list of photo ids')
        if len(ids) > _MAX_IDS:
            raise RequestError("too-many", f"more than {_MAX_IDS} photos; send fewer at a time")
        if not isinstance(none or False, bool) or not isinstance(new or False, bool):
            raise bad_argument('"none" and "new" are true or false')
        if none and (new or label is not None):
            raise bad_argument('give either "label" or "none"')
        if not none and not isinstance(label, str):
            raise bad_argument('"label" is not the name of a class')
        done = await self._moved(
            lambda: self._folder.label(ids, None if none else label, new=bool(new), client=_client(request))
        )
        failed = _failures(done.failed)
        return json_response({"moved": done.moved, "failed": failed, "action": done.action, "label": done.label})

    async def undo(self, request: Request) -> Response:
        """Move photos back into their trays."""
        action = (await self._body(request, "action")).get("action")
        if action is not None and (isinstance(action, bool) or not isinstance(action, int)):
            raise bad_argument('"action" is not a number')
        done = await self._moved(lambda: self._folder.undo(action, _client(request)))
        return json_response({"restored": done.restored, "failed": _failures(done.failed), "action": done.action})

    def _described(self, photo: TrayPhoto, look: Look | None) -> dict[str, Any]:
        ranking = look.ranking if look else ()
        return {
            "id": photo.id,
            "name": shown(photo.name),
            "guess": photo.guess,
            "display_name": self._folder.classes.display_name(photo.guess),
            "probability": round(ranking[0].probability, 6) if ranking else None,
            "ranking": [
                {"label": one.label, "probability": round(one.probability, 6), "display_name": shown(one.name)}
                for one in ranking
            ],
            "group": look.group if look else None,
            **({"error": look.error} if look and look.error else {}),
        }

    def _jpeg(self, photo: TrayPhoto, side: int) -> bytes:
        named = NamedPhoto(photo.name, self._folder.trays.bytes_of(photo))
        upright = upright_rgb(named, ImageContract(size=side, resize="pad", draft_margin=1.0))
        buffer = io.BytesIO()
        shrunk(upright, side).save(buffer, "JPEG", quality=_JPEG_QUALITY)
        return buffer.getvalue()

    def _explained(self, photo: TrayPhoto) -> Any:
        return self._predictor.explain(NamedPhoto(photo.name, self._folder.trays.bytes_of(photo)), None, 5)

    async def _found(self, request: Request) -> TrayPhoto:
        photo = await self._looked(self._folder.find, request.path_params["id"])
        if photo is None:
            raise RequestError("not-found", "this photo is not there any more; go on to the next one")
        return photo

    async def _body(self, request: Request, *names: str) -> dict[str, Any]:
        """The JSON object in a request that changes something."""
        if self._read_only:
            raise RequestError("read-only", "this service only shows photos; sort them where it was started")
        chunks = [chunk async for chunk in body_chunks(request, self._limits, self._limits.json_bytes)]
        try:
            body = json.loads(b"".join(chunks) or b"{}")
        except (ValueError, RecursionError):
            raise bad_argument("the body is not valid JSON") from None
        if not isinstance(body, dict):
            raise bad_argument("the body is not a JSON object")
        known_only(body, *names)
        return body

    async def _looked(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function that lists folders, in a thread."""
        return await _in_files(self._looking, function, *arguments)

    async def _moved(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function that moves photos, in a thread."""
        return await _in_files(self._moving, function, *arguments)


async def _in_files(free: asyncio.Semaphore, function: Callable[..., Result], *arguments: Any) -> Result:
    try:
        return await in_thread(free, function, *arguments)
    except RecordError as error:
        raise RequestError("folder", str(error), {"Retry-After": "5"}) from None


def _unreadable(error: PhotoError) -> Response:
    """The answer about a photo that cannot be read; one that was moved meanwhile is not found."""
    value = {"error": {"kind": error.kind, "message": shown(str(error))}}
    return json_response(value, status_of_photo(error.kind))


def _failures(failures: tuple[Failure, ...]) -> list[dict[str, str]]:
    return [{"id": failure.id, "message": failure.message} for failure in failures]


def _client(request: Request) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "", request.headers.get(CLIENT_HEADER, ""))[:64]
