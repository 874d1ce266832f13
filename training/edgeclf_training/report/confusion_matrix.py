"""The confusion matrix of a run: as ``confusion.csv``, and as the drawing on the report's page."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from edgeclf.files.atomic_write import write_atomically
from edgeclf.model.manifest import Metrics
from matplotlib.colors import LinearSegmentedColormap

from edgeclf_training.report.svg import STYLE, TEXT_COLOUR, new_figure, to_svg

_MAX_CLASSES_DRAWN_WHOLE = 25
_CLASSES_DRAWN_OF_MORE = 20
# From transparent to blue: the page's background shows where no photo was counted.
_BLUES = LinearSegmentedColormap.from_list("blues", [(0.2, 0.47, 0.85, 0.0), (0.2, 0.47, 0.85, 1.0)])


def write_confusion_csv(metrics: Metrics, classes: Sequence[str], folder: Path) -> None:
    """Write ``confusion.csv``: rows are true classes, columns are predicted classes.

    The file begins with a byte order mark. Without it, spreadsheets garble names that are not ASCII.

    Args:
        metrics: of one split; its confusion matrix is written.
        classes: names in index order.
        folder: the run folder.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["true \\ predicted", *classes])
    writer.writerows([name, *row] for name, row in zip(classes, metrics.confusion, strict=True))
    write_atomically(folder / "confusion.csv", lambda f: f.write(text.getvalue().encode("utf-8-sig")))


def classes_to_draw(confusion: Sequence[Sequence[int]]) -> list[int]:
    """The classes that the drawing shows: all of a small matrix, of a large one those with the most confusions.

    A confusion counts for the true class and for the predicted one. In a large matrix, classes without any confusion
    are not drawn.

    Args:
        confusion: photos by true (row) and predicted (column) class.

    Returns:
        Class indices, ascending.
    """
    counts = np.array(confusion)
    if len(counts) <= _MAX_CLASSES_DRAWN_WHOLE:
        return list(range(len(counts)))
    np.fill_diagonal(counts, 0)
    total = counts.sum(0) + counts.sum(1)
    largest = np.maximum(counts.max(0), counts.max(1))
    return sorted(np.lexsort((-largest, -total))[: min(_CLASSES_DRAWN_OF_MORE, int((total > 0).sum()))].tolist())


def draw_confusion_matrix(confusion: Sequence[Sequence[int]], classes: Sequence[str], shown: Sequence[int]) -> str:
    """Draw the confusion matrix with class names and counts. A cell's colour shows its share of the true class.

    Args:
        confusion: photos by true (row) and predicted (column) class.
        classes: names in index order.
        shown: indices of the classes to draw, in this order; all others are added up in a last row and column.

    Returns:
        An ``<svg>`` element.
    """
    others = len(classes) - len(shown)
    group = np.full(len(classes), len(shown))
    group[list(shown)] = range(len(shown))
    counts = np.zeros((len(shown) + (others > 0),) * 2, np.int64)
    np.add.at(counts, (group[:, None], group[None, :]), np.array(confusion))
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    names = [_short(classes[i]) for i in shown] + [f"{others} other class{'es' * (others > 1)}"] * (others > 0)
    side = max(3.6, 0.42 * len(names) + 1.8)
    with mpl.rc_context({**STYLE, "axes.spines.top": True, "axes.spines.right": True, "font.size": 9}):
        figure, axes = new_figure(side, side)
        axes.imshow(shares, cmap=_BLUES, vmin=0, vmax=1, interpolation="nearest")
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.6 else TEXT_COLOUR
                axes.text(column, row, str(count), ha="center", va="center", color=colour)
        return to_svg(figure, "confusion matrix, rows true, columns predicted", "matrix")


def _short(name: str) -> str:
    """A long name without its middle: names often differ at one of their ends."""
    return name if len(name) <= 24 else f"{name[:12]}\N{HORIZONTAL ELLIPSIS}{name[-11:]}"
