"""``edgeclf predict``: top-k answers and heat maps for photos."""

import json
import sys
import warnings
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeclf.cli.console import Console, printable
from edgeclf.errors import ExplainError, PhotoError

if TYPE_CHECKING:
    from edgeclf.classifier import Classifier
    from edgeclf.cli.photos import Found, OverlayFiles

Answers = Generator[dict[str, Any], None, None]  # what --json prints, in Python

# Options of every command that runs a model.
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda|PROVIDER", help="What to compute on.")]
Threads = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="CPU threads; default: all this process may use.")
]
LowMemory = Annotated[
    bool, typer.Option("--low-memory", help="For small boards: one photo at a time, memory returned after each.")
]


def predict(
    photos: Annotated[
        list[str], typer.Argument(metavar="PHOTO...", help='Photos, folders (searched recursively), globs, or "-".')
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--model",
            metavar="MODEL",
            help="Model file; default: $EDGECLF_MODEL, else the ImageNet network inside.",
        ),
    ] = None,
    top_k: Annotated[int, typer.Option("-k", "--top-k", metavar="N", min=1, help="How many classes to show.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    cam: Annotated[
        Path | None,
        typer.Option("--cam", metavar="FILE_OR_DIR", help="Draw heat maps: a file for one photo, else a folder."),
    ] = None,
    cam_class: Annotated[
        str | None, typer.Option("--cam-class", metavar="NAME", help="Explain this class, not the best-ranked one.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            min=0.0,
            max=1.0,
            help='Best probability below which a photo is "unknown"; 0: always answer; default: the model\'s own.',
        ),
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
    low_memory: LowMemory = False,
) -> None:
    """Classify photos.

    \b
    edgeclf predict photo.jpg
    edgeclf predict photo.jpg --cam why.png
    edgeclf predict field-day/ -m birds.onnx --json > answers.jsonl
    edgeclf predict 'card/**/*.JPG' -m birds.onnx --cam overlays/
    curl -s http://camera/still | edgeclf predict -

    A photo that cannot be read is reported and the rest go on. A calibrated model calls a photo "unknown" where its
    best probability is below the threshold chosen in training (see `edgeclf info`); the ranking is shown all the same.
    """
    from edgeclf.classifier import Classifier
    from edgeclf.cli.photos import OverlayFiles, are_several, counting, find_photos

    if cam_class is not None and cam is None:
        raise typer.BadParameter("it says which class --cam draws; give --cam too", param_hint="--cam-class")
    warnings.filterwarnings("ignore", module="PIL")  # the door has its own limits, and answers or says what is wrong
    overlays = OverlayFiles(cam, photos) if cam is not None else None
    several = are_several(photos)
    classifier = Classifier(
        model,
        device,
        threads,
        threshold=threshold,
        low_memory=low_memory or not several,  # measured: for one photo, keeping memory for the next saves nothing
        for_many=several and overlays is None,
    )
    if cam_class is not None:
        classifier.index(cam_class)  # an unknown class is a usage error before any photo is read
    console, found = Console(), find_photos(photos)
    live = several and sys.stderr.isatty() and not sys.stdout.isatty()
    total = counting(photos) if live else lambda: 0
    answers = (
        _predicted(classifier, found, top_k)
        if overlays is None
        else (_explained(classifier, one, overlays, cam_class, top_k) for one in found)
    )
    failed = False
    with closing(answers), console.progress("photos", live=live) as progress:
        for done, answer in enumerate(answers, 1):
            failed = failed or "error" in answer
            _print(answer, as_json, console)
            progress(done, total())
    if failed:
        raise typer.Exit(PhotoError.exit_code)


def _predicted(classifier: "Classifier", photos: "Iterator[Found]", top_k: int) -> Answers:
    """Answers without heat maps; several photos are worked on at once."""
    ahead, named = tee(photos)
    with closing(classifier.predict_many((found.source for found in ahead), top_k)) as answers:
        for answer, found in zip(answers, named, strict=True):
            yield {"path": found.path} | (_error(answer) if isinstance(answer, PhotoError) else _answer(answer))


def _explained(
    classifier: "Classifier", found: "Found", overlays: "OverlayFiles", cam_class: str | None, top_k: int
) -> dict[str, Any]:
    """One answer, its heat map drawn and written."""
    answer: dict[str, Any] = {"path": found.path}
    if isinstance(found.source, PhotoError):
        return answer | _error(found.source)
    try:
        explanation = classifier.explain(found.source, cam_class, top_k)
        answer |= _answer(explanation.prediction)
        answer["cam"] = str(overlays.save(explanation.overlay(), found.path))
        answer["cam_class"] = explanation.label.label
        answer["padding_share"] = round(explanation.padding_share, 4)
    except ExplainError as error:
        answer |= _answer(classifier.predict(found.source, top_k))
        answer["error"] = {"kind": "no-heat-map", "message": str(error)}
    except PhotoError as error:
        answer |= _error(error)
    return answer


def _error(error: PhotoError) -> dict[str, Any]:
    return {"error": {"kind": error.kind, "message": str(error)}}


def _answer(prediction: Any) -> dict[str, Any]:
    return {"unknown": prediction.unknown, "predictions": [_entry(e) for e in prediction.ranking]}


def _entry(ranked: Any) -> dict[str, Any]:
    entry = {"label": ranked.label, "index": ranked.index, "probability": round(ranked.probability, 6)}
    return entry if ranked.display_name is None else {**entry, "display_name": ranked.display_name}


def _print(answer: dict[str, Any], as_json: bool, console: Console) -> None:
    if as_json:
        print(json.dumps(answer), flush=True)
        return
    if "predictions" in answer:
        print(printable(answer["path"]) + (": unknown" if answer["unknown"] else ""))
        names = [entry.get("display_name", entry["label"]) for entry in answer["predictions"]]
        width = min(40, max(map(len, names)))
        for name, entry in zip(names, answer["predictions"], strict=True):
            print(f"  {name:<{width}} {entry['probability']:7.1%}  {_bar(entry['probability'])}".rstrip())
        if "cam" in answer:
            padding = answer["padding_share"]
            note = f" ({padding:.0%} of the evidence lies on padding)" if padding >= 0.01 else ""
            print(f"  heat map of {answer['cam_class']}: {printable(answer['cam'])}{note}")
    sys.stdout.flush()
    if "error" in answer:
        console.line(f"edgeclf: {printable(answer['error']['message'])}")


def _bar(share: float) -> str:
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    return ("\N{FULL BLOCK}" if encoding.startswith(("utf", "gb1")) else "#") * round(share * 20)
