"""``edgeclf doctor``: what works, what does not and why, also after a crash."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import onnx
import pytest
from edgeclf.device import doctor
from edgeclf.hardware import memory, processor
from edgeclf.model.file import MANIFEST_KEY, SEAL_LENGTH, read_model_file, seal
from edgeclf.model.manifest import Manifest

Cli = Callable[..., CompletedProcess[str]]
Make = Callable[..., Path]

CRASH = "import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n"
# Imports well and says what it must; the rest is up to the test.
WORKS = """
__version__ = "1.99.0"
class SessionOptions:
    def add_session_config_entry(self, key, value): pass
def get_available_providers(): return ["CPUExecutionProvider"]
"""


@pytest.fixture
def fake(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Puts another onnxruntime before the real one, and distributions that pip would list; returns the environment."""

    def make(code: str | None = None, **distributions: str) -> dict[str, str]:
        folder = tmp_path / "site"
        folder.mkdir()
        if code is not None:
            (folder / "onnxruntime").mkdir()
            (folder / "onnxruntime" / "__init__.py").write_text(code)
        for name, version in distributions.items():
            info = folder / f"{name}-{version}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        return {"PYTHONPATH": ":".join([str(folder), *(path for path in sys.path if path)])}

    return make


def rows(done: CompletedProcess[str]) -> dict[str, str]:
    """name -> status, detail and remedy."""
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        name = line[:12].strip() or list(found)[-1]
        found[name] = " ".join([found.get(name, ""), *line[12:].split()]).strip()
    return found


def tampered(path: Path, target: Path, change: Callable[[Manifest], Manifest]) -> Path:
    model = onnx.load_from_string(path.read_bytes()[:-SEAL_LENGTH])
    entry = next(entry for entry in model.metadata_props if entry.key == MANIFEST_KEY)
    entry.value = change(read_model_file(path).manifest).to_json()
    target.write_bytes(seal(model.SerializeToString()))
    return target


def spoil(photo: int, field: str) -> Callable[[Manifest], Manifest]:
    def change(manifest: Manifest) -> Manifest:
        assert manifest.golden is not None
        photos = list(manifest.golden.photos)
        other = getattr(photos[photo - 2], field)
        assert other != getattr(photos[photo - 1], field)
        photos[photo - 1] = replace(photos[photo - 1], **{field: other})
        return replace(manifest, golden=replace(manifest.golden, photos=tuple(photos)))

    return change


@pytest.mark.parametrize("int8", [False, True])
def test_all_is_well(edgeclf: Cli, make_model: Make, int8: bool) -> None:
    path = make_model(int8=int8, golden=True)
    done = edgeclf("doctor", path)
    assert (done.returncode, done.stderr) == (0, "")
    found = rows(done)
    assert list(found) == [
        *("python", "processor", "memory", "numpy", "pillow", "onnxruntime", "model", "network", "pixels")
    ]
    assert all(text.startswith("ok ") for text in found.values())
    assert str(path) in found["model"]
    assert found["network"].startswith("ok 8 photos: logits ")
    assert "bit-identical to those at export" in found["network"] or not int8
    assert "jpeg" in found["pillow"]


def test_the_model_in_the_package_passes_to_the_bit(edgeclf: Cli) -> None:
    done = edgeclf("doctor", "--json")
    assert done.returncode == 0, done.stdout
    found = json.loads(done.stdout)
    assert found["passed"] is True
    assert found["model"]["golden_photos"] == len(found["selftest"]["photos"]) == 8
    assert found["selftest"]["tolerance"] == 0
    assert all(photo["same_bits"] for photo in found["selftest"]["photos"])


