"""What a site consists of."""

import hashlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeclf.model.file import read_model_file
from edgeclf.web.browser_runtime import BrowserRuntime
from edgeclf.web.icons import draw_icon
from edgeclf.web.site import Site, make_site
from PIL import Image

FAKE = BrowserRuntime(
    {"ort.wasm.min.js": b"js", "ort-wasm-simd-threaded.wasm": b"wasm", "jpeg-turbo.wasm": b"jpeg"},
    {"ort-wasm-simd-threaded.wasm": b"packed"},
    {"onnxruntime-web": "1.30.0"},
)
TITLE = "Birds & <bees>"
IMPORT = re.compile(
    r"""^(?:import|\} from|.*\bimport\()[^"]*"\./([\w.-]+)"|new URL\("([\w.-]+\.js)", import""", re.MULTILINE
)


@pytest.fixture(scope="module")
def model(make_model: Callable[..., Path]) -> Path:
    return make_model(int8=True, golden=True, display={"king": "King penguin"})


@pytest.fixture(scope="module")
def site(model: Path) -> Site:
    return make_site(read_model_file(model), FAKE, TITLE)


def _listed(site: Site) -> dict[str, Any]:
    first = site.files["service-worker.js"].decode().split("\n")[0]
    value: dict[str, Any] = json.loads(first.removeprefix("self.SITE = ").removesuffix(";"))
    return value


def test_scripts_are_complete(site: Site) -> None:
    """Every script that one of the scripts asks for is there, and none of the service's."""
    scripts = {path: data.decode() for path, data in site.files.items() if re.fullmatch(r"page/[\w.-]+\.js", path)}
    asked = {name for text in scripts.values() for pair in IMPORT.findall(text) for name in pair if name}
    assert {"worker.js", "site-start.js", "queue.js", "softmax-rank.js", "pixels.js"} <= asked
    missing = {name for name in asked if f"page/{name}" not in scripts}
    assert missing == {"engine-http.js"}  # only where there is a service
    assert not [path for path in site.files if re.match(r"page/(sort-|sort\.|api|login)", path)]


def test_the_page_asks_for_files_that_are_there(site: Site) -> None:
    html = site.files["index.html"].decode()
    asked = set(re.findall(r'(?:src|href)="([^"#]+)"', html)) - {"./"}
    assert {"model.json", "app.webmanifest", "page/main.js"} <= asked
    assert asked <= site.files.keys()
    styles = "".join(data.decode() for path, data in site.files.items() if path.endswith(".css"))
    assert set(re.findall(r"url\(.{5}", styles)) <= {"url('data"}


def test_nothing_of_the_service_is_left(site: Site) -> None:
    html = site.files["index.html"].decode()
    for text in ("Slow network", "API", 'href="sort"', "Sign in", "service"):
        assert text not in html
    assert html.count("<!-- ") == 0


def test_the_title_is_text(site: Site) -> None:
    html = site.files["index.html"].decode()
    assert html.count("Birds &amp; &lt;bees&gt;") == 3
    assert "<bees>" not in html
    assert json.loads(site.files["app.webmanifest"])["name"] == TITLE


def test_a_title_may_look_like_a_pattern(model: Path) -> None:
    html = make_site(read_model_file(model), FAKE, r"\1 \g<0>").files["index.html"].decode()
    assert r"<title>\1 \g&lt;0&gt;</title>" in html
    assert r'height="28">\1 \g&lt;0&gt;</h1>' in html


def test_nothing_can_be_sent_elsewhere(site: Site) -> None:
    html = site.files["index.html"].decode()
    policy = re.search('Content-Security-Policy" content="([^"]+)"', html)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert (rules["default-src"], rules["connect-src"]) == ("'none'", "'self'")
    assert rules["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert html.index("Content-Security-Policy") < html.index("<script")


def test_the_description_is_the_services(site: Site, model: Path) -> None:
    pytest.importorskip("starlette", reason="needs the extra [serve]")
    from edgeclf import Classifier
    from edgeclf.serve.app import _description
    from edgeclf.serve.settings import Access, Limits, Settings

    found = json.loads(site.files["model.json"])
    told = _description(Classifier(model), Settings(Access(), Limits(), str(model)))
    golden = found["manifest"].pop("golden")
    assert len(golden["photos"]) > 2
    assert {key: found[key] for key in found.keys() & told.keys() - {"device"}} == {
        key: told[key] for key in told.keys() - {"device", "sorting", "read_only", "keeps_unsure", "limits"}
    }
    assert (found["device"], found["runtime"]) == ("wasm", FAKE.versions)
    assert site.files[found["address"]] == model.read_bytes()
    assert found["bytes"] == model.stat().st_size


def test_the_service_worker_knows_every_file(site: Site) -> None:
    listed = _listed(site)
    assert listed["version"] == site.version
    assert listed["files"].keys() == site.files.keys() - {"service-worker.js"}
    for path, (digest, size) in listed["files"].items():
        assert (digest, size) == (hashlib.sha256(site.files[path]).hexdigest(), len(site.files[path]))


def test_the_version_changes_with_any_file(model: Path, site: Site) -> None:
    file = read_model_file(model)
    assert make_site(file, FAKE, TITLE).version == site.version
    other = BrowserRuntime({**FAKE.files, "jpeg-turbo.wasm": b"JPEG"}, FAKE.compressed, FAKE.versions)
    assert make_site(file, other, TITLE).version != site.version
    assert make_site(file, FAKE, "Another").version != site.version


def test_icons(site: Site) -> None:
    app = json.loads(site.files["app.webmanifest"])
    assert {icon["purpose"] for icon in app["icons"]} == {"any", "maskable"}
    for icon in app["icons"]:
        with Image.open(io.BytesIO(site.files[icon["src"]])) as picture:
            assert f"{picture.width}x{picture.height}" == icon["sizes"]
            corner = picture.convert("RGBA").getpixel((0, 0))
        assert isinstance(corner, tuple)
        assert corner[3] == (255 if icon["purpose"] == "maskable" else 0)
    assert draw_icon(192) == draw_icon(192)
