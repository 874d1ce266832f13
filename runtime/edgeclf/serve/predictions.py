"""Predictions and explanations of uploads, as records and as JSON. Blocking: called in threads."""

import io
from dataclasses import replace
from typing import Any

from edgeclf.classifier import Classifier
from edgeclf.errors import ExplainError, PhotoError
from edgeclf.field.photo_columns import RecordedFacts
from edgeclf.field.record import Record, RecordedClass
from edgeclf.images.heatmap_mark import save_marked
from edgeclf.images.photo_bytes import NamedPhoto
from edgeclf.images.photo_facts import facts_in
from edgeclf.images.preprocess import network_input_and_display
from edgeclf.model.selftest import run_selftest
from edgeclf.results import DISPLAY_SIDE, Explanation, Prediction, explanation_of

NO_NAME = "-"  # as ``predict`` names what comes from standard input
_DIGITS = 4  # of the values in heat maps as JSON


class Predictor:
    """One classifier as a service uses it.

    Args:
        classifier: its threshold is used where a request gives none.
        facts: records hold when, where and with which camera photos were taken.

    Attributes:
        ready: the self-test passed.
        failure: why it did not, None before it ended and if it passed.
    """

    def __init__(self, classifier: Classifier, *, facts: bool = True) -> None:
        self.classifier, self.ready, self._facts = classifier, False, facts
        self.failure: str | None = None

    def test(self) -> None:
        """Run the model's self-test, which also opens its sessions. Never raises: see ``failure``."""
        try:
            test = run_selftest(self.classifier._session, self.classifier.manifest)
        except Exception as error:  # whatever a broken device raises, the service answers and says so
            self.failure = " ".join(str(error).split()) or type(error).__name__
            return
        self.failure = None if test.passed else "; ".join(test.failures()) or "the self-test failed"
        self.ready = test.passed

    def predict(self, photo: NamedPhoto | PhotoError, top_k: int, threshold: float | None, name: str) -> Record:
        """The record of a photo, as ``predict --json`` prints it; the error of one that cannot be read is in it.

        Raises:
            ModelError, BackendError: as ``Classifier.predict``.
        """
        record = Record.of(name, self._prediction(photo, top_k, threshold), self.classifier.device)
        return self._with_facts(record, photo)

    def explain(self, photo: NamedPhoto, label: str | None, top_k: int) -> tuple[Record, dict[str, Any] | None]:
        """The record of a photo, and its heat maps as JSON: of one class, or of all classes that have one.

        Returns:
            The record, and an explanation as ``/openapi.json`` describes it; None if the photo cannot be read, or has
            no heat map of this class: the record says so.

        Raises:
            UsageError: the model has no such class.
            ModelError, BackendError: as ``Classifier.explain``.
        """
        wanted = None if label is None else self.classifier.index(label)
        try:
            found = self._explanations(photo, wanted, top_k)
        except (PhotoError, ExplainError) as error:
            return self._failed(photo.name, error), None
        best = found[0]
        record = self._with_facts(Record.of(photo.name, best.prediction, self.classifier.device), photo)
        width, height = best.photo_size
        value = {
            "record": record.to_dict(),
            "photo": {"width": width, "height": height},
            "seen": [round(edge, 2) for edge in best.placement.input_on_photo()],
            "maps": [_map(one) for one in found],
        }
        return record, value

    def overlay(self, photo: NamedPhoto, label: str | None, top_k: int, suffix: str) -> tuple[Record, bytes | None]:
        """The record of a photo, and the file of its overlay; None as for ``explain``, which it raises as, too.

        Args:
            photo, label, top_k: as for ``explain``.
            suffix: ".png" or ".jpg".
        """
        try:
            explanation = self.classifier.explain(_content(photo), label, top_k)
        except (PhotoError, ExplainError) as error:
            return self._failed(photo.name, error), None
        buffer = io.BytesIO()
        save_marked(explanation.overlay(), buffer, suffix)
        return Record.of(photo.name, explanation.prediction, self.classifier.device), buffer.getvalue()

    def _with_facts(self, record: Record, photo: NamedPhoto | PhotoError) -> Record:
        """The record of a photo that was read, with what its EXIF says."""
        if not (self._facts and record.predictions and isinstance(photo, NamedPhoto)):
            return record
        return replace(record, facts=RecordedFacts.of(facts_in(photo.data)))

    def _prediction(
        self, photo: NamedPhoto | PhotoError, top_k: int, threshold: float | None
    ) -> Prediction | PhotoError:
        if isinstance(photo, PhotoError):
            return photo
        try:
            prediction = self.classifier.predict(_content(photo), top_k)
        except PhotoError as error:
            return error.alone()
        if threshold is None:
            return prediction
        return replace(prediction, unknown=prediction.best.probability < threshold)

    def _explanations(self, photo: NamedPhoto, wanted: int | None, top_k: int) -> list[Explanation]:
        """The heat map of one class, or of all that have one, best-ranked first. The photo is decoded once."""
        contract = self.classifier.manifest.contract
        image, display, size = network_input_and_display(_content(photo), contract, DISPLAY_SIDE)
        scores, cams, cam_class = self.classifier.infer(image)
        ranking = self.classifier.rank(scores, len(self.classifier.labels))
        wished: list[int | None] = [wanted] if wanted is not None else [*map(int, cam_class)] or [None]
        return [explanation_of(one, ranking, top_k, cams, cam_class, display, size, contract) for one in wished]

    def _failed(self, name: str, error: PhotoError | ExplainError) -> Record:
        alone = error.alone() if isinstance(error, PhotoError) else error
        return Record.of(name, alone, self.classifier.device)


def as_huggingface(record: Record) -> list[dict[str, Any]]:
    """The ranking of a record as Hugging Face's image-classification pipeline gives it; empty without one."""
    return [{"label": one.name, "score": one.probability} for one in record.predictions]


def _content(photo: NamedPhoto) -> NamedPhoto | bytes:
    """What the classifier reads: errors of a photo without a name do not name it, as in ``edgeclf predict -``."""
    return photo.data if photo.name == NO_NAME else photo


def _map(explanation: Explanation) -> dict[str, Any]:
    label = explanation.label
    cam = explanation.cam
    peak = float(cam.max(initial=0.0))
    shares = cam / peak if peak > 0 else cam * 0
    entry = RecordedClass(label.label, round(label.probability, 6), label.index, label.display_name)
    return {
        "label": entry.label,
        "display_name": entry.display_name,
        "probability": entry.probability,
        "padding_share": round(explanation.padding_share, _DIGITS),
        "height": cam.shape[0],
        "width": cam.shape[1],
        "values": [round(float(value), _DIGITS) for value in shares.ravel()],
    }
