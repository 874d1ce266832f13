"""Photos' files that go through the page's preprocessing under node, and what Python makes of them."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from edgeclf.errors import PhotoError
from edgeclf.images.contract import ImageContract
from edgeclf.images.photo_bytes import NamedPhoto
from edgeclf.images.preprocess import fit, upright_with_size

NAME = "IMG 1.jpg"
Job = tuple[bytes, ImageContract]

_SCRIPT = """
    const fs = await import("node:fs"), { createHash } = await import("node:crypto");
    const { networkInput } = await load("pixels.js");
    const { openJpegDecoder } = await load("pixels-jpeg-wasm.js");
    const decoder = await openJpegDecoder(fs.readFileSync(argument.decoder));
    const answers = [];
    let time = 0;
    const file = fs.openSync(argument.file);
    for (const [length, contract] of argument.jobs) {
        const data = new Uint8Array(length);
        fs.readSync(file, data, 0, length, null);
        const start = performance.now();
        try {
            const { pixels, ...rest } = await networkInput(data, contract, { name: argument.name, decoder });
            time += performance.now() - start;
            answers.push({ pixels: createHash("sha256").update(pixels).digest("hex"), ...rest });
        } catch (error) {
            if (!error.kind) throw error;
            answers.push({ kind: error.kind, message: error.message, remedy: error.remedy });
        }
    }
    return { answers, time };"""


def in_javascript(
    in_node: Callable[..., Any], jobs: Sequence[Job], decoder: Path, folder: Path
) -> tuple[list[dict[str, Any]], float]:
    """What ``networkInput`` gives for files, and the seconds it took."""
    with (folder / "photos").open("wb") as out:
        out.writelines(data for data, _ in jobs)
    values = [[len(data), contract.to_dict()] for data, contract in jobs]
    argument = {"file": str(folder / "photos"), "jobs": values, "decoder": str(decoder), "name": NAME}
    found = in_node(_SCRIPT, argument)
    return found["answers"], found["time"] / 1000


def in_python(data: bytes, contract: ImageContract) -> dict[str, Any]:
    """The same for one file, from ``edgeclf.images.preprocess``."""
    try:
        upright, size = upright_with_size(NamedPhoto(NAME, data), contract)
        pixels = fit(upright, contract)
    except PhotoError as error:
        return {"kind": error.kind, "message": error.message, "remedy": error.remedy}
    seen = [round(edge, 2) for edge in contract.placement(*size).input_on_photo()]
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    return {"pixels": digest, "exact": True, "width": size[0], "height": size[1], "seen": seen}


def random_contract(rng: np.random.Generator) -> ImageContract:
    """Of any size and way to resize, so that JPEGs are decoded at every scale."""
    resize: Any = rng.choice(["crop", "pad", "squash"])
    fraction, margin = float(rng.choice([1.0, 0.875, 0.6])), float(rng.choice([1.0, 2.0, 4.0]))
    return ImageContract(int(rng.integers(8, 130)), str(resize), fraction, margin)  # type: ignore[arg-type]
