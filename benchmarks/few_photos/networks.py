"""Which EfficientNet-Lite for 30, 100 or 300 photos a class: accuracy, training time, INT8 loss, latency.

    python benchmarks/few_photos/networks.py ../shared/data --out /tmp/networks              # all arms
    python benchmarks/few_photos/networks.py ../shared/data --out /tmp/networks --arms frozen --seeds 0   # quick

Arms:

    frozen      the head alone, on features of the ImageNet weights that are computed once
    epochs      fine-tuned, 5 epochs for every network
    time        fine-tuned as long as Lite0 takes for 5 epochs: 5, 3 and 2 epochs

All networks of one row are tested on the same photos, 60 of each class (hymenoptera: its 153 validation photos), which
no training sees. Seconds are processor seconds of training on one thread, which other processes change little. Results
are kept line by line in OUT/results.jsonl: an interrupted benchmark goes on. The INT8 loss is that of ``edgeclf export
--int8`` on the test photos, for the first seed of arm ``epochs`` with the fewest photos a class.
"""

import argparse
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

NETWORKS = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
SETS = {"food5": "food5/train", "flowers": "flowers", "hymenoptera": "hymenoptera/train"}
TEST_PHOTOS = 60
EPOCHS = {"frozen": (20, 20, 20), "epochs": (5, 5, 5), "time": (5, 3, 2)}
_TEST_SEED = 20_000  # of the photos that are set aside for the test, the same for every row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with food5/, flowers/ and hymenoptera/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--photos", nargs="+", type=int, default=[30, 100, 300], help="of each class")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--arms", nargs="+", choices=EPOCHS, default=list(EPOCHS))
    parser.add_argument("--int8", action="store_true", help="also the loss of INT8")
    parser.add_argument("--latency", action="store_true", help="also the latency of the exported files")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    log = given.out / "results.jsonl"
    known = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for key in cells(given.arms, given.sets, given.photos, given.seeds):
        if any(key.items() <= line.items() for line in known):
            continue
        folder = photo_folder(given.data, given.out, key["set"], key["photos"], key["seed"])
        if folder is None:
            continue
        first = key["seed"] == given.seeds[0] and key["photos"] == min(given.photos)
        int8 = given.int8 and first and key["arm"] == "epochs"
        known.append({**key, **run_one(folder, given.out / "run", key, int8)})
        with log.open("a") as file:
            file.write(json.dumps(known[-1]) + "\n")
        print(key, known[-1]["seconds"], np.mean(known[-1]["right"]), flush=True)
    print("\n".join(table(known)))
    if given.latency:
        print("\n".join(latency(given.out)))


def cells(arms: Sequence[str], sets: Sequence[str], photos: Sequence[int], seeds: Sequence[int]) -> Iterator[Any]:
    """What is trained, the widest comparison first."""
    for arm in arms:
        for seed in seeds:
            for count in photos:
                for name in sets:
                    for network in NETWORKS:
                        yield {"arm": arm, "seed": seed, "photos": count, "set": name, "network": network}


