"""The browser runtime: onnxruntime and a JPEG decoder as WebAssembly, beside the page's files.

It is fetched from npm when edgeclf is built (``tools/fetch_web_runtime.py``) and is part of every wheel.
"""

import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from edgeclf.errors import BackendError

PAGE_FOLDER = Path(__file__).parent.parent / "page"
VENDOR_FOLDER = PAGE_FOLDER / "vendor"
_CONTENTS = "contents.json"
_FETCH = "in a checkout of edgeclf: python tools/fetch_web_runtime.py"


@dataclass(frozen=True)
class BrowserRuntime:
    """What a site needs to run a model.

    Attributes:
        files: name -> bytes, not compressed.
        compressed: name of a file -> its bytes as gzip, where the package has them.
        versions: npm package -> version.
    """

    files: dict[str, bytes]
    compressed: dict[str, bytes]
    versions: dict[str, str]


def read_browser_runtime(folder: Path = VENDOR_FOLDER) -> BrowserRuntime:
    """Read the browser runtime.

    Args:
        folder: where it is.

    Raises:
        BackendError: it is not there, or it is damaged.
    """
    try:
        contents = json.loads((folder / _CONTENTS).read_text("utf-8"))
        found = {name: (folder / name).read_bytes() for name in contents["files"]}
    except (OSError, ValueError, KeyError) as error:
        raise BackendError("this edgeclf has no browser runtime, which a site needs", _FETCH) from error
    for name, digest in contents["files"].items():
        if hashlib.sha256(found[name]).hexdigest() != digest:
            raise BackendError(f"{folder / name}: is damaged", "install edgeclf again")
    packed = {name.removesuffix(".gz"): data for name, data in found.items() if name.endswith(".gz")}
    plain = {name: data for name, data in found.items() if not name.endswith(".gz")}
    return BrowserRuntime(
        plain | {name: gzip.decompress(data) for name, data in packed.items()}, packed, contents["packages"]
    )
