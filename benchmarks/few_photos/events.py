"""What events gain over single photos: on drawn bursts, and on bursts made from near-duplicates of real photos.

    python benchmarks/few_photos/events.py --out /tmp/events
    python benchmarks/few_photos/events.py --out /tmp/events --photos ../shared/data/hymenoptera ../shared/data/flowers

A network is trained on a few single photos of each class, then asked about bursts of things that it has not seen.

    drawn      one penguin that turns and moves its head, shot after shot (drawn_bursts.py)
    photos     each held-out photo five times: cropped by up to 30 % of a side somewhere else, in other light, with
               noise and a hand that moves; EXIF times 2 seconds apart

The table has the share of photos that are right alone, and right with the answer of their event, as
`edgeclf evaluate --events` counts them. What is there already is not made again.
"""

import argparse
import json
import random
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from drawn_bursts import SECONDS, write_bursts
from edgeclf import Classifier
from edgeclf.evaluation.evaluate import evaluate
from edgeclf.evaluation.labelled_photos import find_labelled_photos
from edgeclf.files.walk import image_files
from edgeclf.images.preprocess import upright_rgb
from edgeclf_export import export_run
from edgeclf_training import TrainOptions, train
from PIL import Image, ImageEnhance, ImageFilter

SHOTS = 5
_NEW = 1000  # added to the seed of bursts that are drawn for the test


def jittered(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A photo as the next shot of a burst may show it, at most 320 pixels."""
    shares = rng.uniform(0.7, 1.0, 2)
    width, height = (round(side * share) for side, share in zip(photo.size, shares, strict=True))
    left, top = (int(rng.integers(0, most + 1)) for most in (photo.width - width, photo.height - height))
    shot = photo.crop((left, top, left + width, top + height))
    shot.thumbnail((320, 320))
    shot = ImageEnhance.Brightness(shot).enhance(float(rng.uniform(0.6, 1.5)))
    shot = ImageEnhance.Contrast(shot).enhance(float(rng.uniform(0.7, 1.3)))
    shot = shot.filter(ImageFilter.GaussianBlur(float(rng.gamma(1.5, 0.6)) * max(shot.size) / 320))
    noise = rng.normal(0, float(rng.gamma(2, 4)), (shot.height, shot.width, 3))
    return Image.fromarray(np.clip(np.asarray(shot, float) + noise, 0, 255).astype(np.uint8))


def write_real(data: Path, folder: Path, given: argparse.Namespace, seed: int) -> None:
    """``train/`` with a few photos of each class, and ``bursts/`` with bursts of other photos."""
    parts = [data / "train", data / "val"] if (data / "train").is_dir() else [data]
    start = datetime(2026, 5, 1, 8)
    for name in sorted(path.name for path in parts[0].iterdir() if path.is_dir()):
        found = [sorted(image_files(str(part / name))) for part in parts]
        for one in found:
            random.Random(seed).shuffle(one)  # noqa: S311
        shown, held = (found[0][: given.per_class], found[-1][-given.bursts :])
        for part in ("train", "bursts"):
            (folder / part / name).mkdir(parents=True)
        for path in shown:
            shutil.copy(path, folder / "train" / name)
        for number, path in enumerate(held):
            photo = upright_rgb(path)
            rng = np.random.default_rng([seed, number])
            for shot in range(SHOTS):
                exif = Image.Exif()
                exif[0x0110] = "Camera"
                exif.get_ifd(0x8769)[0x9003] = f"{start + timedelta(seconds=2 * shot):%Y:%m:%d %H:%M:%S}"
                file = folder / "bursts" / name / f"{number:03}-{shot}.jpg"
                jittered(photo, rng).save(file, quality=85, exif=exif)
            start += timedelta(minutes=10)


def write_drawn(folder: Path, given: argparse.Namespace, seed: int) -> None:
    """The same two folders, with drawn penguins."""
    write_bursts(folder / "train", given.per_class, 1, 160, seed)
    write_bursts(folder / "bursts", given.bursts, SHOTS, 160, _NEW + seed)


def one_run(folder: Path, options: TrainOptions) -> dict[str, float]:
    """Train, export, and evaluate with events."""
    result = folder / "result.json"
    if not result.exists():
        shutil.rmtree(folder / "run", ignore_errors=True)
        run = train(folder / "train", folder / "run", options, report=False, on_event=lambda _: None)
        export_run(run, folder / "model.onnx", golden=False, force=True, on_event=lambda _: None)
        classifier = Classifier(folder / "model.onnx", for_many=True)
        photos = find_labelled_photos(folder / "bursts", classifier.labels)
        found = evaluate(classifier, photos, events=SECONDS + 1)
        assert found.events is not None
        row = {
            "photos": found.metrics.photos,
            "events": found.events.events,
            "alone": found.metrics.accuracy,
            "together": found.events.photos_correct / found.metrics.photos,
            "gained": found.events.gained,
            "lost": found.events.lost,
            "answered alone": found.answered / found.metrics.photos,
            "answered events": found.events.answered / found.events.events,
            "wrong of answered alone": found.wrong / max(1, found.answered),
            "wrong of answered events": found.events.wrong / max(1, found.events.answered),
        }
        result.write_text(json.dumps(row))
    values: dict[str, float] = json.loads(result.read_text())
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--photos", nargs="*", type=Path, default=[], help="folders of class folders, or of train/, val/"
    )
    parser.add_argument("--per-class", type=int, default=30, help="training photos of each class")
    parser.add_argument("--bursts", type=int, default=20, help="of each class, for the test")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--no-drawn", action="store_true", help="real photos only")
    given = parser.parse_args()
    print("| | photos, events | right alone | right with the event | gain, points |\n|---|---|---|---|---|", flush=True)
    for data in given.photos if given.no_drawn else (None, *given.photos):
        rows = []
        for seed in given.seeds:
            folder = given.out / f"{'drawn' if data is None else data.name}-{seed}"
            if not folder.exists():
                part = folder.with_name(f"{folder.name}.part")
                shutil.rmtree(part, ignore_errors=True)
                write_drawn(part, given, seed) if data is None else write_real(data, part, given, seed)
                part.rename(folder)
            plain = TrainOptions(epochs=given.epochs, image_size=given.image_size, workers=0, seed=seed)
            rows.append(one_run(folder, plain))
        alone, together = (np.array([100 * row[key] for row in rows]) for key in ("alone", "together"))
        gain = together - alone
        print(
            f"| {folder.name[:-2]} | {rows[0]['photos']}, {rows[0]['events']} "
            f"| {alone.mean():.1f} % ({alone.min():.1f} to {alone.max():.1f}) "
            f"| {together.mean():.1f} % ({together.min():.1f} to {together.max():.1f}) "
            f"| {gain.mean():+.1f} ({gain.min():+.1f} to {gain.max():+.1f}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
