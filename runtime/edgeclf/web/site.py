"""The files of a site: the page, the model and its description, the browser runtime, and what makes it an app."""

import hashlib
import html
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeclf import __version__
from edgeclf.model.description import describe
from edgeclf.model.file import ModelFile
from edgeclf.web.browser_runtime import PAGE_FOLDER, BrowserRuntime
from edgeclf.web.icons import draw_icon

MODEL, DESCRIPTION, APP, WORKER = "model.onnx", "model.json", "app.webmanifest", "service-worker.js"
DEVICE = "wasm"  # onnxruntime's name of what runs a model in a browser
DEFAULT_TITLE = "Classify photos"
# The service's own pages and scripts, and what becomes a file of its own below.
_LEFT_OUT = re.compile(r"(sort|api|login|engine-http|index\.html|service-worker)")
# For pages of others: at the top of the site, where its address is short.
_DROP_IN, _TYPES = "edgeclf.js", "edgeclf.d.ts"
_PAGE_FILE = re.compile(r".+\.(js|css|svg)")
_GREEN = "#1c6b50"
_ICONS = {"icon-192.png": (192, False), "icon-512.png": (512, False), "icon-masked-512.png": (512, True)}
# Only "wasm-unsafe-eval" is wider than the service's policy: WebAssembly needs it. Nothing can be sent elsewhere.
_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; manifest-src 'self'; media-src blob:; worker-src 'self'; base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True)
class Site:
    """A site, before it is written.

    Attributes:
        files: relative path, with / -> bytes.
        compressed: path of a file -> its bytes as gzip, for those that are compressed already.
        version: changes with every byte of every file.
    """

    files: dict[str, bytes]
    compressed: dict[str, bytes]
    version: str


def make_site(model: ModelFile, runtime: BrowserRuntime, title: str = DEFAULT_TITLE, page: Path = PAGE_FOLDER) -> Site:
    """Put together the files of a site.

    Args:
        model: what it runs.
        runtime: what runs it.
        title: of the page, and of the app when it is installed.
        page: the folder of the page's files.
    """
    files = {
        "index.html": _index((page / "index.html").read_text("utf-8"), title, model.sha256).encode(),
        MODEL: model.content.read(),
        DESCRIPTION: _json(_description(model, runtime)),
        APP: _json(_app(title)),
        _DROP_IN: b'export { EngineError, open } from "./page/drop-in.js";\n',
        _TYPES: (page / _TYPES).read_bytes(),
    }
    for path in sorted(page.iterdir()):
        if _PAGE_FILE.fullmatch(path.name) and not _LEFT_OUT.match(path.name):
            files[f"page/{path.name}"] = path.read_bytes()
    files |= {f"page/vendor/{name}": data for name, data in runtime.files.items()}
    files |= {f"page/{name}": draw_icon(side, masked=masked) for name, (side, masked) in _ICONS.items()}
    version, worker = _service_worker((page / WORKER).read_text("utf-8"), files)
    compressed = {f"page/vendor/{name}": data for name, data in runtime.compressed.items()}
    return Site(files | {WORKER: worker}, compressed, version)


def _index(text: str, title: str, sha256: str) -> str:
    """The service's page as the page of a site: another title, its own links, nothing that needs the service."""
    shown = html.escape(title)
    head = "\n  ".join(
        (
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            f'<meta name="theme-color" content="{_GREEN}">',
            f'<meta name="apple-mobile-web-app-title" content="{shown}">',
            f'<link id="model-description" rel="describedby" type="application/json" href="{DESCRIPTION}" '
            f'data-model="{sha256[:16]}">',
            f'<link rel="manifest" href="{APP}">',
            '<link rel="apple-touch-icon" href="page/icon-192.png">',
        )
    )
    text = re.sub(r"\n[ \t]*<!-- service -->.*?<!-- /service -->", "", text, flags=re.DOTALL)
    text = text.replace("<!-- site -->", head)
    text = re.sub("<title>.*?</title>", lambda _: f"<title>{shown}</title>", text)
    return re.sub(r"(<h1[^>]*>(?:<img[^>]*>)?).*?(</h1>)", lambda found: f"{found[1]}{shown}{found[2]}", text)


def _description(model: ModelFile, runtime: BrowserRuntime) -> dict[str, Any]:
    """What the service tells of a model, and what the browser needs to open and to test it."""
    calibration = model.manifest.calibration
    threshold = calibration.threshold if calibration else 0.0
    described = describe(model.path, model.sha256, model.manifest, DEVICE, threshold)
    golden = json.loads(model.manifest.to_json())["golden"]
    described["manifest"] = {**described["manifest"], "golden": golden}
    return {**described, "version": __version__, "bytes": model.size, "address": MODEL, "runtime": runtime.versions}


def _app(title: str) -> dict[str, Any]:
    return {
        "name": title,
        "short_name": title,
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": "#f6f7f5",
        "theme_color": _GREEN,
        "icons": [
            {
                "src": f"page/{name}",
                "sizes": f"{side}x{side}",
                "type": "image/png",
                "purpose": "maskable" if masked else "any",
            }
            for name, (side, masked) in _ICONS.items()
        ],
    }


def _service_worker(script: str, files: dict[str, bytes]) -> tuple[str, bytes]:
    """The version of a site, and its service worker, which knows all files by their hashes."""
    listed = {path: [hashlib.sha256(data).hexdigest(), len(data)] for path, data in sorted(files.items())}
    whole = json.dumps([__version__, listed, script]).encode()
    version = hashlib.sha256(whole).hexdigest()[:16]
    return version, f"self.SITE = {json.dumps({'version': version, 'files': listed})};\n\n{script}".encode()


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
