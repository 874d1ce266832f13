"""Results as docs/precision.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

Rows = Sequence[Mapping[str, Any]]

INTRO = """# What INT8 and FP16 cost

Written by `python benchmarks/precision`. Sixteen classes: six drawn penguin species, five dishes (food5, 64 px photos)
and five flowers; {photos} held-out photos, the penguins drawn with another seed. ResNet50, VGG16 and cnn4 learned from
random weights, so their accuracy says nothing about what they could do; what counts is what a file loses against the
network it was made from.

*as trained*: photos on which the FP32 file ranks the same class first as torch does, and the largest difference between
their logits, of the largest logit. *lost/gained*: photos right as FP32 and wrong as INT8, and the other way round.
*change*: points of accuracy, with the paired 95 % interval (Tango 1998). *same answer*: photos with the same
best-ranked class as FP32; *if sure*: of those to which FP32 gives half of the probability or more. *error*: root mean
square error of the logits over their deviation. *worst class*: the largest drop of one class. *maps*: mean correlation
of 300 photos' heat maps with FP32's, and the lowest. *size*: file against FP32 file, manifest and golden photos
included. *faster*: FP32 / INT8 time of one inference, the files taking turns, at the size it was trained for and, with
random weights, at 224 px ({cpu}).
"""

COLUMNS = (
    *("network", "px", "as trained", "FP32", "FP16", "INT8", "lost/gained", "change", "same answer", "if sure"),
    *("error", "worst class", "maps", "size FP16", "size INT8", "faster", "at 224 px"),
)


def write_tables(precision: Rows, rules: Rows, path: Path, cpu: str) -> None:
    """Write what there are results for."""
    parts = [INTRO.format(photos=precision[0]["photos"] if precision else 0, cpu=cpu), _precision(precision)]
    if rules:
        parts.append(_rules(rules))
    path.write_text("\n".join(parts), "utf-8")


def _precision(rows: Rows) -> str:
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for row in rows:
        int8, fp16, photos = row["int8"], row["fp16"], row["photos"]
        low, high = int8["interval"]
        worst = f"{int8['worst'][0]} {-int8['worst'][1]:.1f}" if int8["worst"] else "none"
        size = row["fp32"]["bytes"]
        own, large = row["timed"]["own"], row["timed"]["at_224"]
        cells = (
            f"{row['name']} ({int8['calibration']})",
            row["size"],
            f"{row['trained']['agreeing']}, {row['trained']['difference']:.0e}",
            f"{row['fp32']['correct']} ({row['fp32']['correct'] / photos:.1%})",
            f"{fp16['correct']} ({fp16['correct'] / photos:.1%}), {fp16['agreeing'] / photos:.1%} the same",
            f"{int8['correct']} ({int8['correct'] / photos:.1%})",
            f"{int8['lost']}/{int8['gained']}",
            f"{_change(row):+.2f} ({low:+.2f} to {high:+.2f})",
            f"{int8['agreeing'] / photos:.2%}",
            f"{int8['sure'][0] / int8['sure'][1]:.2%} of {int8['sure'][1]}",
            f"{int8['logit_error']:.3f}",
            worst,
            f"{int8['maps']['mean']:.3f}, {int8['maps']['lowest']:.2f}",
            f"{fp16['bytes'] / size:.3f}",
            f"{int8['bytes'] / size:.3f} ({int8['bytes'] / 2**20:.2f} MiB)",
            f"{own[0] / own[1]:.2f}x",
            f"{large[0] / large[1]:.2f}x ({large[0]:.1f} / {large[1]:.1f} ms)",
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    changes = [_change(row) for row in rows]
    if changes:
        passed = sum(row["int8"]["passed"] for row in rows)
        mixed = sum(bool(row["int8"]["float_layers"]) for row in rows)
        lines += [
            "",
            f"INT8 changes accuracy by {mean(changes):+.2f} points on average, {min(changes):+.2f} at worst.",
            f"{passed} of {len(rows)} files passed the gate; {mixed} have layers in float.",
        ]
    return "\n".join(lines) + "\n"


def _change(row: Mapping[str, Any]) -> float:
    return 100 * float(row["int8"]["correct"] - row["fp32"]["correct"]) / int(row["photos"])


def _rules(rows: Rows) -> str:
    lines = [
        "## Weights that saturate no AVX2 machine, and those that do",
        "",
        "The same networks and calibration; only how weights become 8-bit integers differs. *logit error*: root mean "
        "square against the trained network, over the deviation of its logits. On the right, an emulated Haswell (AVX2 "
        "without VNNI) against this CPU, on fewer photos.",
        "",
        "| network | weights | right | same answer as trained | logit error | right here / on AVX2 | answers changed | "
        "largest change of a logit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        photos = row["photos"]
        cells = [
            row["name"],
            row["rule"],
            f"{row['correct']} of {photos} (trained {row['trained_correct']})",
            f"{row['agreeing'] / photos:.2%}",
            f"{row['logit_error']:.4f}",
            *(["-"] * 3),
        ]
        if "emulated" in row:
            cells[-3:] = [
                f"{row['here_correct']} / {row['there_correct']} of {row['emulated']}",
                str(row["changed"]),
                "none: the same bits" if row["logits"] == 0 else f"{row['logits']:.1%} of the largest",
            ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"
