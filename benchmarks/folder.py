"""A folder of photos: `Classifier.predict_many` against what the machine could do at best, and against a plain loop.

    python benchmarks/folder.py [--network NAME] [--rounds N] [--large N] [--small N] [--photos N]

For photos of 12 megapixels and of 500 x 375 pixels, with the model in the package (or another network, as an INT8 file
of random weights), in rounds that interleave:

* the bound: 1 / (t_decode + t_inference), each measured alone with all cores busy;
* a plain loop: every pixel decoded, one photo after another, the same network in FP32, onnxruntime's defaults;
* timm's loader and ultralytics' folder inference with the same architecture, where they are installed.

Then what `Classifier.predict` adds to `session.run` on a decoded array, and peak memory of many small photos (a small
network) against a hundredth of them. One JSON line per figure; ratios are medians of paired rounds.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from edgeclf.classifier import DEFAULT_MODEL, Classifier
from edgeclf.concurrency import in_order
from edgeclf.errors import PhotoError
from edgeclf.images.preprocess import network_input
from edgeclf.model.session import import_onnxruntime, usable_threads
from making import photo_folder, random_model
from one_photo import once
from PIL import Image

IN_PACKAGE = "efficientnet_lite0"


def say(**figures: Any) -> None:
    """Print one figure."""
    print(json.dumps(figures), flush=True)


def seconds(work: Callable[[], Iterable[Any]], photos: int) -> float:
    """Seconds a photo that it takes to go through an iterable, which must answer every photo."""
    started = time.perf_counter()
    answered = sum(not isinstance(answer, PhotoError) for answer in work())
    taken = time.perf_counter() - started
    assert answered == photos
    return taken / photos


def throughput(label: str, paths: list[str], network: str, int8: Path, fp32: Path, rounds: int) -> None:
    """Rounds of everything, then a line per figure."""
    threads = usable_threads()
    classifier, one_each = Classifier(int8, threads=threads, for_many=True), Classifier(int8, threads=1)
    contract = classifier.manifest.contract
    inputs = [network_input(path, contract) for path in paths[:8]]
    plain = import_onnxruntime().InferenceSession(str(fp32), providers=["CPUExecutionProvider"])

    def infer(image: Any) -> Any:  # the very call that predict_many makes, heat maps not fetched
        return one_each._session.run(["logits"], {"image": image[None]})

    def plain_loop() -> Iterable[Any]:
        for path in paths:
            image = Image.open(path).convert("RGB")
            side = min(image.size) * contract.crop_fraction
            left, top = (image.width - side) / 2, (image.height - side) / 2
            box, size = (left, top, left + side, top + side), (contract.size, contract.size)
            pixels = np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))
            yield plain.run(["logits"], {"image": pixels[None]})

    runs: dict[str, Callable[[], Iterable[Any]]] = {
        "decode": lambda: in_order(lambda path: network_input(path, contract), paths, threads),
        "inference": lambda: in_order(lambda i: infer(inputs[i % len(inputs)]), range(len(paths)), threads),
        "predict_many": lambda: classifier.predict_many(paths),
        "plain loop": plain_loop,
        **others(paths, network, fp32.parent, threads),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            taken = seconds(run, len(paths))
            if turn:  # the first round warms up
                times[name].append(taken)
    for name, taken_by in times.items():
        say(folder=label, photos=len(paths), what=name, photos_per_s=round(1 / statistics.median(taken_by), 2))
    bounds = [d + i for d, i in zip(times["decode"], times["inference"], strict=True)]
    of_bound = [bound / ours for bound, ours in zip(bounds, times["predict_many"], strict=True)]
    say(folder=label, figure="share of the bound", value=round(statistics.median(of_bound), 3), target=0.9)
    for name in list(times)[3:]:
        ratio = statistics.median(a / b for a, b in zip(times[name], times["predict_many"], strict=True))
        say(folder=label, figure=f"times as fast as {name}", value=round(ratio, 2), target=3 if name[0] == "p" else 1)


def others(paths: list[str], network: str, scratch: Path, threads: int) -> dict[str, Callable[[], Iterable[Any]]]:
    """Folder inference of other packages with the same architecture in FP32, random weights."""
    found: dict[str, Callable[[], Iterable[Any]]] = {}
    if find_spec("timm") is None:
        say(skipped="timm", why="it is not installed")
    else:
        found["timm"] = timm_folder(Path(paths[0]).parent, network, threads)
    if find_spec("ultralytics") is None:
        say(skipped="ultralytics", why="it is not installed")
    else:
        found["ultralytics"] = ultralytics_folder(Path(paths[0]).parent, network, scratch)
    return found


def timm_folder(folder: Path, name: str, threads: int) -> Callable[[], Iterable[Any]]:
    """As timm's inference.py does it: its data set and loader, batches, torch."""
    import timm
    import torch
    from timm.data import create_dataset, create_loader, resolve_data_config

    torch.set_num_threads(threads)
    network = timm.create_model(name, pretrained=False).eval()
    config = resolve_data_config({}, model=network)

    def run() -> Iterable[Any]:
        data = create_dataset("", root=str(folder), is_training=False)
        options = {key: config[key] for key in ("input_size", "interpolation", "mean", "std", "crop_pct")}
        loader = create_loader(data, batch_size=16, use_prefetcher=False, num_workers=threads, **options)
        with torch.inference_mode():
            for batch, _ in loader:
                yield from network(batch)

    return run


