"""Running a Python program on CPUs this machine does not have: QEMU user emulation. Right answers, not speeds.

The arm64 CPUs get a small Debian with Python 3.11 and aarch64 wheels, laid once below the user's cache folder.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """Somewhere Python runs: the command that starts it there, and the environment that needs."""

    name: str
    python: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


HERE = Place("here", (sys.executable,))

# What is asked, with which packages; None: those of this interpreter. onnxruntime 1.28 and later die at import under
# QEMU 7.2 (Debian 12), on arm64 only. 1.16.3 is the oldest that model files name; on arm64 1.20 is tried.
_CLI = ("typer>=0.26,<0.29", "shellingham", "annotated-doc")
_ANY = ("numpy", "pillow", "flatbuffers", "protobuf", "packaging", *_CLI)
OLD_CLI = ("flatbuffers", "protobuf<6", "packaging", "coloredlogs", "humanfriendly", "sympy", "mpmath", *_CLI)
_OLD = ("numpy==1.26.4", "pillow", *OLD_CLI)
PLACES: dict[str, tuple[str | None, tuple[str, ...] | None]] = {
    "haswell": ("Haswell", None),
    "cortex-a72": ("cortex-a72", ("onnxruntime==1.26.0", *_ANY)),
    "cortex-a76": ("cortex-a76", ("onnxruntime==1.26.0", *_ANY)),
    "x86-old": (None, ("onnxruntime==1.16.3", *_OLD)),
    "cortex-a72-old": ("cortex-a72", ("onnxruntime==1.20.1", *_OLD)),
}
_DEBS = """
libc6 libgcc-s1 libstdc++6 zlib1g libexpat1 libssl3 libffi8 libbz2-1.0 liblzma5 libsqlite3-0 libuuid1 libreadline8
libtinfo6 libncursesw6 libcrypt1 libgomp1 python3.11-minimal python3.11 libpython3.11-minimal libpython3.11-stdlib
"""


class UnavailableError(Exception):
    """Why a CPU cannot be emulated here."""


def prepare(name: str) -> Place:
    """Make a place of ``PLACES`` ready; what it needs is laid once below the user's cache folder.

    Raises:
        UnavailableError: with the reason.
    """
    cpu, wheels = PLACES[name]
    if cpu == "Haswell":
        return Place(name, (_qemu("x86_64"), "-cpu", cpu, sys.executable))
    assert wheels is not None
    if cpu is None:
        return with_wheels(name, wheels)
    qemu = _qemu("aarch64")
    root = _once(_home() / "debian-arm64", _lay_system)
    site = _site(wheels, "aarch64")
    python = (qemu, "-cpu", cpu, "-L", str(root), str(root / "usr/bin/python3.11"))
    return Place(name, python, {"PYTHONHOME": str(root / "usr"), "PYTHONPATH": str(site)})


def with_wheels(name: str, wheels: tuple[str, ...]) -> Place:
    """This CPU and Python with other packages, laid once below the user's cache folder.

    Raises:
        UnavailableError: with the reason.
    """
    if sys.version_info[:2] != (3, 11) or platform.machine() != "x86_64" or sys.platform != "linux":
        raise UnavailableError(f"{' '.join(wheels[:3])}: tried with Python 3.11 on x86-64 Linux")
    return Place(name, (sys.executable, "-S"), {"PYTHONPATH": str(_site(wheels, "x86_64"))})


def _home() -> Path:
    return Path(os.environ.get("EDGECLF_CACHE") or Path.home() / ".cache" / "edgeclf") / "emulation"


def _site(wheels: tuple[str, ...], machine: str) -> Path:
    key = hashlib.sha256(" ".join(wheels).encode()).hexdigest()[:12]
    return _once(_home() / f"site-{machine}-{key}", lambda folder: _lay_wheels(folder, wheels, machine))


def _qemu(architecture: str) -> str:
    name = f"qemu-{architecture}-static"
    if shutil.which(name) is None and shutil.which("apt-get") and os.geteuid() == 0:
        _run("apt-get", "update", "-qq")
        _run("apt-get", "install", "-y", "-qq", "qemu-user-static")
    found = shutil.which(name)
    if found is None:
        raise UnavailableError(f"{name} is not installed: sudo apt-get install qemu-user-static")
    return found


def _once(folder: Path, lay: Callable[[Path], None]) -> Path:
    """A folder laid whole or not at all."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            lay(Path(temporary) / "new")
            os.replace(Path(temporary) / "new", folder)
    return folder


def _lay_system(root: Path) -> None:
    """Unpack arm64 packages of the Debian this machine has its sources for; nothing of them is installed."""
    if shutil.which("apt-get") is None:
        raise UnavailableError("the arm64 system is fetched with apt-get, which is not here")
    root.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        lists = Path(folder, "lists")
        (lists / "partial").mkdir(parents=True)
        options = ("APT::Architecture=arm64", "APT::Architectures=arm64", f"Dir::State::Lists={lists}")
        apt = ["apt-get", "-qq", *(f"-o{option}" for option in options)]
        _run(*apt, "update")
        _run(*apt, "download", *_DEBS.split(), cwd=folder)
        for package in sorted(Path(folder).glob("*.deb")):
            _run("dpkg", "-x", str(package), str(root))


def _lay_wheels(site: Path, wheels: tuple[str, ...], machine: str) -> None:
    site.mkdir()
    platforms = ["any", f"manylinux2014_{machine}", *(f"manylinux_2_{n}_{machine}" for n in (28, 27, 26, 24, 17))]
    with tempfile.TemporaryDirectory() as folder:
        chosen = [word for platform in platforms for word in ("--platform", platform)]
        python = ["--python-version", "3.11", "--implementation", "cp"]
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        _run(*pip, *python, *chosen, "-d", folder, *wheels)
        for wheel in Path(folder).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site)


def _run(*words: str, cwd: str | None = None) -> None:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
        raise UnavailableError(f"{' '.join(words[:3])} failed: {last[0]}")
