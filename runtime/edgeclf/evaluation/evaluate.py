"""The accuracy of a model file on photos whose classes are known."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from edgeclf.classifier import Classifier
from edgeclf.errors import PhotoError
from edgeclf.evaluation.event_accuracy import EventAccuracy, EventTally, find_labelled_events
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
from edgeclf.photo_events import event_prediction
from edgeclf.results import Prediction


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
        events: the same photos answered by events; None if not asked for.
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
    events: EventAccuracy | None = None


def evaluate(
    classifier: Classifier,
    photos: LabelledPhotos,
    *,
    events: float | None = None,
    predictions: Iterable[Prediction | PhotoError] | None = None,
    progress: Callable[[int, int], None] | None = None,
    report: Callable[[PhotoError], None] | None = None,
) -> Evaluation:
    """Predict every photo and compare with its class.

    Args:
        classifier: predicts each photo as in the field.
        photos: the photos, labelled with the classifier's classes.
        events: also answer photos of one camera together that were taken at most so many seconds apart.
        predictions: what the classifier predicts for each photo, in their order, if it is known already; not with
            ``events``. None: it predicts them.
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
    tally = None if events is None else EventTally(events)
    groups = [[at] for at in range(len(photos.photos))] if events is None else find_labelled_events(photos, events)
    order = [photos.photos[at] for group in groups for at in group]
    ends = set(accumulate(map(len, groups)))
    begin, logits = 0, list[NDArray[np.float32]]()  # of the event
    if predictions is None:
        predictions = classifier.predict_many((path for path, _ in order), top_k=1, logits=tally is not None)
    for done, (prediction, (path, label)) in enumerate(zip(predictions, order, strict=True), 1):
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
            if prediction.logits is not None:
                logits.append(prediction.logits)
        if tally is not None and done in ends:
            tally.add(labels[begin:], predicted[begin:], event_prediction(classifier, logits, 1))
            begin, logits = len(labels), []
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
        None if tally is None else tally.result(),
    )
