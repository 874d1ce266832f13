"""What FP16 and INT8 cost, network by network: counts, sizes, speeds; tables go to docs/precision.md.

    python benchmarks/precision                             # two hours on 2 cores, most of it training
    python benchmarks/precision --network resnet50

Networks are trained once and kept in runs/precision; so is every measured row.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import rules
from edgeclf.files.atomic_write import write_atomically
from edgeclf.hardware import processor
from measuring import measure, time_row
from networks import ROWS, photos_folder, trained
from tables import write_tables


@contextmanager
def kept(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """What is known about a network, written back at the end."""
    path = folder / f"{name.replace(' ', '-')}.json"
    row: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    yield row
    if row:
        write_atomically(path, lambda file: file.write(json.dumps(row).encode()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--network", action="append", choices=ROWS, help="only this one; may be repeated")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds food5 and flowers")
    parser.add_argument("--weights", type=Path, default=Path("../shared/weights"), help="holds first weights")
    parser.add_argument("--out", type=Path, default=Path("runs/precision"), help="photos, runs and results")
    parser.add_argument("--docs", type=Path, default=Path("docs/precision.md"), help="the tables")
    parser.add_argument("--only-measure", action="store_true", help="no times, no tables: to run several at once")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    photos = photos_folder(given.data, given.out)
    for name in given.network or ROWS:
        run = trained(name, photos, given.weights, given.out)
        with kept(given.out, name) as row:
            row.update(row or measure(name, run, given.out))
        if name in rules.NETWORKS:
            with kept(given.out, f"{name} rules") as row:
                row.update(row or {"rows": rules.rows(name, run)})
        print(f"{name}: measured", file=sys.stderr, flush=True)
    if given.only_measure:
        return
    precision, by_rule = [], []
    for name in ROWS:  # times all at the end, when nothing else needs the machine
        with kept(given.out, name) as row:
            if row:
                row["timed"] = time_row(name, trained(name, photos, given.weights, given.out), given.out)
                precision.append(row)
        with kept(given.out, f"{name} rules") as row:
            by_rule += row.get("rows", [])
    write_tables(precision, by_rule, given.docs, processor().name)
    print(f"wrote {given.docs}")


if __name__ == "__main__":
    main()
