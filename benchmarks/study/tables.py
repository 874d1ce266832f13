"""Results as Markdown tables."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeclf.evaluation.metrics import wilson_interval

Rows = dict[str, list[Mapping[str, Any]]]

INTRO = """# What the recipe is worth

Written by `make study`{large}. Each figure is the share of held-out photos right, in percent; an interval is Wilson's
95 % for the photos of one run (runs of several seeds share their photos, so more seeds do not make it narrower). A
difference smaller than about half an interval says nothing.
"""
TEXTS = {
    "goals": (
        "The default recipe",
        "hymenoptera is counted on its validation folder, which also selects the epoch. Of flowers a seeded fifth is "
        "tested; training photos with a twin among them are left out. Its photos are 128 px in size but hold no detail "
        "finer than about 32 px (`benchmarks/sharpness.py`), and some show no flower.",
    ),
    "vgg16": (
        "Why VGG16 lost to a small CNN",
        "The penguin walk-through's two-phase recipe (RMSprop 2e-5 with the base frozen, then 1e-5 with the last block "
        "free, batch 10, Flatten + 256, photos divided by 255) on 60 drawn penguins a species, tested on 200 a species "
        "from another seed. Epochs are scaled down, and SqueezeNet 1.1's ImageNet weights stand in for VGG16's. Keras' "
        "VGG16 expects 0..255 less the mean, so that dividing by 255 leaves it 1/255 of the contrast: SqueezeNet is "
        "given its photos fainter by the same factor. Then each suspected cause is changed alone.",
    ),
    "walk_throughs": (
        "Against the walk-throughs' recipes",
        "food5: a seeded fifth of its training photos and its test split are held out. Network, weights, input size "
        "and number of epochs are the same in a row; the walk-throughs' own resize rules and rates are kept.",
    ),
    "ablation_lite0": (
        "Each switch off: EfficientNet-Lite0, hymenoptera",
        "ImageNet weights, 40 photos a class, 96 px, 3 epochs, counted on the validation folder, which also selects "
        "the epoch. Early stopping (patience 10) cannot act in so few epochs. MixUp, CutMix and large crops are off in "
        "runs under 50 epochs: here they are switched on.",
    ),
    "ablation_cnn4": (
        "Each switch off: cnn4 from scratch, food5",
        "100 photos a class, 64 px, 10 epochs, counted on test photos that select nothing.",
    ),
}


def write_tables(results: Sequence[Mapping[str, Any]], path: Path, large: bool) -> None:
    """Write the tables that there are results for."""
    found: dict[str, Rows] = defaultdict(lambda: defaultdict(list))
    for result in results:
        found[result["table"]][result["row"]].append(result)
    parts = [INTRO.format(large=" --large" if large else "")]
    for name, (title, text) in TEXTS.items():
        if name in found:
            make = {"walk_throughs": _duel, "goals": _plain, "vgg16": _causes}.get(name, _ladder)
            table = make(found[name])
            parts.append(f"## {title}\n\n{text}\n\n{table}")
        else:
            parts.append(f"## {title}\n\n{text}\n\nNot run.\n")
    seconds = sum(float(r["seconds"]) for r in results)
    parts.append(f"{len(results)} runs, {seconds / 60:.0f} minutes of training on one core each.\n")
    path.write_text("\n".join(parts))


def _plain(rows: Rows) -> str:
    lines = ["| | mean | interval | seeds |", "|---|---|---|---|"]
    lines += [f"| {row} | {_mean(runs):.1f} | {_interval(runs)} | {_each(runs)} |" for row, runs in rows.items()]
    return "\n".join(lines) + "\n"


def _ladder(rows: Rows) -> str:
    first = _mean(next(iter(rows.values())))
    lines = ["| | mean | interval | seeds | difference to the first |", "|---|---|---|---|---|"]
    for row, runs in rows.items():
        difference = f"{_mean(runs) - first:+.1f}" if row != next(iter(rows)) else ""
        lines.append(f"| {row} | {_mean(runs):.1f} | {_interval(runs)} | {_each(runs)} | {difference} |")
    return "\n".join(lines) + "\n"


def _causes(rows: Rows) -> str:
    """A ladder, and which single change did most."""
    base, *changes = rows
    alone = [row for row in changes if not row.startswith("all")]
    cause = max(alone, key=lambda row: _mean(rows[row]))
    others = max((_mean(rows[row]) - _mean(rows[base]) for row in alone if row != cause), default=0.0)
    gained = _mean(rows[cause]) - _mean(rows[base])
    return (
        f'{_ladder(rows)}\nChanged alone, "{cause}" does most: {gained:+.1f} points; of the others none does more than '
        f"{others:+.1f}.\n"
    )


def _duel(rows: Rows) -> str:
    pairs: dict[str, dict[str, list[Mapping[str, Any]]]] = defaultdict(dict)
    for row, runs in rows.items():
        name, who = row.split("|")
        pairs[name][who] = runs
    lines = ["| | walk-through's recipe | | default | |", "|---|---|---|---|---|"]
    for name, pair in pairs.items():
        (recipe, theirs), (_, ours) = pair.items()
        figures = " | ".join(f"{_mean(runs):.1f} | {_interval(runs)}" for runs in (theirs, ours))
        lines.append(f"| {name} (`{recipe}`) | {figures} |")
    return "\n".join(lines) + "\n"


def _each(runs: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{100 * r['correct'] / r['photos']:.1f}" for r in runs)


def _mean(runs: Sequence[Mapping[str, Any]]) -> float:
    return 100 * sum(r["correct"] / r["photos"] for r in runs) / len(runs)


def _interval(runs: Sequence[Mapping[str, Any]]) -> str:
    photos = runs[0]["photos"]
    low, high = wilson_interval(round(_mean(runs) / 100 * photos), photos)
    return f"{100 * low:.1f}-{100 * high:.1f} of {photos}"
