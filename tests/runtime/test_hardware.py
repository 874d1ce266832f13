"""CPUs and memory that a process may use: affinity and the limits of control groups, versions 1 and 2."""

import os
from pathlib import Path

import pytest
from edgeclf.hardware import cpu_quota, memory
from edgeclf.model.session import usable_threads

CASES = {
    "nothing": ({}, None),
    "v2, a container's own root": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
    "v2, no /proc/self/cgroup": ({"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 0.5),
    "v2, no limit": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
    "v2, nested: the slice above bounds": (
        {
            "proc/self/cgroup": "0::/user.slice/app.service\n",
            "sys/fs/cgroup/user.slice/cpu.max": "200000 100000\n",
            "sys/fs/cgroup/user.slice/app.service/cpu.max": "max 100000\n",
        },
        2.0,
    ),
    "v2, nested: the own group bounds": (
        {
            "proc/self/cgroup": "0::/user.slice/app.service\n",
            "sys/fs/cgroup/user.slice/cpu.max": "400000 100000\n",
            "sys/fs/cgroup/user.slice/app.service/cpu.max": "300000 100000\n",
        },
        3.0,
    ),
    "v2, the host's path where only the own group is mounted": (
        {"proc/self/cgroup": "0::/docker/0123abcd\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"},
        1.0,
    ),
    "v2, a group outside the namespace": (
        {"proc/self/cgroup": "0::/../../etc\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"},
        1.0,
    ),
    "v1": (
        {
            "proc/self/cgroup": "5:memory:/\n4:cpu,cpuacct:/job\n1:name=systemd:/x\n",
            "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "250000\n",
            "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        2.5,
    ),
    "v1, no limit": (
        {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
        None,
    ),
    "both: v2 in unified": (
        {
            "proc/self/cgroup": "2:cpu:/\n0::/box\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/unified/box/cpu.max": "75000 50000\n",
        },
        1.5,
    ),
    "nonsense": ({"proc/self/cgroup": "x\n0:\n\n", "sys/fs/cgroup/cpu.max": "0 0\n"}, None),
}


def lay(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(("files", "quota"), CASES.values(), ids=CASES.keys())
def test_cpu_quota(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    assert cpu_quota(lay(tmp_path, files)) == quota


@pytest.mark.parametrize(("quota", "threads"), [("max", 6), ("50000", 1), ("100000", 1), ("250000", 2), ("900000", 6)])
def test_threads_are_bounded_by_affinity_and_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, threads: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    lay(tmp_path, {"sys/fs/cgroup/cpu.max": f"{quota} 100000\n"})
    assert usable_threads(tmp_path) == threads


@pytest.mark.parametrize(
    ("group", "limit", "used"),
    [
        ("sys/fs/cgroup/app.slice", "memory.max", "memory.current"),
        ("sys/fs/cgroup/memory/box", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ],
)
def test_memory_of_nested_groups(tmp_path: Path, group: str, limit: str, used: str) -> None:
    lay(
        tmp_path,
        {
            "proc/meminfo": "MemTotal: 4000000 kB\nMemAvailable: 3000000 kB\n",
            "proc/self/cgroup": "4:memory:/box\n0::/app.slice/edgeclf.service\n",
            f"{group}/{limit}": f"{512 * 2**20}\n",
            f"{group}/{used}": f"{100 * 2**20}\n",
        },
    )
    assert (memory(tmp_path).total, memory(tmp_path).available) == (512 * 2**20, 412 * 2**20)
    (tmp_path / group / limit).write_text("max\n" if "max" in limit else "9223372036854771712\n")
    assert (memory(tmp_path).total, memory(tmp_path).available) == (4000000 * 1024, 3000000 * 1024)