def test_json_is_one_object_with_the_facts(edgeclf: Cli, make_model: Make, tmp_path: Path) -> None:
    path = tampered(make_model(int8=True, golden=True), tmp_path / "m.onnx", spoil(3, "jpeg"))
    done = edgeclf("doctor", path, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == found["exit_code"] == 3
    assert found["passed"] is False
    assert {check["name"]: check["status"] for check in found["checks"]}["pixels"] == "FAIL"
    assert found["selftest"]["failures"]["network"] == []
    assert found["selftest"]["failures"]["pixels"][0].startswith("photo 3 ")
    assert found["processor"]["threads"] >= 1
    assert found["memory"].keys() == {"total", "available"}
    assert "CPUExecutionProvider" in found["onnxruntime"]["providers"]
    assert found["onnxruntime"]["version"] in found["onnxruntime"]["distributions"].values()


@pytest.mark.parametrize(("field", "stage"), [("logits", "network"), ("jpeg", "pixels")])
def test_what_differs_is_named_and_ends_with_3(
    edgeclf: Cli, make_model: Make, tmp_path: Path, field: str, stage: str
) -> None:
    good = make_model(int8=True, golden=True)
    done = edgeclf("doctor", tampered(good, tmp_path / "m.onnx", spoil(5, field)))
    assert done.returncode == 3
    found = rows(done)
    assert found[stage].startswith("FAIL photo 5 (")
    assert f": {stage}: " in found[stage]
    assert " -> " in found[stage]
    assert found[{"network": "pixels", "pixels": "network"}[stage]].startswith("ok ")


def test_a_model_without_photos_passes_and_says_so(edgeclf: Cli, model: Path) -> None:
    done = edgeclf("doctor", model)
    assert done.returncode == 0
    assert rows(done)["network"].startswith("warning loads and runs; the file has no golden photos")


def test_a_network_that_answers_nan_fails_even_without_photos(edgeclf: Cli, rebuild: Callable[..., Path]) -> None:
    def spoiled(proto: onnx.ModelProto) -> None:
        bias = next(t for t in proto.graph.initializer if list(t.dims) == [3])
        bias.CopyFrom(onnx.numpy_helper.from_array(np.full(3, np.nan, np.float32), bias.name))

    done = edgeclf("doctor", rebuild(spoiled))
    assert done.returncode == 3
    assert "not finite" in rows(done)["selftest"]


def test_a_file_that_is_no_model_ends_with_3(edgeclf: Cli, photo: Path) -> None:
    for path in (photo, photo.parent / "missing.onnx"):
        done = edgeclf("doctor", path)
        assert done.returncode == 3
        assert rows(done)["model"].startswith(f"FAIL {path}: ")
        assert "Traceback" not in done.stdout + done.stderr


def test_an_import_that_dies_of_an_illegal_instruction_is_a_line(
    edgeclf_child: Cli, model: Path, fake: Callable[..., dict[str, str]]
) -> None:
    environment = fake(CRASH, onnxruntime="1.21.0")
    done = edgeclf_child("doctor", model, **environment)
    assert (done.returncode, done.stderr) == (4, "")
    (line,) = [line for line in done.stdout.splitlines() if "FAIL" in line]
    assert line.startswith(
        "onnxruntime  FAIL     onnxruntime 1.21.0: importing it crashed with SIGILL (illegal instruction)"
    )
    assert "on Raspberry Pi" in line
    assert "pillow" in rows(done), "what could be looked at was"
    found = json.loads(edgeclf_child("doctor", model, "--json", **environment).stdout)
    assert found["exit_code"] == 4
    assert found["model"] is None


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise ImportError('libcudart.so.12: cannot open')", "libcudart.so.12: cannot open"),
        ("", "onnxruntime is broken"),
        ("raise SystemError('odd')", "SystemError: odd"),
        ("import sys; sys.exit('gone')", "importing it ended with exit code 1 (gone)"),
    ],
)
def test_an_onnxruntime_that_does_not_load_ends_with_4(
    edgeclf_child: Cli, model: Path, fake: Callable[..., dict[str, str]], code: str, says: str
) -> None:
    done = edgeclf_child("doctor", model, **fake(code))
    assert done.returncode == 4
    found = rows(done)
    assert found["onnxruntime"].startswith("FAIL ")
    assert says in found["onnxruntime"]
    assert "model" not in found
    assert "Traceback" not in done.stdout + done.stderr


