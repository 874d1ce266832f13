"""Are the cluster's answers those of ``predict``, and how fast is it? One actor, two actors, ``predict``, in turn.

    python benchmarks/cluster/same_answers.py PHOTOS WORK [--model M] [--cpus 2 1]

WORK is a new folder. Rates are from the first answered block to the last; what came before is start-up. The records of
each run are compared with those of ``predict --out`` line by line, and the rows of Parquet with the lines.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from pyarrow import parquet

RUN = """
import json, sys, time
from edgeclf.cluster import predict_into, session
photos, out, model, cpus, batch = sys.argv[1:]
began = time.monotonic()
session.connect("local", cpus=int(cpus))
started = time.monotonic() - began
moments = []
counts = predict_into(out, photos, model or None, batch=int(batch),
                      progress=lambda so_far: moments.append((time.monotonic() - began, so_far.photos)))
import ray
print(json.dumps({"ray_started": started, "moments": moments, "photos": counts.photos,
                  "errors": counts.errors, "actors": int(ray.cluster_resources()["CPU"])}))
"""


def lines(text: str) -> dict[str, str]:
    """Records by their path."""
    return {json.loads(line)["path"]: line for line in text.splitlines()}


def main() -> None:
    """Run and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos")
    parser.add_argument("work", type=Path)
    parser.add_argument("--model", default="")
    parser.add_argument("--cpus", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--batch", default="128")
    arguments = parser.parse_args()
    arguments.work.mkdir()
    record = arguments.work / "predict.jsonl"
    model = ["-m", arguments.model] if arguments.model else []
    began = time.monotonic()
    command = [sys.executable, "-m", "edgeclf", "predict", arguments.photos, "--out", str(record), "--threads", "2"]
    subprocess.run([*command, *model], check=False)
    seconds = time.monotonic() - began
    wanted = lines(record.read_text())
    print(f"predict, 2 threads: {len(wanted)} photos in {seconds:.0f} s: {len(wanted) / seconds:.1f}/s", flush=True)
    for cpus in arguments.cpus:
        out = arguments.work / f"actors-{cpus}"
        run = [sys.executable, "-c", RUN, arguments.photos, str(out), arguments.model, str(cpus), arguments.batch]
        done = json.loads(subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
        first, last = done["moments"][0], done["moments"][-1]
        rate = (last[1] - first[1]) / (last[0] - first[0])
        print(
            f"{cpus} actors: {rate:.1f}/s; first block after {first[0]:.1f} s, Ray itself {done['ray_started']:.1f} s"
        )
        got = lines("".join(path.read_text() for path in out.glob("jsonl/*.jsonl")))
        different = [path for path in wanted if got.get(path) != wanted[path]]
        rows = parquet.read_table(out / "parquet").to_pylist()
        typed = sum(_same(row, json.loads(wanted[row["path"]])) for row in rows)
        print(f"  {len(got)} records, {done['errors']} errors; different lines: {len(different)}, extra: ", end="")
        print(f"{len(got.keys() - wanted.keys())}; Parquet rows equal: {typed} of {len(rows)}", flush=True)
        if different:
            print(wanted[different[0]], got.get(different[0]), sep="\n")


def _same(row: dict[str, object], line: dict[str, object]) -> bool:
    """Whether a Parquet row has exactly the values of a line of JSON."""
    ranking = line.get("predictions", [])
    labels = [one["label"] for one in ranking] or None  # type: ignore[attr-defined]
    probabilities = [one["probability"] for one in ranking] or None  # type: ignore[attr-defined]
    error = line.get("error") or {"kind": None, "message": None}
    plain = ("path", "unknown", "size", "modified", "model", "threshold", "taken", "camera", "latitude", "longitude")
    same = all(row[name] == line.get(name) for name in plain)
    same = same and row["labels"] == labels and row["probabilities"] == probabilities
    return same and [row["error"], row["message"]] == [error["kind"], error["message"]]  # type: ignore[index]


if __name__ == "__main__":
    main()
