"""Checks whether this device can run a model, and gives the same results as the machine that exported it.

Everything that could crash (numpy, Pillow, onnxruntime, the network) runs in a child process
(``edgeclf.device.doctor_child``): a crash is a finding. This module imports the standard library only.
"""

import json
import platform
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from edgeclf.device.doctor_child import MARK
from edgeclf.errors import BackendError, ModelError
from edgeclf.hardware import Memory, Processor, memory, processor
from edgeclf.model.session import usable_threads

# Distributions that install the package `onnxruntime`: they overwrite each other's files.
DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-qnn")
# Versions of onnxruntime with a known defect -> the defect.
KNOWN_BAD = {"1.21.0": "crashes with an illegal instruction on Raspberry Pi (microsoft/onnxruntime#23957)"}
TIMEOUT_SECONDS = 300.0  # of the child process; the slowest boards need a minute to load a large network
LOW_MEMORY_BYTES = 200 * 2**20  # below this there is a warning; a ResNet50 in INT8 needs about 120 MiB

_STAGES = ("numpy", "pillow", "onnxruntime", "model", "selftest")
_INSTALL = 'pip install --force-reinstall "edgeclf[cpu]"'
# Exit codes of Windows for what are signals on other systems.
_WINDOWS_EXITS = {
    0xC000001D: "an illegal instruction",
    0xC0000005: "an access violation",
    0xC0000135: "a missing DLL",
}
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from edgeclf.device.doctor_child import main; main(*sys.argv[2:])"
)


@dataclass(frozen=True)
class Check:
    """One check of the device or the model.

    Attributes:
        name: such as "onnxruntime".
        status: "ok", "warning" or "FAIL".
        detail: the result, one line.
        remedy: what to do next; may be empty.
        exit_code: exit code of the command for a FAIL, 0 otherwise.
    """

    name: str
    status: str
    detail: str
    remedy: str = ""
    exit_code: int = 0


@dataclass(frozen=True)
class Diagnosis:
    """All checks, and the values that they are based on, for JSON."""

    checks: tuple[Check, ...]
    facts: dict[str, Any]

    @property
    def exit_code(self) -> int:
        """4 if the backend failed, else 3 if the model failed, else 0."""
        return max(check.exit_code for check in self.checks)


@dataclass(frozen=True)
class Probed:
    """Output of the child process.

    Attributes:
        reported: stage -> its last report: without a result, with a result, or with an error.
        ending: how the child crashed ("crashed with SIGILL (illegal instruction)"), None if it ended normally.
    """

    reported: dict[str, dict[str, Any]]
    ending: str | None


def diagnose(model: str | None) -> Diagnosis:
    """Check this device, and run a model's self-test on it.

    Args:
        model: the file; ``default_model()`` if None.

    Returns:
        All checks.
    """
    cpu, ram, installed, probed = processor(), memory(), _installed(), probe(model)
    threads = usable_threads()
    results = {stage: probed.reported.get(stage, {}).get("result") for stage in _STAGES}
    facts = {
        "python": {"version": platform.python_version(), "platform": platform.platform(), "machine": cpu.machine},
        "processor": {**asdict(cpu), "threads": threads},
        "memory": asdict(ram),
        "onnxruntime": {"distributions": installed, **(results["onnxruntime"] or {})},
        **{stage: results[stage] for stage in ("numpy", "pillow", "model", "selftest")},
    }
    checks = [_python(), _processor(cpu, threads), _memory(ram)]
    for stage in _STAGES:
        report = probed.reported.get(stage)
        if report is None:
            continue  # an earlier stage failed
        if (result := report.get("result")) is None:
            checks.append(_failure(stage, report, probed.ending, installed))
        elif stage == "selftest":
            checks += _selftest(result)
        else:
            checks.append({"pillow": _pillow, "onnxruntime": _onnxruntime, "model": _model}.get(stage, _plain)(result))
        if stage == "onnxruntime":
            checks += _packages(installed)
    if not probed.reported:
        checks.append(_failure("child", {}, probed.ending, installed))
    return Diagnosis(tuple(checks), facts)


def probe(model: str | None, timeout: float = TIMEOUT_SECONDS) -> Probed:
    """Run ``edgeclf.device.doctor_child`` in a child process with the same module search path."""
    command = [sys.executable, "-c", _CHILD, json.dumps(sys.path), *([] if model is None else [model])]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL)
        output, ending = done.stdout, _ending(done.returncode, done.stderr)
    except subprocess.TimeoutExpired as expired:
        output, ending = expired.stdout or b"", f"did not end within {timeout:.0f} s"
    reported: dict[str, dict[str, Any]] = {}
    for line in output.decode("utf-8", "replace").splitlines():
        if line.startswith(MARK):
            value = json.loads(line.removeprefix(MARK))
            reported[value["stage"]] = value
    return Probed(reported, ending)


def _ending(code: int, stderr: bytes) -> str | None:
    """How a child process crashed or failed: the signal, or the exit code and the last line; None if it succeeded."""
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"crashed with {name} ({(signal.strsignal(-code) or 'unknown').lower()})"
    if code in _WINDOWS_EXITS:
        return f"crashed with {_WINDOWS_EXITS[code]}"
    words = stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    return f"ended with exit code {code} ({words[0] if words else 'no message'})" if code else None


