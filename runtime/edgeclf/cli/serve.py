"""``edgeclf serve``: a page and an HTTP API around one model."""

import os
import secrets
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from edgeclf.cli.console import Console
from edgeclf.cli.extras import require
from edgeclf.cli.options import Device, LowMemory, NoExif, Threads
from edgeclf.cli.print_records import tell_device

if TYPE_CHECKING:
    from types import FrameType

    from edgeclf.serve.server import Service
    from edgeclf.serve.settings import Access

_TOKEN_BYTES = 18  # 144 random bits, 24 letters
_SHARE_OF_MEMORY = 4  # a quarter of what is free is for photos that wait
_MIN_QUEUE_BYTES = 32 * 2**20


def serve(
    model: Annotated[
        str | None,
        typer.Option("-m", "--model", metavar="MODEL", help="Model file; default as for predict."),
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Listen here; 0.0.0.0: all networks of this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="0: any free port.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(metavar="T", help="Secret that clients must know; default beyond this machine: one is made."),
    ] = None,
    no_token: Annotated[bool, typer.Option("--no-token", help="Everybody who reaches the address may use it.")] = False,
    review: Annotated[
        Path | None,
        typer.Option("--review", metavar="DIR", help="Sort the photos in DIR/_unsorted on the page, into DIR/<class>."),
    ] = None,
    keep_unsure: Annotated[
        bool, typer.Option("--keep-unsure", help="Copy unknown photos that are sent into DIR/_unsorted, to sort them.")
    ] = False,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="For a public view: the trays can be looked at, nothing is changed.")
    ] = False,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="The run folder that the page's training line names.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(metavar="P", min=0.0, max=1.0, help='Best probability below which a photo is "unknown".'),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", metavar="NAME", help="Another name of this service; repeatable.")
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option("--cors", metavar="ORIGIN", help="A site whose scripts may call it; repeatable."),
    ] = None,
    max_photo: Annotated[
        int, typer.Option("--max-photo", metavar="MB", min=1, max=256, help="Largest photo that is taken.")
    ] = 64,
    max_waiting: Annotated[
        int, typer.Option("--max-waiting", metavar="N", min=1, max=10_000, help="Requests beyond it get 503.")
    ] = 128,
    no_exif: NoExif = False,
    device: Device = "auto",
    threads: Threads = None,
    low_memory: LowMemory = False,
) -> None:
    """Serve a model to browsers and scripts: a page, and an HTTP API.

    \b
    edgeclf serve                                        http://127.0.0.1:8000, this machine only
    edgeclf serve -m birds.onnx --host 0.0.0.0           a token and a QR code for phones are printed
    edgeclf serve -m birds.onnx --review photos/ --keep-unsure --run runs/birds
    curl --data-binary @photo.jpg http://127.0.0.1:8000/predict
    curl -F photo=@a.jpg -F photo=@b.jpg http://127.0.0.1:8000/predict
    curl --data-binary @photo.jpg http://127.0.0.1:8000/explain -o why.jpg

    Answers are those of `edgeclf predict --json`, bit for bit; /docs lists all addresses. Photos stay in memory, and
    neither photos nor their names are written anywhere unless --keep-unsure is given. --no-exif keeps time, place and
    camera of photos out of the answers. A photo is answered in order; beyond --max-waiting requests, three quarters of
    them from one address, clients get 503 and Retry-After.

    Beyond this machine a token is asked for: $EDGECLF_TOKEN, --token, or one that is made at each start. Plain HTTP can
    be read by others in the same network: put a reverse proxy with HTTPS before it where that matters.

    --review shows the page /sort: one key or tap moves a photo from DIR/_unsorted into its class folder, as
    `edgeclf watch --review` fills it; `edgeclf train DIR` takes it from there.

    SIGTERM ends with 0 and Ctrl-C with 130, after the photos that are in work.
    """
    require("serve", "starlette", "uvicorn", "python_multipart", "prometheus_client", "segno")
    from edgeclf.classifier import Classifier
    from edgeclf.hardware import memory
    from edgeclf.model.default_model import default_model
    from edgeclf.serve.app import create_app
    from edgeclf.serve.server import Service, listen
    from edgeclf.serve.settings import Limits, Settings

    if keep_unsure and review is None:
        raise typer.BadParameter("it needs a folder to copy to; give --review too", param_hint="--keep-unsure")
    if keep_unsure and read_only:
        raise typer.BadParameter("nothing is kept with --read-only; give one of them", param_hint="--keep-unsure")
    access = _access(host, token, no_token, read_only, allow_host or [], cors or [])
    free = memory().available or 2**31
    limits = Limits(
        photo_bytes=max_photo * 2**20,
        waiting=max_waiting,
        per_client=max(1, max_waiting * 3 // 4),
        memory_bytes=max(_MIN_QUEUE_BYTES, max_photo * 2**20, min(Limits.memory_bytes, free // _SHARE_OF_MEMORY)),
    )
    path = model or os.fspath(default_model())
    given = (token, os.environ.get("EDGECLF_TOKEN"))
    with listen(host, port) as listener:
        console = Console()
        classifier = Classifier(path, device, threads, threshold=threshold, low_memory=low_memory)
        tell_device(classifier.device, console)
        settings = Settings(access, limits, path, review, keep_unsure, run, facts=not no_exif)
        app = create_app(classifier, settings, low_memory=low_memory, on_event=console.listener)
        service = Service(app, listener, limits)
        _tell_address(listener.getsockname()[:2], host, access, access.token not in given, console)
        ended_by = _serve(service)
    if ended_by == signal.SIGINT:
        raise KeyboardInterrupt


def _access(
    host: str, token: str | None, no_token: bool, read_only: bool, names: list[str], origins: list[str]
) -> "Access":
    """Who may use the service, from the options.

    Raises:
        UsageError: an option is invalid.
    """
    from edgeclf.serve.settings import Access, checked_host, checked_origin, checked_token, is_loopback, own_names

    given = token if token is not None else os.environ.get("EDGECLF_TOKEN") or None
    if no_token and token is not None:
        raise typer.BadParameter("it contradicts --token; give one of them", param_hint="--no-token")
    if no_token:
        given = None
    elif given is not None:
        checked_token(given)
    elif not is_loopback(host):
        given = secrets.token_urlsafe(_TOKEN_BYTES)
    hosts = (*own_names(host), *map(checked_host, names))
    return Access(given, hosts, tuple(map(checked_origin, origins)), read_only)


def _serve(service: "Service") -> int | None:
    """Serve until a signal; its number. A second one ends at once."""
    ended_by: int | None = None

    def end(number: int, frame: "FrameType | None") -> None:
        nonlocal ended_by
        ended_by = ended_by or number
        service.stop()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        service.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return ended_by


def _tell_address(bound: tuple[str, int], host: str, access: "Access", made: bool, console: Console) -> None:
    """Print where the service can be reached: as a line, and as a QR code for phones if it is for them."""
    from edgeclf.serve.settings import is_loopback

    name = bound[0] if not _is_any(bound[0]) else _address_in_network(bound[0])
    address = f"http://{f'[{name}]' if ':' in name else name}:{bound[1]}/"
    terminal = sys.stderr.isatty()
    # A secret of the user's own does not belong in a log.
    secret = f"?token={quote(access.token, safe='')}" if access.token and (made or terminal) else ""
    console.line(f"serving at {address}{secret}")
    if access.token and not secret:
        console.line("clients need the token that was given")
    if not access.token and not is_loopback(host):
        console.line("everybody in this network may use it: --no-token")
    if secret and terminal and not is_loopback(host):
        import segno

        segno.make(f"{address}{secret}", micro=False).terminal(out=sys.stderr, compact=True)
    console.line("Ctrl-C ends it")


def _is_any(address: str) -> bool:
    return address in ("0.0.0.0", "::")  # noqa: S104


def _address_in_network(any_address: str) -> str:
    """This machine's address as other machines see it; nothing is sent to find it."""
    family, other = (socket.AF_INET6, "2001:db8::1") if ":" in any_address else (socket.AF_INET, "192.0.2.1")
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((other, 9))
            return str(probe.getsockname()[0])
    except OSError:  # no network: only this machine
        return "::1" if ":" in any_address else "127.0.0.1"