def photo_folder(data: Path, out: Path, name: str, count: int, seed: int) -> Path | None:
    """A folder with train/ and test/; None if the data set has fewer photos."""
    folder = out / "photos" / f"{name}-{count}-{seed}"
    if folder.exists():
        return folder
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    for label in sorted(path for path in (data / SETS[name]).iterdir() if path.is_dir()):
        files = sorted(path for path in label.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        order = np.random.default_rng(_TEST_SEED).permutation(len(files))
        own_test = data / name / "val" / label.name
        test, rest = ([], order) if own_test.exists() else (order[:TEST_PHOTOS], order[TEST_PHOTOS:])
        if len(rest) < count:
            shutil.rmtree(part, ignore_errors=True)
            return None
        chosen = np.random.default_rng(seed).permutation(rest)[:count]
        parts = {"train": [files[i] for i in chosen], "test": [files[i] for i in test] or sorted(own_test.iterdir())}
        for split, photos in parts.items():
            (part / split / label.name).mkdir(parents=True)
            for photo in photos:
                shutil.copy(photo, part / split / label.name)
    part.rename(folder)
    return folder


def run_one(photos: Path, folder: Path, key: dict[str, Any], int8: bool) -> dict[str, Any]:
    """Train and test one network."""
    from edgeclf.events import Event, Message, ignore
    from edgeclf_export import export_run
    from edgeclf_training import TrainOptions, train
    from edgeclf_training.evaluation.predictions import predict
    from edgeclf_training.fit.messages import EpochEnd

    watch = {"began": 0.0, "ended": 0.0}

    def listen(event: Event) -> None:
        if isinstance(event, Message) and event.text.startswith("run folder"):
            watch["began"] = time.process_time()
        if isinstance(event, EpochEnd):
            watch["ended"] = time.process_time()

    epochs = EPOCHS[key["arm"]][NETWORKS.index(key["network"])]
    options = TrainOptions(arch=key["network"], epochs=epochs, seed=key["seed"], workers=0, frozen_views=1)
    if key["arm"] == "frozen":
        options = replace(options, freeze_epochs=epochs, augment="none", early_stopping=0)
    shutil.rmtree(folder, ignore_errors=True)
    run = train(photos, folder, options, report=False, on_event=listen)
    answers = predict(run.network(), run.split.test, run.classes, run.contract, "test")
    result = {
        "epochs": epochs,
        "seconds": round(watch["ended"] - watch["began"], 1),
        "right": (answers.logits.argmax(1) == answers.labels).astype(int).tolist(),
    }
    if int8:
        target = folder.parent / f"{key['set']}-{key['network']}.onnx"
        done = export_run(run, target, int8=True, force=True, on_event=ignore)
        export_run(run, target.with_suffix(".fp32.onnx"), force=True, on_event=ignore)
        result["int8"] = [
            done.rows[0].correct,
            done.rows[-1].correct,
            done.photos,
            [done.gate.drop_low, done.gate.drop_high],
        ]
        result["float_layers"], result["passed"] = len(done.gate.float_layers), done.gate.passed
        result["mb"] = [round(row.size / 1e6, 2) for row in done.rows]
    return result


def table(known: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown: accuracy of Lite0, and what the others are ahead of it, with 95 % intervals of paired photos."""
    from edgeclf.evaluation.metrics import paired_interval, wilson_interval

    lines = ["| arm | photos a class | data set | seeds | " + " | ".join(name[-5:] for name in NETWORKS) + " |"]
    lines.append("|---|---|---|---|" + "---|" * len(NETWORKS))
    groups = dict.fromkeys((one["arm"], one["photos"], one["set"]) for one in known)
    means = dict.fromkeys((arm, photos, "all") for arm, photos, _ in groups)
    for arm, photos, name in [*groups, *means]:
        rows = [r for r in known if (r["arm"], r["photos"]) == (arm, photos) and name in (r["set"], "all")]
        by_cell: dict[tuple[str, int], dict[str, Any]] = {}
        for row in rows:
            by_cell.setdefault((row["set"], row["seed"]), {})[row["network"]] = row
        whole = [cell for cell in by_cell.values() if len(cell) == len(NETWORKS)]
        if not whole:
            continue
        texts = []
        for network in NETWORKS:
            right = np.concatenate([cell[network]["right"] for cell in whole])
            base = np.concatenate([cell[NETWORKS[0]]["right"] for cell in whole])
            seconds = sum(cell[network]["seconds"] for cell in whole) / len(whole)
            text = f"{right.mean():.1%}"
            if network == NETWORKS[0]:
                low, high = wilson_interval(int(right.sum()), len(right))
                text += f" ({low:.1%} to {high:.1%})"
            else:
                low, high = paired_interval(int((base < right).sum()), int((base > right).sum()), len(right))
                text += f", {100 * (right.mean() - base.mean()):+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
            texts.append(f"{text}; {seconds:.0f} s")
        seeds = len({seed for _, seed in by_cell})
        lines.append(f"| {arm} | {photos} | {name} | {seeds} | " + " | ".join(texts) + " |")
    for row in known:
        if "int8" in row:
            before, after, photos, (low, high) = row["int8"]
            lost = f"{100 * (before - after) / photos:+.2f} ({low:+.2f} to {high:+.2f})"
            sizes = " / ".join(f"{size} MB" for size in row["mb"])
            lines.append(
                f"INT8 {row['set']} {row['network']}: {before} -> {after} of {photos}, points lost {lost}, {sizes}, "
                f"{row['float_layers']} layers in float, passed: {row['passed']}"
            )
    return lines


def latency(out: Path, rounds: int = 60) -> list[str]:
    """Milliseconds of one inference on one thread, the files taking turns; and the ratio to Lite0."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    lines = []
    for kind in (".onnx", ".fp32.onnx"):
        files = [next(out.glob(f"*-{name}{kind}")) for name in NETWORKS]
        sessions = [onnxruntime.InferenceSession(file, options) for file in files]
        times: list[list[float]] = [[] for _ in files]
        for _ in range(rounds):
            for session, spent in zip(sessions, times, strict=True):
                size = session.get_inputs()[0].shape[1]
                photo = np.full((1, size, size, 3), 90, np.uint8)
                began = time.perf_counter()
                session.run(None, {"image": photo})
                spent.append((time.perf_counter() - began) * 1000)
        for name, spent in zip(NETWORKS, times, strict=True):
            ratio = np.median(np.array(spent) / np.array(times[0]))
            lines.append(f"{name}{kind}: quarter {np.quantile(spent, 0.25):.1f} ms, {ratio:.2f} of Lite0")
    return lines


if __name__ == "__main__":
    main()
