"""How well a model file answers photos whose classes are known."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgeclf.classifier import Classifier
from edgeclf.errors import PhotoError
from edgeclf.evaluation.labelled_photos import LabelledPhotos
from edgeclf.evaluation.metrics import (
    ClassFigures,
    Confused,
    balanced,
    confused,
    count,
    expected_error,
    per_class,
    reliability,
    remarks,
    wilson,
)
from edgeclf.images.overlay_mark import OVERLAY_KIND
from edgeclf.model.manifest import Figures


@dataclass(frozen=True)
class Mistake:
    """A photo answered wrong: its path, its class, the best-ranked class, and that one's probability, 0..1."""

    path: str
    true: str
    given: str
    probability: float


@dataclass(frozen=True)
class Evaluation:
    """What was counted on labelled photos. Shares are 0..1.

    Attributes:
        figures: photos, right answers and confusion matrix. A photo below the "unknown" threshold counts by its
            best-ranked class like any other.
        interval: 95 % interval of the accuracy (Wilson).
        per_class: recall, precision and F1 of each class, in class order.
        confused: the pairs most often confused, at most 20.
        ece: expected calibration error with the model's temperature, in 15 bins; None without photos.
        temperature: the model's; 1 where it was not calibrated.
        threshold: a photo whose best probability is below it is "unknown".
        answered: photos that reach the threshold.
        wrong: how many of those answered are wrong.
        mistakes: all wrong best-ranked classes, the surest first.
        unreadable: photos that could not be read; counted nowhere else.
        heat_maps: how many of edgeclf's lay among the photos; counted nowhere else.
        balanced: mean recall of the classes that have photos; None without photos.
        remarks: what the accuracy hides, a line each: classes never answered, with few photos or none, and the like.
    """

    figures: Figures
    interval: tuple[float, float]
    per_class: tuple[ClassFigures, ...]
    confused: tuple[Confused, ...]
    ece: float | None
    temperature: float
    threshold: float
    answered: int
    wrong: int
    mistakes: tuple[Mistake, ...]
    unreadable: tuple[PhotoError, ...]
    heat_maps: int = 0
    balanced: float | None = None
    remarks: tuple[str, ...] = ()


def evaluate(
    classifier: Classifier,
    found: LabelledPhotos,
    *,
    progress: Callable[[int, int], None] | None = None,
    report: Callable[[PhotoError], None] | None = None,
) -> Evaluation:
    """Answer every photo and count.

    Args:
        classifier: answers each photo as in the field.
        found: the photos, labelled with the classifier's classes.
        progress: called with (photos done, photos in all).
        report: called with the error of each photo that cannot be read, when it comes up; the rest go on.
    """
    labels: list[int] = []
    given: list[int] = []
    confidences: list[float] = []
    unknown: list[bool] = []
    mistakes: list[Mistake] = []
    unreadable: list[PhotoError] = []
    heat_maps = 0
    answers = classifier.predict_many((path for path, _ in found.photos), top_k=1)
    for done, (answer, (path, label)) in enumerate(zip(answers, found.photos, strict=True), 1):
        if isinstance(answer, PhotoError) and answer.kind == OVERLAY_KIND:
            heat_maps += 1
        elif isinstance(answer, PhotoError):
            unreadable.append(answer)
            if report:
                report(answer)
        else:
            labels.append(label)
            given.append(answer.best.index)
            confidences.append(answer.best.probability)
            unknown.append(answer.unknown)
            if (best := answer.best).index != label:
                mistakes.append(Mistake(str(path), classifier.labels[label], best.label, best.probability))
        if progress:
            progress(done, len(found.photos))
    truth, answered = np.array(labels, np.int64), ~np.array(unknown, bool)
    figures = count(truth, np.array(given, np.int64), len(classifier.labels), found.split)
    right = truth == np.array(given, np.int64)
    return Evaluation(
        figures,
        wilson(figures.correct, figures.photos),
        per_class(figures, classifier.labels),
        confused(figures, classifier.labels),
        expected_error(reliability(np.array(confidences), right)) if labels else None,
        classifier.temperature,
        classifier.threshold,
        int(answered.sum()),
        int((answered & ~right).sum()),
        tuple(sorted(mistakes, key=lambda mistake: -mistake.probability)),
        tuple(unreadable),
        heat_maps,
        balanced(figures),
        remarks(figures, classifier.labels),
    )
