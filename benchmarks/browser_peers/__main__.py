"""edgeclf's page beside transformers.js and TensorFlow.js: one Chromium, the same photos, one thread each.

    python benchmarks/browser_peers                                # about 15 minutes
    python benchmarks/browser_peers --only edgeclf --slower 6      # the browser runs a sixth of the time
    taskset -c 0 python benchmarks/browser_peers --only edgeclf    # on one core

All run EfficientNet-Lite0 at 224 pixels: edgeclf the network in the package (INT8), transformers.js the same published
weights as ONNX, FP32 and in the 8 bits of onnxruntime's `quantize_dynamic`, which its own scripts use; TensorFlow.js a
network of the same layers with random weights. npm's packages (and, for the answers in Python, transformers from PyPI)
are fetched into a temporary folder, or into --packages, and never become part of edgeclf. Needs playwright and the
extra [train]. Every peer is opened --rounds times in turn, each time in a new profile; medians of all, and all runs in
the file of results.
"""

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))
sys.path.insert(0, str(Path(__file__).parent))

from answers import compare_edgeclf, compare_transformers
from models import write_models
from packages import fetch
from peer_photos import peer_photos
from tables import peers_table
from visits import PEERS, visit


def main() -> None:
    """Fetch, measure, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=PEERS, help="only this; may be repeated")
    parser.add_argument("--rounds", type=int, default=3, help="visits of each peer")
    parser.add_argument("--photos", type=int, default=100, help="small photos whose answers are compared with Python")
    parser.add_argument("--slower", type=int, default=1, metavar="N", help="let the browser run one Nth of the time")
    parser.add_argument("--throttle", type=int, default=1, metavar="N", help="Chromium's own CPU throttling")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds the folders of photos")
    parser.add_argument("--packages", type=Path, help="keep the fetched packages here")
    parser.add_argument("--out", type=Path, default=Path("runs/browser_peers.json"), help="all runs")
    given = parser.parse_args()
    peers = given.only or list(PEERS)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as temporary:
        work = Path(temporary)
        packages = given.packages or work / "packages"
        if peers != ["edgeclf"]:
            fetch(packages)
        write_models(work / "site", packages, peers)
        photos = peer_photos(given.data, given.photos)
        runs = []
        for number in range(given.rounds):
            for peer in peers:
                run = visit(peer, work, photos, given.slower, given.throttle, answers=number == 0)
                runs.append(run)
                print({key: value for key, value in run.items() if key != "answers"}, file=sys.stderr, flush=True)
        compared = {}
        for run in runs[: len(peers)]:
            if run["peer"] == "edgeclf":
                compared["edgeclf"] = compare_edgeclf(run["answers"], photos)
            elif run["peer"].startswith("transformers"):
                compared[run["peer"]] = compare_transformers(
                    run["answers"], photos, work / "site", packages, run["peer"]
                )
            run.pop("answers")
    given.out.write_text(json.dumps({"runs": runs, "compared": compared}, indent=1))
    print(peers_table(runs, compared))


if __name__ == "__main__":
    main()
