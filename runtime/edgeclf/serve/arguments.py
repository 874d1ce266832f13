"""Arguments of requests: read from the query, checked, or one clear error."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.requests import Request

from edgeclf.serve.predictions import NO_NAME
from edgeclf.serve.problems import bad_argument
from edgeclf.serve.uploads import shortened

JSON_LINES = "application/x-ndjson"
_IMAGES = {"jpeg": "image/jpeg", "png": "image/png"}


def known_only(given: Iterable[str], *names: str) -> None:
    """Check the names of arguments, in an address or in a JSON object: a misspelt one must not be ignored in silence.

    A token in the address is refused as well: addresses end up in logs.

    Raises:
        RequestError: 400.
    """
    for name in given:
        if name == "token" and name not in names:
            raise bad_argument("a token does not belong in an address; send it as `Authorization: Bearer TOKEN`")
        if name not in names:
            there_are = f"there are {', '.join(names)}" if names else "there are none here"
            raise bad_argument(f"there is no argument {name[:40]!r}; {there_are}")


def whole_number(request: Request, name: str, default: int, lowest: int, highest: int) -> int:
    """An argument that is a whole number, ``default`` if it is not given.

    Raises:
        RequestError: 400.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and lowest <= int(text) <= highest):
        raise bad_argument(f"{name}={text[:40]!r} is not a whole number, {lowest} to {highest}")
    return int(text)


@dataclass(frozen=True)
class PredictArguments:
    """Arguments of ``/predict``.

    Attributes:
        name: the photo's name, only for the record.
        top_k: how many classes to rank, at least 1.
        threshold: below it a photo is unknown, 0..1; None: the service's own.
        huggingface: answer ``[{"label", "score"}]``.
        lines: answer several photos as JSON lines, each as soon as it is ready.
    """

    name: str
    top_k: int
    threshold: float | None
    huggingface: bool
    lines: bool

    @staticmethod
    def of(request: Request) -> "PredictArguments":
        """Read them.

        Raises:
            RequestError: 400.
        """
        known_only(request.query_params, "name", "top_k", "threshold", "format")
        form = request.query_params.get("format", "edgeclf")
        if form not in ("edgeclf", "hf"):
            raise bad_argument(f"format={form[:40]!r} is not known; give hf, or leave it out")
        wanted = request.headers.get("accept", "")
        return PredictArguments(
            _name(request), _top_k(request), _threshold(request), form == "hf", JSON_LINES in wanted
        )


@dataclass(frozen=True)
class ExplainArguments:
    """Arguments of ``/explain``.

    Attributes:
        name, top_k: as for ``PredictArguments``.
        label: the class to explain; None: the best-ranked one, or all of them as JSON.
        form: "jpeg", "png" or "json".
    """

    name: str
    top_k: int
    label: str | None
    form: str

    @property
    def media_type(self) -> str:
        """The Content-Type of an overlay."""
        return _IMAGES[self.form]

    @staticmethod
    def of(request: Request) -> "ExplainArguments":
        """Read them.

        Raises:
            RequestError: 400.
        """
        known_only(request.query_params, "name", "top_k", "class", "format")
        form = request.query_params.get("format") or _accepted(request.headers.get("accept", ""))
        if form not in ("jpeg", "png", "json"):
            raise bad_argument(f"format={form[:40]!r} is not known; give jpeg, png or json")
        return ExplainArguments(_name(request), _top_k(request), request.query_params.get("class"), form)


def _accepted(header: str) -> str:
    """The first form that an Accept header names; JPEG if it names none."""
    for part in header.lower().split(","):
        kind = part.partition(";")[0].strip()
        if kind == "application/json":
            return "json"
        for form, media_type in _IMAGES.items():
            if kind == media_type:
                return form
    return "jpeg"


def _name(request: Request) -> str:
    return shortened(request.query_params.get("name", "")) or NO_NAME


def _top_k(request: Request) -> int:
    return whole_number(request, "top_k", 5, 1, 999_999)


def _threshold(request: Request) -> float | None:
    text = request.query_params.get("threshold")
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise bad_argument(f"threshold={text[:40]!r} is not a probability, 0..1")
    return value
