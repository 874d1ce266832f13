"""What a browser answers, beside what Python answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from edgeclf.errors import PhotoError
from edgeclf.images.preprocess import network_input
from edgeclf.model.file import ModelFile, read_model_file
from edgeclf.model.session import open_cpu_session
from puppet import Puppet


@dataclass
class NetworkCounts:
    """One file of one network, on equal pixels.

    Attributes:
        photos: how many.
        bits: of them with the same bits of logits, maps and explained classes.
        logit_bits: of them with the same bits of logits.
        answers: with the same first class.
        classes: with the same explained classes.
        logits, maps: largest difference of one value, relative to the largest value.
        ms: median time of an inference in the browser.
    """

    photos: int = 0
    bits: int = 0
    logit_bits: int = 0
    answers: int = 0
    classes: int = 0
    logits: float = 0.0
    maps: float = 0.0
    ms: float = 0.0


@dataclass
class FileCounts:
    """The files of one format, from file to answer.

    Attributes:
        files: that Python reads.
        read: of them the browser, too.
        pixels, logits, answers: with the same bits, and with the same first class.
        claimed: of which the page says that their pixels are Python's.
        wrong: of those, without the same pixels.
        ms: median time from the file to network input.
        said: what the page says of the first file that it does not read.
    """

    files: int = 0
    read: int = 0
    pixels: int = 0
    logits: int = 0
    answers: int = 0
    claimed: int = 0
    wrong: int = 0
    ms: float = 0.0
    said: str = ""
    largest: float = field(default=0.0)  # difference of logits, relative to the largest logit


def network_counts(page: Puppet, path: Path, inputs: Sequence[np.ndarray[Any, Any]]) -> NetworkCounts:
    """Compare a model file on the same network input."""
    file = read_model_file(path)
    _open(page, file)
    session, counts, times = open_cpu_session(str(path), 1), NetworkCounts(), []
    for pixels in inputs:
        head, (logit_bytes, map_bytes) = page.ask("run", pixels.tobytes())
        logits, maps, classes = session.run(["logits", "cam", "cam_class"], {"image": pixels[None]})
        found, found_maps = (np.frombuffer(part, np.float32) for part in (logit_bytes, map_bytes))
        same_classes = head["camClass"] == classes.ravel().tolist()
        counts.photos += 1
        counts.classes += same_classes
        counts.bits += same_classes and logit_bytes == logits.tobytes() and map_bytes == maps.tobytes()
        counts.logit_bits += logit_bytes == logits.tobytes()
        counts.answers += int(found.argmax()) == int(logits.argmax())
        counts.logits = max(counts.logits, _apart(found, logits))
        counts.maps = max(counts.maps, _apart(found_maps, maps)) if same_classes else counts.maps
        times.append(head["ms"])
    counts.ms = median(times)
    return counts


def file_counts(page: Puppet, path: Path, files: Iterable[bytes]) -> FileCounts:
    """Compare photos' files, from the file to the answer of a model."""
    file = read_model_file(path)
    _open(page, file)
    contract = file.manifest.contract
    session, counts, times = open_cpu_session(str(path), 1), FileCounts(), []
    for data in files:
        try:
            pixels = network_input(data, contract)
        except PhotoError:
            continue
        counts.files += 1
        head, parts = page.ask("photo", data, contract=contract.to_dict(), name="photo", answer=True)
        if "error" in head:
            counts.said = counts.said or head["error"]
            continue
        (logits,) = session.run(["logits"], {"image": pixels[None]})
        found = np.frombuffer(parts[1], np.float32)
        equal = parts[0] == pixels.tobytes()
        counts.read += 1
        counts.pixels += equal
        counts.logits += parts[1] == logits.tobytes()
        counts.answers += int(found.argmax()) == int(logits.argmax())
        counts.claimed += head["exact"]
        counts.wrong += head["exact"] and not equal
        counts.largest = max(counts.largest, _apart(found, logits))
        times.append(head["ms"])
    counts.ms = median(times) if times else 0.0
    return counts


def _open(page: Puppet, file: ModelFile) -> None:
    page.ask("reload")
    model = {
        "file": file.path,
        "bytes": file.size,
        "sha256": file.sha256,
        "manifest": {"contract": file.manifest.contract.to_dict()},
    }
    page.ask("open", file.content.read(), model=model)


def _apart(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    return float(np.abs(one - other.ravel()).max() / max(float(np.abs(other).max()), 1e-30))
