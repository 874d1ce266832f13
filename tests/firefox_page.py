"""Sites in Firefox, which playwright does not drive with Debian's program: a script in the page does the work."""

import base64
import hashlib
import json
import queue
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

SECONDS = 120  # for everything that a page does
# Photos are chosen, answers are waited for, and the records that the page saves are read. Then all is sent to the host.
_DRIVE = """
const until = async (find) => {
    for (let turn = 0; turn < 1000; turn += 1) {
        const found = find();
        if (found) return found;
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`waited too long for ${find}`);
};
const drive = async (view, photos) => {
    const one = (choice) => view.document.querySelector(choice), saved = [];
    const tested = await until(() => /Exact|Differs|Close|Not tested|could not/.test(
        one(".site-test summary")?.textContent) && one(".site-test summary").textContent);
    const files = new view.DataTransfer();
    for (const { name, content, modified } of photos) {
        const data = view.Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
        files.items.add(new view.File([data], name, { lastModified: modified }));
    }
    one("#choose").files = files.files;
    one("#choose").dispatchEvent(new view.Event("change", { bubbles: true }));
    const cards = () => [...view.document.querySelectorAll(".card:is([data-state=answered], [data-state=failed])")];
    await until(() => cards().length === photos.length);
    const real = view.URL.createObjectURL;
    view.URL.createObjectURL = (blob) => {
        if (blob.type === "application/jsonl") saved.push(blob);
        return real.call(view.URL, blob);
    };
    one("#save-jsonl").click();
    const records = await (await until(() => saved[0])).text();
    return { tested, cards: cards().map((card) => card.innerText), records };
};
const send = (address, work) => work.catch((error) => ({ error: String(error) })).then((found) =>
    fetch(address, { method: "POST", mode: "no-cors", body: JSON.stringify(found) }));
"""


def program() -> str:
    """Firefox; skips where it is missing."""
    found = shutil.which("firefox-esr") or shutil.which("firefox")
    if found is None:
        pytest.skip("needs firefox-esr")
    return found


@contextmanager
def _opened(address: str) -> Iterator[None]:
    """A headless Firefox with a new profile that shows a page."""
    with TemporaryDirectory() as profile:
        settings = {"browser.download.folderList": 2, "browser.download.dir": profile, "app.update.enabled": False}
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in settings.items()]
        Path(profile, "user.js").write_text("\n".join(lines))
        command = [program(), "--headless", "--no-remote", "--profile", profile, address]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)


def answers_of_site(host: Any, folder: Path, site: str, photos: list[Path]) -> dict[str, Any]:
    """What a site says of photos.

    Args:
        host: a ``StaticHost`` of ``folder``, which gets one more page.
        folder: holds the site.
        site: the name of its folder there.
        photos: files.

    Returns:
        ``tested``, ``cards`` and ``records``: the verdict, the texts of the cards, and the lines that the page saves.
    """
    work = f"""{_DRIVE}
        const frame = document.querySelector("iframe");
        const loaded = until(() => frame.contentDocument?.querySelector(".site-test"));
        send("said", loaded.then(() => drive(frame.contentWindow, {_described(photos)})));"""
    html = (
        f'<!doctype html><iframe src="{site}/" width="1000" height="800"></iframe><script type="module">{work}</script>'
    )
    (folder / "drive.html").write_text(html)
    with _opened(f"{host.url}drive.html"):
        return _heard(host.said)


def answers_of_page(host: Any, page: bytes, file: Path, photos: list[Path]) -> dict[str, Any]:
    """What a site that is one page says of photos, opened from the disk. Only its policy allows this test's script."""
    work = f'{_DRIVE}send("{host.url}said", drive(window, {_described(photos)}));'
    digest = base64.b64encode(hashlib.sha256(work.encode()).digest()).decode()
    text = page.decode()
    for old, new in (
        ("script-src '", f"script-src 'sha256-{digest}' '"),
        ("connect-src blob:", f"connect-src blob: {host.url}"),
        ("</body>", f'<script type="module">{work}</script></body>'),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    file.write_text(text)
    with _opened(file.as_uri()):
        return _heard(host.said)


def _heard(said: "queue.Queue[bytes]") -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(said.get(timeout=SECONDS))
    except queue.Empty:
        raise AssertionError(f"the page said nothing for {SECONDS} s") from None
    assert "error" not in found, found
    return found


def _described(photos: list[Path]) -> str:
    return json.dumps(
        [
            {
                "name": photo.name,
                "content": base64.b64encode(photo.read_bytes()).decode(),
                "modified": photo.stat().st_mtime_ns // 1_000_000,
            }
            for photo in photos
        ]
    )
