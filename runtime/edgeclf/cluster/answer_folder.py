"""The folder of a job's answers, on a file system that all nodes see, or in an object store.

    job.json                     what the job is, see ``edgeclf.cluster.job``
    parquet/block-1-HASH.parquet the answers of one block of photos
    jsonl/block-1-HASH.jsonl     the same records as JSON lines

A file appears when it is whole. The JSON lines of a block are written first, so a block is answered if its Parquet file
is there.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeclf.cluster.addresses import is_address, opened
from edgeclf.errors import RecordError
from edgeclf.files.atomic_write import write_atomically
from edgeclf.files.hanging_disk import reason

PARQUET, JSONL = "parquet", "jsonl"
_REMEDY = "check the folder, its permissions and the free space; finished blocks are complete"


@dataclass(frozen=True)
class AnswerFolder:
    """Files in a folder or below an address; every method raises RecordError if the storage fails.

    Attributes:
        where: the folder's absolute path, or an address.
    """

    where: str

    @classmethod
    def at(cls, where: str | os.PathLike[str]) -> "AnswerFolder":
        """The folder that a user named."""
        name = os.fspath(where)
        return cls(name.rstrip("/") if is_address(name) else os.path.abspath(name))

    def name_of(self, name: str) -> str:
        """A file of the folder for messages and for other programs."""
        return f"{self.where}/{name}" if is_address(self.where) else os.path.join(self.where, *name.split("/"))

    def make(self) -> None:
        """Make the folder and those for blocks; object stores need none."""
        if is_address(self.where):
            return
        try:
            for sub in (PARQUET, JSONL):
                os.makedirs(os.path.join(self.where, sub), exist_ok=True)
        except OSError as error:
            raise self._failed("", error) from error

    def write(self, name: str, data: bytes) -> None:
        """Write a file, over an earlier one of this name. Nobody sees it before it is whole and on the disk."""
        try:
            if is_address(self.where):
                system, path = opened(self.name_of(name))
                with system.open_output_stream(path) as file:  # an object appears when it is closed
                    file.write(data)
            else:
                write_atomically(Path(self.name_of(name)), lambda file: file.write(data))
        except OSError as error:
            raise self._failed(name, error) from error

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None if it does not exist."""
        try:
            if is_address(self.where):
                system, path = opened(self.name_of(name))
                with system.open_input_stream(path) as file:
                    return bytes(file.read())
            return Path(self.name_of(name)).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed(name, error) from error

    def delete(self, name: str) -> None:
        """Delete a file of the job, if it is there."""
        try:
            if is_address(self.where):
                system, path = opened(self.name_of(name))
                system.delete_file(path)
            else:
                Path(self.name_of(name)).unlink()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._failed(name, error) from error

    def blocks(self, kind: str) -> list[str]:
        """Names of the blocks that have a file of a kind, ``PARQUET`` or ``JSONL``, without its ending; sorted."""
        return sorted(
            name.removesuffix(f".{kind}")
            for name in self._names(kind)
            if name.startswith("block-") and name.endswith(f".{kind}")
        )

    def is_empty(self) -> bool:
        """Whether nothing is there yet."""
        return not self._names("")

    def _names(self, sub: str) -> list[str]:
        try:
            if is_address(self.where):
                from pyarrow import fs

                system, path = opened(self.name_of(sub) if sub else self.where)
                found: list[Any] = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
                return [info.base_name for info in found]
            return os.listdir(os.path.join(self.where, sub))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise self._failed(sub, error) from error

    def _failed(self, name: str, error: OSError) -> RecordError:
        return RecordError(f"{self.name_of(name)}: {reason(error)}", _REMEDY)


def block_file(kind: str, block: str) -> str:
    """The file of a block, relative to the folder."""
    return f"{kind}/{block}.{kind}"
