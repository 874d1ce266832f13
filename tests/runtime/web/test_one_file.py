"""A site as one page: what is in it, and over what it is written."""

import base64
import gzip
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import in_process
from edgeclf.errors import UsageError
from edgeclf.model.file import read_model_file
from edgeclf.web import one_file
from edgeclf.web.browser_runtime import BrowserRuntime, read_browser_runtime
from edgeclf.web.one_file import is_page, make_page, write_page
from edgeclf.web.site import Site, make_site

WASM = b"wasm" * 100
FAKE = BrowserRuntime(
    {"ort.wasm.min.js": b"js", "ort-wasm-simd-threaded.wasm": WASM, "NOTICE.txt": b"Licence -- of <others>"},
    {"ort-wasm-simd-threaded.wasm": gzip.compress(WASM)},
    {"onnxruntime-web": "1.30.0"},
)
BLOCK = re.compile(r'<script type="text/plain" data-path="([^"]+)"( data-coding="gzip")?>([\w+/=]*)</script>')


@pytest.fixture(scope="module")
def site(make_model: Callable[..., Path]) -> Site:
    return make_site(read_model_file(make_model(int8=True, golden=True)), FAKE, "Birds & <bees>")


@pytest.fixture(scope="module")
def page(site: Site) -> str:
    return make_page(site).decode()


def test_all_files_are_in_it(page: str, site: Site) -> None:
    found = {
        path: gzip.decompress(data) if coding else data
        for path, coding, text in BLOCK.findall(page)
        for data in [base64.b64decode(text)]
    }
    worker = found.pop("page/worker.js").decode()
    assert found == {
        path: data
        for path, data in site.files.items()
        if path in ("model.onnx", "model.json") or (path.startswith("page/vendor/") and not path.endswith(".txt"))
    }
    assert len(found) == 4
    assert worker.startswith('"use strict"')
    assert not re.search(r"^import\b|import\.meta", worker, re.MULTILINE)
    assert "Licence - - of <others>" in page


def test_it_asks_for_no_other_file(page: str) -> None:
    asked = re.findall(r'(?:src|href)="([^"]*)"', BLOCK.sub("", page).split("<script")[0])
    assert {address.split(",")[0] for address in asked} == {"data:image/svg+xml;base64", "model.json"}
    links = re.findall(r"<link[^>]*>", page)
    assert [re.search('rel="([^"]+)"', link)[1] for link in links] == ["describedby", "icon"]  # type: ignore[index]
    body = page[page.index("<body>") :]
    assert set(re.findall(r'(?:src|href)="([^"]{1,5})', BLOCK.sub("", body))) == {"#add", "data:"}


def test_the_policy_names_its_scripts_and_styles(page: str) -> None:
    policy = re.search('Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert (rules["default-src"], rules["connect-src"]) == ("'none'", "blob:")
    scripts = re.findall('<script type="module">(.*?)</script>', page, re.DOTALL)
    styles = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    assert (len(scripts), len(styles)) == (1, 2)
    hashes = [
        "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
        for text in (*scripts, *styles)
    ]
    assert rules["script-src"] == f"{hashes[0]} blob: 'wasm-unsafe-eval'"
    assert rules["style-src"].split() == hashes[1:]


def test_scripts_do_not_end_early() -> None:
    script = 'const a = "</script><!-- <SCRIPT>", b = 1 < 2;'
    assert one_file._inline(script) == r'const a = "\x3c/script>\x3c!-- \x3cSCRIPT>", b = 1 < 2;'


def test_it_is_written_over_its_like_only(page: str, tmp_path: Path) -> None:
    path = tmp_path / "birds.html"
    write_page(page.encode(), path)
    assert is_page(path)
    write_page(page.encode() + b"\n", path)
    assert path.read_bytes() == page.encode() + b"\n"
    path.write_text(page.replace("made by edgeclf web", "made by me"))
    before = path.read_bytes()
    with pytest.raises(UsageError, match="exists already and is not a page made by edgeclf"):
        write_page(page.encode(), path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["birds.html"]


def test_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Path) -> None:
    monkeypatch.setattr("edgeclf.web.browser_runtime.read_browser_runtime", lambda: FAKE)
    path = tmp_path / "birds.HTML"
    done = in_process("web", model, "-o", path, "--title", "Bees")
    assert (done.returncode, done.stdout) == (0, "")
    assert re.fullmatch(r".*birds\.HTML: one page, 0\.\d MB; it opens from the disk\n", done.stderr)
    assert "<title>Bees</title>" in path.read_text()
    shown = in_process("web", model, "-o", path, "--serve")
    assert (shown.returncode, "--serve is for a site in a folder" in shown.stderr) == (2, True)
    path.write_text("mine")
    refused = in_process("web", model, "-o", path)
    assert (refused.returncode, "not a page made by edgeclf" in refused.stderr) == (2, True)
    assert path.read_text() == "mine"
    (tmp_path / "site.html").mkdir()
    folder = in_process("web", model, "-o", tmp_path / "site.html")
    assert (folder.returncode, (tmp_path / "site.html" / "index.html").exists()) == (0, True)
    assert read_browser_runtime is not None
