"""How well temperature and threshold hold, with few validation photos: the rule of edgeclf and the rule it replaced.

Networks are linear heads on the pooled features of EfficientNet-Lite0, trained as edgeclf trains a head: hundreds of
them take minutes. "good" heads see the last features, "mediocre" ones those of the third stage.

    python benchmarks/few_photos/confidence.py ../shared/data

For each data set, number of photos per class and kind of network, over the seeds: the share answered (and its range),
the share of these that is wrong (mean and worst), and the expected calibration error, on photos that neither trained
nor calibrated. "before": counted errors, at least half of the photos answered, on a fifth set aside. "split": today's
rule on the same fifth. "folds": today's rule on five folds, for a network trained on all photos.
"""

import argparse
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from edgeclf.errors import PhotoError
from edgeclf.evaluation.metrics import expected_calibration_error, reliability
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import network_input
from edgeclf_samples import write_sample_data
from edgeclf_training.evaluation.calibration import choose_threshold, confidence, fit_temperature
from edgeclf_training.networks import build_network
from numpy.typing import NDArray

FOLDS = 5
PHOTOS = (30, 60, 120)
_AT_MOST = 520  # photos of a class whose features are computed
_TRAIN_SHARE = 0.62  # of a small class, at most; the others measure

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]
Logits = tuple[Floats, Labels]


@dataclass(frozen=True)
class Features:
    """Of one data set: the last and the early features of each photo, and its class."""

    good: Floats
    mediocre: Floats
    labels: Labels


@dataclass(frozen=True)
class Case:
    """Logits and labels of one network pair: of validation and of unseen photos."""

    split: Logits
    unseen_split: Logits
    folds: Logits
    unseen_folds: Logits


def class_folders(name: str, data: Path, made: Path) -> dict[str, list[Path]]:
    """The photos of each class; the penguins are drawn."""
    if name == "penguins":
        write_sample_data(made / name, per_class=220, size=224, seed=5)
        roots = [made / name]
    else:
        roots = {"food5": [data / "food5/train"], "flowers": [data / "flowers"]}.get(
            name, [data / name / part for part in ("train", "val")]
        )
    labels = sorted({folder.name for root in roots for folder in root.iterdir() if folder.is_dir()})
    return {
        label: [p for root in roots for p in sorted((root / label).rglob("*")) if p.is_file()][:_AT_MOST]
        for label in labels
    }


def compute(folders: dict[str, list[Path]]) -> Features:
    """Run EfficientNet-Lite0 once over the photos; those that cannot be read are left out."""
    network, _ = build_network("efficientnet_lite0", 2, weights="imagenet")
    network.eval()
    contract = ImageContract(224, "crop", 0.875)
    last: list[Floats] = []
    early: list[Floats] = []
    labels: list[int] = []
    for number, photos in enumerate(folders.values()):
        for path in photos:
            try:
                image = network_input(path, contract)
            except PhotoError:
                continue
            with torch.inference_mode():
                x = network.normalize(torch.from_numpy(image[None]))
                for name, stage in network.features.named_children():
                    x = stage(x)
                    if name == "stage3":
                        early.append(x.mean((2, 3))[0].numpy())
                last.append(x.mean((2, 3))[0].numpy())
            labels.append(number)
    stacked = np.stack(early)
    scaled = (stacked - stacked.mean(0)) / (stacked.std(0) + 1e-6) * 0.3
    return Features(np.stack(last), scaled.astype(np.float32), np.array(labels))


def train_head(inputs: Floats, labels: Labels, classes: int, seed: int) -> torch.nn.Linear:
    """A linear head, as edgeclf trains it: AdamW, cosine, label smoothing 0.1, dropout 0.2; 32 passes."""
    torch.manual_seed(seed)
    x, y = torch.from_numpy(inputs), torch.from_numpy(labels)
    head, steps = torch.nn.Linear(x.shape[1], classes), 32 * max(1, len(x) // 32)
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=1e-2)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * 0.5 * (1 + np.cos(np.pi * step / steps))
        chosen = torch.randint(0, len(x), (min(32, len(x)),))
        logits = head(torch.nn.functional.dropout(x[chosen], 0.2))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, y[chosen], label_smoothing=0.1).backward()
        optimizer.step()
    return head


