"""Who is let in: the Host header, other sites' pages, the token; and the headers that every answer carries."""

import hashlib
import hmac
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import Request, cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeclf.serve.problems import RequestError, drain
from edgeclf.serve.settings import Access, Limits
from edgeclf.serve.uploads import body_chunks

_COOKIE_SECONDS = 365 * 24 * 3600
_HEALTH = ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")
_OPEN = (*_HEALTH, "/login")
_PAGES = ("/", "/sort", "/docs")
_READING = ("GET", "HEAD", "OPTIONS")
_MAX_FORM_BYTES = 4096
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "manifest-src 'self'; media-src blob:; worker-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'self'"  # Home Assistant shows the page in a frame of its own address
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "geolocation=(), microphone=(), camera=(self)",
}


class Guard:
    """Middleware that lets in who may use the service.

    Args:
        app: what is guarded.
        access: who may use it.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            refused = self._refused(scope)
        except RequestError as problem:
            refused = problem.response()
        if refused is not None:
            await drain(Request(scope, receive))
        await (refused or self._app)(scope, receive, send_with_headers)

    def _refused(self, scope: Scope) -> Response | None:
        """The answer to who is not let in, or who opens a page with the token in its address; None for the others.

        Raises:
            RequestError: 401, 403, 421.
        """
        headers, path = Headers(scope=scope), scope["path"]
        named = headers.get("host", "")
        if not self._access.allows_host(named) and (named or path not in _HEALTH):  # some probes name no host
            raise RequestError("host", f"this service is not {named[:100]!r}; start it with --allow-host for this name")
        if scope["method"] not in _READING and not self._same_site(headers):
            raise RequestError("origin", "another site's page may not do this; allow it with --cors")
        token = self._access.token
        if token is None or path in _OPEN or path.startswith("/page/"):
            return None
        query = QueryParams(scope["query_string"])
        if path in _PAGES and (given := query.get("token")) is not None and is_same(given, token):
            return with_cookie(RedirectResponse(_beside(path), 303), token, headers)
        if any(is_same(one, token) for one in _tokens(headers, token)):
            return None
        if path in _PAGES and scope["method"] in _READING:
            return RedirectResponse("./login", 303)
        problem = "send the token: `Authorization: Bearer TOKEN`; it was printed when the service started"
        raise RequestError("token", problem, {"WWW-Authenticate": "Bearer"})

    def _same_site(self, headers: Headers) -> bool:
        """Whether a request may come from a page that this service itself delivered, or from no page at all."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is None:
            return site in (None, "same-origin", "none")
        if site == "same-origin" or origin.lower() in self._access.origins:
            return True
        # A page cannot set X-Forwarded-Host without asking first: only a reverse proxy sends it.
        own = (headers.get("host", "").lower(), headers.get("x-forwarded-host", "").lower())
        place = origin.partition("://")[2].lower()
        return bool(place) and place in own


def is_same(given: str, token: str) -> bool:
    """Compare two tokens in a time that does not tell how much of them is equal."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def client_of(request: Request) -> str:
    """The address of the client, for limits; behind a reverse proxy all clients are one."""
    return request.client.host if request.client else ""


def cookie_name(token: str) -> str:
    """The cookie of this service: browsers send a host's cookies to all its ports, where other services may be."""
    return f"edgeclf_{hashlib.sha256(token.encode()).hexdigest()[:8]}"


def with_cookie(response: Response, token: str, headers: Headers) -> Response:
    """An answer that makes the browser remember the token.

    The cookie has no path, so it counts for the folder of the address that the browser sees, whatever a reverse proxy
    makes of it.
    """
    secure = headers.get("x-forwarded-proto", "").lower() == "https"
    response.set_cookie(
        cookie_name(token), token, _COOKIE_SECONDS, path=None, secure=secure, httponly=True, samesite="lax"
    )
    return response


async def log_in(request: Request, access: Access, limits: Limits) -> Response:
    """The answer to the form of the login page.

    Raises:
        RequestError: the form is too large or too slow.
    """
    body = b"".join([chunk async for chunk in body_chunks(request, limits, _MAX_FORM_BYTES)])
    form = dict(parse_qsl(body.decode("utf-8", "replace")))
    if access.token is None or is_same(form.get("token", "").strip(), access.token):
        return with_cookie(RedirectResponse("./", 303), access.token or "", request.headers)
    return RedirectResponse("./login?wrong=1", 303)


def _tokens(headers: Headers, token: str) -> list[str]:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    cookie = cookie_parser(headers.get("cookie", "")).get(cookie_name(token))
    return [*([given.strip()] if scheme.lower() == "bearer" else []), *([cookie] if cookie is not None else [])]


def _beside(path: str) -> str:
    """The address of a page as seen from itself, under any prefix."""
    return f"./{path.lstrip('/')}"
