"""The calibration of a model in one line of text, as ``train``, ``export`` and ``info`` print it."""

from edgeclf.model.manifest import Calibration

MAX_WRONG_SHARE = 0.05  # of the answered photos: the aim when the threshold is chosen


def reaches_aim(calibration: Calibration) -> bool:
    """Whether at most ``MAX_WRONG_SHARE`` of the answered photos are expected to be wrong; in older files, were."""
    c = calibration
    if c.expected_wrong is None:
        return c.wrong <= MAX_WRONG_SHARE * c.answered
    return c.expected_wrong <= MAX_WRONG_SHARE


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
    if c.expected_wrong is not None:
        line += f", {c.expected_wrong:.1%} expected"
    if not reaches_aim(c):
        line += f"; the aim of {MAX_WRONG_SHARE:.0%} is not reached: rely on the probabilities"
    return line
