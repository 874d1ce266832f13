"""``make study``: what each part of the default recipe is worth, and how it compares; tables go to docs/study.md.

    python benchmarks/study                     # at most an hour on 2 cores
    python benchmarks/study --table vgg16       # one table
    python benchmarks/study --large             # whole data, full size, more epochs and seeds: for a GPU

Every run is kept in runs/study/results.jsonl and not repeated: an interrupted study goes on where it was.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from experiments import TABLES, Places
from running import run_all
from tables import write_tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--table", action="append", choices=TABLES, help="only this one; may be repeated")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds hymenoptera, food5, flowers")
    parser.add_argument("--weights", type=Path, default=Path("../shared/weights"), help="holds squeezenet1_1.pth")
    parser.add_argument("--out", type=Path, default=Path("runs/study"), help="runs and results")
    parser.add_argument("--docs", type=Path, default=Path("docs/study.md"), help="the tables")
    parser.add_argument("--large", action="store_true", help="whole data and full size, on a GPU where there is one")
    given = parser.parse_args()
    places = Places(given.data, given.weights, given.out / "data", given.large)
    experiments = []
    for name in given.table or TABLES:
        try:
            experiments += TABLES[name](places)
        except FileNotFoundError as missing:
            print(f"{name}: left out, {missing} is not there", file=sys.stderr)
    results = run_all(experiments, given.out, processes=1 if given.large else 2)
    write_tables(results, given.docs, given.large)
    print(f"wrote {given.docs}")


if __name__ == "__main__":
    main()