def make_case(inputs: Floats, labels: Labels, per_class: int, seed: int) -> Case:
    """Choose photos, train the head of each fold and the one of all photos."""
    rng, classes = np.random.default_rng([seed, per_class]), int(labels.max()) + 1
    chosen, unseen, fold = [], [], []
    for label in range(classes):
        order = rng.permutation(np.flatnonzero(labels == label))
        count = min(per_class, int(len(order) * _TRAIN_SHARE))
        chosen.append(order[:count])
        unseen.append(order[count:])
        fold.append(np.arange(count) % FOLDS)
    photos, rest, of = np.concatenate(chosen), np.concatenate(unseen), np.concatenate(fold)
    logits = np.zeros((len(photos), classes), np.float32)

    def predict(head: torch.nn.Linear, rows: Labels) -> Floats:
        with torch.inference_mode():
            found: Floats = head(torch.from_numpy(inputs[rows])).numpy()
        return found

    heads = []
    for number in range(FOLDS):
        others = photos[of != number]
        heads.append(train_head(inputs[others], labels[others], classes, 10 * seed + number))
        logits[of == number] = predict(heads[-1], photos[of == number])
    whole = train_head(inputs[photos], labels[photos], classes, 10 * seed + FOLDS)
    first = of == 0
    return Case(
        (logits[first], labels[photos[first]]),
        (predict(heads[0], rest), labels[rest]),
        (logits, labels[photos]),
        (predict(whole, rest), labels[rest]),
    )


def before(logits: Floats, labels: Labels) -> tuple[float, float]:
    """Temperature and threshold by the rule of before: Platt's targets; counted errors, at least half answered."""
    count, classes = logits.shape
    temperatures = np.geomspace(0.05, 20, 400)
    targets = np.full((count, classes), 1 / (count + 2) / (classes - 1))
    targets[np.arange(count), labels] = (count + 1) / (count + 2)

    def loss(temperature: float) -> float:
        scores = logits.astype(float) / temperature
        scores -= scores.max(1, keepdims=True)
        return float(-(targets * (scores - np.log(np.exp(scores).sum(1, keepdims=True)))).sum())

    temperature = float(temperatures[np.argmin([loss(t) for t in temperatures])])
    best, right = confidence(logits, labels, temperature)
    kept = np.sort(best[right])
    floor = kept[int(len(kept) * 0.01)] if len(kept) else 0.0
    for threshold in np.unique([floor, *best[best >= floor]]):
        answered = best >= threshold
        if (~right[answered]).mean() <= 0.05 and (threshold == floor or answered.mean() >= 0.5):
            return temperature, float(threshold)
    return temperature, float(floor)


def now(logits: Floats, labels: Labels) -> tuple[float, float]:
    """Temperature and threshold as edgeclf chooses them."""
    temperature = fit_temperature(logits, labels)
    return temperature, choose_threshold(*confidence(logits, labels, temperature)).value


def measure(known: Logits, unseen: Logits, rule: Callable[[Floats, Labels], tuple[float, float]]) -> Sequence[float]:
    """Accuracy, share answered, wrong of these, and calibration error on unseen photos."""
    temperature, threshold = rule(*known)
    best, right = confidence(*unseen, temperature)
    answered = best >= threshold
    wrong = float((~right[answered]).mean()) if answered.any() else 0.0
    return float(right.mean()), float(answered.mean()), wrong, expected_calibration_error(reliability(best, right))


def rows(names: Sequence[str], data: Path, seeds: int) -> Iterator[str]:
    """The table, a line at a time."""
    yield "| data set, network, photos a class | right | rule | answered (range) | wrong (worst) | calibration error |"
    yield "|---|---|---|---|---|---|"
    totals: dict[str, list[Any]] = {"before": [], "split": [], "folds": []}
    with TemporaryDirectory() as made:
        for name in names:
            features = compute(class_folders(name, data, Path(made)))
            for kind, per_class in itertools.product(("good", "mediocre"), PHOTOS):
                cases = [make_case(getattr(features, kind), features.labels, per_class, s) for s in range(seeds)]
                for rule, found in {
                    "before": [measure(c.split, c.unseen_split, before) for c in cases],
                    "split": [measure(c.split, c.unseen_split, now) for c in cases],
                    "folds": [measure(c.folds, c.unseen_folds, now) for c in cases],
                }.items():
                    right, answered, wrong, ece = np.array(found).T
                    totals[rule].append((wrong.mean(), wrong.max(), np.ptp(answered), ece.mean(), right.mean()))
                    yield (
                        f"| {name}, {kind}, {per_class} | {right.mean():.0%} | {rule} "
                        f"| {answered.mean():.0%} ({answered.min():.0%} to {answered.max():.0%}) "
                        f"| {wrong.mean():.1%} ({wrong.max():.1%}) | {ece.mean():.1%} |"
                    )
    for at_least in (0.6, 0.0):
        for rule, values in totals.items():
            wrong, worst, spread, ece, _ = np.array([v for v in values if v[4] >= at_least]).T
            yield (
                f"all networks with at least {at_least:.0%} right, {rule}: "
                f"wrong {wrong.mean():.1%} (worst {worst.max():.1%}), "
                f"answered varies by {100 * spread.mean():.0f} points (at most {100 * spread.max():.0f}), "
                f"calibration error {ece.mean():.1%} (at most {ece.max():.1%})"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with food5, flowers and hymenoptera")
    parser.add_argument("--sets", nargs="+", default=["food5", "flowers", "hymenoptera", "penguins"])
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for line in rows(given.sets, given.data, given.seeds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
