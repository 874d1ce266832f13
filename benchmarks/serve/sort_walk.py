"""From the first photos to the next model: train on few, watch, sort the unsure ones over HTTP, train again.

    python benchmarks/serve/sort_walk.py CLASS_FOLDERS [--per-class N] [--arrive N] [--sort N] [--seed N]

CLASS_FOLDERS is split at random: N photos a class to train on, 100 a class held out, and photos that arrive later.
Then: `train`, `export --int8`, `watch --once --review` on those that arrived, `serve --review`, whose trays are sorted
through the API as the page does it (the true label of a photo is known by its name), `train --from`. Prints the
accuracy on the held-out photos before and after; and after training as long on the first photos alone, or with as many
photos that arrived, chosen at random.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
HELD_OUT = 100  # photos a class


def edgeclf(*arguments: object) -> str:
    """Run a command; its standard output."""
    done = subprocess.run([sys.executable, "-m", "edgeclf", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr[-2000:]
    return done.stdout


def divide(source: Path, folder: Path, chance: random.Random, per_class: int, arrive: int) -> None:
    """Copy photos to ``photos/<class>``, ``held-out/<class>`` and ``in/`` as ``<class>--<name>``, each content once."""
    seen: set[bytes] = set()
    for place in sorted(path for path in source.iterdir() if path.is_dir()):
        photos = sorted(path for path in place.iterdir() if path.is_file())
        chance.shuffle(photos)
        photos = [path for path in photos if not (path.read_bytes() in seen or seen.add(path.read_bytes()))]
        for part, start, stop in (
            ("photos", 0, per_class),
            ("held-out", per_class, per_class + HELD_OUT),
            ("in", per_class + HELD_OUT, per_class + HELD_OUT + arrive),
        ):
            target = folder / part if part == "in" else folder / part / place.name
            target.mkdir(parents=True, exist_ok=True)
            for photo in photos[start:stop]:
                shutil.copy(photo, target / (f"{place.name}--{photo.name}" if part == "in" else photo.name))


def accuracy(model: Path, held_out: Path) -> float:
    """Share of the held-out photos that a model file gets right."""
    return float(json.loads(edgeclf("evaluate", model, held_out, "--json").splitlines()[-1])["accuracy"])


def ask(address: str, path: str, value: Any = None) -> Any:
    """One request of the sorting page."""
    data = None if value is None else json.dumps(value).encode()
    request = urllib.request.Request(address + path, data, {"Content-Type": "application/json", "X-Edgeclf": "1"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return json.load(answer)


def sort(address: str, count: int) -> int:
    """Label photos in the order in which the page offers them; how many guesses were right."""
    right = sorted_now = 0
    while sorted_now < count:
        photos = ask(address, f"sort/photos?limit={min(20, count - sorted_now)}")["photos"]
        if not photos:
            break
        for photo in photos:
            label = photo["name"].partition("--")[0]
            moved = ask(address, "sort/label", {"ids": [photo["id"]], "label": label})
            assert moved["moved"] == [photo["id"]], moved
            right += photo["guess"] == label
            sorted_now += 1
    return right


def serve_and_sort(model: Path, photos: Path, count: int) -> dict[str, Any]:
    """Start the service on the trays and sort."""
    command = [sys.executable, "-m", "edgeclf", "serve", "-m", str(model), "--review", str(photos), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        address = child.stderr.readline().split()[-1]
        for _ in range(600):  # until it has looked at all photos: the least sure come first
            if ask(address, "sort/photos?limit=1")["unpredicted"] == 0:
                break
            time.sleep(0.2)
        waiting = ask(address, "sort/state")["left"]
        began = time.perf_counter()
        right = sort(address, count)
        taken, line = time.perf_counter() - began, ask(address, "sort/state")["train_line"]
        child.terminate()
    return {
        "in_trays": waiting,
        "sorted": min(count, waiting),
        "guesses_right": right,
        "s": round(taken, 2),
        "line": line,
    }


def main() -> None:
    """Print one line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--per-class", type=int, default=30)
    parser.add_argument("--arrive", type=int, default=100, help="photos of each class that arrive later")
    parser.add_argument("--sort", type=int, default=60)
    parser.add_argument("--threshold", type=float, default=0.8, help="of watch: what is below it is sorted")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance = random.Random(given.seed)  # noqa: S311
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        divide(given.photos, folder, chance, given.per_class, given.arrive)
        held_out, photos = folder / "held-out", folder / "photos"

        def model_of(run: str, data: Path, *options: object) -> tuple[Path, float]:
            edgeclf("train", data, "--out", folder / run, "--seed", given.seed, *options)
            edgeclf("export", folder / run, "-o", folder / f"{run}.onnx", "--int8", "--force")
            return folder / f"{run}.onnx", accuracy(folder / f"{run}.onnx", held_out)

        first, before = model_of("first", photos, "--image-size", given.image_size)
        for copy in ("random", "only-first"):
            shutil.copytree(photos, folder / copy)
        watched = edgeclf(
            "watch",
            folder / "in",
            "--out",
            folder / "a.jsonl",
            "-m",
            first,
            "--review",
            photos,
            "--once",
            "--threshold",
            given.threshold,
        )
        arrived = len(list((folder / "in").iterdir()))
        sorting = serve_and_sort(first, photos, given.sort)
        print(json.dumps({"arrived": arrived, "printed": len(watched.splitlines()), **sorting}), flush=True)
        for photo in chance.sample(sorted((folder / "in").iterdir()), sorting["sorted"]):
            shutil.copy(photo, folder / "random" / photo.name.partition("--")[0] / photo.name)
        _, after = model_of("next", photos, "--from", folder / "first")
        _, at_random = model_of("random-run", folder / "random", "--from", folder / "first")
        _, no_more = model_of("again", folder / "only-first", "--from", folder / "first")
        print(
            json.dumps(
                {
                    "seed": given.seed,
                    "before": round(before, 4),
                    "after sorting the unsure": round(after, 4),
                    "after as many at random": round(at_random, 4),
                    "after as many epochs more on the first photos": round(no_more, 4),
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
