"""The report's plots: loss and accuracy by epoch, and reliability diagrams."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from edgeclf_training.report.svg import BLUE, GREY, ORANGE, STYLE, TEXT_COLOUR, new_figure, to_svg

_MIN_ACCURACY_RANGE = 0.02  # accuracies that differ by less are shown on an axis from 0 to 1
_MARGIN = 0.02  # of the accuracy axis, so that points at 0 % and 100 % are drawn whole


def training_curve(rows: Sequence[Mapping[str, Any]], what: str, best: int | None) -> str:
    """Training and validation curves, with the phases marked and a ring around the kept epoch.

    Args:
        rows: of ``metrics.csv``; None for values that are not finite.
        what: "loss" or "accuracy".
        best: the epoch whose weights are kept; None if not known.

    Returns:
        An ``<svg>`` element.
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(4.6, 3.1)
        epochs = [row["epoch"] for row in rows]
        for part, name, colour in (("train", "training", BLUE), ("val", "validation", ORANGE)):
            values = [np.nan if row.get(f"{part}_{what}") is None else row[f"{part}_{what}"] for row in rows]
            axes.plot(epochs, values, color=colour, label=name, marker="o" if len(rows) < 30 else "", markersize=3.5)
            if part == "val" and best is not None and best in epochs:
                point, name = values[epochs.index(best)], f"best, epoch {best}"
                axes.plot([best], [point], "o", markersize=10, fillstyle="none", color=TEXT_COLOUR, label=name)
        _mark_phases(axes, rows)
        axes.set_xlabel("epoch")
        axes.set_ylabel(what)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlim(min(epochs, default=1) - 0.5, max(epochs, default=1) + 0.5)
        low, high = axes.get_ylim()
        if what == "accuracy":
            seen = [row.get(f"{part}_accuracy") for row in rows for part in ("train", "val")]
            known = [value for value in seen if value is not None]
            if max(known, default=0) - min(known, default=0) < _MIN_ACCURACY_RANGE:
                low, high = 0.0, 1.0
            axes.set_ylim(max(low, -_MARGIN), min(high, 1 + _MARGIN))
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.legend(fontsize=9)
        return to_svg(figure, f"{what} by epoch", what)


def _mark_phases(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    starts = [i for i, row in enumerate(rows) if i == 0 or row.get("phase") != rows[i - 1].get("phase")]
    for i in starts:
        if i:
            axes.axvline(rows[i]["epoch"] - 0.5, color=GREY, linewidth=0.8, linestyle=":")
        axes.text(
            *(rows[i]["epoch"] - (0.4 if i else 0.0), 1.02),
            str(rows[i].get("phase") or ""),
            transform=axes.get_xaxis_transform(),
            fontsize=9,
            color=GREY,
        )


def reliability_diagram(bins: Sequence[Mapping[str, Any]], title: str) -> str:
    """Accuracy against confidence. On the diagonal, confidence equals accuracy.

    Args:
        bins: each with "low", "high", "photos", "confidence" and "accuracy", as in ``metrics.json``.
        title: stands above the diagram.

    Returns:
        An ``<svg>`` element.
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(3.6, 3.4)
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="--")
        for b in bins:
            axes.bar(b["low"], b["accuracy"], b["high"] - b["low"], align="edge", color=BLUE, alpha=0.35)
        sizes = np.sqrt([b["photos"] for b in bins])
        axes.scatter(
            [b["confidence"] for b in bins],
            [b["accuracy"] for b in bins],
            s=12 + 80 * sizes / max(sizes, default=1),
            color=ORANGE,
            zorder=3,
        )
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy")
        axes.set_title(title, fontsize=10)
        return to_svg(figure, f"reliability diagram, {title}", title)
