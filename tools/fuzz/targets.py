"""What is fuzzed: an input from a seed and a number, and what must come of it."""

import io
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from edgeclf.class_names import no_text
from edgeclf.errors import EdgeclfError, ModelError, PhotoError
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import network_input
from edgeclf.model.file import MANIFEST_KEY, SEAL_LENGTH, read_model_file, seal
from edgeclf.model.onnx_scan import protobuf_fields, scan_model
from mutations import Rng, mutate
from PIL import Image

CONTRACT = ImageContract(32)
MODELS = Path(__file__).parents[2] / "tests" / "runtime" / "models"
_HOSTILE: list[Any] = [None, True, -1, 0, 10**30, 1e308, "NaN", "", "\x1b[2J", "../etc", "x" * 5000, [], {}, [[]]]


@dataclass(frozen=True)
class Target:
    """``make`` gives an input, the same for the same random numbers; ``run`` says in a word what came of it."""

    make: Callable[[Rng], bytes]
    run: Callable[[bytes], str]


def door() -> Target:
    """Bytes -> ``edgeclf.images.preprocess.network_input``."""
    originals = list(photos())

    def make(rng: Rng) -> bytes:
        return mutate(originals[rng.integers(len(originals))], originals, rng)

    def run(data: bytes) -> str:
        try:
            pixels = network_input(data, CONTRACT)
        except PhotoError as error:
            _check_words(error)
            return error.kind
        assert (pixels.shape, pixels.dtype) == ((32, 32, 3), np.uint8)
        return "answered"

    return Target(make, run)


def model() -> Target:
    """Bytes -> ``edgeclf.model.file.read_model_file``, mostly under a seal that fits."""
    originals = [path.read_bytes() for path in sorted(MODELS.glob("*.onnx"))]
    folder = tempfile.TemporaryDirectory(prefix="edgeclf-fuzz-")
    file = Path(folder.name) / "model.onnx"

    def make(rng: Rng) -> bytes:
        data = originals[rng.integers(len(originals))]
        kind = rng.integers(4)
        if kind == 0:
            return mutate(data, originals, rng)
        if kind == 1:
            return seal(mutate(data[:-SEAL_LENGTH], originals, rng))
        text = scan_model(data)[0][MANIFEST_KEY]
        changed = _lie(text, rng) if kind == 2 else mutate(text.encode(), [text.encode()], rng)
        return seal(_with_manifest(data[:-SEAL_LENGTH], changed))

    def run(data: bytes, folder: object = folder) -> str:  # which is removed with this function
        file.write_bytes(data)
        try:
            found = read_model_file(file)
        except ModelError as error:
            _check_words(error)
            return type(error).__name__
        assert data == seal(data[:-SEAL_LENGTH]), "a broken seal was not seen"
        assert all(found.manifest.classes)
        found.manifest.to_json()
        return "answered"

    return Target(make, run)


TARGETS = {"door": door, "model": model}


def _check_words(error: EdgeclfError) -> None:
    text = str(error)
    assert not no_text(text), f"unfit for a terminal: {text!r}"
    assert len(text) < 1000, f"far too long: {text!r}"


def photos() -> Iterator[bytes]:
    """Small files of every format and mode that is read, as Pillow writes them."""
    Image.init()
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    colour = Image.fromarray(coarse).resize((40, 30), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "camera", 72.0
    frames = [colour.rotate(90), colour.rotate(180)]
    for kind, mode, options in (
        ("JPEG", "RGB", {"exif": exif}),
        ("JPEG", "RGB", {"progressive": True, "icc_profile": rng.bytes(300)}),
        ("JPEG", "CMYK", {}),
        ("JPEG", "L", {"restart_marker_blocks": 1, "comment": b"note"}),
        ("MPO", "RGB", {"save_all": True, "append_images": frames}),
        ("PNG", "RGB", {"exif": exif, "icc_profile": rng.bytes(300)}),
        ("PNG", "P", {"transparency": 1}),
        ("PNG", "I;16", {}),
        ("PNG", "RGBA", {"save_all": True, "append_images": frames}),
        ("PNG", "1", {}),
        ("GIF", "P", {"save_all": True, "append_images": frames, "comment": b"note"}),
        ("BMP", "RGB", {}),
        ("BMP", "P", {}),
        ("TIFF", "RGB", {"exif": exif}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("TIFF", "RGB", {"compression": "jpeg"}),
        ("TIFF", "CMYK", {"compression": "tiff_adobe_deflate"}),
        ("TIFF", "1", {"compression": "group4"}),
        ("TIFF", "I;16", {"save_all": True, "append_images": [colour.convert("L")]}),
        ("TIFF", "F", {"big_tiff": True}),
        ("WEBP", "RGB", {"exif": exif}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("WEBP", "RGB", {"save_all": True, "append_images": frames}),
        ("AVIF", "RGB", {"exif": exif}),
        ("AVIF", "RGBA", {}),
        ("JPEG2000", "RGB", {}),
        ("JPEG2000", "RGBA", {"tile_size": (16, 16), "irreversible": True}),
        ("PPM", "RGB", {}),
        ("PPM", "F", {}),
        ("PPM", "I", {}),
        ("TGA", "RGBA", {"compression": "tga_rle"}),
        ("PCX", "RGB", {}),
        ("PCX", "1", {}),
    ):
        if kind in Image.SAVE:
            buffer = io.BytesIO()
            with suppress(OSError):  # a Pillow without that library
                colour.convert("L" if mode == "I;16" else mode).convert(mode).save(buffer, kind, **options)
                yield buffer.getvalue()
    yield b"P3 4 3 255\n" + b"1 20 255\n" * 12
    yield b"P6 4 3 1000\n" + bytes(range(72))
    yield b"P5 4 3 7\n" + bytes(range(12))
    with suppress(ImportError):
        from pillow_heif import from_pillow

        buffer = io.BytesIO()
        from_pillow(colour).save(buffer, quality=50)
        yield buffer.getvalue()


def _lie(text: str, rng: Rng) -> bytes:
    """Any value of the manifest replaced, the contract's hash made to fit."""
    values = json.loads(text)
    where, key = values, rng.choice(sorted(values))
    while isinstance(where[key], dict | list) and where[key] and rng.random() < 0.7:
        where = where[key]
        key = rng.choice(sorted(where)) if isinstance(where, dict) else int(rng.integers(len(where)))
    where[key] = _HOSTILE[rng.integers(len(_HOSTILE))]
    with suppress(Exception):
        values["contract_sha256"] = ImageContract(**values["contract"]).digest()
    return json.dumps(values).encode()


def _with_manifest(model: bytes, text: bytes) -> bytes:
    """The unsealed bytes of a model with another manifest: metadata_props (field 14) written anew, at the end."""
    kept, before = [], 0
    for number, _, end in protobuf_fields(model, 0, len(model)):
        if end:  # varints lie between the fields with content and are kept with the next one
            if number != 14:
                kept.append(model[before:end])
            before = end
    entry = b"\x0a" + _varint(len(MANIFEST_KEY)) + MANIFEST_KEY.encode() + b"\x12" + _varint(len(text)) + text
    return b"".join(kept) + model[before:] + b"\x72" + _varint(len(entry)) + entry


def _varint(value: int) -> bytes:
    low = b""
    while value > 127:
        low, value = low + bytes([value & 127 | 128]), value >> 7
    return low + bytes([value])
