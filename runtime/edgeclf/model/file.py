"""Reading and sealing model files. The ONNX bytes are checked before onnxruntime parses them.

The seal is the file's last 84 bytes: one metadata entry whose value is the SHA-256 of all bytes before it. It detects
damage, not forgery: who changes a file on purpose can seal it again.
"""

import hashlib
import mmap
import os
import stat
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO, Any, TypeAlias

from edgeclf.errors import ModelDamagedError, ModelError, NotAModelError, PhotoError
from edgeclf.files.hanging_disk import read_ends
from edgeclf.model.manifest import Manifest
from edgeclf.model.onnx_scan import Buffer, scan_model
from edgeclf.model.verified_bytes import ModelBytes, sealed_copy

MANIFEST_KEY = "edgeclf.manifest"
SEAL_LENGTH = 84  # bytes
# Entry of ModelProto.metadata_props (field 14): 82 bytes, key (field 1) of 14 bytes, value (field 2) of 64 bytes.
_SEAL_HEAD = b"\x72\x52\x0a\x0eedgeclf.sha256\x12\x40"
_DOMAINS = frozenset({"", "ai.onnx"})  # not com.microsoft: its operator EPContext opens other files
_REMEDY = "copy the file again, or export the model again with `edgeclf export`"
_MAX_FILE_BYTES = 2**31  # protobuf's limit
_NO_NAME = "the model"

Model: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]


@dataclass(frozen=True)
class ModelFile:
    """A model file that passed all checks that do not need onnxruntime. When pickled, it contains its bytes.

    Attributes:
        path: as given; "the model" for bytes.
        size: bytes.
        sha256: the digest in the seal: SHA-256 (hex) of all bytes before the seal.
        manifest: the description of the model.
        content: the bytes, for opening sessions.
    """

    path: str
    size: int
    sha256: str
    manifest: Manifest
    content: ModelBytes = field(repr=False, compare=False)

    def __copy__(self) -> "ModelFile":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "ModelFile":
        return self

    def __reduce__(self) -> tuple[Callable[..., "ModelFile"], tuple[bytes, str]]:
        return _from_bytes, (self.content.read(), self.path)


def read_model_file(model: Model, *, copied: bool = False) -> ModelFile:
    """Check a model's structure and seal, and read its manifest.

    Args:
        model: a path, the bytes of a model file, or a binary file object, which is read to its end.
        copied: keep a copy in memory if the system has memory files, so that sessions can be opened later even if the
            file was overwritten in place. It takes about a millisecond per megabyte.

    Raises:
        NotAModelError: there is no such file, it is not ONNX, or it has no manifest.
        ModelError: it needs other files or custom operators.
        ModelDamagedError: the seal does not match.
        ModelTooNewError: the manifest has a newer schema.
        TypeError: the argument has the wrong type.
    """
    if isinstance(model, bytes | bytearray | memoryview):
        return _from_bytes(bytes(model), _NO_NAME)
    if hasattr(model, "read"):
        name = str(getattr(model, "name", _NO_NAME))
        try:
            data = model.read()
        except (OSError, ValueError) as error:  # ValueError: the file object is closed
            raise NotAModelError(f"{name}: cannot be read ({error})", "open it again, in binary mode") from error
        if isinstance(data, bytes):
            return _from_bytes(data, name)
        raise TypeError(f"a model's file must be open in binary mode, not give {type(data).__name__}")
    if not isinstance(model, str | os.PathLike):
        raise TypeError(f"a model is a path, bytes or a binary file, not {type(model).__name__}")
    name = os.fsdecode(model)
    try:
        if not stat.S_ISREG(os.stat(name).st_mode):  # opening a pipe would wait for a writer
            raise NotAModelError(f"{name}: is not a file", "give an .onnx file made by `edgeclf export`")
        return _from_path(name, copied)
    except FileNotFoundError as error:
        raise NotAModelError(f"{name}: no such model file", "check the path, or $EDGECLF_MODEL") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise NotAModelError(
            f"{name}: cannot be read ({reason})", "give an .onnx file made by `edgeclf export`"
        ) from error


