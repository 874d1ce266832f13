"""What a mean of the networks of K folds gives, against one network trained on all photos.

    python benchmarks/few_photos/fold_ensemble.py ../shared/data --out /tmp/ensemble --image-size 96 --seeds 0

    all        one network, trained on all photos
    a fold     the networks of 5 folds, each trained on four fifths: their mean accuracy
    weights    one network with the mean of their weights: as small and fast as one
    logits     the mean of their logits: five times the size and the time

Judged on 60 photos of each class that none has seen. Results are kept line by line in OUT/results.jsonl.
"""

import argparse
import csv
import json
import random
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edgeclf.evaluation.metrics import paired_interval
from edgeclf_training import Run, TrainOptions, train
from edgeclf_training.dataset.samples import Sample
from edgeclf_training.evaluation.predictions import predict

SETS = {"food5": "food5/train", "flowers": "flowers", "hymenoptera": "hymenoptera/train"}
JUDGED, EXTRA, FOLDS = 60, 2, 5  # photos of each class; EXTRA validate where nothing else can


def main() -> None:
    """Measure what is missing; compare on the same photos."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with food5/, flowers/ and hymenoptera/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--photos", nargs="+", type=int, default=[30], help="of each class")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--image-size", type=int, default=128)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    log = given.out / "results.jsonl"
    known = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for seed in given.seeds:
        for photos in given.photos:
            for name in SETS:
                key = {"set": name, "photos": photos, "seed": seed, "size": given.image_size}
                if not any(key.items() <= line.items() for line in known):
                    known.append({**key, **one(given.data / SETS[name], given.out, key)})
                    with log.open("a") as file:
                        file.write(json.dumps(known[-1]) + "\n")
                    print(key, {arm: round(float(np.mean(known[-1][arm])), 3) for arm in ARMS}, flush=True)
    print("\n".join(table(known)))


ARMS = ("all", "a fold", "weights", "logits")


def one(source: Path, out: Path, key: dict[str, Any]) -> dict[str, Any]:
    """Train the six networks of a row; whether each judged photo is right."""
    chosen: list[tuple[Path, str]] = []
    extra: list[tuple[Path, str]] = []
    judged: list[Sample] = []
    for label in sorted(path for path in source.iterdir() if path.is_dir()):
        files = sorted(path for path in label.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
        random.Random(f"{key['seed']} {label.name}").shuffle(files)  # noqa: S311
        judged += [Sample(path, label.name, path.stat().st_size) for path in files[:JUDGED]]
        chosen += [(path, label.name) for path in files[JUDGED:][: key["photos"]]]
        extra += [(path, label.name) for path in files[JUDGED + key["photos"] :][:EXTRA]]
    fold = {path: index % FOLDS for index, (path, _) in enumerate(chosen)}
    seconds: dict[str, float] = {}
    began = time.process_time()
    run = _trained(source, out, key, [(p, c, "train") for p, c in chosen] + [(p, c, "val") for p, c in extra])
    all_logits = predict(run.network(), tuple(judged), run.classes, run.contract, "test").logits
    seconds["all"] = time.process_time() - began
    runs_logits, weights, right = [], [], []
    for index in range(FOLDS):
        run = _trained(source, out, key, [(p, c, "val" if fold[p] == index else "train") for p, c in chosen])
        found = predict(run.network(), tuple(judged), run.classes, run.contract, "test")
        runs_logits.append(found.logits)
        right.append(found.logits.argmax(1) == found.labels)
        weights.append(run.network().state_dict())
    seconds["folds"] = time.process_time() - began - seconds["all"]
    labels = found.labels
    network = run.network()
    mean = {
        name: torch.stack([w[name] for w in weights]).mean(0) if value.is_floating_point() else value
        for name, value in weights[0].items()
    }
    network.load_state_dict(mean)
    soup = predict(network, tuple(judged), run.classes, run.contract, "test").logits
    return {
        "seconds": seconds,
        "all": (all_logits.argmax(1) == labels).astype(int).tolist(),
        "a fold": np.mean(right, axis=0).tolist(),
        "weights": (soup.argmax(1) == labels).astype(int).tolist(),
        "logits": (np.mean(runs_logits, axis=0).argmax(1) == labels).astype(int).tolist(),
    }


def _trained(source: Path, out: Path, key: dict[str, Any], rows: list[tuple[Path, str, str]]) -> Run:
    table, folder = out / "labels.csv", out / "run"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "split"), *((p.relative_to(source), c, s) for p, c, s in rows)])
    shutil.rmtree(folder, ignore_errors=True)
    options = TrainOptions(image_size=key["size"], seed=key["seed"], workers=0, keep="last")
    return train(source, folder, options, labels=table, report=False, on_event=lambda _: None)


def table(known: list[dict[str, Any]]) -> list[str]:
    """Markdown: accuracy; differences to ``all`` with 95 % intervals of the photos."""
    lines = ["| data set | photos a class | seeds | " + " | ".join(ARMS) + " |", "|---|---|---|" + "---|" * len(ARMS)]
    for name, photos in [*dict.fromkeys((r["set"], r["photos"]) for r in known), ("all", 0)]:
        rows = [r for r in known if name == "all" or (r["set"], r["photos"]) == (name, photos)]
        cells = []
        base = np.concatenate([r["all"] for r in rows])
        for arm in ARMS:
            mine = np.concatenate([r[arm] for r in rows])
            text = f"{mine.mean():.1%}"
            if arm in ("weights", "logits"):
                low, high = paired_interval(int((base < mine).sum()), int((base > mine).sum()), len(base))
                text += f", {100 * (mine.mean() - base.mean()):+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
            cells.append(text)
        lines.append(f"| {name} | {photos or 'all'} | {len({r['seed'] for r in rows})} | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    main()
