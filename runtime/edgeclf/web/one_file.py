"""A site as one HTML file, which opens from a disk or an e-mail: scripts, model and browser runtime are in it."""

import base64
import gzip
import hashlib
import os
import re
from pathlib import Path

from edgeclf.files.atomic_write import check_writable, write_over
from edgeclf.web.bundle import bundle
from edgeclf.web.site import DESCRIPTION, MODEL, Site

SUFFIXES = (".html", ".htm")
WHAT = "a page"
_MARK = b"<!doctype html>\n<!-- one page, made by edgeclf web -->\n"
_MAIN, _WORKER, _VENDOR = "page/main.js", "page/worker.js", "page/vendor/"
_NOTICE = "page/vendor/NOTICE.txt"
# Nothing is loaded from anywhere: a blob: is made by the page itself, of what is in the file.
_POLICY = (
    "default-src 'none'; script-src '{script}' blob: 'wasm-unsafe-eval'; style-src {styles}; img-src blob: data:; "
    "connect-src blob:; media-src blob:; worker-src blob:; base-uri 'none'; form-action 'none'"
)


def make_page(site: Site) -> bytes:
    """Put a site into one page.

    Args:
        site: its files.

    Returns:
        The HTML file.
    """
    modules = {
        path.removeprefix("page/"): data.decode()
        for path, data in site.files.items()
        if re.fullmatch(r"page/[\w.-]+\.js", path)
    }
    script = _inline(bundle(modules, "main.js"))
    text = site.files["index.html"].decode()
    text = re.sub(r'\n[ \t]*<link rel="(?:manifest|apple-touch-icon)"[^>]*>', "", text)
    text = re.sub(r'(?<=(?:src|ref)=")page/[\w.-]+\.svg(?=")', lambda found: _data_address(site.files[found[0]]), text)
    styles: list[str] = []

    def style(found: re.Match[str]) -> str:
        styles.append(site.files[found[1]].decode())
        return f"<style>{styles[-1]}</style>"

    text = re.sub(r'<link rel="stylesheet" href="([^"]+)">', style, text)
    text = _replaced(text, f'<script type="module" src="{_MAIN}"></script>', f'<script type="module">{script}</script>')
    policy = _POLICY.format(script=_hash(script), styles=" ".join(f"'{_hash(one)}'" for one in styles))
    text = re.sub(r'(http-equiv="Content-Security-Policy" content=")[^"]*', lambda found: found[1] + policy, text)
    packed = {path: data for path, data in site.files.items() if path.startswith(_VENDOR) and path != _NOTICE}
    packed |= {path: site.files[path] for path in (MODEL, DESCRIPTION)}
    # Not a module: Chromium starts none as a worker of a page from a disk.
    worker = bundle(modules, "worker.js").replace("import.meta.url", "location.href")
    packed[_WORKER] = f'"use strict";\n{worker}'.encode()
    blocks = [_block(path, data, site.compressed.get(path)) for path, data in packed.items()]
    notice = site.files.get(_NOTICE, b"").decode().replace("--", "- -")
    text = _replaced(text, "</body>", "\n".join((*blocks, f"<!--\n{notice}\n-->", "</body>")))
    return _MARK + text.removeprefix("<!doctype html>\n").encode()


def check_page(path: Path) -> None:
    """Check, before long work, that ``write_page`` will not fail.

    Raises:
        UsageError: as ``write_page``.
    """
    check_writable(path, is_page, WHAT)


def write_page(page: bytes, path: Path) -> None:
    """Write a page as a whole, over nothing but a page that edgeclf made.

    Raises:
        UsageError: something else has this name.
        OSError: the file cannot be written.
    """
    write_over(path, lambda file: file.write(page), is_page, WHAT)


def is_page(path: str | os.PathLike[str]) -> bool:
    """Whether edgeclf made a file, as one page."""
    with open(path, "rb") as file:
        return file.read(len(_MARK)) == _MARK


def _block(path: str, data: bytes, known: bytes | None) -> str:
    """A file as a data block, which browsers neither run nor show."""
    packed = gzip.compress(data, 9, mtime=0) if known is None else known
    shorter = min(data, packed, key=len)
    coding = ' data-coding="gzip"' if shorter is packed else ""
    return f'<script type="text/plain" data-path="{path}"{coding}>{base64.b64encode(shorter).decode()}</script>'


def _inline(script: str) -> str:
    """A script that does not end, and opens no comment, inside of HTML."""
    return re.sub(r"<(?=!--|/?script)", r"\\x3c", script, flags=re.IGNORECASE)


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _data_address(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def _replaced(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise ValueError(f"the page has {old} {text.count(old)} times")
    return text.replace(old, new)
