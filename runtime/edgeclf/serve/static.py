"""The files of the page (``edgeclf/page``), read once when the service starts."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from edgeclf.serve.problems import RequestError

PAGE_FOLDER = Path(__file__).parent.parent / "page"
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}


@dataclass(frozen=True)
class StaticFile:
    """A file of the page.

    Attributes:
        content: its bytes.
        media_type: its Content-Type.
        etag: changes with the content.
    """

    content: bytes
    media_type: str
    etag: str


def read_page(folder: Path = PAGE_FOLDER) -> dict[str, StaticFile]:
    """All files of the page by name. Only these can be asked for, so no other file can be reached."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in _MEDIA_TYPES:
            content = path.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            found[path.name] = StaticFile(content, _MEDIA_TYPES[path.suffix], etag)
    return found


def respond(files: dict[str, StaticFile], name: str, request: Request) -> Response:
    """Answer with a file of the page.

    Raises:
        RequestError: 404.
    """
    file = files.get(name)
    if file is None:
        raise RequestError("not-found", "there is no such page")
    headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.media_type)
