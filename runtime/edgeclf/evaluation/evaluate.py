"""The accuracy of a model file on photos whose classes are known."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgeclf.classifier import Classifier
from edgeclf.errors import PhotoError
from edgeclf.evaluation.labelled_photos import LabelledPhotos
from edgeclf.evaluation.metrics import (
    ClassMetrics,
    ConfusedPair,
    balanced_accuracy,
    compute_metrics,
    expected_calibration_error,
    most_confused,
    per_class,
    reliability,
    remarks,
    wilson_interval,
)
from edgeclf.images.heatmap_mark import OVERLAY_KIND
from edgeclf.model.manifest import Metrics


@dataclass(frozen=True)
class Mistake:
    """A photo with a wrong prediction: its path, its class, the predicted class, and the probability of that, 0..1."""

    path: str
    true: str
    predicted: str
    probability: float

    def to_dict(self) -> dict[str, str | float]:
        """Plain data for JSON, with the keys of ``evaluate --json``."""
        return {"path": self.path, "true": self.true, "given": self.predicted, "probability": self.probability}


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation. Shares are 0..1.

    Attributes:
        metrics: photos, correct predictions and confusion matrix. A photo below the "unknown" threshold counts with its
            best-ranked class like any other.
        interval: 95 % interval of the accuracy (Wilson).
        per_class: recall, precision and F1 of each class, in class order.
        confused: the pairs most often confused, at most 20.
        ece: expected calibration error with the model's temperature, in 15 bins; None without photos.
        temperature: the model's; 1 where it was not calibrated.
        threshold: a photo whose best probability is below it is "unknown".
        answered: photos that reach the threshold.
        wrong: number of wrong predictions among those answered.
        mistakes: all wrong predictions, the most confident first.
        unreadable: photos that could not be read; counted nowhere else.
        heat_maps: number of heat maps of edgeclf among the photos; counted nowhere else.
        balanced: mean recall of the classes that have photos; None without photos.
        remarks: problems that the accuracy hides, one line each: classes never predicted, with few photos, and so on.
    """

    metrics: Metrics
    interval: tuple[float, float]
    per_class: tuple[ClassMetrics, ...]
    confused: tuple[ConfusedPair, ...]
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
    photos: LabelledPhotos,
    *,
    progress: Callable[[int, int], None] | None = None,
    report: Callable[[PhotoError], None] | None = None,
) -> Evaluation:
    """Predict every photo and compare with its class.

    Args:
        classifier: predicts each photo as in the field.
        photos: the photos, labelled with the classifier's classes.
        progress: called with (photos done, photos in all).
        report: called at once with the error of each photo that cannot be read; the others are still evaluated.

    Returns:
        Metrics, mistakes, and the photos that could not be read.
    """
    labels: list[int] = []
    predicted: list[int] = []
    confidences: list[float] = []
    unknown: list[bool] = []
    mistakes: list[Mistake] = []
    unreadable: list[PhotoError] = []
    heat_maps = 0
    predictions = classifier.predict_many((path for path, _ in photos.photos), top_k=1)
    for done, (prediction, (path, label)) in enumerate(zip(predictions, photos.photos, strict=True), 1):
        if isinstance(prediction, PhotoError) and prediction.kind == OVERLAY_KIND:
            heat_maps += 1
        elif isinstance(prediction, PhotoError):
            unreadable.append(prediction)
            if report:
                report(prediction)
        else:
            best = prediction.best
            labels.append(label)
            predicted.append(best.index)
            confidences.append(best.probability)
            unknown.append(prediction.unknown)
            if best.index != label:
                mistakes.append(Mistake(str(path), classifier.labels[label], best.label, best.probability))
        if progress:
            progress(done, len(photos.photos))
    truth, answered = np.array(labels, np.int64), ~np.array(unknown, bool)
    metrics = compute_metrics(truth, np.array(predicted, np.int64), len(classifier.labels), photos.split)
    right = truth == np.array(predicted, np.int64)
    return Evaluation(
        metrics,
        wilson_interval(metrics.correct, metrics.photos),
        per_class(metrics, classifier.labels),
        most_confused(metrics, classifier.labels),
        expected_calibration_error(reliability(np.array(confidences), right)) if labels else None,
        classifier.temperature,
        classifier.threshold,
        int(answered.sum()),
        int((answered & ~right).sum()),
        tuple(sorted(mistakes, key=lambda mistake: -mistake.probability)),
        tuple(unreadable),
        heat_maps,
        balanced_accuracy(metrics),
        remarks(metrics, classifier.labels),
    )
