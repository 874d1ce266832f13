"""The thermal state, from folders that look like /sys."""

from dataclasses import replace
from pathlib import Path

from edgeclf.device.thermal import ThermalState, slowed_down, thermal_state

NOTHING = ThermalState(None, None, None, None, None)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_a_raspberry_pi(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
            "sys/class/thermal/thermal_zone0/temp": "61322\n",
            "sys/class/thermal/thermal_zone1/type": "battery\n",
            "sys/class/thermal/thermal_zone1/temp": "90000\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
            "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "600000\n",
            "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "1800000\n",
            "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
        },
    )
    assert thermal_state(root) == ThermalState(61.322, 1050.0, 1800.0, None, 0x50005)


def test_an_intel_machine_counts(tmp_path: Path) -> None:
    names = ("cpu0", "cpu1")
    files = {f"sys/devices/system/cpu/{cpu}/thermal_throttle/core_throttle_count": "3\n" for cpu in names}
    assert thermal_state(write(tmp_path, files)).throttle_count == 6


def test_a_machine_that_tells_nothing_or_nonsense(tmp_path: Path) -> None:
    assert thermal_state(tmp_path / "nothing") == NOTHING
    root = write(tmp_path, {"sys/class/thermal/thermal_zone0/temp": "warm", "sys/class/thermal/thermal_zone0/type": ""})
    assert thermal_state(root) == NOTHING


def test_slowed_down_is_what_happened_in_between() -> None:
    assert slowed_down(NOTHING, NOTHING) is None
    counted = replace(NOTHING, throttle_count=6)
    assert slowed_down(counted, counted) is False
    assert slowed_down(counted, replace(counted, throttle_count=7)) is True
    cool, once = replace(NOTHING, pi_flags=0), replace(NOTHING, pi_flags=0x40000)
    assert slowed_down(once, once) is False  # long ago
    assert slowed_down(cool, once) is True  # in between, and over again
    assert slowed_down(cool, replace(NOTHING, pi_flags=0x4)) is True
    assert slowed_down(cool, replace(NOTHING, pi_flags=0x10001)) is False  # the supply is weak, nothing was slowed
