"""Runs in a process of its own, for test_on_ray.py: whatever needs a Ray cluster, in one, which takes seconds to start.

    python cluster_child.py PHOTOS MODEL WORK

Prints what it found as JSON on its last line.
"""

import io
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any


def below(process: int) -> dict[int, str]:
    """Processes that a process started, and theirs: number and title."""
    parents, titles = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            status = (path / "stat").read_text()
            titles[int(path.name)] = (path / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ").strip()
        except OSError:  # it has ended
            continue
        parents[int(path.name)] = int(status.rpartition(")")[2].split()[1])
    found = {process}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {child: titles.get(child, "") for child in found - {process}}


def sockets_of(processes: set[int]) -> tuple[list[str], list[str]]:
    """Addresses that processes listen on, and those that they are connected to."""
    own = set()
    for process in processes:
        for path in Path(f"/proc/{process}/fd").glob("*"):
            try:
                own.add(os.readlink(path))
            except OSError:
                continue
    listening, connected = [], []
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if f"socket:[{fields[9]}]" not in own:
                continue
            place = fields[2] if fields[3] != "0A" else fields[1]
            words = [bytes.fromhex(place[at : at + 8])[::-1] for at in range(0, len(place.split(":")[0]), 8)]
            (listening if fields[3] == "0A" else connected).append(socket.inet_ntop(family, b"".join(words)))
    return listening, connected


def main(photos: str, model: str, work: Path) -> dict[str, Any]:
    from edgeclf import cluster
    from edgeclf.cluster import session
    from edgeclf.cluster.record_table import from_table
    from edgeclf.evaluation.labelled_list import read_labelled_list
    from edgeclf.evaluation.labelled_photos import find_labelled_photos
    from edgeclf.model.file import read_model_file

    ray, _ = session.connect("local", cpus=2)
    found: dict[str, Any] = {}
    killed: list[int] = []

    def kill_one(counts: cluster.Counts) -> None:
        actors = [number for number, title in below(os.getpid()).items() if title.startswith("ray::MapWorker")]
        if not killed and actors:
            killed.append(actors[0])
            os.kill(actors[0], signal.SIGKILL)

    counts = cluster.predict_into(work / "answers", photos, model, batch=3, progress=kill_one)
    found["killed"] = len(killed)
    found["counts"] = [counts.photos, counts.errors]
    found["lines"] = [line for path in (work / "answers" / "jsonl").iterdir() for line in path.read_text().splitlines()]
    again = cluster.predict_into(work / "answers", photos, model, batch=3, resume=True)
    found["again"] = [again.photos, again.errors]
    found["files"] = len(list((work / "answers" / "jsonl").iterdir()))

    dataset = cluster.predict(photos, model, batch=4)
    table = dataset.to_arrow_refs()
    found["rows"] = [record.to_json() for part in ray.get(table) for record in from_table(part)]

    labelled = find_labelled_photos(Path(photos), read_model_file(model).manifest.classes, ignore_unknown=True)
    found["evaluated"] = repr(cluster.evaluate(model, labelled, batch=2))
    rows = [f"{path},{Path(path).parent.name}\n" for path, _ in labelled.photos]
    (work / "labels.csv").write_text(
        "".join(["path,label\n", *rows, f"gone.jpg,{Path(labelled.photos[0][0]).parent.name}\n"])
    )
    listed = read_labelled_list(work / "labels.csv", read_model_file(model).manifest.classes)
    found["listed"] = repr(cluster.evaluate(model, listed, batch=2))
    try:
        damaged = io.BytesIO(Path(model).read_bytes())
        cluster.predict_into(work / "answers", photos, damaged, resume=True, threshold=0.25)
    except Exception as error:
        found["refused"] = [type(error).__name__, str(error)]

    processes = below(os.getpid())
    found["listening"], found["connected"] = sockets_of({os.getpid(), *processes})
    found["titles"] = sorted(processes.values())
    from ray._common.usage.usage_lib import usage_stats_enabled

    found["usage_stats"] = usage_stats_enabled()
    found["home"] = sorted(path.name for path in Path.home().iterdir())
    ray.shutdown()
    return found


if __name__ == "__main__":
    print("\n" + json.dumps(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
