"""What `edgeclf watch` needs while photos pile up: memory by the photo, and CPU when nothing comes.

    python benchmarks/watch_memory.py [--photos N] [--idle SECONDS] [--model FILE]

Puts 1,000 small photos (hard links) into a watched folder, then twice N / 2 more at once, and reads the process's
resident memory after each; then leaves it alone and reads its CPU time. Prints one JSON line. Linux.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

MODEL = Path(__file__).parents[1] / "tests" / "runtime" / "models" / "schema2.onnx"
PER_FOLDER = 1000


def resident_kib(process: int) -> int:
    """Resident memory of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def cpu_seconds(process: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--idle", type=float, default=60)
    parser.add_argument("--model", type=Path, default=MODEL)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place, made = Path(name), 0
        base, out = place / "base.jpg", place / "out.jsonl"
        Image.effect_noise((64, 48), 80).convert("RGB").save(base)
        (place / "in").mkdir()
        command = ["watch", str(place / "in"), "--out", str(out), "-m", str(arguments.model), "--settle", "1"]
        process = subprocess.Popen(
            [sys.executable, "-m", "edgeclf", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        resident, seconds = [], []
        try:
            for count in (1000, arguments.photos // 2, arguments.photos - arguments.photos // 2):
                for number in range(made, made + count):
                    folder = place / "in" / f"{number // PER_FOLDER:03}"
                    folder.mkdir(exist_ok=True)
                    os.link(base, folder / f"IMG_{number:06}.JPG")
                made += count
                begun = time.monotonic()
                while not out.exists() or out.read_bytes().count(b"\n") < made:
                    if process.poll() is not None:
                        raise SystemExit(f"watch ended with {process.returncode}")
                    time.sleep(0.5)
                seconds.append(round(time.monotonic() - begun, 1))
                time.sleep(3)
                resident.append(resident_kib(process.pid))
            time.sleep(10)  # folders changed a moment ago are read again
            before = cpu_seconds(process.pid)
            time.sleep(arguments.idle)
            idle = (cpu_seconds(process.pid) - before) / arguments.idle
        finally:
            process.terminate()
            process.wait()
        figures = {
            "photos": made,
            "records": out.read_bytes().count(b"\n"),
            "resident_mib": [round(kib / 1024, 2) for kib in resident],
            "mib_per_10000": round((resident[-1] - resident[0]) / 1024 / arguments.photos * 10_000, 3),
            "seconds": seconds,
            "idle_cpu_share": round(idle, 5),
            "exit": process.returncode,
        }
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
