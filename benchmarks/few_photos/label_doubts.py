"""How many wrong labels `edgeclf train --folds 5` finds, and how many right ones it lists with them.

A share of the labels is changed at random. The networks are those of confidence.py: linear heads on features of
EfficientNet-Lite0, five folds. Precision: share of the listed photos whose label was changed. Recall: share of the
changed labels that are listed. Other rules are shown beside edgeclf's.

    python benchmarks/few_photos/label_doubts.py ../shared/data
"""

import argparse
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from confidence import FOLDS, Features, Floats, Labels, class_folders, compute, train_head
from edgeclf_training.dataset.samples import Sample
from edgeclf_training.evaluation.calibration import fit_temperature
from edgeclf_training.evaluation.label_doubts import doubtful_labels
from edgeclf_training.evaluation.predictions import Predictions

SHARES = (0.05, 0.10)


def flipped(labels: Labels, share: float, rng: np.random.Generator) -> Labels:
    """Labels of which a share is changed to another class."""
    changed, classes = labels.copy(), int(labels.max()) + 1
    chosen = rng.permutation(len(labels))[: round(share * len(labels))]
    changed[chosen] = (changed[chosen] + rng.integers(1, classes, len(chosen))) % classes
    return changed


def out_of_fold(inputs: Floats, labels: Labels, classes: int, seed: int) -> Floats:
    """Logits of each photo by a head that was not trained on it."""
    of, logits = np.arange(len(labels)) % FOLDS, np.zeros((len(labels), classes), np.float32)
    for fold in range(FOLDS):
        head = train_head(inputs[of != fold], labels[of != fold], classes, 10 * seed + fold)
        with torch.inference_mode():
            logits[of == fold] = head(torch.from_numpy(inputs[of == fold])).numpy()
    return logits


def listed(logits: Floats, labels: Labels) -> dict[str, np.ndarray]:
    """Which photos each rule lists."""
    photos = np.arange(len(labels))
    names = [str(number) for number in range(logits.shape[1])]
    samples = tuple(Sample(Path(str(n)), names[label], 0) for n, label in enumerate(labels))
    temperature = fit_temperature(logits, labels)
    ours = doubtful_labels(Predictions("validation", samples, logits, labels), names, temperature)
    shares = np.exp((logits - logits.max(1, keepdims=True)) / temperature)
    shares /= shares.sum(1, keepdims=True)
    best = shares.argmax(1)
    wrong, given = best != labels, shares[photos, labels]
    usual = np.array([given[labels == label].mean() for label in range(logits.shape[1])])
    return {
        "edgeclf": np.isin(photos, [int(doubt.path.name) for doubt in ours]),
        "confident learning": wrong & (shares[photos, best] >= usual[best]),
        "every mistake": wrong,
        "mistakes above 70 %": wrong & (shares.max(1) > 0.7),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with food5, flowers and hymenoptera")
    parser.add_argument("--sets", nargs="+", default=["food5", "flowers", "hymenoptera", "penguins"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--per-class", type=int, default=60)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| data set | changed | right, out of fold | rule | listed | precision | recall |")
    print("|---|---|---|---|---|---|---|")
    with TemporaryDirectory() as made:
        for name in given.sets:
            features: Features = compute(class_folders(name, given.data, Path(made)))
            for share in SHARES:
                counts: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
                right = []
                for seed in range(given.seeds):
                    rng = np.random.default_rng([seed, round(100 * share)])
                    classes = int(features.labels.max()) + 1
                    chosen = np.concatenate(
                        [
                            rng.permutation(np.flatnonzero(features.labels == c))[: given.per_class]
                            for c in range(classes)
                        ]
                    )
                    rng.shuffle(chosen)
                    true = features.labels[chosen]
                    labels = flipped(true, share, rng)
                    logits = out_of_fold(features.good[chosen], labels, classes, seed)
                    right.append((logits.argmax(1) == true).mean())
                    for rule, found in listed(logits, labels).items():
                        counts[rule].append((found.sum(), (found & (labels != true)).sum(), (labels != true).sum()))
                for rule, rows in counts.items():
                    listed_, hits, changed = np.sum(rows, 0)
                    print(
                        f"| {name} | {share:.0%} | {np.mean(right):.0%} | {rule} | {listed_} | "
                        f"{hits / max(1, listed_):.0%} | {hits / changed:.0%} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
