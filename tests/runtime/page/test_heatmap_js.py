"""The page draws heat maps as ``edgeclf.heatmaps.overlay`` does."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeclf.heatmaps import overlay
from edgeclf.images.placement import place
from helpers import draw
from PIL import Image

STRENGTH = 0.55
# What drawHeatMap lets the canvas do, in plain arithmetic.
PICTURE = """
    const { coloured, dimUnseen, layoutOf } = await load("heatmap.js");
    const { explanation, pixels, strength } = argument;
    const layout = layoutOf(explanation, 1e6);
    const [left, top, right, bottom] = layout.seen;
    const photo = new Uint8ClampedArray(pixels);
    dimUnseen(photo, layout.width, layout.seen);
    const colours = coloured(explanation.maps[0], right - left, bottom - top);
    for (let y = top; y < bottom; y += 1) for (let x = left; x < right; x += 1) {
        const to = (y * layout.width + x) * 4, from = ((y - top) * (right - left) + x - left) * 4;
        const opacity = (strength * colours[from + 3]) / 255;
        for (let c = 0; c < 3; c += 1) photo[to + c] = photo[to + c] * (1 - opacity) + colours[from + c] * opacity;
    }
    return { width: layout.width, height: layout.height, photo: layout.photo, pixels: Array.from(photo) };
"""


def _explanation(cam: Any, size: tuple[int, int], seen: tuple[float, ...]) -> dict[str, Any]:
    one = {"label": "king", "probability": 0.9, "padding_share": 0.0, "height": cam.shape[0], "width": cam.shape[1]}
    values = (cam / max(float(cam.max()), 1e-9)).ravel().tolist()
    return {"photo": {"width": size[0], "height": size[1]}, "seen": list(seen), "maps": [{**one, "values": values}]}


@pytest.mark.parametrize("size", [(160, 120), (100, 200), (64, 64)])
@pytest.mark.parametrize("resize", ["crop", "squash", "pad"])
def test_the_same_picture_as_the_overlay(in_node: Callable[..., Any], size: tuple[int, int], resize: str) -> None:
    cam = np.random.default_rng(3).random((7, 7), np.float32) ** 2
    placement = place(*size, 32, resize, 0.9)
    photo = draw(1, *size)
    expected = np.asarray(overlay.draw(photo, cam, placement, STRENGTH, None), np.int16)

    explanation = _explanation(cam, size, placement.input_on_photo())
    left, top = (max(0, -round(edge)) for edge in placement.input_on_photo()[:2])
    canvas = Image.new("RGBA", (expected.shape[1], expected.shape[0]))
    canvas.paste(photo, (left, top))
    argument = {"explanation": explanation, "pixels": np.asarray(canvas).ravel().tolist(), "strength": STRENGTH}
    drawn = in_node(PICTURE, argument)

    assert (drawn["height"], drawn["width"]) == expected.shape[:2]
    assert drawn["photo"] == [left, top, left + size[0], top + size[1]]
    got = np.array(drawn["pixels"], np.int16).reshape(*expected.shape[:2], 4)[..., :3]
    inside = (slice(top + 1, top + size[1] - 1), slice(left + 1, left + size[0] - 1))
    wrong = np.abs(got[inside] - expected[inside]).max(axis=2) > 3
    if resize == "crop":  # the white frame is drawn on the canvas afterwards
        x0, y0, x1, y1 = (round(edge) for edge in placement.input_on_photo())
        frame = np.zeros(expected.shape[:2], bool)
        frame[y0:y1, x0:x1] = True
        frame[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1] = False
        wrong &= ~frame[inside]
    assert not wrong.any(), f"{wrong.sum()} pixels differ"


def test_a_map_of_zeros_leaves_the_photo(in_node: Callable[..., Any]) -> None:
    script = 'return Array.from((await load("heatmap.js")).coloured(argument, 8, 8)).filter((_, at) => at % 4 === 3);'
    assert set(in_node(script, {"height": 7, "width": 7, "values": [0] * 49})) == {0}


def test_large_photos_are_drawn_small(in_node: Callable[..., Any]) -> None:
    explanation = _explanation(np.ones((7, 7)), (4000, 400), (0, -1800, 4000, 2200))
    layout = in_node('return (await load("heatmap.js")).layoutOf(argument, 1280);', explanation)
    assert (layout["width"], layout["height"]) == (1280, 1280)
    assert layout["photo"] == [0, 576, 1280, 704]
    assert layout["seen"] == [0, 0, 1280, 1280]


def test_colours_are_those_of_the_overlay(in_node: Callable[..., Any], page: Path) -> None:
    expected = overlay._COLOURS.tolist()
    assert in_node('return (await load("heatmap.js")).COLOURS;') == expected
    scale = re.search(r"\.heat-scale \{.*?\}", (page / "page.css").read_text(), re.S)
    assert scale is not None
    assert [[float(n) for n in rgb] for rgb in re.findall(r"rgb\((\d+) (\d+) (\d+)\)", scale[0])] == expected
