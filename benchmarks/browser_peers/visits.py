"""A visit of one peer's page in a new browser: what it transfers, how long it takes to open and to answer."""

import base64
import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from host import serve
from peer_photos import LARGE, TIMED, PeerPhotos
from playwright.sync_api import sync_playwright

PEERS = ("edgeclf", "transformers FP32", "transformers 8-bit", "tensorflow")
_WARM_UP = 3  # photos
_PERIOD = 0.06  # seconds, of which a slowed browser runs a share
_TABLE = ("ps", "-eo", "pid=,ppid=,comm=")
_ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


def visit(peer: str, work: Path, photos: PeerPhotos, slower: int, throttle: int, answers: bool) -> dict[str, Any]:
    """Open a peer and time its answers.

    Args:
        peer: one of ``PEERS``.
        work: has the folder `site`.
        photos: the first ``TIMED`` small ones, and all large ones, are timed.
        slower: the browser runs one in so many milliseconds.
        throttle: Chromium's own throttling of the page's thread.
        answers: whether to keep what it says of all small photos.

    Returns:
        Milliseconds (`opening`, `small`, `large`, `progressive`; lists where there are several photos), the
        milliseconds of CPU time for a photo (`cpu`), the bytes of the visit, the browser's version, and `answers`.
    """
    with serve(work / "site") as host, sync_playwright() as driver:
        if peer == "tensorflow" and not (work / "site" / "lite0.json").exists():
            with _page(driver, host.url, peer, 1, 1):
                pass  # the page makes the network and gives it to the host
        host.sent.clear()
        with _page(driver, host.url, peer, slower, throttle) as (page, before):
            run: dict[str, Any] = {"peer": peer, "browser": page.context.browser.version}
            run |= {"opening": page.evaluate("peer.opened"), "bytes": sum(host.sent.values())}
            run["cpu"] = {"opening": 1000 * (_cpu_seconds() - before)}
            small, large, progressive = (
                [page.evaluate("(photo) => peer.keep(photo)", base64.b64encode(photo).decode()) for photo in group]
                for group in (photos.small, photos.large[:LARGE], photos.progressive[:LARGE])
            )
            page.evaluate("(numbers) => peer.time(numbers)", small[:_WARM_UP])
            for name, numbers in (("small", small[:TIMED]), ("large", large), ("progressive", progressive)):
                before = _cpu_seconds()
                run[name] = page.evaluate("(numbers) => peer.time(numbers)", numbers)
                run["cpu"][name] = 1000 * (_cpu_seconds() - before) / len(numbers)
            run["answers"] = [page.evaluate("(number) => peer.ask(number)", number) for number in small if answers]
    run["medians"] = {name: median(run[name]) for name in ("small", "large", "progressive")}
    return run


def _cpu_seconds() -> float:
    """CPU time of all processes of the browser, which a busy machine changes less than the time on the clock."""
    ticks = 0
    for process in _browsers():
        with contextlib.suppress(OSError):
            ticks += sum(map(int, Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def _page(driver: Any, url: str, peer: str, slower: int, throttle: int) -> Iterator[tuple[Any, float]]:
    """A peer's page when it is open, and the CPU time of its browser before it opened."""
    browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=_ARGUMENTS)
    try:
        page = browser.new_page()
        page.set_default_timeout(600_000)
        if throttle > 1:
            session = page.context.new_cdp_session(page)
            session.send("Emulation.setCPUThrottlingRate", {"rate": throttle})
        before = _cpu_seconds()
        with _slowed(slower):
            page.goto(f"{url}peer.html#{peer}")
            page.wait_for_function("globalThis.peer !== undefined")
            yield page, before
    finally:
        browser.close()


@contextmanager
def _slowed(factor: int) -> Iterator[None]:
    """Stop this process's browsers most of the time: Chromium's own throttling does not reach workers."""
    if factor == 1:
        yield
        return
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(_PERIOD / factor):
            processes = _browsers()
            _signal(processes, signal.SIGSTOP)
            ended.wait(_PERIOD * (1 - 1 / factor))
            _signal(processes, signal.SIGCONT)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _signal(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


def _browsers() -> list[int]:
    """The processes of chromium below this one."""
    table = subprocess.run(_TABLE, capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in table.splitlines()]
    below, found = {os.getpid()}, []
    for _ in range(6):
        below |= {int(pid) for pid, parent, _ in rows if int(parent) in below}
    for pid, _, name in rows:
        if int(pid) in below and name.startswith("chrom"):
            found.append(int(pid))
    return found
