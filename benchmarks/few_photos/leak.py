"""How much too good the told accuracy is when bursts are parted: a random split against whole bursts, and the truth.

    python benchmarks/few_photos/leak.py --out /tmp/leak
    python benchmarks/few_photos/leak.py --out /tmp/leak --seeds 0   # quick

Six species of drawn penguins, each with a few bursts of one bird (drawn_bursts.py). The same photos train three times,
with a fifth set aside

    at random          --no-group-near-duplicates
    near-duplicates    the default: photos that are nearly the same stay together
    whole bursts       --group-by burst, by the EXIF times

"told" is the accuracy on that fifth, which a user reads; "true" that of the same network on new photos, one each of
birds and places that no run has seen. The leak is told minus true. A run that is there already is not made again.
"""

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from drawn_bursts import write_bursts
from edgeclf_training import TrainOptions, load_run, train
from edgeclf_training.dataset.find_photos import find_photos
from edgeclf_training.evaluation.predictions import predict

ARMS: dict[str, dict[str, Any]] = {
    "at random": {"group_near_duplicates": False},
    "near-duplicates": {},
    "whole bursts": {"group_by": "burst"},
}
_NEW = 1000  # seed of new photos


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bursts", type=int, default=8, help="of each species")
    parser.add_argument("--shots", type=int, default=6, help="of each burst")
    parser.add_argument("--new", type=int, default=40, help="new photos of each species")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--arms", nargs="+", default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    given = parser.parse_args()
    results: dict[str, list[dict[str, float]]] = {arm: [] for arm in given.arms}
    new = drawn(given.out / "new", given.new, 1, _NEW)
    for seed in given.seeds:
        photos = drawn(given.out / f"photos-{seed}", given.bursts, given.shots, seed)
        for arm in given.arms:
            plain = TrainOptions(epochs=given.epochs, image_size=given.image_size, workers=0, seed=seed)
            row = one_run(given.out / f"{arm.replace(' ', '-')}-{seed}", photos, new, replace(plain, **ARMS[arm]))
            results[arm].append(row)
            print(seed, arm, json.dumps(row), flush=True)
    print("\n| a fifth set aside | told | true | leak, points |\n|---|---|---|---|")
    for arm, rows in results.items():
        told, true = ([row[key] for row in rows] for key in ("told", "true"))
        leak = [100 * (a - b) for a, b in zip(told, true, strict=True)]
        print(
            f"| {arm} | {spread(told)} | {spread(true)} | {np.mean(leak):+.1f} ({min(leak):+.1f} to {max(leak):+.1f}) |"
        )


def spread(values: list[float]) -> str:
    """Mean, smallest and largest value in per cent."""
    return f"{100 * np.mean(values):.1f} % ({100 * min(values):.1f} to {100 * max(values):.1f})"


def drawn(folder: Path, bursts: int, shots: int, seed: int) -> Path:
    """A folder of bursts; drawn beside it first, so that it is whole if it is there."""
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        write_bursts(part, bursts, shots, 160, seed)
        part.rename(folder)
    return folder


def one_run(out: Path, photos: Path, new: Path, options: TrainOptions) -> dict[str, float]:
    """Train, and count what the user is told and what is true."""
    if not (out / "result.json").exists():
        shutil.rmtree(out, ignore_errors=True)
        run = train(photos, out, options, report=False, on_event=lambda _: None)
        samples = find_photos(new).parts["train"]
        true = predict(load_run(out).network(), samples, run.classes, run.contract, "test").metrics
        bursts = [{s.path.name.rsplit("-", 1)[0] for s in part} for part in (run.split.train, run.split.val)]
        row = {
            "told": run.metrics[0].accuracy,
            "true": true.accuracy,
            "validation photos": len(run.split.val),
            "bursts on both sides": len(bursts[0] & bursts[1]),
        }
        (out / "result.json").write_text(json.dumps(row))
    result: dict[str, float] = json.loads((out / "result.json").read_text())
    return result


if __name__ == "__main__":
    main()
