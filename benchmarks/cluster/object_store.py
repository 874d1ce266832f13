"""Photos and answers in an S3-compatible store on this machine, with 503s and a slow object, and a killed run.

    python benchmarks/cluster/object_store.py PHOTOS WORK MODEL --server "moto_server -p 5555"

The server (moto's, from PyPI; in an environment of its own) listens on 127.0.0.1:5555. Requests go through a proxy in
this process that answers every seventh read of an object with 503, and lets one object wait for 12 seconds.
"""

import argparse
import contextlib
import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SERVER, PROXY = ("127.0.0.1", 5555), ("127.0.0.1", 5556)
SLOW_SECONDS, EVERY = 12, 7
_OF_A_HOP = ("connection", "transfer-encoding", "expect", "content-length")
RUN = """
import sys
from edgeclf.cluster import predict_into
source, out, model = sys.argv[1:]
print(predict_into(out, source, model, batch=16, resume=True), flush=True)
"""


class Proxy(BaseHTTPRequestHandler):
    """Hands requests on, some of them badly."""

    protocol_version = "HTTP/1.1"
    reads = refused = slowed = 0
    bad = False
    lock = threading.Lock()

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
                Proxy.reads += 1
                refuse = Proxy.reads % EVERY == 0
                Proxy.refused += refuse
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
    arguments = parser.parse_args()
    arguments.work.mkdir()
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_REGION="us-east-1")  # noqa: S106
    os.environ["AWS_ENDPOINT_URL"] = f"http://{PROXY[0]}:{PROXY[1]}"
    with subprocess.Popen(shlex.split(arguments.server), stderr=subprocess.DEVNULL) as server:
        proxy = ThreadingHTTPServer(PROXY, Proxy)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            wait_for_server()
            run(arguments.photos, arguments.work, arguments.model, arguments.count)
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


def run(photos: Path, work: Path, model: str, count: int) -> None:
    """The steps behind the server's start."""
    from pyarrow import fs, parquet

    store = fs.S3FileSystem(endpoint_override=f"{PROXY[0]}:{PROXY[1]}", scheme="http", allow_bucket_creation=True)
    store.create_dir("survey")
    local = work / "local"
    local.mkdir()
    for number, path in enumerate(sorted(photos.rglob("*.jpg"))[:count]):
        name = f"c{number % 3}/{'slow' if number == 40 else f'p {number:04}%20'}.jpg"
        (local / name).parent.mkdir(exist_ok=True)
        os.link(path, local / name)
        with store.open_output_stream(f"survey/photos/{name}") as file:
            file.write(path.read_bytes())
    Proxy.bad = True
    command = [sys.executable, "-c", RUN, "s3://survey/photos", "s3://survey/answers", model]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        done = fs.FileSelector("survey/answers/parquet", allow_not_found=True)
        while not (written := len(store.get_file_info(done))) and first.poll() is None:
            time.sleep(0.1)
        first.send_signal(signal.SIGKILL)
    print(f"killed when {written} blocks were in the store")
    began = time.monotonic()
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    print(second.stdout or second.stderr[-2000:], f"{time.monotonic() - began:.0f} s with start-up")
    table = parquet.read_table("survey/answers/parquet", filesystem=store)
    paths = table["path"].to_pylist()
    subprocess.run(
        [sys.executable, "-m", "edgeclf", "predict", str(local), "-m", model, "--out", str(work / "local.jsonl")],
        check=False,
    )
    wanted = {
        record["path"].replace(str(local), "s3://survey/photos"): record
        for record in map(json.loads, (work / "local.jsonl").read_text().splitlines())
    }
    same = sum(
        row["labels"] == [one["label"] for one in wanted[row["path"]].get("predictions", [])]
        and row["probabilities"] == [one["probability"] for one in wanted[row["path"]].get("predictions", [])]
        for row in table.to_pylist()
        if row["error"] is None
    )
    errors = [row["message"] for row in table.to_pylist() if row["error"] is not None]
    print(f"{len(paths)} records, {len(set(paths))} paths, {len(wanted)} wanted; {same} equal to predict")
    print(f"errors: {errors[:4]}")
    print(f"reads {Proxy.reads}, of these answered with 503: {Proxy.refused}; slow ones: {Proxy.slowed}")


if __name__ == "__main__":
    main()