def ultralytics_folder(folder: Path, name: str, scratch: Path) -> Callable[[], Iterable[Any]]:
    """Its predict on a folder, with the network as it wants one: float [1, 3, 224, 224] in, scores out."""
    import torch
    from edgeclf_training.networks import build_network
    from ultralytics import YOLO

    path = scratch / "ultralytics.onnx"
    if not path.exists():
        network, _ = build_network(name, 1000)

        class FromFloats(torch.nn.Module):
            def forward(self, image: torch.Tensor) -> torch.Tensor:
                scores: torch.Tensor = network((image * 255).permute(0, 2, 3, 1))
                return scores.softmax(1)

        network.eval()
        torch.onnx.export(FromFloats().eval(), (torch.zeros(1, 3, 224, 224),), str(path), dynamo=True, verbose=False)
    model = YOLO(str(path), task="classify")
    return lambda: model.predict(str(folder), stream=True, verbose=False, imgsz=224)


def overhead(folder: Path, pairs: int) -> None:
    """The time that preprocessing and ranking (1000 classes) add to the network, for an array of the network's size.

    In CPU time of the one thread that does it all, which a busy machine disturbs less. A network that takes whole
    photos, as trained ones do by default, leaves nothing to resize; one that crops does.
    """
    for crop in (1.0, 0.875):
        path = folder / "whole.onnx"
        classifier = Classifier(random_model(path, "squeezenet1_1", int8=True, classes=1000, crop=crop), threads=1)
        image = np.asarray(Image.effect_noise((224, 224), 60).convert("RGB"))
        session, added = classifier._session, []
        for _ in range(pairs + 10):
            began = time.thread_time()
            session.run(["logits"], {"image": image[None]})
            between = time.thread_time()
            classifier.predict(image)
            added.append((time.thread_time() - between) - (between - began))
        value = round(statistics.median(added[10:]) * 1e3, 3)
        say(figure="ms that predict adds to session.run", resized=crop < 1, value=value, target=0.3)


def memory(folder: Path, photos: int) -> None:
    """Peak MiB of `edgeclf predict` on a folder of many small photos, and on one of a hundredth of them."""
    model = random_model(folder / "small.onnx", "squeezenet1_1", int8=True, size=64)
    peaks = []
    for number in (photos // 100, photos):
        photo_folder(folder / str(number), number, 96, 72)
        command = [sys.executable, "-m", "edgeclf", "predict", str(folder / str(number)), "-m", str(model), "--json"]
        peaks.append(once(command)[1])
        say(what="peak memory", photos=number, mib=round(peaks[-1], 1))
    say(figure="peak memory of a hundred times as many photos", value=round(peaks[1] / peaks[0], 3), target=1.05)


def main() -> None:
    """Print one line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default=IN_PACKAGE, help="default: that of the model in the package")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", type=int, default=40, help="photos of 12 megapixels")
    parser.add_argument("--small", type=int, default=300, help="photos of 500 x 375 pixels")
    parser.add_argument("--photos", type=int, default=100_000, help="for peak memory")
    arguments = parser.parse_args()
    say(network=arguments.network, threads=usable_threads())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fp32 = random_model(folder / "fp32.onnx", arguments.network, int8=False, classes=1000)
        int8 = DEFAULT_MODEL
        if arguments.network != IN_PACKAGE:
            int8 = random_model(folder / "int8.onnx", arguments.network, int8=True, classes=1000)
        for label, number, width, height in (
            ("12 MP", arguments.large, 4000, 3000),
            ("500 px", arguments.small, 500, 375),
        ):
            if number:
                paths = photo_folder(folder / label, number, width, height)
                throughput(label, paths, arguments.network, int8, fp32, arguments.rounds)
        overhead(folder, 400)
        if arguments.photos:
            memory(folder, arguments.photos)


if __name__ == "__main__":
    main()
