"""Two sites to write one after the other, and what a folder holds of them."""

import hashlib
import json
from pathlib import Path

from edgeclf.web.changeover import LIST
from edgeclf.web.site import Site

TEXT = b"text that can be compressed " * 20
SCRIPT = b"let a; " * 30
FIRST = Site({"index.html": TEXT, "page/a.js": SCRIPT, "page/gone.js": b"old", "service-worker.js": b"1"}, {}, "v1")
SECOND = Site({"index.html": TEXT * 2, "page/a.js": SCRIPT, "page/b.js": b"b", "service-worker.js": b"2"}, {}, "v2")


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def is_whole(folder: Path) -> bool:
    listed = json.loads((folder / LIST).read_text())["files"]
    return all(hashlib.sha256((folder / path).read_bytes()).hexdigest() == digest for path, digest in listed.items())
