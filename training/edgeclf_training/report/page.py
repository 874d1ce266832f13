"""The report as one HTML page: no script, nothing fetched, everything that people named is escaped."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from edgeclf.class_names import natural, natural_order
from edgeclf.evaluation.metrics import MAX_CONFUSED_PAIRS, wilson_interval
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from edgeclf_training.dataset.exclusion_counts import counts_text
from edgeclf_training.dataset.samples import Skipped
from edgeclf_training.evaluation.calibration import ANSWERED_SHARE, KEPT_SHARE, WRONG_SHARE
from edgeclf_training.report.confusion_matrix import draw_confusion_matrix, most_confused
from edgeclf_training.report.gradcam import BAND, CLEARLY
from edgeclf_training.report.mistakes import Mistake
from edgeclf_training.report.plots import reliability_diagram, training_curve

_FEW_PAIRS = 10  # told where the whole matrix is drawn
_LISTED = 50  # skipped or missing photos told one by one


def page(
    metrics: dict[str, Any],
    gallery: Sequence[Mistake],
    name: str,
    skipped: Sequence[Skipped],
    missing: Sequence[Skipped],
) -> str:
    """The page.

    Args:
        metrics: what ``facts`` returns.
        gallery: the most confident mistakes.
        name: of the run.
        skipped: files left out of the run, with reasons.
        missing: photos that vanished since.
    """
    shown, classes = metrics["splits"][metrics["headline"]], metrics["run"]["classes"]
    drawn = set(most_confused(shown["confusion"]))
    drawn_in_order = [i for i in natural_order(classes) if i in drawn]
    rows = sorted(shown["per_class"], key=lambda row: natural(row["label"]))
    curves = metrics["curves"]
    bars = shown["calibration"]["reliability"] if shown["calibration"] else {}
    titles = {"before": "as trained", "after": "with the temperature"}
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
        listed=_LISTED,
        curves=[Markup(training_curve(curves, what, metrics["best_epoch"])) for what in ("loss", "accuracy")]  # noqa: S704
        if curves
        else [],
        matrix=Markup(draw_confusion_matrix(shown["confusion"], classes, drawn_in_order)) if drawn else "",  # noqa: S704 - drawn
        drawn=len(drawn),
        pairs=_FEW_PAIRS if len(drawn) == len(classes) else MAX_CONFUSED_PAIRS,
        diagrams=[Markup(reliability_diagram(bins, titles[when])) for when, bins in bars.items()],  # noqa: S704
        wilson=wilson_interval,
        rule={"wrong": WRONG_SHARE, "kept": KEPT_SHARE, "answered": ANSWERED_SHARE, "band": BAND, "clearly": CLEARLY},
    )


def _percent(share: float | None, digits: int = 1) -> str:
    return "\N{EN DASH}" if share is None else f"{share * 100:.{digits}f}\N{NO-BREAK SPACE}%"
