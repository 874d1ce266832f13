"""The calibration of a model in one line of text, as ``train``, ``export`` and ``info`` print it."""

from edgeclf.model.manifest import Calibration

_MAX_WRONG_SHARE = 0.05  # of the answered photos: the aim of training


def calibration_text(calibration: Calibration) -> str:
    """Say below which probability a photo is unknown, and what this threshold gave on the validation photos.

    Args:
        calibration: of a run or of a model file's manifest.

    Returns:
        One line, without a full stop at its end.
    """
    c = calibration
    shares = f"{c.answered / c.photos:.0%}" if c.photos else "none"
    line = (
        f"temperature {c.temperature:.3g}; unknown below {c.threshold:.4g}: on {c.photos} validation photos "
        f"{c.answered} answered ({shares}), {c.wrong} of them wrong"
    )
    if c.answered:
        line += f" ({c.wrong / c.answered:.1%})"
    if c.wrong > _MAX_WRONG_SHARE * c.answered:
        line += f"; no threshold leaves at most {_MAX_WRONG_SHARE:.0%} of them wrong: rely on the probabilities"
    return line
