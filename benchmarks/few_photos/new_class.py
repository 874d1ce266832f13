"""A class, or more photos, are added to a trained network: `train --from RUN` against training anew.

    python benchmarks/few_photos/new_class.py ../shared/data --out /tmp/new-class
    python benchmarks/few_photos/new_class.py ../shared/data --out /tmp/new-class \\
        --photos 30 --seeds 0 --image-size 64   # the quick form

Of each data set four classes are trained; then the fifth, the last by name, is added:

    anew          all five classes from ImageNet weights, 8 epochs
    anew-3        the same, 3 epochs
    from-3        `--from` the network of four classes, 3 epochs; the four classes' photos are used again
    from-8        the same, 8 epochs
    from-...      the same with lower rates, with the backbone frozen, or with the best epoch kept, not the last
    few-old       `--from`, 3 epochs, `--no-earlier-photos`: the new class, and only 3 photos of each old one
    few-old-again the same folder, with the earlier photos (the default)
    more-anew     as many photos again of each of the five classes, trained with the first ones from ImageNet weights
    more-...      the same photos given to `--from` the five-class network `anew`

With `--merge`, rows for a merged class are compared instead: every pair of the five classes of the `anew` runs is
united without training, with the mean of the two rows and a bias larger by log 2 (what `--merge` does), by 0 and by
other choices; against the exact union, log(exp(z1) + exp(z2)), which one row cannot give.

All are tested on --test photos of each class that no run has seen. A run that is there already is not made again, so an
interrupted benchmark goes on. Times are processor seconds of training, which other processes change little.
"""

import argparse
import csv
import itertools
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from edgeclf.images.preprocess import network_input
from edgeclf_training import Run, TrainOptions, load_run, train
from edgeclf_training.dataset.samples import Sample
from edgeclf_training.evaluation.predictions import predict
from edgeclf_training.networks import Network
from numpy.typing import NDArray

OPTIONS = TrainOptions(workers=0)
ARMS = {
    "anew": (None, "all", {"epochs": 8}),
    "anew-3": (None, "all", {"epochs": 3}),
    "from-3": ("base", "new", {"epochs": 3}),
    "from-3-best": ("base", "new", {"epochs": 3, "keep": "best"}),
    "from-8": ("base", "new", {"epochs": 8}),
    "from-3-low": ("base", "new", {"epochs": 3, "head_lr": 1e-3, "backbone_lr": 3e-5}),
    "from-3-mid": ("base", "new", {"epochs": 3, "head_lr": 1e-3, "backbone_lr": 1e-4}),
    "from-8-low": ("base", "new", {"epochs": 8, "head_lr": 1e-3, "backbone_lr": 3e-5}),
    "from-8-frozen": ("base", "new", {"epochs": 8, "freeze_epochs": 8}),
    "from-8-mid": ("base", "new", {"epochs": 8, "head_lr": 1e-3, "backbone_lr": 1e-4}),
    "few-old": ("base", "few", {"epochs": 3, "earlier_photos": False}),
    "few-old-again": ("base", "few", {"epochs": 3}),
    "more-anew": (None, "both", {"epochs": 8}),
    "more-8": ("anew", "more", {"epochs": 8}),
    "more-8-best": ("anew", "more", {"epochs": 8, "keep": "best"}),
    "more-8-low": ("anew", "more", {"epochs": 8, "head_lr": 1e-3, "backbone_lr": 3e-5}),
    "more-3": ("anew", "more", {"epochs": 3}),
    "more-3-best": ("anew", "more", {"epochs": 3, "keep": "best"}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with flowers/ and food5/train/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["flowers", "food5"])
    parser.add_argument("--photos", nargs="+", type=int, default=[30, 100], help="of each class")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--test", type=int, default=100, help="photos of each class that no run sees")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--arms", nargs="+", default=list(ARMS))
    parser.add_argument("--merge", action="store_true", help="compare rows for merged classes, on runs that are there")
    args = parser.parse_args()
    if args.merge:
        merged_rows(args.out)
        return
    rows = []
    for name in args.sets:
        for count in args.photos:
            for seed in args.seeds:
                rows += one_cell(args.data, args.out, name, count, seed, args.arms, args.image_size, args.test)
                write(rows, args.out / "new_class.csv")
    for line in table(rows):
        print(line)


def one_cell(
    data: Path, out: Path, name: str, count: int, seed: int, arms: Sequence[str], size: int, tests: int
) -> list[dict[str, object]]:
    """Train every arm on one choice of photos, and test each."""
    source = data / name / "train" if (data / name / "train").is_dir() else data / name
    here = out / f"{name}-{count}-{seed}"
    start_options = {"image_size": size}
    classes = sorted(folder.name for folder in source.iterdir() if folder.is_dir())
    test: list[Sample] = []
    for label in classes:
        photos = sorted((source / label).iterdir())
        order = np.random.default_rng([seed, len(photos)]).permutation(len(photos))
        chosen = [photos[i] for i in order[: count + tests]]
        more = [photos[i] for i in order[count + tests : 2 * count + tests]]
        test += [Sample(p.absolute(), label, p.stat().st_size) for p in chosen[count:]]
        for folder, used in (("all", count), ("new" if label == classes[-1] else "old", count)):
            link(here / folder / label, chosen[:used])
        link(here / "more" / label, more)
        link(here / "both" / label, [*chosen[:count], *more])
        link(here / "few" / label, chosen[: count if label == classes[-1] else 3])
        link(here / "test" / label, chosen[count:])
    rows = []
    if with_base := any(ARMS[arm][0] == "base" for arm in arms):
        base = run_of(here / "old", here / "base", seed, {"epochs": 8, **start_options}, None)
    for arm in ("base", *arms) if with_base else arms:
        start, folder, options = (None, "old", {}) if arm == "base" else ARMS[arm]
        options = options if start else {**options, **start_options}
        seconds = base if arm == "base" else run_of(here / folder, here / arm, seed, options, start and here / start)
        run = load_run(here / arm)
        known = [s for s in test if s.label in run.classes]
        answers = predict(run.network(), known, run.classes, run.contract, "test")
        right = answers.logits.argmax(1) == answers.labels
        old = np.array([s.label != classes[-1] for s in answers.samples])
        among = answers.logits.copy()
        among[:, [i for i, label in enumerate(run.classes) if label == classes[-1]]] = -np.inf
        rows.append(
            {
                "set": name,
                "photos": count,
                "seed": seed,
                "arm": arm,
                "right": float(right.mean()),
                "old": float(right[old].mean()),
                "old_among_old": float((among.argmax(1) == answers.labels)[old].mean()),
                "new": float(right[~old].mean()) if (~old).any() else None,
                "seconds": seconds,
            }
        )
        print(rows[-1], flush=True)
    return rows


