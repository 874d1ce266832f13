"""What a service offers to whom, and its limits."""

import ipaddress
import socket
from dataclasses import dataclass, field
from pathlib import Path

from edgeclf.errors import UsageError

MIN_TOKEN_CHARACTERS = 8
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Limits:
    """Limits of each request, of each client, and of all of them together.

    Attributes:
        photo_bytes: of one photo.
        photos: in one request.
        waiting: requests that are in work or wait for it; beyond it 503.
        per_client: of them, those from one address.
        memory_bytes: of all photos that were received and not classified yet; beyond it 503.
        idle_seconds: until an upload that sends nothing is cut off; also a connection that sends no request.
        upload_seconds: for a whole request, without the time in which photos are classified.
        bytes_per_second: slower uploads are cut off after ``idle_seconds``; so are clients that read more slowly.
        json_bytes: of a request that is JSON.
        connections: open at once.
        stop_seconds: for what is in work when the service ends.
    """

    photo_bytes: int = 64 * 2**20
    photos: int = 200
    waiting: int = 128
    per_client: int = 96
    memory_bytes: int = 512 * 2**20
    idle_seconds: float = 20.0
    upload_seconds: float = 300.0
    bytes_per_second: int = 512
    json_bytes: int = 2**20
    connections: int = 512
    stop_seconds: float = 8.0  # containers are killed after 10


@dataclass(frozen=True)
class Access:
    """Who may use the service.

    Attributes:
        token: the secret that every client has to know; None: no secret is asked for.
        hosts: names under which the service may be reached, in lower case, without ports. IP addresses are always
            allowed: a browser that was sent here by another site's name (DNS rebinding) sends that name.
        origins: addresses of other sites whose scripts may call the service (CORS), such as "https://lab.example".
        read_only: photos are classified, nothing is kept or sorted.
    """

    token: str | None = None
    hosts: tuple[str, ...] = LOOPBACK_NAMES
    origins: tuple[str, ...] = ()
    read_only: bool = False

    def allows_host(self, header: str) -> bool:
        """Whether a request's Host header names this service."""
        name = _without_port(header).lower().rstrip(".")
        return name in self.hosts or _is_address(name)


@dataclass(frozen=True)
class Settings:
    """Everything about a service but its classifier.

    Attributes:
        access: who may use it.
        limits: how much.
        model_file: the name of the model's file, only for people.
        review: the folder whose trays are sorted on the page, None for none.
        keep_unsure: copy photos that are unknown into the trays.
        facts: records hold time, place and camera of photos.
        training_run: the run that the page names in its line for the next training; None if not known.
    """

    access: Access = field(default_factory=Access)
    limits: Limits = field(default_factory=Limits)
    model_file: str = "model.onnx"
    review: Path | None = None
    keep_unsure: bool = False
    training_run: str | None = None
    facts: bool = True


def checked_token(token: str) -> str:
    """The token, if it can be one.

    Raises:
        UsageError: it is too short to be a secret, or cannot stand in a header.
    """
    if len(token) < MIN_TOKEN_CHARACTERS:
        remedy = f"give at least {MIN_TOKEN_CHARACTERS} characters, or leave it out: one is made"
        raise UsageError("--token: too short to be a secret", remedy)
    if not token.isascii() or not token.isprintable() or set(token) & set(' ",;\\'):
        raise UsageError("--token: it cannot be sent in a header", "use ASCII letters, digits, - and _")
    return token


def checked_origin(origin: str) -> str:
    """An origin for CORS as browsers send it.

    Raises:
        UsageError: it is no origin.
    """
    scheme, found, rest = origin.rstrip("/").partition("://")
    if scheme not in ("http", "https") or not found or not rest or "/" in rest or "*" in rest:
        raise UsageError(f"--cors {origin}: is not the address of a site", "give it like https://lab.example")
    return origin.rstrip("/").lower()


def checked_host(name: str) -> str:
    """A name of the service as it stands in a Host header, in lower case.

    Raises:
        UsageError: it is an address, or has a port.
    """
    if not name or set(name) & set(":/ "):
        raise UsageError(f"--allow-host {name}: is not a name", "give it like birds.example, without port")
    return name.lower().rstrip(".")


def is_loopback(host: str) -> bool:
    """Whether a service that listens on ``host`` can be reached from this machine only."""
    if host in LOOPBACK_NAMES:
        return True
    return _is_address(host) and ipaddress.ip_address(host.strip("[]")).is_loopback


def own_names(host: str) -> tuple[str, ...]:
    """Names under which a service that listens on ``host`` may be reached."""
    if is_loopback(host):
        return LOOPBACK_NAMES
    name = socket.gethostname().lower()
    short = name.partition(".")[0]
    return tuple(dict.fromkeys((*LOOPBACK_NAMES, host.lower(), name, short, f"{short}.local", f"{short}.lan")))


def _without_port(header: str) -> str:
    name, colon, port = header.rpartition(":")
    return name if colon and port.isdigit() and (":" not in name or name.endswith("]")) else header


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
