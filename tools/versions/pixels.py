"""What these versions of Pillow, numpy and onnxruntime make of photos, as JSON on stdout: started by tools/versions.

python pixels.py PHOTOS.json
"""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import PIL
from edgeclf import Classifier
from edgeclf.errors import PhotoError
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import network_input
from numpy.typing import NDArray

CONTRACTS = (
    ImageContract(224, "crop", 0.875),
    *(ImageContract(160, resize, door=door) for resize in ("crop", "pad", "squash") for door in (1, 2)),
)


def digest(make: Callable[[], NDArray[np.generic]]) -> str:
    try:
        return hashlib.sha256(make().tobytes()).hexdigest()[:16]
    except PhotoError as error:
        return error.kind


def main() -> None:
    photos = [Path(name) for name in json.loads(Path(sys.argv[1]).read_text())]
    classifier = Classifier(device="cpu", threads=1)
    found = {}
    for photo in photos:
        data = photo.read_bytes()
        rows = [digest(lambda data=data, contract=contract: network_input(data, contract)) for contract in CONTRACTS]

        def logits(data: bytes = data) -> NDArray[np.generic]:
            answered = classifier.predict(data, logits=True).logits
            assert answered is not None
            return answered

        found[str(photo)] = [*rows, digest(logits)]
    packages = f"Pillow {PIL.__version__}, numpy {np.__version__}, onnxruntime {onnxruntime.__version__}"
    print(json.dumps({"packages": packages, "photos": found}))


if __name__ == "__main__":
    main()
