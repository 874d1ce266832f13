"""Drawings for the report's page: matplotlib figures as ``<svg>`` elements in the page's own text colour and font.

Text uses the page's colour, so that it can be read on a light and on a dark background.
"""

import io
import re
import warnings
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

TEXT_COLOUR = "#012345"  # `to_svg` replaces it with the page's text colour
BLUE, ORANGE, GREY = "#3b7dd8", "#e07b28", "#8a8f98"
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.parse_math": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), TEXT_COLOUR),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "legend.frameon": False,
}


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def to_svg(figure: Figure, label: str, salt: str) -> str:
    """The figure as an ``<svg>`` element that can stand inside an HTML page.

    Args:
        figure: drawn with ``STYLE``.
        label: describes the drawing, for screen readers.
        salt: makes the ids inside the drawing differ from those of the page's other drawings.
    """
    text = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": salt}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # matplotlib's font may lack letters of class names; browsers have them
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    drawing = text.getvalue()
    drawing = drawing[drawing.index("<svg") :].replace(TEXT_COLOUR, "currentColor")
    drawing = re.sub(r' (xmlns(:xlink)?="[^"]*"|version="1.1"|id="[\w.]+_\d{1,4}")', "", drawing)
    drawing = drawing.replace("xlink:href", "href")
    width = round(figure.get_figwidth() * 110)  # so that letters are as large as the page's text
    return drawing.replace("<svg", f'<svg role="img" aria-label="{label}" style="max-width:{width}px"', 1)
