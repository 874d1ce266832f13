"""A client in a process of its own: many connections that send photos one after another, for a number of requests.

    python client.py PORT PATH CLIENTS REQUESTS PHOTO... [--form FIELD]

Prints one JSON line: photos per second, and the median and 95th percentile of the milliseconds of a request. A 503 is
counted and tried again. Hand-written HTTP on asyncio's streams, so that the client takes as little of the processor as
possible: with two cores it runs beside the service.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import time
from pathlib import Path


def request(path: str, photo: bytes, form: str | None) -> bytes:
    """All bytes of a request."""
    kind = "application/octet-stream"
    if form:
        edge = b"edge0edge0edge"
        head = f'--{edge.decode()}\r\nContent-Disposition: form-data; name="{form}"; filename="a.jpg"\r\n\r\n'.encode()
        photo, kind = b"%b%b\r\n--%b--\r\n" % (head, photo, edge), f"multipart/form-data; boundary={edge.decode()}"
    lines = (f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {kind}", f"Content-Length: {len(photo)}")
    return "\r\n".join((*lines, "", "")).encode() + photo


async def one_client(
    port: int, requests: "itertools.count[int]", limit: int, bodies: list[bytes], out: list[float]
) -> int:
    """Send requests until ``limit`` were begun by all clients; how often the service was busy."""
    busy = 0
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (number := next(requests)) < limit:
        while True:
            began = time.perf_counter()
            writer.write(bodies[number % len(bodies)])
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            body = await reader.readexactly(length)
            status = head.split(b" ", 2)[1]
            if status == b"503":
                busy += 1
                await asyncio.sleep(0.5)
                continue
            assert status == b"200", (head, body[:300])
            break
        out.append(time.perf_counter() - began)
        if b"connection: close" in head.lower():
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    return busy


async def load(port: int, path: str, clients: int, limit: int, bodies: list[bytes]) -> dict[str, float]:
    """All clients at once."""
    counter, times = itertools.count(), list[float]()
    began = time.perf_counter()
    busy = sum(await asyncio.gather(*(one_client(port, counter, limit, bodies, times) for _ in range(clients))))
    taken = time.perf_counter() - began
    times.sort()
    return {
        "photos_per_s": round(len(times) / taken, 2),
        "p50_ms": round(statistics.median(times) * 1e3, 2),
        "p95_ms": round(times[int(0.95 * (len(times) - 1))] * 1e3, 2),
        "busy": busy,
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("clients", type=int)
    parser.add_argument("requests", type=int)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--form")
    arguments = parser.parse_args()
    bodies = [request(arguments.path, photo.read_bytes(), arguments.form) for photo in arguments.photos]
    print(json.dumps(asyncio.run(load(arguments.port, arguments.path, arguments.clients, arguments.requests, bodies))))


if __name__ == "__main__":
    main()
