"""What this machine is: processor, features that matter to inference, memory. Standard library only, never raises."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

# Vector widths, and what multiplies 8-bit integers: x86, then ARM.
_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimdhp", "asimddp", "i8mm", "sve")


@dataclass(frozen=True)
class Processor:
    """The CPU.

    Attributes:
        name: as the system calls it, the board's name on single-board computers; may be empty.
        machine: architecture, such as "x86_64" or "aarch64".
        features: those of ``_FEATURES`` it has; None where the system does not tell.
        count: CPUs of the machine.
    """

    name: str
    machine: str
    features: tuple[str, ...] | None
    count: int


@dataclass(frozen=True)
class Memory:
    """Bytes of memory, within the container's limit where there is one; None where the system does not tell."""

    total: int | None
    available: int | None


def processor(root: Path = Path("/")) -> Processor:
    """Look at the CPU; ``root`` is where /proc and /sys lie."""
    fields: dict[str, str] = {}
    for line in _read(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    told = fields.get("flags") or fields.get("features")
    board = _read(root / "proc/device-tree/model").strip("\0\n ")
    name = fields.get("model name") or board or platform.processor()
    features = tuple(f for f in _FEATURES if f in told.split()) if told is not None else None
    return Processor(name, platform.machine(), features, os.cpu_count() or 1)


def memory(root: Path = Path("/")) -> Memory:
    """Look at the memory; ``root`` is where /proc and /sys lie."""
    fields = dict(line.split(":", 1) for line in _read(root / "proc/meminfo").splitlines() if ":" in line)
    total, available = (_kilobytes(fields.get(key, "")) for key in ("MemTotal", "MemAvailable"))
    limit, used = (_read(root / f"sys/fs/cgroup/memory.{name}").strip() for name in ("max", "current"))
    if limit.isdigit() and used.isdigit():
        total = min(total or int(limit), int(limit))
        free = max(0, int(limit) - int(used))
        available = min(available if available is not None else free, free)
    if total is None and hasattr(os, "sysconf"):
        try:
            total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError):
            total = None
    return Memory(total, available)


def _kilobytes(text: str) -> int | None:
    words = text.split()
    return int(words[0]) * 1024 if words and words[0].isdigit() else None


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
