"""`edgeclf serve` under load: against `predict_many` on the same photos, and against two services with FastAPI.

    python benchmarks/serve [--rounds N] [--small N] [--large N] [--requests N] [--quick]

The clients are one process of their own on loopback (client.py). In rounds that interleave: `predict_many`, the service
with 1, 4, 16 and 64 clients, and where fastapi is installed the services of apps.py with 1 and 16 clients. Then what
one request adds to `Classifier.predict` on the same bytes, and the service's memory over many requests. One JSON line
per figure; ratios are medians of paired rounds.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from edgeclf import Classifier  # noqa: E402
from making import photo_folder  # noqa: E402

CLIENTS = (1, 4, 16, 64)


def say(**figures: Any) -> None:
    """Print one figure."""
    print(json.dumps(figures), flush=True)


@contextmanager
def running(*command: str) -> Iterator[tuple[int, int]]:
    """A service until the context ends: its port and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, *(word.replace("PORT", str(port)) for word in command)])
    try:
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/docs", timeout=5):
                    break
            except OSError:
                time.sleep(0.1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


def load(port: int, clients: int, requests: int, photos: list[Path], form: str | None = None) -> dict[str, Any]:
    """One run of the client."""
    command = [sys.executable, str(HERE / "client.py"), str(port), "/predict", str(clients), str(requests)]
    done = subprocess.run([*command, *map(str, photos), *(["--form", form] if form else [])], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def throughput(label: str, photos: list[Path], requests: int, rounds: int) -> None:
    """Rounds of everything on one set of photos."""
    classifier = Classifier(for_many=True)
    names = [str(photos[number % len(photos)]) for number in range(requests)]

    def many() -> dict[str, Any]:
        began = time.perf_counter()
        assert sum(1 for _ in classifier.predict_many(names)) == requests
        return {"photos_per_s": round(requests / (time.perf_counter() - began), 2)}

    with ExitStack() as stack:
        port, _ = stack.enter_context(running("-m", "edgeclf", "serve", "--port", "PORT"))
        runs: dict[str, Callable[[], dict[str, Any]]] = {"predict_many": many}
        for clients in CLIENTS:
            runs[f"serve, {clients} clients"] = lambda n=clients: load(port, n, requests, photos)  # type: ignore[misc]
        if find_spec("fastapi"):
            for style in ("by-hand", "rembg-style"):
                other, _ = stack.enter_context(running(str(HERE / "apps.py"), style, "PORT"))
                for clients in (1, 16):
                    runs[f"{style}, {clients} clients"] = lambda n=clients, p=other: load(  # type: ignore[misc]
                        p, n, requests, photos, "file"
                    )
        else:
            say(skipped="fastapi", why="it is not installed")
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}
        for turn in range(rounds + 1):
            for name, run in runs.items():
                figures = run()
                if turn:  # the first round warms up
                    found[name].append(figures)
    for name, figures_by in found.items():
        middle = {key: round(statistics.median(one[key] for one in figures_by), 2) for key in figures_by[0]}
        pairs = zip(figures_by, found["predict_many"], strict=True)
        ratio = statistics.median(one["photos_per_s"] / base["photos_per_s"] for one, base in pairs)
        say(photos=label, what=name, **middle, of_predict_many=round(ratio, 3))


def overhead(photos: list[Path], pairs: int) -> None:
    """Milliseconds that a request adds to `Classifier.predict` on the bytes: one client, a connection that stays."""
    import http.client

    classifier, data = Classifier(), [path.read_bytes() for path in photos]
    added = []
    with running("-m", "edgeclf", "serve", "--port", "PORT") as (port, _):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for number in range(pairs + 20):
            body = data[number % len(data)]
            began = time.perf_counter()
            classifier.predict(body)
            between = time.perf_counter()
            connection.request("POST", "/predict", body)
            connection.getresponse().read()
            added.append((time.perf_counter() - between) - (between - began))
    value = round(statistics.median(added[20:]) * 1e3, 2)
    say(figure="ms that one request adds to Classifier.predict on the bytes", value=value, target=4)


def memory(photos: list[Path], requests: int, clients: int) -> None:
    """The service's memory after each tenth of many requests, MiB."""
    with running("-m", "edgeclf", "serve", "--port", "PORT") as (port, process):
        sizes = []
        for _ in range(10):
            load(port, clients, requests // 10, photos)
            sizes.append(resident(process))
        say(what="memory after each tenth", requests=requests, clients=clients, mib=sizes, descriptors=opened(process))


def resident(process: int) -> float:
    """MiB that a process has in memory."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return round(int(line.split()[1]) / 1024, 1)
    raise ProcessLookupError(process)


def opened(process: int) -> int:
    """How many descriptors a process has open."""
    return len(os.listdir(f"/proc/{process}/fd"))


def photos_of(folder: Path, number: int, width: int, height: int) -> list[Path]:
    """Photos of one size."""
    return [Path(path) for path in photo_folder(folder, number, width, height)]


def main() -> None:
    """Print one line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", type=int, default=400, help="requests of a run with photos of 500 x 375 pixels")
    parser.add_argument("--large", type=int, default=60, help="requests of a run with photos of 12 megapixels")
    parser.add_argument("--requests", type=int, default=50_000, help="for memory; 0: leave it out")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        small = photos_of(Path(name) / "small", 40, 500, 375)
        large = photos_of(Path(name) / "large", 8, 4000, 3000)
        overhead(small, 200)
        throughput("500 x 375", small, arguments.small, arguments.rounds)
        throughput("4000 x 3000", large, arguments.large, arguments.rounds)
        if arguments.requests:
            tiny = photos_of(Path(name) / "tiny", 40, 96, 72)
            memory(tiny, arguments.requests, 16)


if __name__ == "__main__":
    main()
