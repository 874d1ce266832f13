"""What transformers in Python makes of photos: run by `answers.py`, with the fetched packages on its path."""

import io
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
from PIL import Image
from transformers import AutoImageProcessor


def main() -> None:
    """Photos come in as a .npz; pixels and logits go out as one."""
    folder, file = Path(sys.argv[1]), sys.argv[2]
    photos = np.load(io.BytesIO(sys.stdin.buffer.read()))
    processor = AutoImageProcessor.from_pretrained(folder)
    session = ort.InferenceSession(folder / "onnx" / file)
    pixels, logits = [], []
    for name in photos.files:
        with Image.open(io.BytesIO(photos[name].tobytes())) as image:
            values = np.asarray(processor(image.convert("RGB"), return_tensors="np")["pixel_values"], np.float32)
        pixels.append(values[0])
        logits.append(session.run(["logits"], {"pixel_values": values})[0][0])
    out = io.BytesIO()
    np.savez(out, pixels=np.stack(pixels), logits=np.stack(logits))
    sys.stdout.buffer.write(out.getvalue())


if __name__ == "__main__":
    main()