def _from_path(name: str, copied: bool) -> ModelFile:
    with ExitStack() as open_files:
        descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
        open_files.callback(os.close, descriptor)
        status = os.fstat(descriptor)
        if status.st_size > _MAX_FILE_BYTES:
            raise NotAModelError(f"{name}: is too large for a model", "give an .onnx file made by `edgeclf export`")
        copy = sealed_copy(descriptor, status.st_size) if copied else None
        if copy is not None:
            open_files.callback(os.close, copy)
            descriptor, status = copy, os.fstat(copy)
        if not status.st_size:
            raise ModelDamagedError(f"{name}: the file is empty (0 bytes)", _REMEDY)
        with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
            sha256, digest, manifest = _check(data, name)
            whole = data[:] if os.name == "nt" else None  # on Windows, a file that is open cannot be replaced
        if whole is not None:
            return ModelFile(name, len(whole), sha256, manifest, ModelBytes(name, digest, data=whole))
        kept = os.dup(descriptor)
        content = ModelBytes(name, digest, descriptor=kept, status=status, sealed=copy is not None)
        return ModelFile(name, status.st_size, sha256, manifest, content)


def _from_bytes(data: bytes, name: str) -> ModelFile:
    sha256, digest, manifest = _check(data, name)
    copy = sealed_copy(data, len(data))  # onnxruntime needs less memory for a path than for bytes
    if copy is None:
        content = ModelBytes(name, digest, data=data)
    else:
        content = ModelBytes(name, digest, descriptor=copy, status=os.fstat(copy), sealed=True)
    return ModelFile(name, len(data), sha256, manifest, content)


def seal(unsealed: bytes) -> bytes:
    """Append the seal to the bytes of a model."""
    return unsealed + _SEAL_HEAD + hashlib.sha256(unsealed).hexdigest().encode()


def is_model_file(path: str) -> bool:
    """Whether a file ends with a seal; nothing else is checked."""
    try:
        return read_ends(path, 0, SEAL_LENGTH).startswith(_SEAL_HEAD)
    except PhotoError:
        return False


def _check(data: Buffer, name: str) -> tuple[str, str, Manifest]:
    """Check a model.

    Returns:
        The digest in the seal, the digest of all bytes, and the manifest.
    """
    if not len(data):
        raise ModelDamagedError(f"{name}: the file is empty (0 bytes)", _REMEDY)
    try:
        metadata, domains, external = scan_model(data)
    except (ValueError, IndexError, OverflowError, RecursionError) as error:
        raise NotAModelError(f"{name}: not an ONNX model, or a truncated one", _REMEDY) from error
    if MANIFEST_KEY not in metadata:
        raise NotAModelError(
            f"{name}: an ONNX file without edgeclf's manifest", "give an .onnx file made by `edgeclf export`"
        )
    sealed, digest = _check_seal(data, name)
    if external:
        raise ModelError(f"{name}: needs tensor data from other files, which is not allowed", "export it as one file")
    if foreign := sorted(domains - _DOMAINS):
        raise ModelError(
            f"{name}: needs custom operators ({', '.join(foreign)}), which is not allowed", "export it again"
        )
    return sealed, digest, Manifest.from_json(metadata[MANIFEST_KEY], name)


def _check_seal(data: Buffer, name: str) -> tuple[str, str]:
    end = max(len(data) - SEAL_LENGTH, 0)
    with memoryview(data) as view, view[:end] as before:
        digest = hashlib.sha256(before)
    sealed = digest.hexdigest()
    if data[end:] != _SEAL_HEAD + sealed.encode():
        raise ModelDamagedError(f"{name}: the seal is broken: the file is not what was exported", _REMEDY)
    digest.update(data[end:])
    return sealed, digest.hexdigest()
