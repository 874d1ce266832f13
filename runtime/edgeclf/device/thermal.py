"""How warm the processor is, and whether it was slowed down for it, where Linux tells. Never raises.

Read are thermal zones, clock frequencies, the throttle counters of Intel processors, and the Raspberry Pi firmware's
flags, the ones that ``vcgencmd get_throttled`` shows.
"""

from dataclasses import dataclass
from pathlib import Path

_ZONES = ("cpu", "soc", "x86_pkg", "coretemp", "k10temp")  # in the type of a zone that is the processor's
_PI_FLAGS = "sys/devices/platform/soc/soc:firmware/get_throttled"
_CLOCK_CAPPED, _THROTTLED, _SOFT_LIMIT = 2, 4, 8  # now; the same bits 16 higher: since the last start
_SLOWED_NOW = _CLOCK_CAPPED | _THROTTLED | _SOFT_LIMIT


@dataclass(frozen=True)
class Heat:
    """The processor at one moment; None where the system does not tell.

    Attributes:
        celsius: the warmest of its thermal zones.
        mhz: mean clock of its cores.
        max_mhz: the highest clock it may take.
        throttle_count: how often its cores were slowed down since the last start.
        pi_flags: the Raspberry Pi firmware's flags.
    """

    celsius: float | None
    mhz: float | None
    max_mhz: float | None
    throttle_count: int | None
    pi_flags: int | None


def heat(root: Path = Path("/")) -> Heat:
    """Look; ``root`` is where /sys lies."""
    zones = [(_text(zone / "type").lower(), _number(zone / "temp")) for zone in _all(root, "class/thermal", "*_zone*")]
    known = [value for kind, value in zones if value is not None and any(part in kind for part in _ZONES)]
    warm = known or [value for _, value in zones if value is not None]
    cpus = _all(root, "devices/system/cpu", "cpu[0-9]*")
    clocks = [_number(cpu / "cpufreq/scaling_cur_freq") for cpu in cpus]
    limits = [_number(cpu / "cpufreq/cpuinfo_max_freq") for cpu in cpus]
    counts = [_number(cpu / "thermal_throttle/core_throttle_count") for cpu in cpus]
    clock, limit = ([value for value in values if value is not None] for values in (clocks, limits))
    throttled = [value for value in counts if value is not None]
    return Heat(
        celsius=max(warm) / 1000 if warm else None,
        mhz=round(sum(clock) / len(clock) / 1000, 1) if clock else None,
        max_mhz=max(limit) / 1000 if limit else None,
        throttle_count=sum(throttled) if throttled else None,
        pi_flags=_number(root / _PI_FLAGS, 16),
    )


def slowed_down(before: Heat, after: Heat) -> bool | None:
    """Whether the processor was slowed down in between, by heat or by a weak power supply; None: nobody tells."""
    told = []
    if before.throttle_count is not None and after.throttle_count is not None:
        told.append(after.throttle_count > before.throttle_count)
    if before.pi_flags is not None and after.pi_flags is not None:
        begun = (after.pi_flags & ~before.pi_flags) >> 16
        told.append(bool((before.pi_flags | after.pi_flags | begun) & _SLOWED_NOW))
    return any(told) if told else None


def _all(root: Path, folder: str, pattern: str) -> list[Path]:
    try:
        return sorted((root / "sys" / folder).glob(pattern))
    except OSError:
        return []


def _number(path: Path, base: int = 10) -> int | None:
    try:
        return int(_text(path), base)
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