def merged_rows(out: Path) -> None:
    """Print the accuracy of merged networks, in percent, for each way to make the row of the merged class."""
    means: dict[str, list[float]] = defaultdict(list)
    for folder in sorted(out.glob("*/anew")):
        run = load_run(folder)
        network, classes = run.network(), run.classes
        photos = [(p, label) for label in classes for p in sorted((folder.parent / "test" / label).iterdir())]
        x, truth = features(network, photos, run), np.array([classes.index(label) for _, label in photos])
        head = network.head.linears[-1]
        weight, bias = head.weight.detach().numpy(), head.bias.detach().numpy()
        logits = x @ weight.T + bias
        for a, b in itertools.combinations(range(len(classes)), 2):
            rest = [i for i in range(len(classes)) if i not in (a, b)]
            labels = np.array([len(rest) if i in (a, b) else rest.index(i) for i in truth])
            mean = (logits[:, a] + logits[:, b]) / 2
            margin = np.sqrt(((weight[a] - weight[b]) ** 2).sum() * (x.std(0) ** 2).mean())
            ways = {
                "exact union": np.logaddexp(logits[:, a], logits[:, b]),
                "mean + log 2": mean + np.log(2),
                "mean": mean,
                "first row": logits[:, a],
                "sum": 2 * mean,
                "mean + spread": mean + np.log(2) + margin**2 / 8,
            }
            for way, union in ways.items():
                answers = np.column_stack([logits[:, rest], union]).argmax(1)
                means[way].append(100 * float((answers == labels).mean()))
    for way, values in means.items():
        print(f"{way}: {np.mean(values):.1f} (lowest {min(values):.1f}) over {len(values)} pairs")


def features(network: Network, photos: Sequence[tuple[Path, str]], run: Run) -> NDArray[np.float32]:
    """The pooled features of a linear head, float32 ``[photos, channels]``."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(photos), 32):
            pixels = np.stack([network_input(path, run.contract) for path, _ in photos[start : start + 32]])
            activation = network.features(network.normalize(torch.from_numpy(pixels)))
            parts.append(network.pool(activation).mean((2, 3)).numpy())
    return np.concatenate(parts)


def link(folder: Path, photos: Sequence[Path]) -> None:
    """A class folder of links."""
    folder.mkdir(parents=True, exist_ok=True)
    for photo in photos:
        if not (folder / photo.name).exists():
            (folder / photo.name).symlink_to(photo.absolute())


def run_of(data: Path, out: Path, seed: int, options: dict[str, object], start: Path | None) -> float:
    """Train, unless it was done before; returns the processor seconds that it took."""
    took = out.with_suffix(".json")
    if not took.exists():
        began = time.process_time()
        train(data, out, replace(OPTIONS, seed=seed, **options), start=start, report=False)  # type: ignore[arg-type]
        took.write_text(json.dumps(time.process_time() - began))
    return float(json.loads(took.read_text()))


def write(rows: Sequence[dict[str, object]], path: Path) -> None:
    """All rows as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def table(rows: Sequence[dict[str, object]]) -> list[str]:
    """Means (lowest to highest) over seeds, in Markdown; times are relative to training anew on the same photos."""
    lines = [
        "| data | photos | training | all classes | old classes | new class | time |",
        "|---" * 7 + "|",
    ]
    cells = dict.fromkeys((row["set"], row["photos"]) for row in rows)
    for name, count in cells:
        there = [row for row in rows if (row["set"], row["photos"]) == (name, count)]
        anew = {row["seed"]: row["seconds"] for row in there if row["arm"] == "anew"}
        for arm in dict.fromkeys(row["arm"] for row in there):
            of = [row for row in there if row["arm"] == arm]
            shares = [_mean([row[key] for row in of]) for key in ("right", "old", "new")]
            ratios = [row["seconds"] / anew[row["seed"]] for row in of if row["seed"] in anew]  # type: ignore[operator]
            time_ = f"{np.mean(ratios):.2f}" if ratios else ""
            lines.append(f"| {name} | {count} | {arm} | {' | '.join(shares)} | {time_} |")
    return lines


def _mean(values: Sequence[object]) -> str:
    known = [float(v) for v in values if v is not None]  # type: ignore[arg-type]
    if not known:
        return "-"
    span = f" ({100 * min(known):.1f} to {100 * max(known):.1f})" if len(known) > 1 else ""
    return f"{100 * np.mean(known):.1f}{span}"


if __name__ == "__main__":
    main()
