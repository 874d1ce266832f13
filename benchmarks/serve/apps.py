"""Two services that people write around a classifier with FastAPI: what `edgeclf serve` is measured against.

    python apps.py by-hand|rembg-style PORT

by-hand: `async def` with UploadFile, and the prediction inside it. rembg-style: the photo as `File(...)` in a plain
function, which FastAPI runs in its pool of 40 threads. Both use edgeclf's Classifier, so only the serving differs.
"""

import sys
from dataclasses import asdict
from typing import Annotated, Any

import uvicorn
from edgeclf import Classifier
from fastapi import FastAPI, File, UploadFile

app = FastAPI()
classifier = Classifier()


def answer(photo: bytes) -> list[dict[str, Any]]:
    """The ranking of a photo."""
    return [asdict(one) for one in classifier.predict(photo).ranking]


if sys.argv[1] == "by-hand":

    @app.post("/predict")
    async def by_hand(file: UploadFile) -> list[dict[str, Any]]:
        """The prediction inside the event loop."""
        return answer(await file.read())

else:

    @app.post("/predict")
    def rembg_style(file: Annotated[bytes, File()]) -> list[dict[str, Any]]:
        """The prediction in a thread."""
        return answer(file)


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
