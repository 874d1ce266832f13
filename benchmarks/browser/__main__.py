"""Browsers against Python: every network on the same pixels, and photos' files of every format; tables for docs/web.md.

    python benchmarks/browser                              # hours on a busy machine; may be stopped at any time
    python benchmarks/browser --browser firefox --network efficientnet_lite0 --network cnn4
    python benchmarks/browser --photos 50 --out runs/quick # a tenth of the work

The pages' own modules run in chromium or Firefox, without a driver; nothing leaves this machine. Networks and results
are kept in runs/browser: what was measured is not measured again. Needs the extra [train] and the browser runtime;
photos as HEIC need the extra [heic].
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from edgeclf.files.atomic_write import write_atomically
from edgeclf.images.preprocess import network_input
from edgeclf.model.default_model import DEFAULT_MODEL
from edgeclf.model.file import read_model_file
from edgeclf_training.networks import ARCHITECTURES
from measuring import file_counts, network_counts
from networks import PRECISIONS, make_networks
from photos import KINDS, files, real_photos
from puppet import puppet
from tables import write_tables


def main() -> None:
    """Measure what is missing, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--browser", choices=("chromium", "firefox"), default="chromium")
    parser.add_argument("--network", action="append", choices=sorted(ARCHITECTURES), help="only this; may be repeated")
    parser.add_argument("--photos", type=int, default=500)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds the folders of photos")
    parser.add_argument("--weights", type=Path, default=Path("../shared/weights"), help="holds published weights")
    parser.add_argument("--out", type=Path, default=Path("runs/browser"), help="networks and results")
    parser.add_argument("--no-files", action="store_true", help="only the networks")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    photos = real_photos(given.data, given.photos)
    results = given.out / f"{given.browser}.json"
    found: dict[str, Any] = json.loads(results.read_text()) if results.exists() else {"files": {}, "networks": {}}
    with puppet(given.browser) as page:
        found["browser"] = page.browser
        if not given.no_files:
            for kind in KINDS:
                if kind.name not in found["files"]:
                    counts = file_counts(page, Path(DEFAULT_MODEL), files(kind, photos))
                    _keep(found, "files", kind.name, asdict(counts), results)
        for name in given.network or ARCHITECTURES:
            for precision in PRECISIONS:
                key = f"{name} {precision}"
                if key not in found["networks"]:
                    path = make_networks(given.out, name, given.weights, photos)[precision]
                    contract = read_model_file(path).manifest.contract
                    row = asdict(network_counts(page, path, [network_input(photo, contract) for photo in photos]))
                    _keep(found, "networks", key, {**row, "size": contract.size}, results)
    write_tables(given.out)


def _keep(found: dict[str, Any], table: str, name: str, row: dict[str, Any], path: Path) -> None:
    found[table][name] = row
    write_atomically(path, lambda file: file.write(json.dumps(found, indent=1).encode()))
    print(f"{name}: {row}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
