"""The report as one HTML page. It has no script and loads nothing; all names from the user are escaped."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from edgeclf.class_names import natural, natural_order
from edgeclf.evaluation.calibration_text import MAX_WRONG_SHARE
from edgeclf.evaluation.metrics import MAX_CONFUSED_PAIRS, wilson_interval
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from edgeclf_training.dataset.exclusion_counts import counts_text
from edgeclf_training.dataset.samples import Skipped
from edgeclf_training.evaluation.calibration import ANSWERED_SHARE, KEPT_SHARE
from edgeclf_training.report.confusion_matrix import classes_to_draw, draw_confusion_matrix
from edgeclf_training.report.gradcam import BORDER_SHARE, MIN_EXCESS
from edgeclf_training.report.mistakes import Mistake
from edgeclf_training.report.plots import reliability_diagram, training_curve

_MAX_PAIRS_BESIDE_WHOLE_MATRIX = 10  # confused pairs listed if the matrix shows all classes
_MAX_LISTED_PHOTOS = 50  # photos left out or not readable that are listed one by one


def page(
    metrics: dict[str, Any],
    gallery: Sequence[Mistake],
    name: str,
    skipped: Sequence[Skipped],
    missing: Sequence[Skipped],
) -> str:
    """Render the page.

    Args:
        metrics: what ``collect_metrics`` returns.
        gallery: the most confident mistakes.
        name: of the run, for the heading.
        skipped: files left out of the run, with reasons.
        missing: photos that can no longer be read, with reasons.

    Returns:
        HTML.
    """
    shown, classes = metrics["splits"][metrics["headline"]], metrics["run"]["classes"]
    drawn = set(classes_to_draw(shown["confusion"]))
    drawn_in_order = [i for i in natural_order(classes) if i in drawn]
    rows = sorted(shown["per_class"], key=lambda row: natural(row["label"]))
    curves = metrics["curves"]
    bars = shown["calibration"]["reliability"] if shown["calibration"] else {}
    titles = {"before": "before calibration", "after": "after calibration"}
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = _percent
    template = environment.from_string(files(__package__).joinpath("page.html").read_text("utf-8"))
    return template.render(
        m=metrics,
        shown={**shown, "per_class": rows},
        by_class=[(label, metrics["photos"]["per_class"][label]) for label in sorted(classes, key=natural)],
        name=name,
        gallery=gallery,
        skipped=skipped,
        left_out=counts_text(metrics["photos"]["left_out"]),
        missing=missing,
        listed=_MAX_LISTED_PHOTOS,
        curves=[Markup(training_curve(curves, what, metrics["best_epoch"])) for what in ("loss", "accuracy")]  # noqa: S704
        if curves
        else [],
        matrix=Markup(draw_confusion_matrix(shown["confusion"], classes, drawn_in_order)) if drawn else "",  # noqa: S704 - drawn
        drawn=len(drawn),
        pairs=_MAX_PAIRS_BESIDE_WHOLE_MATRIX if len(drawn) == len(classes) else MAX_CONFUSED_PAIRS,
        diagrams=[Markup(reliability_diagram(bins, titles[when])) for when, bins in bars.items()],  # noqa: S704
        wilson=wilson_interval,
        rule={
            "wrong": MAX_WRONG_SHARE,
            "kept": KEPT_SHARE,
            "answered": ANSWERED_SHARE,
            "border": BORDER_SHARE,
            "excess": MIN_EXCESS,
        },
    )


def _percent(share: float | None, digits: int = 1) -> str:
    return "\N{EN DASH}" if share is None else f"{share * 100:.{digits}f}\N{NO-BREAK SPACE}%"
