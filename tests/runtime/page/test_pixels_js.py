"""Placement, resizing, turning and the self-test's pixels in JavaScript: the same bytes as in Python."""

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeclf.images.contract import ImageContract
from edgeclf.images.orientation_and_colour import _TRANSPOSE_BY_ORIENTATION
from edgeclf.images.placement import place
from edgeclf.images.preprocess import fit
from edgeclf.images.resize import resized
from edgeclf.model.selftest import enlarge_pixels, reduce_pixels
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
RESIZES = ("crop", "pad", "squash")

# What all scripts begin with: pictures are in one file, results go back as digests.
PICTURES = """
    const fs = await import("node:fs"), { createHash } = await import("node:crypto");
    const { fit, resized } = await load("pixels-resize.js");
    const { upright } = await load("pixels-orientation.js");
    const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");
    const bytes = new Uint8Array(fs.readFileSync(argument.file));
    const picture = ({ start, width, height }) => (
        { data: bytes, start, width, height, stepX: 3, stepY: 3 * width });
"""


def digest(pixels: Pixels) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def noise(width: int, height: int, seed: int = 0) -> Pixels:
    return np.random.default_rng((seed, width, height)).integers(0, 256, (height, width, 3), dtype=np.uint8)


def random_size(rng: np.random.Generator, largest: int) -> tuple[int, int]:
    width, height = (max(1, int(v)) for v in np.exp(rng.uniform(0, math.log(largest), 2)))
    return width, height


def in_one_file(pictures: Sequence[Pixels], file: Path) -> list[dict[str, int]]:
    """Write pictures one after the other; where each one is."""
    places, start = [], 0
    with file.open("wb") as out:
        for pixels in pictures:
            out.write(pixels.tobytes())
            places.append({"start": start, "width": pixels.shape[1], "height": pixels.shape[0]})
            start += pixels.size
    return places


def test_photos_are_placed_as_in_python(in_node: Callable[..., Any]) -> None:
    rng = np.random.default_rng(1)
    jobs, expected = [], []
    for number in range(6000):
        width, height = random_size(rng, 20000)
        size = int(rng.integers(8, 700))
        fraction = float(rng.choice([1.0, 0.875, 0.5, 0.37, rng.uniform(0.01, 1)]))
        contract = ImageContract(size, RESIZES[number % 3], fraction)  # type: ignore[arg-type]
        where = place(width, height, size, contract.resize, fraction)
        seen = [round(edge, 2) for edge in where.input_on_photo()]
        jobs.append([width, height, contract.to_dict()])
        expected.append([list(where.source), list(where.target), where.scale, list(where.input_on_photo()), seen])
    found = in_node(
        """
        const { place, scaleOf, inputOnPhoto, seenBox } = await load("pixels-placement.js");
        return argument.map(([width, height, contract]) => {
            const where = place(width, height, contract);
            return [where.source, where.target, scaleOf(where), inputOnPhoto(where), seenBox(width, height, contract)];
        });""",
        jobs,
    )
    assert found == expected


def test_numbers_are_rounded_as_in_python(in_node: Callable[..., Any]) -> None:
    rng = np.random.default_rng(2)
    ties = [number / 8 for number in range(-99, 99)] + [number / 128 for number in range(-500, 500)]
    values = [*ties, 0.5, 1.5, 2.5, 1e-7, 2.675, 1.005, 1e15 + 0.5, *map(float, rng.normal(0, 100, 3000))]
    found = in_node(
        """
        const { roundDigits, roundHalfEven } = await load("rounding.js");
        return argument.map((value) => [roundHalfEven(value), roundDigits(value, 2), roundDigits(value, 6)]);""",
        values,
    )
    assert found == [[round(value), round(value, 2), round(value, 6)] for value in values]


@pytest.mark.parametrize("resize", RESIZES)
def test_every_shape_gives_the_bytes_of_python(in_node: Callable[..., Any], tmp_path: Path, resize: Any) -> None:
    rng = np.random.default_rng(3)
    pictures = [noise(*random_size(rng, 400)) for _ in range(1000)]
    contracts = [
        ImageContract(int(rng.integers(8, 160)), resize, float(rng.choice([1.0, 0.875, rng.uniform(0.05, 1)])))
        for _ in pictures
    ]
    jobs = in_one_file(pictures, tmp_path / "pictures")
    found = in_node(
        PICTURES + "return argument.jobs.map(([place, contract]) => digest(fit(picture(place), contract)));",
        {
            "file": str(tmp_path / "pictures"),
            "jobs": [[job, one.to_dict()] for job, one in zip(jobs, contracts, strict=True)],
        },
    )
    expected = [digest(fit(Image.fromarray(p), c)) for p, c in zip(pictures, contracts, strict=True)]
    assert [n for n, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1]] == []


