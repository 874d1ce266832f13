"""What 60 labels are worth: for photos that `edgeclf suggest` names, for the most unsure ones, and for random ones.

    python benchmarks/few_photos/suggest.py FOLDER... [--out FILE.jsonl] [--seeds 0 1 2] [--per-class N] [--pool N]

Each FOLDER has class folders. Of each class N photos are labelled from the start, 100 (at most a third) are held out,
and up to --pool wait without a label. Then: `train`, `export`, `suggest --known`, `train --from` with the photos that
each way chose, accuracy on the photos held out. With --repeat the same photos are chosen again with another seed of
training, because two trainings on the same photos differ as well. Lines that --out has already are not measured again.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HELD_OUT = 100  # photos a class, at most a third of them
ARMS = ("random", "unsure", "suggest")


def edgeclf(*arguments: object) -> str:
    """Run a command; its standard output."""
    done = subprocess.run([sys.executable, "-m", "edgeclf", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr[-2000:]
    return done.stdout


def name_of(source: Path) -> str:
    """The data set's name: the folder's, or that of the folder around train/."""
    return source.parent.name if source.name == "train" else source.name


def divide(source: Path, folder: Path, chance: random.Random, per_class: int, pool: int) -> None:
    """Copy photos to ``known/<class>``, ``held-out/<class>`` and ``pool/<class>--<name>``, each content once."""
    seen: set[bytes] = set()
    for place in sorted(path for path in source.iterdir() if path.is_dir()):
        photos = sorted(path for path in place.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        chance.shuffle(photos)
        photos = [path for path in photos if not (path.read_bytes() in seen or seen.add(path.read_bytes()))]
        held_out = min(HELD_OUT, len(photos) // 3)
        ends = (per_class, per_class + held_out, per_class + held_out + pool)
        for part, start, stop in zip(("known", "held-out", "pool"), (0, *ends), ends, strict=False):
            target = folder / part if part == "pool" else folder / part / place.name
            target.mkdir(parents=True, exist_ok=True)
            for photo in photos[start:stop]:
                shutil.copy(photo, target / (f"{place.name}--{photo.name}" if part == "pool" else photo.name))


def trained(folder: Path, name: str, data: Path, *options: object) -> tuple[Path, float]:
    """Train and export; the model file and its accuracy on the photos held out."""
    model = folder / f"{name}.onnx"
    edgeclf("train", data, "--out", folder / name, *options)
    edgeclf("export", folder / name, "-o", model, "--force")
    found = edgeclf("evaluate", model, folder / "held-out", "--json")
    return model, float(json.loads(found.splitlines()[-1])["accuracy"])


def chosen(arm: str, folder: Path, model: Path, count: int, chance: random.Random) -> list[Path]:
    """The photos of the pool that one way chooses."""
    pool = folder / "pool"
    if arm == "random":
        return chance.sample(sorted(pool.iterdir()), count)
    if arm == "suggest":
        found = edgeclf("suggest", model, pool, "-n", count, "--known", folder / "known", "--json")
        return [Path(json.loads(line)["path"]) for line in found.splitlines()]
    records = [json.loads(line) for line in edgeclf("predict", pool, "-m", model, "-k", 2, "--json").splitlines()]
    gaps = [(one["predictions"][0]["probability"] - one["predictions"][1]["probability"], one) for one in records]
    return [Path(one["path"]) for _, one in sorted(gaps, key=lambda pair: pair[0])[:count]]


def walk(source: Path, seed: int, given: argparse.Namespace, known: set[tuple[object, ...]]) -> None:
    """Measure what is not in ``known`` yet, and add a line for each."""
    arms = [(arm, again) for arm in given.arms for again in range(given.repeat)]
    if all((name_of(source), seed, *arm) in known for arm in arms):
        return
    chance = random.Random(seed)  # noqa: S311
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        divide(source, folder, chance, given.per_class, given.pool)
        size = ("--image-size", given.image_size)
        first, before = trained(folder, "first", folder / "known", "--seed", seed, *size)
        for arm, again in arms:
            if (name_of(source), seed, arm, again) in known:
                continue
            photos = chosen(arm, folder, first, given.labels, random.Random(1000 * again + seed))  # noqa: S311
            run = f"{arm}-{again}"
            shutil.copytree(folder / "known", folder / f"{run}-photos")
            for photo in photos:
                label, _, own = photo.name.partition("--")
                shutil.copy(photo, folder / f"{run}-photos" / label / f"new-{own}")
            options = ("--from", folder / "first", "--seed", seed + 100 * again)
            _, after = trained(folder, run, folder / f"{run}-photos", *options)
            line = {"data": name_of(source), "seed": seed, "arm": arm, "again": again, "before": before, "after": after}
            with open(given.out, "a") as file:
                print(json.dumps(line), file=file)
            print(json.dumps(line), flush=True)


def main() -> None:
    """Measure, then print the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("suggest.jsonl"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--per-class", type=int, default=20)
    parser.add_argument("--pool", type=int, default=120, help="photos of each class that wait for a label, at most")
    parser.add_argument("--labels", type=int, default=60)
    parser.add_argument("--image-size", type=int, default=128)
    given = parser.parse_args()
    lines = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    known = {(line["data"], line["seed"], line["arm"], line["again"]) for line in lines}
    for seed in given.seeds:
        for source in given.folders:
            walk(source, seed, given, known)
    lines = [json.loads(line) for line in given.out.read_text().splitlines()]
    for data in sorted({line["data"] for line in lines}):
        own = [line for line in lines if line["data"] == data]
        means = {
            arm: sum(line["after"] for line in own if line["arm"] == arm)
            / max(1, sum(line["arm"] == arm for line in own))
            for arm in given.arms
        }
        before = sum(line["before"] for line in own) / len(own)
        print(data, f"before {before:.3f}", *(f"{arm} {mean:.3f}" for arm, mean in means.items()))


if __name__ == "__main__":
    main()
