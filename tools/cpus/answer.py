"""What this CPU answers, as JSON on stdout: started on each CPU by ``tools/cpus``, with the runtime package alone.

python answer.py MODEL PHOTO...
"""

import base64
import hashlib
import json
import sys

from edgeclf import Classifier
from edgeclf.images.preprocess import network_input
from edgeclf.model.selftest import run_selftest
from edgeclf.model.session import import_onnxruntime


def main() -> None:
    model, *photos = sys.argv[1:]
    classifier = Classifier(model, device="cpu", threads=1)
    rows = []
    for photo in photos:
        pixels = network_input(photo, classifier.manifest.contract)
        logits = classifier.predict(photo, logits=True).logits
        assert logits is not None
        encoded = base64.b64encode(logits.astype("<f4").tobytes()).decode()
        rows.append({"pixels": hashlib.sha256(pixels.tobytes()).hexdigest(), "logits": encoded})
    failures = run_selftest(classifier._session, classifier.manifest).failures()
    print(json.dumps({"onnxruntime": import_onnxruntime().__version__, "photos": rows, "failures": failures}))


if __name__ == "__main__":
    main()
