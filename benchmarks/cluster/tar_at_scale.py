"""A .tar of 100,000 photos as training data: time and memory of its index, of finding the photos, and of reading one;
and of the same with the photos in folders.

    python benchmarks/cluster/tar_at_scale.py WORK [--members 100000] [--bytes 4096]

The members are noise with names of photos in ten class folders: nothing is decoded.
"""

import argparse
import gc
import io
import json
import os
import pickle
import tarfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--members", type=int, default=100_000)
    parser.add_argument("--bytes", type=int, default=4096)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    path = options.work / "photos.tar"
    if not path.exists():
        write(path, options.members, options.bytes)

    from edgeclf.files.tar_index import index_of
    from edgeclf_training.dataset.find_photos import find_photos

    found: dict[str, Any] = {"members": options.members, "size": path.stat().st_size}
    index, found["index"] = measured(lambda: index_of(str(path)))
    found["index"]["pickled_mb"] = round(len(pickle.dumps(index)) / 1e6, 1)
    folder = options.work / "photos"
    if not folder.exists():
        with tarfile.open(path) as tar:
            tar.extractall(folder, filter="data")
    for name, data in (("tar", path), ("folder", folder)):
        photos, found[f"find_photos_{name}"] = measured(partial(find_photos, data))
        samples = photos.parts["train"]
        chosen = samples[:: max(1, len(samples) // 10_000)]  # in the order of training: at random
        _, read = measured(partial(sizes_of, [str(sample.path) for sample in chosen]))
        found[f"read_us_{name}"] = round(1e6 * read["cpu_s"] / len(chosen), 1)
        del photos, samples, chosen
    print(json.dumps(found))


def sizes_of(names: list[str]) -> list[int]:
    from edgeclf.files.hanging_disk import read_regular

    return [len(read_regular(name, 2**26)) for name in names]


def write(path: Path, members: int, size: int) -> None:
    data = os.urandom(size)
    with tarfile.open(path, "w") as tar:
        for number in range(members):
            member = tarfile.TarInfo(f"class{number % 10}/IMG_{number:08}.jpg")
            member.size = size
            tar.addfile(member, io.BytesIO(data))


def measured(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """The result of a call, its CPU seconds, and by how many MB this process has grown."""
    gc.collect()
    before, begin = memory("VmRSS"), time.process_time()
    result = call()
    seconds = time.process_time() - begin
    peak = memory("VmHWM")
    gc.collect()
    return result, {
        "cpu_s": round(seconds, 2),
        "grown_mb": round(memory("VmRSS") - before, 1),
        "peak_mb": round(peak, 1),
    }


def memory(field: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
