"""The record of one photo: what was predicted for it, and how it reads as JSON and as a row of a CSV file.

``predict --json``, ``predict --out`` and ``watch`` all write this record, and whatever reads record files gets it back.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeclf.errors import ExplainError, PhotoError
from edgeclf.field.csv_columns import escaped, unescaped
from edgeclf.field.photo_columns import NOT_SAID, RecordedEvent, RecordedFacts
from edgeclf.field.photo_id import PhotoFile
from edgeclf.field.record_types import check_types

if TYPE_CHECKING:
    from edgeclf.results import Prediction

NO_HEAT_MAP = "no-heat-map"  # the kind of error where a class was predicted, but its heat map is not in the model
_MODEL = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class RecordedClass:
    """One class of a ranking, as records hold it.

    Attributes:
        label: the class name.
        probability: 0..1, rounded to 6 digits.
        index: position among the logits; None if read from CSV, which has none.
        display_name: the name for people, None if the model has none.
    """

    label: str
    probability: float
    index: int | None = None
    display_name: str | None = None

    @property
    def name(self) -> str:
        """What to show people."""
        return self.display_name or self.label


class Failure(NamedTuple):
    """Why a photo has no prediction, or no heat map: a stable ``kind`` (see ``PhotoError``), and a ``message``."""

    kind: str
    message: str


class PredictSettings(NamedTuple):
    """The settings that all records of a file share, beside the model and the number of ranked classes.

    Attributes:
        threshold: a photo whose best probability is below it is unknown, 0..1.
        maps_of: what heat maps explain, "best-ranked" or a class name; None without heat maps.
        events: longest time from one photo of an event to the next, seconds; None: photos are not put into events.
    """

    threshold: float | None = None
    maps_of: str | None = None
    events: float | None = None

    def to_dict(self) -> dict[str, str | float | None]:
        """The settings by their keys; ``events`` only if there are some."""
        return {key: value for key, value in self._asdict().items() if key != "events" or value is not None}


@dataclass(frozen=True)
class Record:
    """What was predicted for one photo.

    Attributes:
        path: the photo, as the user named it or as it was found.
        unknown: the best probability is below the threshold; None without a prediction.
        predictions: the top k classes, best first; empty if the photo could not be read.
        error: why there is no prediction, or no heat map; None if nothing failed.
        cam: the file of the heat map, None if none was drawn; so are the next two.
        cam_class: the class that the heat map explains.
        padding_share: share of the heat map's energy on padding, 0..1, rounded to 4 digits.
        copy: where ``watch --review`` copied the photo, None if it did not.
        device: the execution provider that was used, None if not recorded.
        size: bytes of the photo; this and the following are None outside record files, and ``size`` and ``modified``
            for what is no file.
        modified: time of modification, ISO 8601 in UTC.
        model: the first 16 hex digits of the model file's ``sha256``.
        folder: where a relative ``path`` counts from, None for an absolute one.
        settings: how photos were predicted; None in files of versions that did not record it.
        facts: when, where and with which camera the photo was taken.
        event: the answer of the photos that were taken with this one; None if photos were not put into events.
    """

    path: str
    unknown: bool | None = None
    predictions: tuple[RecordedClass, ...] = ()
    error: Failure | None = None
    cam: str | None = None
    cam_class: str | None = None
    padding_share: float | None = None
    copy: str | None = None
    device: str | None = None
    size: int | None = None
    modified: str | None = None
    model: str | None = None
    folder: str | None = None
    settings: PredictSettings | None = None
    facts: RecordedFacts = NOT_SAID
    event: RecordedEvent | None = None

    @property
    def photo(self) -> PhotoFile | None:
        """The photo with its size and time; None for what is no file, and outside record files."""
        if self.size is None or self.modified is None:
            return None
        return PhotoFile(os.path.join(self.folder or "", self.path), self.size, self.modified)

    def with_heat_map(self, file: str, label: str, padding_share: float) -> "Record":
        """The same record with a heat map: its file, the class that it explains, its share on padding (0..1)."""
        return replace(self, cam=file, cam_class=label, padding_share=round(padding_share, 4))

    def in_file(self, photo: PhotoFile | None, model: str, settings: PredictSettings) -> "Record":
        """The same record as it stands in a record file.

        Args:
            photo: the file, as it was before it was read; None for what is no file.
            model: the first 16 hex digits of the model file's ``sha256``.
            settings: those of the record file.
        """
        if photo is None:
            return replace(self, model=model, settings=settings)
        folder = None if os.path.isabs(photo.path) else os.getcwd()
        return replace(self, size=photo.size, modified=photo.modified, model=model, folder=folder, settings=settings)

    def to_dict(self) -> dict[str, Any]:
        """The record as plain data for JSON. What is not known has no key, except ``size`` and so on in files."""
        values: dict[str, Any] = {"path": self.path}
        if self.predictions:
            values["unknown"] = self.unknown
            values["predictions"] = [_ranked_dict(one) for one in self.predictions]
        if self.error is not None:
            values["error"] = self.error._asdict()
        for key in ("cam", "cam_class", "padding_share", "copy", "device"):
            if (value := getattr(self, key)) is not None:
                values[key] = value
        values |= self.facts.to_dict() | (self.event.to_dict() if self.event is not None else {})
        if self.model is not None:
            values |= {"size": self.size, "modified": self.modified, "model": self.model}
            if self.settings is not None:
                values |= {"folder": self.folder, **self.settings.to_dict()}
        return values

    def to_json(self) -> str:
        """The record as one line of JSON, without a line break at its end."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def to_row(self, columns: Sequence[str]) -> list[str | int | float | None]:
        """The record as cells of ``columns`` (see ``csv_columns``), with text escaped as ``escaped`` says."""
        values: dict[str, Any] = {**vars(self), "error": None, "event": None, **self.facts.to_dict()}
        if self.event is not None:
            values |= self.event.to_dict()
            if self.event.unknown is not None:
                values["event_unknown"] = str(self.event.unknown).lower()
        for rank, one in enumerate(self.predictions, 1):
            values |= {f"label_{rank}": one.label, f"probability_{rank}": one.probability}
        if self.error is not None:
            values |= {"error": self.error.kind, "message": self.error.message}
        if self.unknown is not None:
            values["unknown"] = str(self.unknown).lower()
        if self.settings is not None:
            values |= self.settings._asdict()
        return [escaped(value) if isinstance(value := values.get(name), str) else value for name in columns]

    @classmethod
    def of(cls, path: str, result: "Prediction | PhotoError | ExplainError", device: str | None = None) -> "Record":
        """The record of what a ``Classifier`` gave for a photo.

        Args:
            path: the photo.
            result: the prediction; or why the photo could not be read, or why there is no heat map.
            device: the execution provider that was used.
        """
        if isinstance(result, PhotoError):
            return cls(path, error=Failure(result.kind, str(result)), device=device)
        error = Failure(NO_HEAT_MAP, str(result)) if isinstance(result, ExplainError) else None
        prediction: Prediction = result.prediction if isinstance(result, ExplainError) else result
        ranking = tuple(
            RecordedClass(one.label, round(one.probability, 6), one.index, one.display_name)
            for one in prediction.ranking
        )
        return cls(path, prediction.unknown, ranking, error, device=device, facts=RecordedFacts.of(prediction.facts))

    @classmethod
    def from_json(cls, line: str | bytes) -> "Record":
        """Read what ``to_json`` gave, in this version or an earlier one.

        Raises:
            ValueError: it is not a record.
        """
        values = json.loads(line)
        if not isinstance(values, dict):
            raise ValueError("not an object")
        check_types(values)
        predictions = tuple(RecordedClass(*map(one.get, _RANKED_KEYS)) for one in values.get("predictions") or ())
        if predictions and values.get("unknown") is None:
            raise ValueError("not a record")
        error = values.get("error")
        failure = None if error is None else Failure(error["kind"], error["message"])
        settings = None
        if "threshold" in values or "maps_of" in values:
            settings = PredictSettings(values.get("threshold"), values.get("maps_of"), values.get("events"))
        others: dict[str, Any] = {key: values.get(key) for key in _PLAIN_KEYS}
        others |= {"facts": RecordedFacts.read(values), "event": RecordedEvent.read(values)}
        return _checked(cls(predictions=predictions, error=failure, settings=settings, **others))

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> "Record":
        """Read the cells that ``to_row`` gave, as text, by the names of their columns.

        Raises:
            ValueError: they are not a record.
            KeyError: a column is missing.
        """
        ranking: list[RecordedClass] = []
        while row.get(probability := f"probability_{len(ranking) + 1}"):
            label = unescaped(row[f"label_{len(ranking) + 1}"])
            ranking.append(RecordedClass(label, float(row[probability])))
        if row["unknown"] and not ranking:
            raise ValueError("not a record")
        text = {key: unescaped(row.get(key, "")) or None for key in ("cam", "cam_class", "copy", "folder", "maps_of")}
        maps_of = text.pop("maps_of")
        settings = None
        if "threshold" in row:
            settings = PredictSettings(_number(row["threshold"]), maps_of, _number(row.get("events", "")))
        beside = {key: unescaped(row.get(key, "")) for key in _BESIDE}
        return _checked(
            cls(
                unescaped(row["path"]),
                row["unknown"].lower() == "true" if row["unknown"] else None,
                tuple(ranking),
                Failure(row["error"], unescaped(row["message"])) if row["error"] else None,
                padding_share=_number(row["padding_share"]),
                facts=RecordedFacts.read(beside),
                event=RecordedEvent.read(beside),
                size=int(row["size"]) if row["size"] else None,
                modified=row["modified"] or None,
                model=row["model"],
                settings=settings,
                **text,
            )
        )


_RANKED_KEYS = ("label", "probability", "index", "display_name")
_PLAIN_KEYS = (
    *("path", "unknown", "cam", "cam_class", "padding_share", "copy", "device"),
    *("size", "modified", "model", "folder"),
)


_BESIDE = (
    *("taken", "latitude", "longitude", "camera"),
    *("event", "event_photos", "event_label", "event_probability", "event_unknown"),
)


def _number(cell: str) -> float | None:
    return float(cell) if cell else None


def _ranked_dict(one: RecordedClass) -> dict[str, Any]:
    values: dict[str, Any] = {"label": one.label}
    if one.index is not None:
        values["index"] = one.index
    values["probability"] = one.probability
    return values if one.display_name is None else {**values, "display_name": one.display_name}


def _checked(record: Record) -> Record:
    if not (isinstance(record.path, str) and isinstance(record.folder, str | None)):
        raise ValueError("not a record")
    if record.model is not None and not (isinstance(record.model, str) and _MODEL.fullmatch(record.model)):
        raise ValueError("not a record")
    if record.size is not None and not (isinstance(record.size, int) and isinstance(record.modified, str)):
        raise ValueError("not a record")
    return record
