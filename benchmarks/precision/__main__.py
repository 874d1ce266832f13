"""What FP16 and INT8 cost, network by network: counts, sizes, speeds; tables go to docs/precision.md.

    python benchmarks/precision                             # two hours on 2 cores, most of it training
    python benchmarks/precision --network resnet50

Networks are trained once and kept in runs/precision; so is every measured row, in results.json.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import rules
from edgeclf.files import write_atomically
from edgeclf.machine import processor
from measuring import measure
from networks import ROWS, photos_folder, trained
from tables import write_tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--network", action="append", choices=ROWS, help="only this one; may be repeated")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds food5 and flowers")
    parser.add_argument("--weights", type=Path, default=Path("../shared/weights"), help="holds first weights")
    parser.add_argument("--out", type=Path, default=Path("runs/precision"), help="photos, runs and results")
    parser.add_argument("--docs", type=Path, default=Path("docs/precision.md"), help="the tables")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    photos = photos_folder(given.data, given.out)
    log = given.out / "results.json"
    results: dict[str, Any] = json.loads(log.read_text()) if log.exists() else {}
    for name in given.network or ROWS:
        run = trained(name, photos, given.weights, given.out)
        if name not in results:
            results[name] = measure(name, run, given.out)
        if name in rules.NETWORKS and f"{name}, rules" not in results:
            results[f"{name}, rules"] = rules.rows(name, run)
        write_atomically(log, lambda file: file.write(json.dumps(results).encode()))
        print(f"{name}: measured", file=sys.stderr, flush=True)
    precision = [results[name] for name in ROWS if name in results]
    by_rule = [row for name in ROWS for row in results.get(f"{name}, rules", [])]
    write_tables(precision, by_rule, given.docs, processor().name)
    print(f"wrote {given.docs}")


if __name__ == "__main__":
    main()
