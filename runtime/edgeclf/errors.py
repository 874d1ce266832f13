"""All errors that edgeclf raises on purpose, and the exit code of the command line for each.

EdgeclfError
├── PhotoError        1  a photo cannot be read (the rest of the batch goes on)
├── ExplainError      1  the model computes no heat map of that class for that photo
├── UsageError        2  an argument is invalid
├── ModelError        3  a model file cannot be used
│   ├── NotAModelError       not ONNX, or ONNX without edgeclf's manifest
│   ├── ModelDamagedError    the seal is broken or the file is truncated
│   └── ModelTooNewError     needs a newer edgeclf or onnxruntime
├── BackendError      4  the backend, the device or an extra is not available
├── DataError         5  training photos, weights or a run folder cannot be used
│   └── WeightsError         pretrained weights are missing, damaged or do not fit
├── ExportError       6  an exported file did not pass its checks, nothing was written
└── RecordError       7  a record file, a review folder or standard output cannot be used or written
"""

from typing import Any, ClassVar


class EdgeclfError(Exception):
    """Base of all errors edgeclf raises on purpose.

    Args:
        message: what is wrong, in one line, with the file or value.
        remedy: what to do next, in a few words; may be empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        self.message = " ".join(message.split())
        self.remedy = " ".join(remedy.split())
        super().__init__(message, remedy)

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class PhotoError(EdgeclfError):
    """A photo cannot be read.

    Attributes:
        kind: "not-found", "not-a-file", "empty", "not-an-image", "damaged", "too-large", "unreadable", "unsupported"
            (an image that this installation cannot decode), "timeout" (its disk does not respond), "no-images" (a
            folder without photos) or "heat-map" (made by edgeclf, found among photos). Records have one more:
            "no-heat-map".
        path: the photo as the caller named it, None if it has no name.
    """

    def __init__(self, kind: str, message: str, remedy: str = "", path: str | None = None) -> None:
        super().__init__(message, remedy)
        self.kind = kind
        self.path = path

    def alone(self) -> "PhotoError":
        """The same error without its traceback, whose frames would keep the photo in memory."""
        return PhotoError(self.kind, self.message, self.remedy, self.path)

    def __reduce__(self) -> tuple[type["PhotoError"], tuple[str, str, str, str | None]]:
        return PhotoError, (self.kind, self.message, self.remedy, self.path)


class ExplainError(EdgeclfError):
    """The model computes no heat map of that class for that photo.

    Attributes:
        prediction: the ``edgeclf.Prediction`` for the photo.
    """

    def __init__(self, message: str, remedy: str = "", prediction: Any = None) -> None:
        super().__init__(message, remedy)
        self.prediction = prediction

    def alone(self) -> "ExplainError":
        """The same error without its traceback, whose frames would keep the photo in memory."""
        return ExplainError(self.message, self.remedy, self.prediction)


class UsageError(EdgeclfError):
    """An argument is invalid."""

    exit_code = 2


class ModelError(EdgeclfError):
    """A model file cannot be used."""

    exit_code = 3


class NotAModelError(ModelError):
    """Not an ONNX file, or one without edgeclf's manifest."""


class ModelDamagedError(ModelError):
    """The file has changed since it was written: the seal is broken, or bytes are missing."""


class ModelTooNewError(ModelError):
    """The file needs a newer edgeclf or a newer onnxruntime than is installed."""


class BackendError(EdgeclfError):
    """onnxruntime, a device or an optional part of edgeclf is not available."""

    exit_code = 4


class DataError(EdgeclfError):
    """Training photos, weights or a run folder cannot be used."""

    exit_code = 5


class WeightsError(DataError):
    """Pretrained weights are missing, damaged or do not fit the network."""


class ExportError(EdgeclfError):
    """An exported file did not pass its checks; nothing was written."""

    exit_code = 6


class RecordError(EdgeclfError):
    """A record file, review folder or standard output cannot be used or written; existing records are unchanged."""

    exit_code = 7
