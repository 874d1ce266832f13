"""The report's pictures: SVG text that takes its ink from the page, so that it reads in light and in dark."""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

_INK = "#012345"  # stands for the page's text colour
_TRAIN, _VAL, _GREY = "#3b7dd8", "#e07b28", "#8a8f98"
# From nothing to blue, so that the page shines through where nothing was counted.
_BLUES = LinearSegmentedColormap.from_list("blues", [(0.2, 0.47, 0.85, 0.0), (0.2, 0.47, 0.85, 1.0)])
_FLAT, _ROOM = 0.02, 0.02  # accuracies so close count as one; what a mark at 0 % or 100 % needs beyond it
_WHOLE, _PART = 25, 20  # classes up to which the matrix is drawn whole, and how many are drawn of more
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.parse_math": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "legend.frameon": False,
}


def curve(rows: Sequence[Mapping[str, Any]], what: str, best: int | None) -> str:
    """Training and validation curves of "loss" or "accuracy", the phases marked, a ring at the best epoch."""
    with mpl.rc_context(_STYLE):
        figure, axes = _new(4.6, 3.1)
        epochs = [row["epoch"] for row in rows]
        for part, name, colour in (("train", "training", _TRAIN), ("val", "validation", _VAL)):
            values = [np.nan if row.get(f"{part}_{what}") is None else row[f"{part}_{what}"] for row in rows]
            axes.plot(epochs, values, color=colour, label=name, marker="o" if len(rows) < 30 else "", markersize=3.5)
            if part == "val" and best is not None and best in epochs:
                point, name = values[epochs.index(best)], f"best, epoch {best}"
                axes.plot([best], [point], "o", markersize=10, fillstyle="none", color=_INK, label=name)
        _mark_phases(axes, rows)
        axes.set_xlabel("epoch")
        axes.set_ylabel(what)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlim(min(epochs, default=1) - 0.5, max(epochs, default=1) + 0.5)
        low, high = axes.get_ylim()
        if what == "accuracy":
            seen = [row.get(f"{part}_accuracy") for row in rows for part in ("train", "val")]
            known = [value for value in seen if value is not None]
            if max(known, default=0) - min(known, default=0) < _FLAT:  # around one value, an axis would say nothing
                low, high = 0.0, 1.0
            axes.set_ylim(max(low, -_ROOM), min(high, 1 + _ROOM))
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.legend(fontsize=9)
        return _svg(figure, f"{what} by epoch", what)


def _mark_phases(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    starts = [i for i, row in enumerate(rows) if i == 0 or row.get("phase") != rows[i - 1].get("phase")]
    for i in starts:
        if i:
            axes.axvline(rows[i]["epoch"] - 0.5, color=_GREY, linewidth=0.8, linestyle=":")
        axes.text(
            *(rows[i]["epoch"] - (0.4 if i else 0.0), 1.02),
            str(rows[i].get("phase") or ""),
            transform=axes.get_xaxis_transform(),
            fontsize=9,
            color=_GREY,
        )


def most_confused(confusion: Sequence[Sequence[int]]) -> list[int]:
    """Which classes the matrix shows, in index order: all where there is room, else those with the most confusions.

    A confusion counts for the class it is of and for the class that was given. Classes without any are not among them.
    """
    counts = np.array(confusion)
    if len(counts) <= _WHOLE:
        return list(range(len(counts)))
    np.fill_diagonal(counts, 0)
    total = counts.sum(0) + counts.sum(1)
    largest = np.maximum(counts.max(0), counts.max(1))
    return sorted(np.lexsort((-largest, -total))[: min(_PART, int((total > 0).sum()))].tolist())


def matrix(confusion: Sequence[Sequence[int]], classes: Sequence[str], shown: Sequence[int]) -> str:
    """The confusion matrix with names and numbers, colour by share of the true class.

    Args:
        confusion: photos by true and given class.
        classes: names.
        shown: the classes to draw, in this order; the others stand together in a last row and column.
    """
    others = len(classes) - len(shown)
    group = np.full(len(classes), len(shown))
    group[list(shown)] = range(len(shown))
    counts = np.zeros((len(shown) + (others > 0),) * 2, np.int64)
    np.add.at(counts, (group[:, None], group[None, :]), np.array(confusion))
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    names = [_short(classes[i]) for i in shown] + [f"{others} other class{'es' * (others > 1)}"] * (others > 0)
    side = max(3.6, 0.42 * len(names) + 1.8)
    with mpl.rc_context({**_STYLE, "axes.spines.top": True, "axes.spines.right": True, "font.size": 9}):
        figure, axes = _new(side, side)
        axes.imshow(shares, cmap=_BLUES, vmin=0, vmax=1, interpolation="nearest")
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel("given")
        axes.set_ylabel("true")
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.6 else _INK
                axes.text(column, row, str(count), ha="center", va="center", color=colour)
        return _svg(figure, "confusion matrix, rows true, columns given", "matrix")


def _short(name: str) -> str:
    """What tells long names apart may stand at either end."""
    return name if len(name) <= 24 else f"{name[:12]}\N{HORIZONTAL ELLIPSIS}{name[-11:]}"


def diagram(bins: Sequence[Mapping[str, Any]], title: str) -> str:
    """A reliability diagram: accuracy against confidence; on the diagonal, confidence can be taken at its word."""
    with mpl.rc_context(_STYLE):
        figure, axes = _new(3.6, 3.4)
        axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8, linestyle="--")
        for b in bins:
            axes.bar(b["low"], b["accuracy"], b["high"] - b["low"], align="edge", color=_TRAIN, alpha=0.35)
        sizes = np.sqrt([b["photos"] for b in bins])
        axes.scatter(
            [b["confidence"] for b in bins],
            [b["accuracy"] for b in bins],
            s=12 + 80 * sizes / max(sizes, default=1),
            color=_VAL,
            zorder=3,
        )
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy")
        axes.set_title(title, fontsize=10)
        return _svg(figure, f"reliability diagram, {title}", title)


def _new(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure: Figure, label: str, salt: str) -> str:
    """The figure as an ``<svg>`` element for a page: nothing but the drawing, ids unlike those of other figures."""
    text = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": salt}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names in scripts that the font lacks: the browser has them
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    drawing = text.getvalue()
    drawing = drawing[drawing.index("<svg") :].replace(_INK, "currentColor")
    drawing = re.sub(r' (xmlns(:xlink)?="[^"]*"|version="1.1"|id="[\w.]+_\d{1,4}")', "", drawing)
    drawing = drawing.replace("xlink:href", "href")
    width = round(figure.get_figwidth() * 110)  # on a wide page, letters as large as the text around
    return drawing.replace("<svg", f'<svg role="img" aria-label="{label}" style="max-width:{width}px"', 1)
