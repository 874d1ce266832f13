"""Photos and answers in an S3-compatible store on this machine, with 503s and a slow object, and killed runs.

    python benchmarks/cluster/object_store.py PHOTOS WORK MODEL --server "moto_server -p 5555" [--times 5] [--seed 0]

Each time, a run is killed when a random number of its answer files is in the store, two at least and not all, and a
random moment later; then another one continues the job. Ends with an error if a run ended by itself, or if the answers
are not those of `predict`, each photo once. WORK is a new folder; it keeps what the runs said.

The server (moto's, from PyPI; in an environment of its own) listens on 127.0.0.1:5555. Requests go through a proxy in
this process that answers every seventh read of an object with 503, and lets one object wait for 12 seconds.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

SERVER, PROXY = ("127.0.0.1", 5555), ("127.0.0.1", 5556)
SLOW_SECONDS, EVERY, BATCH = 12, 7, 16
_OF_A_HOP = ("connection", "transfer-encoding", "expect", "content-length")
RUN = """
import sys
from edgeclf.cluster import predict_into
source, out, model, batch = sys.argv[1:]
print(predict_into(out, source, model, batch=int(batch), resume=True), flush=True)
"""
PHOTOS = "s3://survey/photos"
# What a photo on the disk and its copy in the store do not share.
_OWN = ("folder", "modified")


class Proxy(BaseHTTPRequestHandler):
    """Hands requests on, some of them badly.

    Attributes:
        answered: how often a photo was given.
        refused: how often a photo was refused with 503.
    """

    protocol_version = "HTTP/1.1"
    answered: ClassVar[Counter[str]] = Counter()
    refused: ClassVar[Counter[str]] = Counter()
    slowed = 0
    bad = False
    lock = threading.Lock()

    def handle(self) -> None:
        """Requests until the connection ends, also by a process that is killed."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def body(self) -> bytes | None:
        """The body of the request, which the S3 client sends in chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            length = int(self.headers.get("Content-Length") or 0)
            return self.rfile.read(length) if length else None
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def handle_any(self) -> None:
        """One request of any method."""
        body = self.body()
        is_photo = self.command == "GET" and ".jpg" in self.path
        if is_photo and Proxy.bad:
            with Proxy.lock:
                refuse = (Proxy.answered.total() + Proxy.refused.total() + 1) % EVERY == 0
                (Proxy.refused if refuse else Proxy.answered)[self.path] += 1
                slow = "slow.jpg" in self.path and not Proxy.slowed
                Proxy.slowed += slow
            if slow:
                time.sleep(SLOW_SECONDS)
            if refuse:
                self.send_response(503, "Slow Down")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        upstream = http.client.HTTPConnection(*SERVER, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OF_A_HOP}
        upstream.request(self.command, self.path, body, headers)
        answer = upstream.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length_header = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length_header or "0")
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(ConnectionError):  # of the run that is killed
                self.wfile.write(data)
        upstream.close()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Fill the store, predict from it into it, kill, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("model")
    parser.add_argument("--server", required=True)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.work.mkdir()
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_REGION="us-east-1")  # noqa: S106
    os.environ["AWS_ENDPOINT_URL"] = f"http://{PROXY[0]}:{PROXY[1]}"
    with subprocess.Popen(shlex.split(arguments.server), stderr=subprocess.DEVNULL) as server:
        proxy = ThreadingHTTPServer(PROXY, Proxy)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            wait_for_server()
            run(arguments)
        finally:
            server.send_signal(signal.SIGTERM)


def wait_for_server() -> None:
    """Return when the server answers; it takes a while to import."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        try:
            socket.create_connection(SERVER, 1).close()
            return
        except OSError:
            time.sleep(0.5)


def run(arguments: argparse.Namespace) -> None:
    """The steps behind the server's start."""
    from pyarrow import fs

    store = fs.S3FileSystem(endpoint_override=f"{PROXY[0]}:{PROXY[1]}", scheme="http", allow_bucket_creation=True)
    store.create_dir("survey")
    local = arguments.work / "local"
    local.mkdir()
    for number, path in enumerate(sorted(arguments.photos.rglob("*.jpg"))[: arguments.count]):
        name = f"c{number % 3}/{'slow' if number == 40 else f'p {number:04}%20'}.jpg"
        (local / name).parent.mkdir(exist_ok=True)
        os.link(path, local / name)
        with store.open_output_stream(f"survey/photos/{name}") as file:
            file.write(path.read_bytes())
    wanted = predicted_here(local, arguments.work / "local.jsonl", arguments.model)
    chance = random.Random(arguments.seed)  # noqa: S311
    for number in range(arguments.times):
        Proxy.answered.clear()
        Proxy.refused.clear()
        Proxy.slowed, Proxy.bad = 0, True
        kill_and_continue(store, f"survey/answers-{number}", arguments, chance, number)
        Proxy.bad = False
        compare(store, f"survey/answers-{number}", wanted)


