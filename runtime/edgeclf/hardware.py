"""The processor, its features that matter for inference, and the memory. Standard library only; never raises."""

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Vector instructions and 8-bit dot-product instructions: x86, then ARM.
_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimdhp", "asimddp", "i8mm", "sve")


@dataclass(frozen=True)
class Processor:
    """The CPU.

    Attributes:
        name: the system's name of it, the name of the board on single-board computers; may be empty.
        machine: architecture, such as "x86_64" or "aarch64".
        features: those of ``_FEATURES`` that it has; None if the system does not report them.
        count: number of CPUs of the machine.
    """

    name: str
    machine: str
    features: tuple[str, ...] | None
    count: int


@dataclass(frozen=True)
class Memory:
    """Memory in bytes, within the container's limit if there is one; None if the system does not report it."""

    total: int | None
    available: int | None


def processor(root: Path = Path("/")) -> Processor:
    """Read the properties of the CPU; ``root`` is the folder that has /proc and /sys."""
    fields: dict[str, str] = {}
    for line in _read(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    features_text = fields.get("flags") or fields.get("features")
    board = _read(root / "proc/device-tree/model").strip("\0\n ")
    name = fields.get("model name") or board or platform.processor()
    features = tuple(f for f in _FEATURES if f in features_text.split()) if features_text is not None else None
    return Processor(name, platform.machine(), features, os.cpu_count() or 1)


def memory(root: Path = Path("/")) -> Memory:
    """Read the size of the memory; ``root`` is the folder that has /proc and /sys."""
    fields = dict(line.split(":", 1) for line in _read(root / "proc/meminfo").splitlines() if ":" in line)
    total, available = (_kilobytes(fields.get(key, "")) for key in ("MemTotal", "MemAvailable"))
    for folder in _control_groups(root, "memory"):
        names = [("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")]  # v2, v1
        for limit, used in ((_read(folder / one).strip(), _read(folder / two).strip()) for one, two in names):
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


def cpu_quota(root: Path = Path("/")) -> float | None:
    """The CPU quota of this process's container, such as 1.5 CPUs; None without a limit. ``root`` as for ``memory``."""
    quotas = []
    for folder in _control_groups(root, "cpu"):
        quota = _read(folder / "cpu.max").split()  # v2: "150000 100000" or "max 100000"
        if not quota:  # v1: "-1" is no limit
            quota = [_read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
        if len(quota) == 2 and all(one.isdigit() and int(one) > 0 for one in quota):
            quotas.append(int(quota[0]) / int(quota[1]))
    return min(quotas, default=None)


def _control_groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups of this process and of all groups above them: each limits those below it.

    A container often sees only its own group, mounted as the root. Then the groups above it do not exist, nor does the
    path in /proc if the container has no namespace of its own. Groups that do not exist set no limit.
    """
    mounts = root / "sys/fs/cgroup"
    found = {"": "/", controller: "/"}  # if /proc has no entry
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        found |= dict.fromkeys((name for name in controllers.split(",") if name in found), path)
    # Version 2 has no controller names; if both versions are mounted, it is in "unified".
    for mount, path in (
        (mounts, found[""]),
        (mounts / "unified", found[""]),
        (mounts / controller, found[controller]),
    ):
        parts = [part for part in path.split("/") if part not in ("", ".", "..")]
        yield from (mount.joinpath(*parts[:length]) for length in range(len(parts), -1, -1))


def _kilobytes(text: str) -> int | None:
    words = text.split()
    return int(words[0]) * 1024 if words and words[0].isdigit() else None


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
