"""In chromium: JPEGs and lossy WebPs give Python's pixels; other formats go through the browser, upright on white."""

import base64
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jpegs
import numpy as np
import pytest
from edgeclf.images.contract import ImageContract
from helpers import draw
from jpegs_in_node import NAME, in_python
from page_browser import open_browser, open_page
from PIL import Image
from test_pixels_format_js import saved

SCRIPT = """async ([files, contract, name]) => {
    const { networkInput } = await import("/pixels.js");
    const { openJpegDecoder } = await import("/pixels-jpeg-wasm.js");
    const decoder = await openJpegDecoder(await (await fetch("/vendor/jpeg-turbo.wasm")).arrayBuffer());
    const found = [];
    for (const text of files) {
        const data = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
        try {
            const { pixels, ...rest } = await networkInput(data, contract, { name, decoder });
            const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", pixels));
            found.push({ pixels: Array.from(digest, (n) => n.toString(16).padStart(2, "0")).join(""), ...rest });
        } catch (error) {
            found.push({ kind: error.kind, message: error.message, remedy: error.remedy });
        }
    }
    return found;
}"""
CONTRACT = ImageContract(48, "crop", 0.875)


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site(page: Path) -> Iterator[str]:
    """The page's files on a free port of this machine."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Files, directory=str(page))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def seen_by(site: str, files: list[bytes]) -> list[dict[str, Any]]:
    with open_browser() as browser, open_page(browser) as page:
        page.goto(site + "icon-edgeclf.svg")
        texts = [base64.b64encode(data).decode() for data in files]
        found: list[dict[str, Any]] = page.evaluate(SCRIPT, [texts, CONTRACT.to_dict(), NAME])
    return found


def turned(kind: str, **options: Any) -> list[bytes]:
    """A photo with each orientation, and with one that does not exist."""
    files = []
    for orientation in range(1, 10):
        exif = Image.Exif()
        exif[0x112] = orientation
        files.append(saved(kind, exif=exif, **options))
    return files


def transparent() -> Image.Image:
    image = draw(2, 90, 70)
    image.putalpha(Image.fromarray(np.random.default_rng(1).integers(0, 256, (70, 90), dtype=np.uint8)))
    return image


def test_photos_in_chromium(site: str, jpeg_decoder: Path, tmp_path: Path) -> None:
    transparent().save(tmp_path / "a.png")
    transparent().save(tmp_path / "a.webp", lossless=True, exact=True)
    transparent().save(tmp_path / "lossy.webp", quality=50, alpha_quality=30)
    exact = [
        *(*turned("JPEG"), saved("JPEG", "L", quality=90), saved("JPEG", "CMYK"), saved("JPEG", progressive=True)),
        *(*turned("WEBP"), (tmp_path / "lossy.webp").read_bytes()),
        *(saved("WEBP", size=size, quality=95) for size in ((1, 1), (1, 48), (2, 3), (61, 1), (61, 50), (700, 501))),
    ]
    others = [
        *(*turned("PNG"), saved("PNG", "L"), saved("PNG", "P"), (tmp_path / "a.png").read_bytes()),
        *(*turned("WEBP", lossless=True), (tmp_path / "a.webp").read_bytes(), saved("GIF", "P"), saved("BMP")),
    ]
    broken = [saved("JPEG")[:700], saved("PNG")[:300], b"no photo"]
    found = seen_by(site, [*exact, *others, *broken, jpegs.lossless()])
    expected = [in_python(data, CONTRACT) for data in (*exact, *others, *broken)]
    for one in expected[len(exact) : len(exact) + len(others)]:
        one["exact"] = False
    assert found[: -len(broken) - 1] == expected[: -len(broken)]
    assert [one["kind"] for one in found[-4:]] == [*(one["kind"] for one in expected[-3:]), "unsupported"]
    assert found[-1]["message"] == f"{NAME}: is a lossless JPEG, which this browser cannot read"