def predicted_here(local: Path, out: Path, model: str) -> dict[str, dict[str, Any]]:
    """The records of `predict` by the addresses of the copies."""
    command = [sys.executable, "-m", "edgeclf", "predict", str(local), "-m", model, "--out", str(out)]
    subprocess.run(command, check=False)
    lines = out.read_text().replace(json.dumps(str(local))[1:-1], PHOTOS).splitlines()
    return {record["path"]: record for record in map(json.loads, lines)}


def kill_and_continue(
    store: Any, answers: str, arguments: argparse.Namespace, chance: random.Random, number: int
) -> None:
    """One run that is killed, and one that ends."""
    command = [sys.executable, "-c", RUN, PHOTOS, f"s3://{answers}", arguments.model, str(BATCH)]
    told = arguments.work / f"killed-{number}.txt"
    blocks = -(-arguments.count // BATCH)
    enough, delay = chance.randint(2, blocks - 4), chance.uniform(0, 0.3)
    with told.open("w") as file, subprocess.Popen(command, stdout=file, stderr=file) as first:
        while blocks_in(store, answers) < enough and first.poll() is None:
            time.sleep(0.02)
        time.sleep(delay)
        ended = first.poll()
        first.send_signal(signal.SIGKILL)
    written = blocks_in(store, answers)
    if ended is not None or not 2 <= written < blocks:
        raise SystemExit(
            f"the first run was not killed on its way: exit status {ended}, {written} of {blocks} blocks; it said:\n"
            + told.read_text()[-4000:]
        )
    before = Proxy.answered.total()
    print(f"{number}: killed after {before} reads, with {written} of {blocks} blocks in the store", flush=True)
    began = time.monotonic()
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    (arguments.work / f"continued-{number}.txt").write_text(second.stdout + second.stderr)
    if second.returncode:
        raise SystemExit(f"the second run: exit status {second.returncode}; it said:\n{second.stderr[-4000:]}")
    print(f"  continued in {time.monotonic() - began:.0f} s with start-up: {second.stdout.strip()}")
    given, refused = Proxy.answered, Proxy.refused
    print(
        f"  {given.total()} reads of {len(given)} photos, {given.total() - before} of them by the second run; "
        f"{refused.total()} more reads were answered with 503, {len(refused.keys() - given.keys())} of their photos "
        f"never given; slow ones: {Proxy.slowed}"
    )


def blocks_in(store: Any, answers: str) -> int:
    """How many blocks are answered."""
    from pyarrow import fs

    return len(store.get_file_info(fs.FileSelector(f"{answers}/parquet", allow_not_found=True)))


def compare(store: Any, answers: str, wanted: dict[str, dict[str, Any]]) -> None:
    """Whether the store holds each record of `predict` once, as a line and as a row."""
    from edgeclf.cluster.record_table import from_table
    from pyarrow import fs, parquet

    rows = [record.to_json() for record in from_table(parquet.read_table(f"{answers}/parquet", filesystem=store))]
    lines = []
    for info in store.get_file_info(fs.FileSelector(f"{answers}/jsonl")):
        with store.open_input_stream(info.path) as file:
            lines += file.read().decode().splitlines()
    records = [json.loads(line) for line in lines]
    same = sum(shared(record) == shared(wanted.get(record["path"], {})) for record in records)
    paths = Counter(record["path"] for record in records)
    print(
        f"  {len(records)} records of {len(paths)} photos, {len(wanted)} wanted; {same} equal to predict's, "
        f"{sum('error' in record for record in records)} of them errors; "
        f"rows {'the same' if sorted(rows) == sorted(lines) else 'DIFFERENT'}",
        flush=True,
    )
    if not len(records) == len(paths) == len(wanted) == same or sorted(rows) != sorted(lines):
        raise SystemExit("the answers are not those of predict")


def shared(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what its photo's copy does not share."""
    return {key: value for key, value in record.items() if key not in _OWN}


if __name__ == "__main__":
    main()
