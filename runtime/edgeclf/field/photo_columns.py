"""What records hold of a photo beside its own prediction: facts from its EXIF, and the answer of its event."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeclf.images.photo_facts import PhotoFacts
    from edgeclf.results import Prediction

_FACTS = ("taken", "latitude", "longitude", "camera")
_NUMBERS = frozenset(("latitude", "longitude"))


@dataclass(frozen=True, slots=True)
class RecordedFacts:
    """When, where and with which camera a photo was taken, as ``PhotoFacts`` says. None: not said, or not wanted.

    Attributes:
        taken: ISO 8601, by the camera's clock.
        latitude: degrees north.
        longitude: degrees east.
        camera: maker, model and serial number.
    """

    taken: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    camera: str | None = None

    @classmethod
    def of(cls, facts: "PhotoFacts | None") -> "RecordedFacts":
        """The facts of a photo; none if ``facts`` is None."""
        return cls(*(getattr(facts, name) for name in _FACTS)) if facts is not None else NOT_SAID

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "RecordedFacts":
        """From the keys of JSON, of checked types, or from the cells of CSV, which are text, not escaped any more.

        Raises:
            ValueError: a place is not a number.
        """
        return cls(**{name: _read(values.get(name), name in _NUMBERS) for name in _FACTS})

    def to_dict(self) -> dict[str, Any]:
        """What is known, by its key."""
        return {name: value for name in _FACTS if (value := getattr(self, name)) is not None}


NOT_SAID = RecordedFacts()


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """The common answer of the photos of an event, in the record of each of them.

    Attributes:
        event: the ``path`` of its first photo, which names it.
        photos: how many photos were predicted for it.
        label: the best-ranked class of their mean logits; None if none could be read.
        probability: its probability, 0..1, rounded to 6 digits.
        unknown: the probability is below the threshold.
        display_name: the label's name for people, None if the model has none; records do not hold it.
    """

    event: str
    photos: int
    label: str | None = None
    probability: float | None = None
    unknown: bool | None = None
    display_name: str | None = field(default=None, compare=False)

    @property
    def name(self) -> str | None:
        """What to show people."""
        return self.display_name or self.label

    @classmethod
    def of(cls, event: str, photos: int, prediction: "Prediction | None") -> "RecordedEvent":
        """The answer of an event; None: no photo of it could be read."""
        if prediction is None:
            return cls(event, photos)
        best = prediction.best
        return cls(event, photos, best.label, round(best.probability, 6), prediction.unknown, best.display_name)

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "RecordedEvent | None":
        """From the keys of JSON, of checked types, or from the cells of CSV; None if they hold no event.

        Raises:
            ValueError: a number is none.
        """
        event = _read(values.get("event"), False)
        if event is None:
            return None
        unknown = values.get("event_unknown")
        return cls(
            event,
            int(values.get("event_photos") or 0),
            _read(values.get("event_label"), False),
            _read(values.get("event_probability"), True),
            unknown.lower() == "true" if isinstance(unknown, str) and unknown else unknown if unknown != "" else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """What is known, by its key."""
        values = {
            "event": self.event,
            "event_photos": self.photos,
            "event_label": self.label,
            "event_probability": self.probability,
            "event_unknown": self.unknown,
        }
        return {name: value for name, value in values.items() if value is not None}


def _read(value: Any, is_number: bool) -> Any:
    """A value of JSON, or a cell of CSV."""
    if value is None or value == "":
        return None
    if is_number:
        return float(value)
    if not isinstance(value, str):
        raise ValueError("not a record")
    return value
