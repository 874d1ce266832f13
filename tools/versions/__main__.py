"""``make test-versions``: the same pixels and answers with the oldest, a middle and the newest packages?

    python tools/versions [--photos 1000]

Photos (the team's real ones if they exist, else drawn ones, always drawn ones of all shapes, formats and codings) are
preprocessed with every resize rule and both preprocessing versions, and classified with the default model, with each
set of Pillow, numpy and onnxruntime. Pixels and logits must be bit-identical, and errors of the same kind. Exit code 1
if anything differs; a set that is not available is skipped with the reason.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "cpus"))

from asking import run_python
from emulation import HERE, OLD_CLI, Place, UnavailableError, with_wheels

SHARED = Path(__file__).parents[3] / "shared" / "data"
SETS = {
    "oldest": ("pillow==10.3.0", "numpy==1.26.4", "onnxruntime==1.16.3", *OLD_CLI),
    "middle": ("pillow==11.3.0", "numpy==2.1.3", "onnxruntime==1.22.1", *OLD_CLI),
    "last before 13": ("pillow==12.2.0", "numpy==2.3.5", "onnxruntime==1.26.0", *OLD_CLI),
}
CODINGS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("JPEG", "RGB", {"quality": 90, "subsampling": 0}),
    ("JPEG", "RGB", {"quality": 75, "subsampling": 1}),
    ("JPEG", "RGB", {"quality": 60, "subsampling": 2, "optimize": True}),
    ("JPEG", "RGB", {"quality": 80, "progressive": True}),
    ("JPEG", "RGB", {"quality": 80, "restart_marker_rows": 1}),
    ("JPEG", "L", {"quality": 80}),
    ("JPEG", "CMYK", {"quality": 85}),
    ("PNG", "RGB", {}),
    ("PNG", "RGBA", {}),
    ("PNG", "P", {}),
    ("PNG", "I;16", {}),
    ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    ("TIFF", "I;16", {}),
    ("GIF", "P", {}),
    ("BMP", "RGB", {}),
    ("WEBP", "RGB", {"quality": 80}),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=int, default=1000)
    given = parser.parse_args()
    differing = compared = 0
    with tempfile.TemporaryDirectory() as folder:
        photos = choose(given.photos, Path(folder))
        listed = Path(folder, "photos.json")
        listed.write_text(json.dumps([str(photo) for photo in photos]))
        here = ask(HERE, listed)
        print(f"{len(photos)} photos; here: {here['packages']}", flush=True)
        for name, wheels in SETS.items():
            try:
                there = ask(with_wheels(name, wheels), listed)
            except UnavailableError as reason:
                print(f"{name}: skipped, {reason}")
                continue
            wrong = [photo for photo in here["photos"] if here["photos"][photo] != there["photos"][photo]]
            differing, compared = differing + len(wrong), compared + 1
            found = f"{len(wrong)} DIFFER, such as {wrong[0]}" if wrong else "all the same"
            print(f"{name}: {there['packages']}: {found}", flush=True)
    print(f"{differing} photos differ" if compared else "nothing was compared")
    return int(differing > 0)


def ask(place: Place, listed: Path) -> dict[str, dict[str, list[str]]]:
    """What a set of packages makes of the photos: by photo, a digest for each contract and one of the logits."""
    found: dict[str, dict[str, list[str]]] = json.loads(
        run_python(place, str(Path(__file__).with_name("pixels.py")), str(listed))
    )
    return found


def choose(count: int, folder: Path) -> list[Path]:
    """A quarter or more drawn photos, the rest real ones, evenly from all folders, if there are any."""
    real = sorted(path for path in SHARED.rglob("*.*") if path.is_file()) if SHARED.is_dir() else []
    wanted = min(len(real), count * 3 // 4)
    chosen = [real[number * len(real) // wanted] for number in range(wanted)]
    return [*chosen, *draw(count - wanted, folder)]


def draw(count: int, folder: Path) -> Iterator[Path]:
    """Photos of 20 to 1,500 pixels, up to six times as long as wide, in every coding and orientation."""
    rng = np.random.default_rng(7)
    for number in range(count):
        form, mode, options = CODINGS[number % len(CODINGS)]
        side, shape = float(np.exp(rng.uniform(np.log(20), np.log(600)))), float(np.exp(rng.uniform(-1.8, 1.8)))
        width, height = max(8, int(side * shape**0.5)), max(8, int(side / shape**0.5))
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((width, height))
        grain = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        image = Image.blend(coarse, grain, float(rng.uniform(0, 0.3)))
        if mode == "I;16":
            low, high = sorted(int(value) for value in rng.integers(0, 65536, 2))
            values = np.asarray(image.convert("L"), np.float64) / 255
            image = Image.fromarray((low + values * (high - low)).astype(np.uint16))
        elif mode == "RGBA":
            image.putalpha(coarse.convert("L"))
        else:
            image = image.convert(mode)
        exif = Image.Exif()
        exif[0x0112] = 1 + number % 8
        path = folder / f"drawn{number:04}.{form.lower()}"
        image.save(path, form, **options, **({"exif": exif} if form in ("JPEG", "PNG", "WEBP") else {}))
        yield path


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(str(error))
