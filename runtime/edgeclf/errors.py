"""Every error edgeclf raises on purpose, and the exit code the command line gives it.

EdgeclfError
├── PhotoError        1  a photo cannot be read (the rest of the batch goes on)
├── ExplainError      1  the model carries no heat map for that class on that photo
├── UsageError        2  an argument makes no sense
├── ModelError        3  a model file cannot be used
│   ├── NotAModelError       not ONNX, or ONNX without edgeclf's manifest
│   ├── ModelDamagedError    the seal is broken or the file is cut short
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
        message: what is wrong, in one line, naming the file or value.
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
            (an image that this installation cannot decode), "timeout" (its disk does not answer), "no-images" (a folder
            without any) or "heat-map" (one of edgeclf's, found among photos). Records have one more: "no-heat-map".
        path: the photo as the caller named it, None if it has no name.
    """

    def __init__(self, kind: str, message: str, remedy: str = "", path: str | None = None) -> None:
        super().__init__(message, remedy)
        self.kind = kind
        self.path = path

    def alone(self) -> "PhotoError":
        """The same error without the frames it came through, which hold the photo: for those who keep errors."""
        return PhotoError(self.kind, self.message, self.remedy, self.path)

    def __reduce__(self) -> tuple[type["PhotoError"], tuple[str, str, str, str | None]]:
        return PhotoError, (self.kind, self.message, self.remedy, self.path)


class ExplainError(EdgeclfError):
    """The model carries no heat map for that class on that photo.

    Attributes:
        prediction: the ranking there is all the same, an ``edgeclf.Prediction``.
    """

    def __init__(self, message: str, remedy: str = "", prediction: Any = None) -> None:
        super().__init__(message, remedy)
        self.prediction = prediction


class UsageError(EdgeclfError):
    """An argument makes no sense."""

    exit_code = 2


class ModelError(EdgeclfError):
    """A model file cannot be used."""

    exit_code = 3


class NotAModelError(ModelError):
    """Not an ONNX file, or one without edgeclf's manifest."""


class ModelDamagedError(ModelError):
    """The file is not what was written: the seal is broken, or bytes are missing."""


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
    """A record file, review folder or standard output cannot be used or written; what was recorded stays as it was."""

    exit_code = 7