def test_every_box_gives_the_bytes_of_python(in_node: Callable[..., Any], tmp_path: Path) -> None:
    """Boxes at any fraction of a pixel, of any shape, reduced and enlarged to any shape."""
    rng = np.random.default_rng(4)
    pictures = [noise(*random_size(rng, 300), seed=1) for _ in range(2000)]
    jobs, expected = [], []
    for where, pixels in zip(in_one_file(pictures, tmp_path / "pictures"), pictures, strict=True):
        width, height = random_size(rng, 200)
        x = np.sort(rng.uniform(0, where["width"], 2))
        y = np.sort(rng.uniform(0, where["height"], 2))
        if x[1] - x[0] < 0.01 or y[1] - y[0] < 0.01:
            x, y = np.array([0.0, where["width"]]), np.array([0.0, where["height"]])
        box = (float(x[0]), float(y[0]), float(x[1]), float(y[1]))
        jobs.append([where, width, height, box])
        expected.append(digest(np.asarray(resized(Image.fromarray(pixels), (width, height), box))))
    script = "return argument.jobs.map(([at, w, h, box]) => digest(resized(picture(at), w, h, box)));"
    found = in_node(PICTURES + script, {"file": str(tmp_path / "pictures"), "jobs": jobs})
    assert [jobs[n] for n, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1]] == []


def test_photos_of_twelve_megapixels_give_the_bytes_of_python(in_node: Callable[..., Any], tmp_path: Path) -> None:
    pictures = [np.tile(noise(250, 300, 7), (10, 16, 1)), np.tile(noise(300, 250, 8), (16, 10, 1))]
    places = in_one_file(pictures, tmp_path / "pictures")
    jobs = [[place, ImageContract(224, resize).to_dict()] for resize in RESIZES for place in places]  # type: ignore[arg-type]
    found = in_node(
        PICTURES + "return argument.jobs.map(([at, contract]) => digest(fit(picture(at), contract)));",
        {"file": str(tmp_path / "pictures"), "jobs": jobs},
    )
    assert found == [
        digest(fit(Image.fromarray(p), ImageContract(224, resize)))  # type: ignore[arg-type]
        for resize in RESIZES
        for p in pictures
    ]


def test_a_long_and_narrow_photo_is_refused_in_the_words_of_python(in_node: Callable[..., Any]) -> None:
    script = """
        const { fit } = await load("pixels-resize.js");
        const data = new Uint8Array(0);
        try { fit({ data, start: 0, width: 100, height: 300000, stepX: 3, stepY: 300 }, argument); }
        catch (error) { return [error.kind, error.message, error.remedy, error.text]; }"""
    message = "100 x 300000 pixels are too long and narrow a shape for a photo"
    found = in_node(script, ImageContract(224, "squash").to_dict())
    assert found == ["too-large", message, "crop it", f"{message}; crop it"]


def test_photos_are_turned_as_in_python(in_node: Callable[..., Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    pictures = [noise(*random_size(rng, 200), seed=2) for _ in range(800)]
    jobs, expected = [], []
    for number, (where, pixels) in enumerate(zip(in_one_file(pictures, tmp_path / "p"), pictures, strict=True)):
        orientation, contract = 1 + number % 8, ImageContract(8 + number % 60, RESIZES[number % 3])  # type: ignore[arg-type]
        image = Image.fromarray(pixels)
        turn = _TRANSPOSE_BY_ORIENTATION.get(orientation)
        jobs.append([where, orientation, contract.to_dict()])
        expected.append(digest(fit(image if turn is None else image.transpose(turn), contract)))
    script = "return argument.jobs.map(([at, turn, contract]) => digest(fit(upright(picture(at), turn), contract)));"
    found = in_node(PICTURES + script, {"file": str(tmp_path / "p"), "jobs": jobs})
    assert [jobs[n] for n, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1]] == []


def test_the_pixels_of_the_self_test_are_those_of_python(in_node: Callable[..., Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    jobs, pictures, expected = [], [], []
    for number in range(150):
        side = int(rng.integers(1, 64))
        size = 1500 if number == 0 else int(rng.integers(side, 300))
        small, large = noise(side, side, number), noise(size, size, number) if number else noise(64, 64)
        jobs += [["enlargePixels", side, size], ["reducePixels", large.shape[0], side]]
        pictures += [small, large]
        expected += [digest(enlarge_pixels(small, size)), digest(reduce_pixels(large, side))]
    places = in_one_file(pictures, tmp_path / "pictures")
    found = in_node(
        PICTURES
        + """
        const golden = await load("pixels-golden.js");
        return argument.jobs.map(([{ start, width }, [name, ...sizes]]) =>
            digest(golden[name](bytes.subarray(start, start + width * width * 3), ...sizes)));""",
        {"file": str(tmp_path / "pictures"), "jobs": list(zip(places, jobs, strict=True))},
    )
    assert [jobs[n] for n, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1]] == []
