"""``edgeclf web`` and the fetching of the browser runtime, without a network."""

import base64
import hashlib
import io
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_line import in_process
from edgeclf.errors import BackendError
from edgeclf.web import browser_runtime
from edgeclf.web.browser_runtime import VENDOR_FOLDER, read_browser_runtime
from helpers import ROOT

NOTICE = (ROOT / "NOTICE").read_bytes()


def _write_runtime(folder: Path) -> Path:
    folder.mkdir()
    files = {"ort.wasm.min.js": b"js", "jpeg-turbo.wasm": b"jpeg", "NOTICE.txt": NOTICE}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    (folder / "contents.json").write_text(json.dumps({"packages": {"onnxruntime-web": "9"}, "files": digests}))
    return folder


def test_a_checkout_without_the_runtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Path) -> None:
    monkeypatch.setattr(read_browser_runtime, "__defaults__", (tmp_path / "vendor",))
    done = in_process("web", model, "-o", tmp_path / "site")
    assert done.returncode == 4
    assert done.stderr == (
        "edgeclf: this edgeclf has no browser runtime, which a site needs; in a checkout of edgeclf: "
        "python tools/fetch_web_runtime.py\n"
    )
    assert not (tmp_path / "site").exists()


def test_a_damaged_runtime(tmp_path: Path) -> None:
    folder = _write_runtime(tmp_path / "vendor")
    assert read_browser_runtime(folder).versions == {"onnxruntime-web": "9"}
    (folder / "jpeg-turbo.wasm").write_bytes(b"other")
    with pytest.raises(BackendError, match=r"jpeg-turbo\.wasm: is damaged"):
        read_browser_runtime(folder)


def test_writing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Path) -> None:
    folder = _write_runtime(tmp_path / "vendor")
    monkeypatch.setattr(read_browser_runtime, "__defaults__", (folder,))
    done = in_process("web", model, "-o", tmp_path / "site", "--title", "Bees")
    assert (done.returncode, done.stdout) == (0, "")
    assert re.fullmatch(r".*site: \d+ files, 0\.\d MB; a first visit transfers 0\.\d MB\n", done.stderr)
    assert "<title>Bees</title>" in (tmp_path / "site" / "index.html").read_text()
    again = in_process("web", model, "-o", tmp_path / "site", "--title", "Bees")
    assert "nothing has changed" in again.stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text("a")
    refused = in_process("web", model, "-o", tmp_path / "mine")
    assert (refused.returncode, "is not a site made by edgeclf" in refused.stderr) == (2, True)
    assert browser_runtime.VENDOR_FOLDER == VENDOR_FOLDER


@pytest.mark.skipif(not (VENDOR_FOLDER / "contents.json").exists(), reason="needs tools/fetch_web_runtime.py")
def test_trying_it(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-m", "edgeclf", "web", str(model), "-o", str(tmp_path), "--serve", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = "".join(process.stderr.readline() for _ in range(3))
        found = re.search(r"serving at http://127\.0\.0\.1:(\d+)/\n", said)
        assert found, said
        script = "import http.client, json, sys; c = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1])); " + (
            "c.request('GET', '/page/main.js', headers={'Accept-Encoding': 'gzip'}); a = c.getresponse(); "
            "print(json.dumps([a.status, a.getheader('Content-Type'), a.getheader('Content-Encoding'), len(a.read())]))"
        )
        told = subprocess.run([sys.executable, "-c", script, found[1]], capture_output=True, text=True, timeout=60)
        size = (tmp_path / "page" / "main.js.gz").stat().st_size
        assert json.loads(told.stdout) == [200, "text/javascript", "gzip", size]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The tool, with an npm that gives a package of one file, and that package pinned."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        entry = tarfile.TarInfo("package/dist/a.wasm")
        entry.size = 5000
        tar.addfile(entry, io.BytesIO(bytes(5000)))
    (tmp_path / "package.tgz").write_bytes(data.getvalue())
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(
        f'#!/bin/sh\n[ "$1" = pack ] && [ "$2" = wasm@1.0.0 ] || exit 1\ncp {tmp_path}/package.tgz w.tgz\necho w.tgz\n'
    )
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:{os.environ['PATH']}")
    found = SimpleNamespace(**runpy.run_path(str(ROOT / "tools" / "fetch_web_runtime.py")))
    digest = base64.b64encode(hashlib.sha512(data.getvalue()).digest()).decode()
    found.pin = lambda name="wasm", sha512=digest: found.fetch.__globals__.update(
        PACKAGES=(found.Package(name, "1.0.0", sha512, {"dist/a.wasm": "a.wasm.gz"}),)
    )
    found.pin()
    return found


def test_fetching(tool: SimpleNamespace, tmp_path: Path) -> None:
    folder = tmp_path / "page" / "vendor"
    tool.fetch(folder)
    assert tool.is_complete(folder)
    assert read_browser_runtime(folder).files == {"a.wasm": bytes(5000), "NOTICE.txt": NOTICE}
    assert [path.name for path in folder.parent.iterdir()] == ["vendor"]
    (folder / "a.wasm.gz").write_bytes(b"damaged")
    assert not tool.is_complete(folder)
    tool.fetch(folder)
    assert tool.is_complete(folder)


def test_another_package_is_refused(tool: SimpleNamespace, tmp_path: Path) -> None:
    folder = tmp_path / "page" / "vendor"
    tool.fetch(folder)
    tool.pin(sha512="AAAA")
    (folder / "a.wasm.gz").unlink()
    with pytest.raises(tool.FetchError, match="is not the package that was pinned"):
        tool.fetch(folder)
    tool.pin(name="unknown")
    with pytest.raises(tool.FetchError, match="npm cannot get unknown@"):
        tool.fetch(folder)
    assert [path.name for path in folder.iterdir()].count("contents.json") == 1
    assert [path.name for path in folder.parent.iterdir()] == ["vendor"]


def test_without_npm(tool: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(tool.FetchError, match="npm is not installed"):
        tool.fetch(tmp_path / "vendor")


def test_the_licences_are_told() -> None:
    text = NOTICE.decode()
    tool = runpy.run_path(str(ROOT / "tools" / "fetch_web_runtime.py"))
    for package in tool["PACKAGES"]:
        assert f"{package.name} {package.version}" in text
        for name in package.files.values():
            assert name in text
    assert "based in part on the work of the Independent JPEG Group" in text
