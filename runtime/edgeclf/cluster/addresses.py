"""Files by their address: local paths, and what pyarrow or fsspec can open, such as ``s3://bucket/photo.jpg``."""

import os
import re
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

from edgeclf.errors import PhotoError, UsageError
from edgeclf.files.hanging_disk import Progress, reason, too_many_bytes, with_time_limit
from edgeclf.images import limits

T = TypeVar("T")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # two letters at least: one is a drive of Windows
_CHUNK_BYTES = 2**18
_CONNECT_SECONDS, _REQUEST_SECONDS = 10, 20
_PAUSES = (0.5, 2.0, 8.0)  # seconds before an object that could not be read is asked for again


def is_address(name: str) -> bool:
    """Whether a name is an address such as ``s3://bucket/key``, not a path."""
    return _ADDRESS.match(name) is not None


def opened(address: str) -> tuple[Any, str]:
    """The file system of an address, and the name of the file or folder there.

    An address is not decoded: ``%20`` in it is three characters of the name, as ``aws s3 ls`` shows it. S3 takes its
    settings from the environment (AWS_ENDPOINT_URL, AWS_REGION, credentials); ``s3://anonymous@bucket`` uses none.

    Returns:
        A ``pyarrow.fs.FileSystem`` and a path in it.

    Raises:
        UsageError: no library for this kind of address is installed, or the address is not valid.
    """
    scheme, _, rest = address.partition("://")
    authority, slash, name = rest.partition("/")
    try:
        system, root = _file_system(scheme.lower(), authority)
    except (OSError, ValueError, ImportError) as error:
        remedy = f"install the fsspec package for {scheme}://, and check the address"
        raise UsageError(f"{address}: cannot be opened ({reason(error)})", remedy) from error
    return system, f"{root.rstrip('/')}{slash}{name}" if root else name


@lru_cache(32)
def _file_system(scheme: str, authority: str) -> tuple[Any, str]:
    from pyarrow import fs

    if scheme == "s3":
        return _s3(authority), authority.rpartition("@")[2]
    if scheme in ("gs", "gcs", "hdfs", "file"):
        system, root = fs.FileSystem.from_uri(f"{'gs' if scheme == 'gcs' else scheme}://{authority}/")
        return system, root
    import fsspec

    system, root = fsspec.core.url_to_fs(f"{scheme}://{authority}/")
    return fs.PyFileSystem(fs.FSSpecHandler(system)), root


def _s3(authority: str) -> Any:
    from pyarrow import fs

    user, _, bucket = authority.rpartition("@")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    where: dict[str, Any] = {}
    if endpoint:
        parts = urlsplit(endpoint)
        where = {"endpoint_override": parts.netloc or parts.path, "scheme": parts.scheme or "https"}
    elif not region:
        region = fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(
        anonymous=user == "anonymous",
        region=region or "us-east-1",
        connect_timeout=_CONNECT_SECONDS,
        request_timeout=_REQUEST_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=5),
        **where,
    )


def read_file(address: str) -> bytes:
    """All bytes of a photo's file, which is asked for up to four times if it fails.

    Raises:
        PhotoError: "not-found", "too-large", "unreadable", or "timeout": no bytes came for ``EDGECLF_TIMEOUT`` seconds.
    """

    def read(progress: Progress) -> bytes:
        system, name = opened(address)
        chunks, length = [], 0
        with system.open_input_stream(name, buffer_size=0) as file:
            while chunk := file.read(_CHUNK_BYTES):
                progress()
                chunks.append(chunk)
                length += len(chunk)
                if length > limits.MAX_FILE_BYTES:
                    raise too_many_bytes(address, limits.MAX_FILE_BYTES)
        return b"".join(chunks)

    return _with_retries(read, address)


def read_part(container: str, offset: int, size: int, name: str) -> bytes:
    """``size`` bytes of a file from ``offset`` on; errors name ``name``. Raises as ``read_file``."""

    def read(_: Progress) -> bytes:
        if is_address(container):
            system, path = opened(container)
            with system.open_input_file(path) as file:
                return bytes(file.read_at(size, offset))
        with open(container, "rb", buffering=0) as local:
            local.seek(offset)
            return local.read(size)

    if size > limits.MAX_FILE_BYTES:
        raise too_many_bytes(name, limits.MAX_FILE_BYTES)
    data = _with_retries(read, name)
    if len(data) != size:
        raise PhotoError("unreadable", f"{name}: the file {container} has become shorter", "run it again", name)
    return data


def _with_retries(read: Callable[[Progress], T], name: str) -> T:
    for pause in (*_PAUSES, None):
        try:
            return with_time_limit(read, name)
        except FileNotFoundError as error:
            raise PhotoError("not-found", f"{name}: no such file", "check the address", name) from error
        except (OSError, ValueError) as error:
            if pause is None:
                remedy = "check the address, the credentials and the service"
                raise PhotoError("unreadable", f"{name}: {reason(error)}", remedy, name) from error
            time.sleep(pause)
    raise AssertionError("unreachable")
