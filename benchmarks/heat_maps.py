"""Are heat maps right? On photos whose field marks are known, and by what happens when the hot places are hidden.

    edgeclf sample-data drawn --per-class 30 --seed 7
    python benchmarks/heat_maps.py penguins.onnx penguins-int8.onnx --drawn drawn
    python benchmarks/heat_maps.py ants.onnx ants-int8.onnx --photos hymenoptera/val

* Drawn photos carry the box of what tells the species. Pointing game (Zhang et al. 2018): how often the hottest place
  lies in the box. Energy (Wang et al. 2020): the share of the map's heat inside it. A map that says nothing would have
  the share of the photo that the box covers.
* Any photos: deletion and insertion (Petsiuk et al. 2018): the area under the class's probability while the hottest
  places are blurred first (lower is better), or shown first on a blurred photo (higher is better), against a map of
  random blobs and a blob in the centre. The best-ranked class is explained, right or wrong.

The tables are printed, or written to a document by --docs.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from edgeclf import Classifier
from edgeclf.errors import ExplainError, PhotoError
from edgeclf.field.find_photos import find_photos
from edgeclf.results import Explanation
from numpy.typing import NDArray
from PIL import Image, ImageFilter

STEPS, SIDE = 16, 320  # parts in which a photo is hidden; its longer side in pixels while that is done

Map = NDArray[np.float32]


@dataclass(frozen=True)
class Marks:
    """What is counted on photos whose marks are known."""

    photos: int
    without_map: int
    pointed: int
    energy: float
    area: float


@dataclass(frozen=True)
class Areas:
    """Areas under the curves of one way to make maps, means over the photos, and their standard errors."""

    deletion: float
    deletion_error: float
    insertion: float
    insertion_error: float


def on_marks(classifier: Classifier, folder: Path) -> Marks:
    """The heat map of each photo's true class against the box of its mark."""
    described = json.loads((folder / "marks.json").read_text())["photos"]
    pointed, empty, energy, area = 0, 0, [], []
    for name, said in described.items():
        why = _explained(classifier, folder / name, said["label"])
        if why is None or not why.photo_map.any():
            empty += 1
            continue
        x0, y0, x1, y1 = said["box"]
        heat = why.photo_map
        y, x = np.unravel_index(int(heat.argmax()), heat.shape)
        pointed += int(x0 <= x < x1 and y0 <= y < y1)
        energy.append(float(heat[y0:y1, x0:x1].sum() / heat.sum()))
        area.append((x1 - x0) * (y1 - y0) / heat.size)
    return Marks(len(described), empty, pointed, float(np.mean(energy)), float(np.mean(area)))


def hidden_and_shown(classifier: Classifier, paths: list[str]) -> tuple[int, dict[str, Areas]]:
    """Deletion and insertion for our maps, random ones and a centre blob: photos with a map, and the areas."""
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in ("heat map", "random blobs", "centre blob")}
    for number, path in enumerate(paths):
        why = _explained(classifier, Path(path), None)
        if why is None or not why.photo_map.any():
            continue
        photo = why.photo.copy()
        photo.thumbnail((SIDE, SIDE))
        heat = np.asarray(Image.fromarray(why.photo_map).resize(photo.size, Image.Resampling.BILINEAR))
        for name, guess in zip(rows, (heat, _blobs(heat.shape, number), _centre(heat.shape)), strict=True):
            rows[name].append(_areas(classifier, photo, guess, why.label.label))
    found = {}
    for name, pairs in rows.items():
        values = np.array(pairs)
        mean, error = values.mean(0), values.std(0, ddof=1) / np.sqrt(len(values))
        found[name] = Areas(float(mean[0]), float(error[0]), float(mean[1]), float(error[1]))
    return len(rows["heat map"]), found


def _explained(classifier: Classifier, path: Path, label: str | None) -> Explanation | None:
    try:
        return classifier.explain(path, label)
    except (ExplainError, PhotoError):
        return None


