"""Who may use the service, and what every answer carries."""

import re

import pytest
from edgeclf.errors import UsageError
from edgeclf.serve.settings import Access, checked_origin, checked_token, is_loopback, own_names
from serving import Running, Serve

TOKEN = "correct-horse-battery"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8000", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1:1", 200),
        ("192.168.1.7:8000", 200),  # an address cannot be another site's name
        ("[::1]:8000", 200),
        ("evil.example", 421),
        ("localhost.evil.example:8000", 421),
        ("127.0.0.1.evil.example", 421),
    ],
)
def test_only_own_names_are_answered(service: Running, host: str, status: int) -> None:
    assert service.get("/model", Host=host).status == status


def test_a_probe_that_names_no_host_sees_that_the_service_answers(service: Running) -> None:
    for path, status in (("/healthz", b"200"), ("/model", b"421")):
        with service.connect() as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            assert connection.recv(1000).split(b" ")[1] == status, path


def test_an_address_with_a_slash_too_many_is_not_redirected_to_another_host(service: Running) -> None:
    assert service.get("/metrics/").status == 404


def test_other_sites_pages_may_do_nothing(service: Running) -> None:
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "://"},
        {"Origin": f"http://127.0.0.1:{service.port + 1}"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Origin": "http://evil.example"},
    ):
        answer = service.post("/predict", b"x", **headers)
        assert (answer.status, answer.kind) == (403, "origin"), headers
        assert "access-control-allow-origin" not in answer.headers
    own = f"http://127.0.0.1:{service.port}"
    for headers in ({"Origin": own}, {"Origin": own, "Sec_Fetch_Site": "same-origin"}, {"Sec_Fetch_Site": "none"}, {}):
        assert service.post("/predict", b"x", **headers).status == 422, headers
    behind_a_proxy = {"Origin": "https://birds.example", "X_Forwarded_Host": "birds.example"}
    assert service.post("/predict", b"x", **behind_a_proxy).status == 422


def test_a_site_that_is_named_may_call(serve: Serve) -> None:
    service = serve(access=Access(TOKEN, origins=("https://lab.example",)))
    ask = {"Origin": "https://lab.example", "Access_Control_Request_Method": "POST"}
    before = service.ask("OPTIONS", "/predict", None, **ask, Access_Control_Request_Headers="authorization")
    assert before.headers["access-control-allow-origin"] == "https://lab.example"
    answer = service.post("/predict", b"x", Origin="https://lab.example", Authorization=f"Bearer {TOKEN}")
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (422, "https://lab.example")
    assert service.post("/predict", b"x", Origin="https://other.example").status in (401, 403)
    assert "access-control-allow-credentials" not in answer.headers  # cookies stay with this site


def test_without_the_token_only_health_and_login_answer(serve: Serve) -> None:
    service = serve(access=Access(TOKEN))
    for path in ("/healthz", "/readyz", "/v2/health/live", "/login", "/page/page.css"):
        assert service.get(path).status in (200, 503), path
    for path in ("/model", "/metrics", "/openapi.json", "/v2/models/small"):
        answer = service.get(path)
        assert (answer.status, answer.kind, answer.headers["www-authenticate"]) == (401, "token", "Bearer"), path
    for wrong in ("", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", "Bearer \xfc"):
        assert service.post("/predict", b"x", Authorization=wrong).status == 401, wrong
    assert service.get(f"/model?token={TOKEN}").status == 401  # an address ends up in logs: pages only
    assert service.post("/predict", b"x", Authorization=f"bearer {TOKEN}").status == 422


def test_a_page_asks_for_the_token_and_remembers_it(serve: Serve) -> None:
    service = serve(access=Access(TOKEN))
    start = service.get("/")
    assert (start.status, start.headers["location"]) == (303, "./login")
    wrong = service.post("/login", f"token={TOKEN}x", Content_Type="application/x-www-form-urlencoded")
    assert (wrong.status, wrong.headers["location"]) == (303, "./login?wrong=1")
    assert "set-cookie" not in wrong.headers
    for answer in (
        service.post("/login", f"token={TOKEN}", Content_Type="application/x-www-form-urlencoded"),
        service.get(f"/?token={TOKEN}"),
    ):
        assert (answer.status, answer.headers["location"]) == (303, "./")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Path" not in cookie
        assert cookie.startswith("edgeclf_")
        assert not cookie.startswith("edgeclf_token=")  # another service of this host has another token
        assert service.get("/", Cookie=cookie.partition(";")[0]).status == 200
        assert service.get("/model", Cookie=cookie.partition(";")[0]).status == 200
    name = cookie.partition("=")[0]
    assert service.get("/", Cookie=f"{name}={TOKEN}x").status == 303
    many = service.post("/login", "a=1&" * 50, Content_Type="application/x-www-form-urlencoded")
    assert (many.status, many.headers["location"]) == (303, "./login?wrong=1")
    secure = service.get(f"/?token={TOKEN}", X_Forwarded_Proto="https").headers["set-cookie"]
    assert re.search("; secure", secure, re.IGNORECASE)
    assert service.post("/login", b"x" * 5000).status == 413


def test_every_answer_carries_the_headers(serve: Serve) -> None:
    service = serve(access=Access(TOKEN))
    for answer in (
        service.get("/"),
        service.get("/model"),
        service.get("/healthz"),
        service.get("/nothing", Authorization=f"Bearer {TOKEN}"),
        service.get("/model", Host="evil.example"),
        service.post("/predict", b"text", Authorization=f"Bearer {TOKEN}"),
    ):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "server" not in answer.headers


def test_the_page_is_asked_for_again_only_if_it_changed(service: Running) -> None:
    first = service.get("/page/page.css")
    assert service.get("/page/page.css", If_None_Match=first.headers["etag"]).status == 304
    assert service.get("/page/page.css", If_None_Match='"other"').status == 200


def test_no_page_has_what_the_policy_forbids() -> None:
    """Inline scripts, inline styles, and addresses of other sites."""
    from edgeclf.serve.static import PAGE_FOLDER

    pages = list(PAGE_FOLDER.glob("*.html"))
    assert len(pages) >= 2
    for path in (*pages, *PAGE_FOLDER.glob("*.js"), *PAGE_FOLDER.glob("*.css")):
        text = path.read_text("utf-8")
        assert not re.search(r"(src|href|action)=[\"']?(https?:)?/", text), path.name
        assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", text) or path.suffix != ".html", (
            path.name
        )
        assert not re.search(r"@import|url\([\"']?(https?:)?//", text), path.name


def test_tokens_origins_and_names() -> None:
    assert checked_token("abcdefgh") == "abcdefgh"
    for bad in ("short", "with space here", "näämlich-lang", 'quote"quote"', "semi;colon;semi"):
        with pytest.raises(UsageError, match="--token"):
            checked_token(bad)
    assert checked_origin("https://Lab.example/") == "https://lab.example"
    for bad in ("lab.example", "*", "https://*.example", "https://lab.example/path", "ftp://lab.example"):
        with pytest.raises(UsageError, match="--cors"):
            checked_origin(bad)
    assert [
        is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "127.8.8.8", "0.0.0.0", "::", "10.0.0.1")
    ] == [
        *[True] * 4,
        *[False] * 3,
    ]
    assert "localhost" in own_names("0.0.0.0")