def _installed() -> dict[str, str]:
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _python() -> Check:
    text = f"{platform.python_version()}, {platform.platform()}"
    if sys.maxsize < 2**32:
        return Check("python", "warning", f"{text}, 32 bits", "onnxruntime has no 32-bit packages: use a 64-bit system")
    return Check("python", "ok", text)


def _processor(cpu: Processor, threads: int) -> Check:
    features = "features unknown" if cpu.features is None else " ".join(cpu.features) or "no vector features"
    return Check("processor", "ok", f"{cpu.name or cpu.machine} ({features}); {threads} of {cpu.count} threads usable")


def _memory(ram: Memory) -> Check:
    shown = [f"{b / 2**20:.0f} MiB {what}" for b, what in ((ram.total, "in all"), (ram.available, "available")) if b]
    if ram.available is not None and ram.available < LOW_MEMORY_BYTES:
        return Check("memory", "warning", ", ".join(shown), "close other programs, or use an INT8 model")
    return Check("memory", "ok", ", ".join(shown) or "unknown")


def _failure(stage: str, report: dict[str, Any], ending: str | None, installed: dict[str, str]) -> Check:
    """A stage that failed or did not end."""
    if "error" in report:
        return Check(stage, "FAIL", report["error"], report["remedy"] or _INSTALL, report["exit_code"])
    code = BackendError.exit_code
    what = ending or "ended early"
    if stage != "onnxruntime":
        doing = {"selftest": "running the network", "model": "reading the model file", "child": "Python"}
        remedy = "install another version of onnxruntime" if stage == "selftest" else _INSTALL
        return Check(stage, "FAIL", f"{doing.get(stage, 'importing it')} {what}", remedy, code)
    found = ", ".join(f"{name} {number}" for name, number in installed.items()) or "onnxruntime"
    known = "".join(f"; {number} {KNOWN_BAD[number]}" for number in set(installed.values()) & KNOWN_BAD.keys())
    remedy = "pip install another version: this one was built for another processor, or is broken"
    return Check(stage, "FAIL", f"{found}: importing it {what}{known}", remedy, code)


def _plain(result: dict[str, Any]) -> Check:
    return Check("numpy", "ok", result["version"])


def _pillow(result: dict[str, Any]) -> Check:
    codecs = result["codecs"]
    shown = ", ".join(f"{name} {number}" for name, number in codecs.items() if number) or "no codecs"
    text = f"{result['version']}: {shown}"
    if codecs["jpeg"] is None:
        remedy = "pip install --force-reinstall pillow"
        return Check("pillow", "FAIL", f"{text}; it cannot read JPEGs", remedy, BackendError.exit_code)
    return Check("pillow", "ok", text)


def _onnxruntime(result: dict[str, Any]) -> Check:
    text = f"{result['version']}: {', '.join(result['providers'])}"
    if (known := KNOWN_BAD.get(result["version"].split("+")[0])) is not None:
        return Check("onnxruntime", "warning", f"{text}; {known}", "pip install --upgrade onnxruntime")
    return Check("onnxruntime", "ok", text)


def _packages(installed: dict[str, str]) -> list[Check]:
    if len(installed) < 2:
        return []
    names = " and ".join(installed)
    remedy = f'pip uninstall {" ".join(installed)}, then pip install "edgeclf[cpu]" or "edgeclf[gpu]"'
    return [Check("packages", "warning", f"{names} are both installed and overwrite each other's files", remedy)]


def _model(result: dict[str, Any]) -> Check:
    text = f"{result['path']} ({result['bytes'] / 1e6:.1f} MB, {result['architecture']}, {result['precision']}, sealed)"
    return Check("model", "ok", text)


def _selftest(result: dict[str, Any]) -> list[Check]:
    photos, checks, resizing = result["photos"], [], result["failures"]["resize"]
    if resizing:
        remedy = "this Pillow resizes differently: pip install --force-reinstall pillow; do not trust predictions"
        checks = [Check("pixels", "FAIL", resizing[0], remedy, ModelError.exit_code)]
    if not photos:
        remedy = "export again without --no-golden to test predictions"
        return [
            *checks,
            Check("network", "warning", "loads and runs; the file has no golden photos to test it with", remedy),
        ]
    for stage, remedy in (
        (
            "network",
            "results differ from the exporting machine: try another onnxruntime, then export again; "
            "do not trust predictions",
        ),
        ("pixels", "photos are decoded differently here: pip install --upgrade pillow"),
    ):
        if stage == "pixels" and resizing:
            continue
        if failed := result["failures"][stage]:
            more = f" (and {len(failed) - 1} more of {len(photos)})" if len(failed) > 1 else ""
            checks.append(Check(stage, "FAIL", failed[0] + more, remedy, ModelError.exit_code))
            continue
        worst = max(photo[stage] for photo in photos)
        if stage == "pixels":
            allowed = f"{result['pixel_tolerance']:g} allowed"
            text = f"mean difference at most {worst:.2f} of 255 ({allowed}), resizing bit-identical"
        elif all(photo["same_bits"] for photo in photos):
            text = "logits bit-identical to those at export"
        else:
            text = f"logits differ by at most {worst:.0e} of the largest ({result['tolerance']:.0e} allowed)"
        checks.append(Check(stage, "ok", f"{len(photos)} photos: {text}"))
    return checks