def test_a_network_that_crashes_is_told_from_an_import_that_does(
    edgeclf_child: Cli, model: Path, fake: Callable[..., dict[str, str]]
) -> None:
    crash = "def InferenceSession(*a, **k):\n    import os, signal\n    os.kill(os.getpid(), signal.SIGSEGV)\n"
    done = edgeclf_child("doctor", model, **fake(WORKS + crash))
    assert done.returncode == 4
    found = rows(done)
    assert found["onnxruntime"] == "ok 1.99.0: CPUExecutionProvider"
    assert found["selftest"].startswith("FAIL running the network crashed with SIGSEGV (segmentation fault)")


def test_a_child_that_hangs_is_ended(model: Path, fake: Callable[..., dict[str, str]]) -> None:
    path = fake("import time\ntime.sleep(60)\n")["PYTHONPATH"].split(":")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", path)
        probed = doctor.probe(str(model), timeout=5)
    assert probed.ending == "did not end within 5 s"
    assert "result" in probed.reported["pillow"]
    assert "result" not in probed.reported["onnxruntime"]


def test_two_onnxruntimes_over_each_other_are_told(
    edgeclf_child: Cli, make_model: Make, fake: Callable[..., dict[str, str]]
) -> None:
    path = make_model(golden=True)
    assert "packages" not in rows(edgeclf_child("doctor", path))
    done = edgeclf_child("doctor", path, **fake(None, onnxruntime_gpu="1.20.1"))
    assert done.returncode == 0, "it answers as it should all the same"
    line = rows(done)["packages"]
    assert line.startswith("warning onnxruntime and onnxruntime-gpu are both installed")
    assert "pip uninstall onnxruntime onnxruntime-gpu" in line


def test_a_known_bad_version_that_happens_to_work_is_a_warning() -> None:
    assert doctor._onnxruntime({"version": "1.21.0", "providers": ["X"]}).status == "warning"
    assert doctor._onnxruntime({"version": "1.21.1", "providers": ["X"]}).status == "ok"


def test_a_pillow_without_jpeg_fails_the_backend() -> None:
    codecs = {"jpeg": None, "zlib": "1.3", "libjpeg-turbo": None, "webp": None, "avif": None}
    check = doctor._pillow({"version": "13.0", "codecs": codecs})
    assert (check.status, check.exit_code) == ("FAIL", 4)


def test_the_worst_failure_decides_the_exit_code() -> None:
    checks = [doctor.Check(str(code), "FAIL", "", "", code) for code in (0, 4, 3)]
    assert doctor.Diagnosis(tuple(checks), {}).exit_code == 4
    assert doctor.Diagnosis(tuple(checks[:1]), {}).exit_code == 0


def test_windows_names_its_crashes_too() -> None:
    assert doctor._ending(0xC000001D, b"") == "crashed with an illegal instruction"
    assert doctor._ending(0, b"warning") is None


def test_the_doctor_itself_imports_nothing_that_could_crash() -> None:
    code = (
        "import sys, edgeclf.device.doctor, edgeclf.cli.doctor; print({'numpy', 'PIL', 'onnxruntime'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_a_raspberry_pi_is_recognised(tmp_path: Path) -> None:
    files = {
        "proc/cpuinfo": "processor : 0\nFeatures : fp asimd crc32 asimdhp asimddp\nCPU part : 0xd0b\n",
        "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
        "proc/meminfo": "MemTotal:  4000000 kB\nMemFree:  1 kB\nMemAvailable:  3000000 kB\n",
        "sys/fs/cgroup/memory.max": "1000000\n",
        "sys/fs/cgroup/memory.current": "900000\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    cpu = processor(tmp_path)
    assert cpu.name == "Raspberry Pi 5 Model B Rev 1.0"
    assert cpu.features == ("asimd", "asimdhp", "asimddp")
    ram = memory(tmp_path)
    assert (ram.total, ram.available) == (1_000_000, 100_000)
    assert doctor._memory(ram).status == "warning"
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    assert memory(tmp_path).available == 3_000_000 * 1024


def test_a_system_that_tells_nothing_is_no_failure(tmp_path: Path) -> None:
    assert processor(tmp_path).features is None
    assert memory(tmp_path).available is None
    assert doctor._memory(doctor.Memory(None, None)).detail == "unknown"
