"""Memory of the command for few and for many listed paths: the processes that list and predict have their own.

    python benchmarks/cluster/driver_memory.py WORK MODEL [--counts 2000 200000]

The paths are in a text list and do not exist, so each is a record with an error and nothing is decoded.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

RUN = """
import json, sys, time
from pathlib import Path
from edgeclf.cluster import predict_into, session

def memory(process, what):
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024

listed, out, model = sys.argv[1:]
session.connect("local", cpus=2)
before = memory("self", "VmRSS")
others, began, first = {}, time.monotonic(), None

def progress(counts):
    global first
    first = first or time.monotonic() - began
    for path in Path("/proc").glob("[0-9]*"):
        try:
            title = (path / "cmdline").read_bytes().split(b"\\0")[0].decode()
            if title.startswith(("ray::MapWorker", "ray::Read")):
                kind = title.split("(")[0]
                others[kind] = max(others.get(kind, 0), memory(path.name, "VmHWM"))
        except (OSError, TypeError):
            continue

counts = predict_into(out, listed, model, batch=256, progress=progress)
print(json.dumps({"photos": counts.photos, "first": first, "seconds": time.monotonic() - began, "before": before,
                  "peak": memory("self", "VmHWM"), "others": others}))
"""


def main() -> None:
    """Run once for each count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("model")
    parser.add_argument("--counts", type=int, nargs="+", default=[2_000, 200_000])
    arguments = parser.parse_args()
    arguments.work.mkdir()
    for count in arguments.counts:
        listed = arguments.work / f"{count}.txt"
        listed.write_text("".join(f"/no/such/survey/camera-{n // 1000:04}/IMG_{n:07}.JPG\n" for n in range(count)))
        run = [sys.executable, "-c", RUN, str(listed), str(arguments.work / f"out-{count}"), arguments.model]
        done = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        others = ", ".join(f"{name} {peak:.0f} MB" for name, peak in done["others"].items())
        print(
            f"{done['photos']} paths: command {done['before']:.0f} MB when Ray had started, {done['peak']:.0f} MB "
            f"at most; {others}; first block after {done['first']:.1f} s of {done['seconds']:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
