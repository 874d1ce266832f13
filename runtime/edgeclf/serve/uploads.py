"""Photos from the bodies of requests: counted as they come, kept in memory, never on a disk.

Starlette's own ``request.form()`` and ``request.body()`` are not used: the first writes large parts to a temporary
file, and neither has limits for size and time.
"""

import logging
import re
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import anyio
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from edgeclf.errors import PhotoError
from edgeclf.files.hanging_disk import size_in_words, too_many_bytes
from edgeclf.images.photo_bytes import NamedPhoto
from edgeclf.serve.predictions import NO_NAME
from edgeclf.serve.problems import ClientGoneError, RequestError, bad_argument
from edgeclf.serve.settings import Limits
from edgeclf.serve.work import Work

logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it logs what is wrong with a form, as an answer says

_MAX_NAME_CHARACTERS = 300
_EXTENDED = re.compile(rb"filename\*\s*=\s*utf-8'[^']*'([^;\s]+)", re.IGNORECASE)  # RFC 5987
_ESCAPES = {"%22": '"', "%0D": "\r", "%0A": "\n"}  # what browsers escape in file names, and nothing else


def is_multipart(request: Request) -> bool:
    """Whether a request holds a form with files."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data"


async def body_chunks(request: Request, limits: Limits, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """The body of a request, as it comes.

    Raises:
        RequestError: 408, it comes too slowly; 413, it is larger than ``max_bytes``.
        ClientGoneError: the client closed the connection.
    """
    received, waited = 0, 0.0  # only the time that the client takes counts, not that of photos before
    while True:
        began = time.monotonic()
        message: Any = None
        with anyio.move_on_after(min(limits.idle_seconds, limits.upload_seconds - waited)):
            message = await request.receive()
        waited += time.monotonic() - began
        too_slow = waited > limits.idle_seconds and received < limits.bytes_per_second * waited
        if message is None or too_slow:
            request.state.ended = True  # there is nothing to wait for
            what = "the upload is too slow; try again with a better connection"
            raise RequestError("timeout", what, {"Connection": "close"})
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk = message.get("body", b"")
        request.state.ended = not message.get("more_body", False)
        received += len(chunk)
        if received > max_bytes:
            raise RequestError(
                "too-large", f"the request has more than {size_in_words(max_bytes)}; send less at a time"
            )
        if chunk:
            yield chunk
        if request.state.ended:
            return


async def read_photo(request: Request, name: str, limits: Limits, work: Work) -> NamedPhoto:
    """The photo that is a request's body. Its bytes are taken from ``work``; the caller gives them back.

    Raises:
        PhotoError: "too-large".
        RequestError, ClientGoneError: as ``body_chunks``; 503.
    """
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > limits.photo_bytes:
        raise too_many_bytes(name, limits.photo_bytes)
    chunks, taken = list[bytes](), 0
    try:
        async for chunk in body_chunks(request, limits, 2 * limits.photo_bytes):
            if taken + len(chunk) > limits.photo_bytes:
                raise too_many_bytes(name, limits.photo_bytes)
            work.take(len(chunk))
            taken += len(chunk)
            chunks.append(chunk)
        return NamedPhoto(name, b"".join(chunks))
    except BaseException:
        work.give_back(taken)
        raise


async def read_parts(request: Request, limits: Limits, work: Work) -> AsyncGenerator[NamedPhoto | PhotoError, None]:
    """The photos in a form, one by one as they come; the caller gives their bytes back to ``work``.

    Raises:
        RequestError: 400, it is not a form; 408; 413, too many photos or bytes; 503.
        ClientGoneError: the client closed the connection.
    """
    _, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if not boundary:
        raise bad_argument("the form has no boundary; let your HTTP library write the Content-Type")
    parts = _Parts(limits, work)
    try:
        parser = _parser(boundary, parts)
        async for chunk in body_chunks(request, limits, limits.photos * limits.photo_bytes):
            _feed(parser.write, chunk)
            while (photo := parts.take_complete()) is not None:
                yield photo
        _feed(lambda _: parser.finalize(), b"")
        if not parts.ended:
            raise bad_argument("the form is incomplete; send it again")
    finally:
        parts.drop()


def _feed(step: Callable[[bytes], object], chunk: bytes) -> None:
    try:
        step(chunk)
    except FormParserError as error:
        raise bad_argument(f"not a valid form ({' '.join(str(error).split())[:200]})") from error


@dataclass
class _Part:
    """One part of a form while it comes."""

    name: str
    data: bytearray
    error: PhotoError | None = None


class _Parts:
    """Collects the parts of a form: called back by the parser."""

    def __init__(self, limits: Limits, work: Work) -> None:
        self._limits, self._work = limits, work
        self._complete: list[_Part] = []
        self._part: _Part | None = None
        self._field, self._value, self._disposition = bytearray(), bytearray(), b""
        self._count = 0
        self.ended = False

    def begin(self) -> None:
        self._count += 1
        if self._count > self._limits.photos:
            raise RequestError("too-many", f"more than {self._limits.photos} photos; send fewer at a time")
        self._disposition = b""

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if bytes(self._field).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._field, self._value = bytearray(), bytearray()

    def headers_finished(self) -> None:
        self._part = _Part(_name_in(self._disposition), bytearray())

    def data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        assert part is not None
        if part.error is not None:
            return
        if len(part.data) + end - start > self._limits.photo_bytes:
            self._work.give_back(len(part.data))
            part.data, part.error = bytearray(), too_many_bytes(part.name, self._limits.photo_bytes)
            return
        self._work.take(end - start)
        part.data += data[start:end]

    def end(self) -> None:
        assert self._part is not None
        self._complete.append(self._part)
        self._part = None

    def all_ended(self) -> None:
        self.ended = True

    def take_complete(self) -> NamedPhoto | PhotoError | None:
        """The next part that is complete, each once: what is not taken is given back by ``drop``."""
        if not self._complete:
            return None
        part = self._complete.pop(0)
        return part.error or NamedPhoto(part.name, bytes(part.data))

    def drop(self) -> None:
        """Give back what nobody took."""
        for part in (*self._complete, *([self._part] if self._part is not None else [])):
            self._work.give_back(len(part.data))
        self._complete, self._part = [], None


def _parser(boundary: bytes, parts: _Parts) -> MultipartParser:
    try:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": parts.begin,
                "on_part_data": parts.data,
                "on_part_end": parts.end,
                "on_header_field": parts.header_field,
                "on_header_value": parts.header_value,
                "on_header_end": parts.header_end,
                "on_headers_finished": parts.headers_finished,
                "on_end": parts.all_ended,
            },
        )
    except FormParserError as error:
        raise bad_argument("the form's boundary is not valid") from error


def _name_in(disposition: bytes) -> str:
    """The file name in a Content-Disposition header.

    Raises:
        RequestError: 400, the part of the form is not a file.
    """
    _, options = parse_options_header(disposition)
    found = options.get(b"filename")
    if found is None and (
        extended := _EXTENDED.search(disposition)
    ):  # as some libraries write names that are not ASCII
        return shortened(unquote(extended[1].decode("ascii", "replace"))) or NO_NAME
    if found is None:
        field = options.get(b"name", b"").decode("utf-8", "replace")[:40]
        raise bad_argument(f"the form's field {field!r} is not a file; give arguments in the address")
    text = re.sub("%22|%0D|%0A", lambda escape: _ESCAPES[escape[0]], found.decode("utf-8", "replace"))
    return shortened(text) or NO_NAME


def shortened(name: str) -> str:
    """A name of at most ``_MAX_NAME_CHARACTERS``."""
    return name if len(name) <= _MAX_NAME_CHARACTERS else f"{name[:_MAX_NAME_CHARACTERS]}..."
