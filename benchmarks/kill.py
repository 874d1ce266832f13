"""Kill -9 `edgeclf watch` and `edgeclf predict --out --resume` at random moments: is a photo lost, or recorded twice?

    python benchmarks/kill.py [--kills N] [--photos N] [--seed N] [--only watch|predict]

While a process runs, photos are renamed in, linked in, written slowly and replaced, in sub-folders with the same file
names; then the process is killed, and the next one goes on. In the end one process may finish, and every photo that
ever lay there whole must have exactly one record, every line must be whole, everything recorded must have been printed,
and, for watch, every photo must have exactly one copy in the review folder. Half the kills are for JSON Lines, half for
CSV. Prints one JSON line for each; exits with 1 if anything is wrong. Linux and macOS.
"""

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

MODEL = Path(__file__).parents[1] / "tests" / "runtime" / "models" / "schema2.onnx"  # three convolutions at most
SETTLE = 0.05


class Camera:
    """Puts photos into a folder in the ways cameras, cards and people do."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.made = folder, 0
        self.expected: set[tuple[str, int]] = set()  # path and size of every photo that was ever whole
        self._random = random.Random(seed)  # noqa: S311
        self._aside = folder.parent / "aside"
        self._aside.mkdir(parents=True)
        base = self._aside / "base.jpg"
        Image.effect_noise((64, 48), 80).convert("RGB").save(base, quality=85)
        self._base = base.read_bytes()

    def add(self, count: int) -> None:
        """Add some photos, one in twenty slowly."""
        for _ in range(count):
            self.made += 1
            # The same names in seven folders. What follows the end of a JPEG makes each file one of its kind.
            path = self.folder / f"DCIM{self.made % 7}" / f"IMG_{self.made // 7:05}.JPG"
            path.parent.mkdir(parents=True, exist_ok=True)
            data = self._base + str(self.made).encode() * (1 + self.made % 5)
            way = self._random.randrange(20)
            if way == 0:
                with path.open("wb", buffering=0) as file:
                    file.write(data[: len(data) // 2])
                    time.sleep(SETTLE / 2)
                    file.write(data[len(data) // 2 :])
            else:
                whole = self._aside / f"{self.made}.jpg"
                whole.write_bytes(data)
                if way < 10:
                    os.link(whole, path)
                    whole.unlink()
                else:
                    whole.replace(path)
            self.expected.add((str(path), len(data)))

    def replace(self, count: int) -> None:
        """Put others in the place of some photos, all of which must have been recorded."""
        for path in self._random.sample(sorted(self.folder.rglob("*.JPG")), count):
            data = path.read_bytes() + b"replaced"
            new = self._aside / "new.jpg"
            new.write_bytes(data)
            new.replace(path)
            self.expected.add((str(path), len(data)))


def records(file: Path) -> Iterator[tuple[str, int, str | None]]:
    """Path, size and error of every record; fails on a line that is not whole."""
    data = file.read_bytes()
    if not data.endswith(b"\n"):
        raise ValueError("the last line is torn")
    if file.suffix == ".jsonl":
        for line in data.splitlines():
            record = json.loads(line)
            yield record["path"], record["size"], (record.get("error") or {}).get("kind")
        return
    for row in csv.DictReader(data.decode("utf-8-sig").splitlines(), strict=True):
        if None in row or None in row.values():
            raise ValueError(f"a row of another length: {row}")
        yield row["path"], int(row["size"]), row["error"] or None


def campaign(command: str, suffix: str, kills: int, photos: int, seed: int, place: Path) -> dict[str, Any]:
    """Kill until enough are killed, let one finish, and count."""
    moments = random.Random(seed)  # noqa: S311
    source, out, review, printed = place / "in", place / f"out{suffix}", place / "review", place / "printed.jsonl"
    camera = Camera(source, seed)
    camera.add(20)
    base = [sys.executable, "-m", "edgeclf", command, str(source), "--out", str(out), "-m", str(MODEL)]
    watch = ["--settle", str(SETTLE), "--json", "--review", str(review), "--threshold", "1"]
    base += watch if command == "watch" else ["--resume"]
    begun = time.perf_counter()
    with printed.open("ab") as stdout:
        first = base + ["--once"] * (command == "watch")
        subprocess.run(first, stdout=stdout, check=True)
        takes = time.perf_counter() - begun
        killed = working = torn = ended = 0
        per_kill = max(1, photos // kills)
        while killed < kills:
            before = out.stat().st_size
            if command == "predict":
                camera.add(per_kill)
            process = subprocess.Popen(base, stdout=stdout, stderr=subprocess.PIPE)
            if command == "watch":
                camera.add(per_kill)
            if moments.random() < 0.25:  # anywhere, most often while it starts
                end = time.perf_counter() + moments.uniform(0, takes)
            else:  # from its first record on
                late = time.perf_counter() + 20 * takes
                while out.stat().st_size <= before and process.poll() is None and time.perf_counter() < late:
                    time.sleep(0.002)
                end = time.perf_counter() + moments.expovariate(1 / (0.003 * per_kill))
            while process.poll() is None and (left := end - time.perf_counter()) > 0:
                time.sleep(min(left, 0.01))
            if process.poll() is None:
                process.kill()
                killed += 1
                working += out.stat().st_size > before
                torn += not out.read_bytes().endswith(b"\n")
            else:
                ended += 1
            _, talk = process.communicate()
            if process.returncode not in (-9, 0):
                raise SystemExit(f"{command} ended with {process.returncode}: {talk.decode()}")
        subprocess.run(first, stdout=stdout, check=True)
        camera.replace(10)
        last = subprocess.run(first, stdout=stdout)
    found = list(records(out))
    counted = Counter(record[:2] for record in found)
    figures = {
        "command": command,
        "format": suffix[1:],
        "kills": killed,
        "while_recording": working,
        "torn_lines_left": torn,
        "ended_before": ended,
        "photos": len(camera.expected),
        "records": len(found),
        "lost": len(camera.expected - counted.keys()),
        "twice": sum(count > 1 for count in counted.values()),
        "foreign": len(counted.keys() - camera.expected),
        "errors": sum(record[2] is not None for record in found),
        "exit": last.returncode,
        "seconds": round(time.perf_counter() - begun, 1),
    }
    if command == "watch":
        lines = Counter(json.loads(line)["path"] for line in printed.read_bytes().splitlines())
        copies = [path for path in review.rglob("*.*") if not path.name.startswith(".")]
        contents = {path.read_bytes() for path in copies}
        figures["never_printed"] = len({path for path, _ in counted} - lines.keys())
        figures["printed_again"] = sum(count - 1 for count in lines.values())
        figures["copies"] = len(copies)
        figures["copies_missing_or_twice"] = abs(len(contents) - len(found)) + len(copies) - len(contents)
    return figures


def main() -> None:
    """Print one line per campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="of each command")
    parser.add_argument("--photos", type=int, default=4000, help="added for each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("watch", "predict"))
    arguments = parser.parse_args()
    wrong = False
    for command in (arguments.only,) if arguments.only else ("watch", "predict"):
        for seed, suffix in enumerate((".jsonl", ".csv"), arguments.seed):
            with tempfile.TemporaryDirectory() as name:
                half = [(arguments.kills + 1) // 2, (arguments.photos + 1) // 2]
                figures = campaign(command, suffix, *half, seed, Path(name))
            print(json.dumps(figures), flush=True)
            bad = ("lost", "twice", "foreign", "errors", "exit", "never_printed", "copies_missing_or_twice")
            wrong = wrong or any(figures.get(key) for key in bad)
    sys.exit(wrong)


if __name__ == "__main__":
    main()
