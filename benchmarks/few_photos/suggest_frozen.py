"""Ways to choose 60 photos to label, compared many times: a linear head on features of the network in the package.

    python benchmarks/few_photos/suggest_frozen.py FOLDER [--per-class N] [--pool N] [--repeat N] [--unequal]

FOLDER has class folders. In each repetition N photos a class are labelled, --held-out (at most a third) are held out,
and up to --pool wait (--unequal: fewer and fewer from class to class). A head is trained on the labelled photos, each
way chooses 60, and the head is trained again with these. Prints accuracy and the mean difference from photos chosen at
random, in points, with its 95 % interval. ``suggest.py`` trains whole networks, as users do.
"""

import argparse
import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from edgeclf import Classifier, PhotoError
from edgeclf.field import suggest
from edgeclf.field.photo_vectors import PhotoVectors
from edgeclf.field.suggest import choose, unsureness
from numpy.typing import NDArray

LABELS, PER_CLASS = 60, 450
Matrix = NDArray[np.float32]


def read(folder: Path) -> tuple[Matrix, NDArray[np.int64]]:
    """Features and class of up to 450 photos a class, each content once; kept in the system's folder for such files."""
    kept = (
        Path(tempfile.gettempdir()) / f"features-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]}.npz"
    )
    if not kept.exists():
        classifier, paths, labels, seen = Classifier(for_many=True), [], [], set()
        for number, place in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())):
            photos = sorted(place.iterdir())
            np.random.default_rng(0).shuffle(photos)
            new = [path for path in photos if not (path.read_bytes() in seen or seen.add(path.read_bytes()))]
            paths += new[:PER_CLASS]
            labels += [number] * len(new[:PER_CLASS])
        found = list(classifier.features_many(paths, 1))
        good = [index for index, one in enumerate(found) if not isinstance(one, PhotoError)]
        np.savez(kept, x=np.stack([found[index].vector for index in good]), y=np.array(labels)[good])
    values = np.load(kept)
    return values["x"], values["y"]


def head(x: Matrix, y: NDArray[np.int64], classes: int) -> Callable[[Matrix], Matrix]:
    """Softmax regression with weight decay, by L-BFGS, on the span of the photos; gives probabilities."""
    mean = x.mean(0)
    _, sizes, axes = np.linalg.svd(x - mean, full_matrices=False)
    axes = axes[sizes > 1e-4 * sizes[0]].T
    inputs, wanted = torch.from_numpy((x - mean) @ axes), torch.from_numpy(y)
    weights = torch.zeros(inputs.shape[1] + 1, classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = inputs @ weights[:-1] + weights[-1]
        value = torch.nn.functional.cross_entropy(logits, wanted, reduction="sum") + 0.5 * (weights[:-1] ** 2).sum()
        value.backward()
        return value

    optimizer.step(loss)
    found = weights.detach().numpy()

    def probabilities(photos: Matrix) -> Matrix:
        logits = (photos - mean) @ axes @ found[:-1] + found[-1]
        shares = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(shares / shares.sum(1, keepdims=True))

    return probabilities


def vectors(x: Matrix) -> PhotoVectors:
    """The photos as `edgeclf suggest` keeps them."""
    kept = PhotoVectors()
    for one in x:
        kept.add(one)
    return kept


def farthest(x: Matrix, known: Matrix, count: int) -> list[int]:
    """Greedy k-center (Sener and Savarese 2018, arXiv:1708.00489): the photo farthest from known and chosen ones."""
    unit, other = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, known))
    nearest, chosen = (unit @ other.T).max(1), []
    for _ in range(count):
        chosen.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, unit @ unit[chosen[-1]])
        nearest[chosen] = 2
    return chosen


def by_cover(photos: PhotoVectors, unsure: list[float], known: PhotoVectors, share: float) -> list[int]:
    """The photos of `edgeclf suggest`, with another weight of being unsure."""
    before, suggest.UNSURE_SHARE = suggest.UNSURE_SHARE, share
    try:
        return [one.photo for one in choose(photos, unsure, known, LABELS)]
    finally:
        suggest.UNSURE_SHARE = before


def main() -> None:
    """Print one line per way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--per-class", type=int, default=20)
    parser.add_argument("--pool", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--held-out", type=int, default=100)
    parser.add_argument("--unequal", action="store_true")
    given = parser.parse_args()
    x, y = read(given.folder)
    x, classes = x / np.float32(x.std() * 4), int(y.max()) + 1
    results: dict[str, list[float]] = {}
    for repetition in range(given.repeat):
        rng = np.random.default_rng(repetition)
        known, held_out, pool = [], [], []
        for label in range(classes):
            own = rng.permutation(np.flatnonzero(y == label))
            first, last = given.per_class, given.per_class + min(given.held_out, len(own) // 3)
            size = max(10, int(given.pool * 0.6 ** ((label + repetition) % classes))) if given.unequal else given.pool
            known += own[:first].tolist()
            held_out += own[first:last].tolist()
            pool += own[last : last + size].tolist()

        def accuracy(photos: list[int], held_out: list[int] = held_out) -> float:
            return float((head(x[photos], y[photos], classes)(x[held_out]).argmax(1) == y[held_out]).mean())

        probabilities = head(x[known], y[known], classes)(x[pool])
        unsure = [unsureness(sorted(row, reverse=True)[:2]) for row in probabilities.tolist()]
        there, labelled = vectors(x[pool]), vectors(x[known])
        chosen = {
            "random": rng.choice(len(pool), LABELS, replace=False).tolist(),
            "most unsure": np.argsort(-np.array(unsure), kind="stable")[:LABELS].tolist(),
            "farthest": farthest(x[pool], x[known], LABELS),
            "suggest": by_cover(there, unsure, labelled, suggest.UNSURE_SHARE),
            "suggest, unsure or not": by_cover(there, unsure, labelled, 0.0),
            "suggest without --known": by_cover(there, unsure, PhotoVectors(), suggest.UNSURE_SHARE),
        }
        results.setdefault("before", []).append(accuracy(known))
        for name, numbers in chosen.items():
            results.setdefault(name, []).append(accuracy(known + [pool[number] for number in numbers]))
    for name, values in results.items():
        gain = 100 * (np.array(values) - np.array(results["random"]))
        half = 1.96 * gain.std(ddof=1) / len(gain) ** 0.5
        print(f"{name:<34} {np.mean(values):.3f}  {gain.mean():+.2f} +- {half:.2f}", flush=True)


if __name__ == "__main__":
    main()
