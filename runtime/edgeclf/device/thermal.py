"""Temperature and throttling of the processor, as far as Linux reports them. Never raises.

The sources are thermal zones, clock frequencies, the throttle counters of Intel processors, and the flags of the
Raspberry Pi firmware that ``vcgencmd get_throttled`` shows.
"""

from dataclasses import dataclass
from pathlib import Path

_ZONES = (
    "cpu",
    "soc",
    "x86_pkg",
    "coretemp",
    "k10temp",
)  # in the type of the processor's thermal zones
_PI_FLAGS = "sys/devices/platform/soc/soc:firmware/get_throttled"
_CLOCK_CAPPED, _THROTTLED, _SOFT_LIMIT = 2, 4, 8  # flags for now; shifted left by 16: since the last start
_SLOWED_NOW = _CLOCK_CAPPED | _THROTTLED | _SOFT_LIMIT


@dataclass(frozen=True)
class ThermalState:
    """Temperature and clock of the processor at one moment; None if the system does not report a value.

    Attributes:
        celsius: the temperature of its warmest thermal zone.
        mhz: mean clock frequency of its cores.
        max_mhz: highest clock frequency.
        throttle_count: how often its cores were throttled since the last start.
        pi_flags: the flags of the Raspberry Pi firmware.
    """

    celsius: float | None
    mhz: float | None
    max_mhz: float | None
    throttle_count: int | None
    pi_flags: int | None


def thermal_state(root: Path = Path("/")) -> ThermalState:
    """Read the state now; ``root`` is the folder that has /sys."""
    zones = [(_text(zone / "type").lower(), _number(zone / "temp")) for zone in _all(root, "class/thermal", "*_zone*")]
    known = [value for kind, value in zones if value is not None and any(part in kind for part in _ZONES)]
    temperatures = known or [value for _, value in zones if value is not None]
    cpus = _all(root, "devices/system/cpu", "cpu[0-9]*")
    clocks = [_number(cpu / "cpufreq/scaling_cur_freq") for cpu in cpus]
    limits = [_number(cpu / "cpufreq/cpuinfo_max_freq") for cpu in cpus]
    counts = [_number(cpu / "thermal_throttle/core_throttle_count") for cpu in cpus]
    clock, limit = ([value for value in values if value is not None] for values in (clocks, limits))
    throttled = [value for value in counts if value is not None]
    return ThermalState(
        celsius=max(temperatures) / 1000 if temperatures else None,
        mhz=round(sum(clock) / len(clock) / 1000, 1) if clock else None,
        max_mhz=max(limit) / 1000 if limit else None,
        throttle_count=sum(throttled) if throttled else None,
        pi_flags=_number(root / _PI_FLAGS, 16),
    )


def slowed_down(before: ThermalState, after: ThermalState) -> bool | None:
    """Whether the processor was throttled between two states, by heat or a weak power supply; None: unknown."""
    reports = []
    if before.throttle_count is not None and after.throttle_count is not None:
        reports.append(after.throttle_count > before.throttle_count)
    if before.pi_flags is not None and after.pi_flags is not None:
        begun = (after.pi_flags & ~before.pi_flags) >> 16
        reports.append(bool((before.pi_flags | after.pi_flags | begun) & _SLOWED_NOW))
    return any(reports) if reports else None


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
