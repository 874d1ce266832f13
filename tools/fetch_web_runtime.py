"""Fetch what `edgeclf web` needs from npm: onnxruntime for browsers, and a JPEG decoder. Both are WebAssembly.

    python tools/fetch_web_runtime.py

It writes runtime/edgeclf/page/vendor/, which is not committed; the build bundles that folder into the wheel (see
hatch_build.py). Versions and SHA-512 are pinned here, and a package that differs is refused. Needs npm, and nothing but
Python's standard library; with the package zopfli the result is 4 % smaller.
"""

import base64
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENDOR = ROOT / "runtime" / "edgeclf" / "page" / "vendor"
NOTICE = "NOTICE.txt"  # in the folder: a copy of NOTICE, which has the licences, for the sites that are made with it
CONTENTS = "contents.json"  # in the folder, written last: what is there
_TIMEOUT_SECONDS = 600  # of one download; the largest has 33 MB


class FetchError(Exception):
    """A package is not available, or is not the one that was pinned."""


@dataclass(frozen=True)
class Package:
    """A package on npm, and what is taken from it.

    Attributes:
        name, version: on npm.
        sha512: of the archive, base64, as npm's own lock files have it.
        files: file in the package -> file in the folder. A name that ends in .gz is compressed.
    """

    name: str
    version: str
    sha512: str
    files: dict[str, str]


# Some web servers do not know .mjs, and browsers refuse a module of an unknown type: the files are named .js.
PACKAGES = (
    Package(
        "onnxruntime-web",
        "1.30.0",
        "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
        {
            "dist/ort.wasm.min.mjs": "ort.wasm.min.js",
            "dist/ort-wasm-simd-threaded.mjs": "ort-wasm-simd-threaded.js",
            "dist/ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm.gz",
        },
    ),
    Package(
        "@cwasm/jpeg-turbo",
        "0.1.3",
        "FkZxwwC6r4zhzlqM0nYGaMj/MDSrZPxLOdPdM6ySlgsMfOpNAZcLQkpNF4jP+DmsuUvRoeUD0YSMBvg3jYfK6w==",
        {"jpeg-turbo.wasm": "jpeg-turbo.wasm"},
    ),
)


def is_complete(folder: Path = VENDOR) -> bool:
    """Whether a folder holds the pinned packages, undamaged."""
    try:
        contents = json.loads((folder / CONTENTS).read_text("utf-8"))
        same = (folder / NOTICE).read_bytes() == (ROOT / "NOTICE").read_bytes()
        return (
            same
            and contents["packages"] == _versions()
            and all(
                hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
                for name, digest in contents["files"].items()
            )
        )
    except (OSError, ValueError, KeyError):
        return False


def fetch(folder: Path = VENDOR) -> None:
    """Fetch the packages, unless they are there.

    Args:
        folder: is replaced as a whole, once everything is there.

    Raises:
        FetchError: npm is not there or cannot get a package, or a package is not the one that was pinned.
        OSError: the folder cannot be written.
    """
    if is_complete(folder):
        return
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError("npm is not installed; install Node.js, which brings it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, so that it can be renamed; git ignores this name too.
    with tempfile.TemporaryDirectory(prefix="vendor-", suffix=".tmp", dir=folder.parent) as work:
        new = Path(work, "vendor")
        new.mkdir()
        for package in PACKAGES:
            _unpack(package, _download(npm, package, Path(work)), new)
        shutil.copyfile(ROOT / "NOTICE", new / NOTICE)
        files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(new.iterdir())}
        (new / CONTENTS).write_text(json.dumps({"packages": _versions(), "files": files}, indent=1), "utf-8")
        if folder.exists():
            os.replace(folder, Path(work, "old"))
        os.replace(new, folder)


def _versions() -> dict[str, str]:
    return {package.name: package.version for package in PACKAGES}


def _download(npm: str, package: Package, work: Path) -> Path:
    """Download the archive of a package with npm's own settings, and check it."""
    command = [npm, "pack", f"{package.name}@{package.version}", "--silent", "--ignore-scripts"]
    try:
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"npm did not get {package.name} within {_TIMEOUT_SECONDS} s; try again") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise FetchError(f"npm cannot get {package.name}@{package.version} ({said})")
    archive = work / done.stdout.strip().splitlines()[-1]
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != package.sha512:
        raise FetchError(f"{package.name}@{package.version} is not the package that was pinned: SHA-512 {digest}")
    return archive


def _unpack(package: Package, archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        for source, name in package.files.items():
            member = tar.extractfile(f"package/{source}")
            if member is None:
                raise FetchError(f"{package.name}@{package.version} has no file {source}")
            data = member.read()
            (folder / name).write_bytes(_compressed(data) if name.endswith(".gz") else data)


def _compressed(data: bytes) -> bytes:
    """As gzip, with nothing in it that changes from one time to the next."""
    try:
        from zopfli.gzip import compress
    except ImportError:
        return gzip.compress(data, 9, mtime=0)
    found: bytes = compress(data, numiterations=1)  # five: 0.1 % smaller, 1.6 times as long
    return found


def main() -> int:
    """Fetch, and say what is there."""
    try:
        fetch()
    except (FetchError, OSError) as error:
        print(f"fetch_web_runtime: {error}", file=sys.stderr)
        return 1
    size = sum(path.stat().st_size for path in VENDOR.iterdir())
    names = ", ".join(f"{name} {version}" for name, version in _versions().items())
    print(f"{names}: {size / 1e6:.1f} MB in {os.path.relpath(VENDOR)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