def _areas(classifier: Classifier, photo: Image.Image, heat: Map, label: str) -> tuple[float, float]:
    """Areas under the class's probability: hiding the hottest places first, and showing them first."""
    sharp = np.asarray(photo)
    blurred = np.asarray(photo.filter(ImageFilter.GaussianBlur(max(photo.size) / 20)))
    rank = np.empty(heat.size, np.int64)
    rank[np.argsort(-heat, axis=None, kind="stable")] = np.arange(heat.size)
    part = (rank * STEPS // heat.size).reshape(heat.shape)

    def curve(first: NDArray[np.uint8], then: NDArray[np.uint8]) -> float:
        pictures = (np.where((part < done)[..., None], then, first) for done in range(STEPS + 1))
        return float(np.trapezoid([_probability(classifier, p, label) for p in pictures], dx=1 / STEPS))

    return curve(sharp, blurred), curve(blurred, sharp)


def _probability(classifier: Classifier, picture: NDArray[np.uint8], label: str) -> float:
    ranking = classifier.predict(picture, top_k=len(classifier.labels)).ranking
    return next(entry.probability for entry in ranking if entry.label == label)


def _blobs(shape: tuple[int, ...], seed: int) -> Map:
    """Smooth noise on a grid as coarse as a network's last convolution's."""
    grid = Image.fromarray(np.random.default_rng(seed).random((7, 7), dtype=np.float32))
    return np.asarray(grid.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))


def _centre(shape: tuple[int, ...]) -> Map:
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in shape)
    return np.exp(-2 * (y[:, None] ** 2 + x[None, :] ** 2))


def tables(models: list[str], drawn: Path | None, photos: list[str]) -> Iterator[str]:
    """Markdown, a table at a time."""
    classifiers = {f"{c.manifest.architecture}, {c.manifest.precision}": c for c in map(Classifier, models)}
    if drawn is not None:
        yield "| | photos | hottest place on the mark | heat on the mark | share of the photo | empty maps |"
        yield "|---|---|---|---|---|---|"
        for name, classifier in classifiers.items():
            m = on_marks(classifier, drawn)
            shown = m.photos - m.without_map
            yield (
                f"| {name} | {m.photos} | {m.pointed} of {shown} ({m.pointed / max(1, shown):.0%}) "
                f"| {m.energy:.1%} | {m.area:.1%} | {m.without_map} |"
            )
        yield ""
    if photos:
        yield "| | photos | map | deletion (lower is better) | insertion (higher is better) |"
        yield "|---|---|---|---|---|"
        for name, classifier in classifiers.items():
            count, areas = hidden_and_shown(classifier, photos)
            for kind, a in areas.items():
                deleted = f"{a.deletion:.3f} ± {a.deletion_error:.3f}"
                yield f"| {name} | {count} | {kind} | {deleted} | {a.insertion:.3f} ± {a.insertion_error:.3f} |"
        yield ""


INTRO = """# How good are the heat maps?

Written by `python benchmarks/heat_maps.py`. The networks of docs/precision.md that see 128
pixels, as FP32 and INT8 files.

On drawn penguins, of a seed no network has seen, it is known where the mark is that tells the species: how often the
hottest place of the true class's map lies in its box (pointing game, Zhang et al. 2018), and which share of the heat
(energy, Wang et al. 2020). A map that says nothing would have the share of the photo that the box covers.

On real photos (dishes and flowers): the area under the best-ranked class's probability while the hottest places are
blurred first (deletion), or shown first on a blurred photo (insertion; Petsiuk et al. 2018), against random blobs and a
blob in the centre; ± one standard error. Subjects lie in the centre of most of these photos, which makes that blob hard
to beat.

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL.onnx")
    parser.add_argument("--drawn", type=Path, help="a folder made by `edgeclf sample-data`")
    parser.add_argument("--photos", nargs="+", default=[], help="photos, folders or globs")
    parser.add_argument("--most", type=int, default=100, help="photos for deletion and insertion")
    parser.add_argument("--docs", type=Path, help="write the tables here")
    given = parser.parse_args()
    found = [str(photo.source) for photo in find_photos(given.photos)] if given.photos else []
    chosen = found[:: max(1, len(found) // given.most)][: given.most]
    lines = []
    for line in tables(given.models, given.drawn, chosen):
        print(line, flush=True)
        lines.append(line)
    if given.docs:
        given.docs.write_text(INTRO + "\n".join(lines).rstrip() + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
