"""What trains better than the defaults in the same time, with few photos: one option changed, or two.

    python benchmarks/few_photos/defaults.py ../shared/data --out /tmp/defaults --arms default batch-8 --seeds 0
    python benchmarks/few_photos/defaults.py ../shared/data --out /tmp/defaults --image-size 96 --epochs 5   # all arms

Of each class a random choice of photos trains (a fifth of it validates, as for any user), 60 others judge: of food5 and
flowers from the second half of the photos by name. Seconds are processor seconds of training, with one thread. Results
are kept line by line in OUT/results.jsonl; what is there is not measured again. "head-30" means 30 frozen epochs on
features that are computed once, in place of one: next to no time, and the head has settled when the rest is tuned.
"""

import argparse
import json
import random
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from edgeclf.evaluation.metrics import paired_interval
from edgeclf_training import TrainOptions, train
from edgeclf_training.dataset.samples import Sample
from edgeclf_training.evaluation.predictions import predict

SETS = {"food5": "food5/train", "flowers": "flowers", "hymenoptera": "hymenoptera/train"}
JUDGED = 60  # photos of each class
ARMS: dict[str, dict[str, Any]] = {
    "default": {},
    "batch-16": {"batch_size": 16},
    "batch-8": {"batch_size": 8},
    "batch-4": {"batch_size": 4},
    "backbone-1e-3": {"backbone_lr": 1e-3},
    "backbone-1e-4": {"backbone_lr": 1e-4},
    "decay-0.7": {"stage_decay": 0.7},
    "batch-8, decay-0.7": {"batch_size": 8, "stage_decay": 0.7},
    "batch-8, rates-2/3": {"batch_size": 8, "backbone_lr": 2e-4, "head_lr": 2e-3},
    "ema-0.99": {"ema": 0.99},
    "crop-0.5": {"crop_scale": 0.5},
    "norms-updated": {"batch_norm": "update"},
    "last-epoch": {"keep": "last"},
    "head-30": {"freeze_epochs": 30, "frozen_views": 1},
    "head-100": {"freeze_epochs": 100, "frozen_views": 1},
    "head-30, batch-16": {"freeze_epochs": 30, "frozen_views": 1, "batch_size": 16},
    "head-30, backbone-1e-4": {"freeze_epochs": 30, "frozen_views": 1, "backbone_lr": 1e-4},
    "head-30, decay-0.7": {"freeze_epochs": 30, "frozen_views": 1, "stage_decay": 0.7},
    "head-alone": {"freeze_epochs": 20, "frozen_views": 1, "epochs": 20},
}


def main() -> None:
    """Measure what is missing, and compare each arm with the default on the same photos."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with food5/, flowers/ and hymenoptera/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--photos", nargs="+", type=int, default=[30], help="of each class")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=8)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    log = given.out / "results.jsonl"
    known = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for seed in given.seeds:
        for arm in given.arms:
            for photos in given.photos:
                for name in given.sets:
                    key = {"arm": arm, "photos": photos, "set": name, "seed": seed}
                    key |= {"size": given.image_size, "epochs": given.epochs}
                    if not any(key.items() <= line.items() for line in known):
                        known.append({**key, **one(given.data / SETS[name], given.out, key)})
                        with log.open("a") as file:
                            file.write(json.dumps(known[-1]) + "\n")
                        print(key, known[-1]["seconds"], np.mean(known[-1]["right"]), flush=True)
    print("\n".join(table(known)))


def one(source: Path, out: Path, key: dict[str, Any]) -> dict[str, Any]:
    """Train, and judge by photos that the run has not seen."""
    photos, folder, judged = out / "photos", out / "run", []
    for made in (photos, folder):
        shutil.rmtree(made, ignore_errors=True)
    for label in sorted(path for path in source.iterdir() if path.is_dir()):
        files = sorted(path for path in label.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
        files = files[len(files) // 2 :] if len(files) >= 2 * (key["photos"] + JUDGED) else files
        random.Random(f"{key['seed']} {label.name}").shuffle(files)  # noqa: S311
        (photos / label.name).mkdir(parents=True)
        for path in files[: key["photos"]]:
            (photos / label.name / path.name).symlink_to(path.resolve())
        judged += [Sample(path, label.name, path.stat().st_size) for path in files[key["photos"] :][:JUDGED]]
    arm = ARMS[key["arm"]]
    epochs = key["epochs"] + arm.get("freeze_epochs", 1) - 1  # the further frozen ones cost next to nothing
    given = {"image_size": key["size"], "epochs": epochs, "seed": key["seed"], "workers": 0}
    options = TrainOptions(**given | arm)
    began = time.process_time()
    run = train(photos, folder, options, report=False, on_event=lambda _: None)
    seconds = time.process_time() - began
    found = predict(run.network(), tuple(judged), run.classes, run.contract, "test")
    right = (found.logits.argmax(1) == found.labels).astype(int).tolist()
    return {"seconds": round(seconds, 1), "right": right}


def table(known: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown: accuracy, and what each arm is ahead of the default, with 95 % intervals of the photos."""
    lines = ["| arm | px | seeds | right | ahead | by data set | time |", "|---|---|---|---|---|---|---|"]
    rows = {(r["arm"], r["size"], r["photos"], r["set"], r["seed"], r["epochs"]): r for r in known}
    for arm, size in dict.fromkeys((r["arm"], r["size"]) for r in known):
        keys = [key for key in rows if key[:2] == (arm, size) and ("default", *key[1:]) in rows]
        if not keys:
            continue
        pairs = {key: (np.array(rows[key]["right"]), np.array(rows["default", *key[1:]]["right"])) for key in keys}
        mine, base = (np.concatenate([pair[side] for pair in pairs.values()]) for side in (0, 1))
        low, high = paired_interval(int((base < mine).sum()), int((base > mine).sum()), len(mine))
        spent = sum(rows[key]["seconds"] for key in keys) / sum(rows["default", *key[1:]]["seconds"] for key in keys)
        each = {
            name: [ours.mean() - before.mean() for key, (ours, before) in pairs.items() if key[3] == name]
            for name in SETS
        }
        told = ", ".join(f"{name} {100 * np.mean(found):+.1f}" for name, found in each.items() if found)
        ahead = f"{100 * (mine.mean() - base.mean()):+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
        seeds = len({key[4] for key in keys})
        lines.append(f"| {arm} | {size} | {seeds} | {mine.mean():.1%} | {ahead} | {told} | {spent:.2f} |")
    return lines


if __name__ == "__main__":
    main()
