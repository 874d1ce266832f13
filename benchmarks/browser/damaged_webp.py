"""Lossy WebPs with changed bytes in a browser: does the page call pixels exact that are not Python's?

    python benchmarks/browser/damaged_webp.py --files 3000 --seed 1 [--browser firefox]

Prints the files that are wrongly called exact, and how many the page calls exact, Python refuses, and both show alike.
"""

import argparse
import io
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from edgeclf.errors import PhotoError
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import network_input
from PIL import Image
from puppet import puppet

CONTRACT = ImageContract(64, "squash", 1.0, 4.0)
CHANGES_OF_A_FILE = 10
_HOW = ("cut", "cut, its length right", "longer", "inserted", *["bytes"] * 7)


def main() -> None:
    """Change, ask both, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--browser", choices=("chromium", "firefox"), default="chromium")
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(given.seed)
    exact = refused = alike = wrong = 0
    with puppet(given.browser) as page:
        for number in range(given.files):
            if number % CHANGES_OF_A_FILE == 0:
                whole = _drawn(rng, transparent=number % (2 * CHANGES_OF_A_FILE) == 0)
            data = _changed(rng, whole)
            try:
                expected = network_input(data, CONTRACT).tobytes()
            except PhotoError:
                expected = None
            head, parts = page.ask("photo", data, contract=CONTRACT.to_dict(), name="photo", answer=False)
            same = expected is not None and "error" not in head and parts[0] == expected
            refused += expected is None
            alike += same
            exact += head.get("exact", False)
            if head.get("exact") and not same:
                wrong += 1
                print(f"file {number}, {len(data)} bytes: {'other pixels' if expected else 'Python refuses it'}")
    print(f"{given.files} files: {exact} called exact, {wrong} wrongly; {refused} refused by Python, {alike} alike")


def _drawn(rng: np.random.Generator, transparent: bool) -> bytes:
    """A small file, often with EXIF, a colour profile or XMP."""
    width, height = (int(side) for side in rng.integers(1, 90, 2))
    coarse = rng.integers(0, 256, (max(1, height // 4), max(1, width // 4), 4), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height)).convert("RGBA" if transparent else "RGB")
    options: dict[str, object] = {}
    if rng.random() < 0.5:
        options["exif"] = exif = Image.Exif()
        exif[0x112] = int(rng.integers(1, 9))
    if rng.random() < 0.3:
        options["icc_profile"] = rng.bytes(60)
    if rng.random() < 0.3:
        options["xmp"] = b"<x/>" * int(rng.integers(1, 9))
    file = io.BytesIO()
    image.save(file, "WEBP", quality=int(rng.integers(0, 101)), method=0, **options)
    return file.getvalue()


def _changed(rng: np.random.Generator, whole: bytes) -> bytes:
    data, how = bytearray(whole), str(rng.choice(_HOW))
    if how == "cut":
        del data[int(rng.integers(12, len(data) + 1)) :]
    elif how == "cut, its length right":
        del data[int(rng.integers(12, len(data) + 1)) // 2 * 2 :]
    elif how == "longer":
        data += rng.bytes(int(rng.integers(1, 50)))
    elif how == "inserted":
        at = int(rng.integers(12, len(data)))
        data[at:at] = rng.bytes(2 * int(rng.integers(1, 9)))
    else:
        end = 60 if rng.random() < 0.3 else len(data)
        for _ in range(int(rng.integers(1, 4))):
            data[int(rng.integers(0, min(end, len(data))))] = int(rng.integers(0, 256))
    if how in ("cut, its length right", "inserted"):
        data[4:8] = (len(data) - 8).to_bytes(4, "little")
    return bytes(data)


if __name__ == "__main__":
    main()
