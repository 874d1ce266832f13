"""``edgeclf predict``: top-k answers and heat maps for photos."""

import json
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeclf.cli.console import Console, printable
from edgeclf.errors import EdgeclfError, ExplainError, PhotoError, UsageError

if TYPE_CHECKING:
    from edgeclf.classifier import Classifier
    from edgeclf.cli.photo_sources import Found, OverlayFiles, Source
    from edgeclf.cli.signals import Stopping
    from edgeclf.field.photo_id import PhotoFile
    from edgeclf.field.record_file import RecordFile
    from edgeclf.results import Explanation, Prediction

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
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.jsonl|FILE.csv", help="Record the answers in a file, one by one."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with --out FILE, if it exists: skip what it answers already.")
    ] = False,
    cam: Annotated[
        str | None,
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
    edgeclf predict field-day/ -m birds.onnx --out answers.csv --resume
    edgeclf predict 'card/**/*.JPG' -m birds.onnx --cam overlays/
    curl -s http://camera/still | edgeclf predict -

    In folders, hidden files and what systems keep among photos (@eaDir, waste bins) are left out, links to folders
    followed; heat maps made by edgeclf are left out unless one is named alone. --cam writes over nothing else.

    A photo that cannot be read is reported and the rest go on. A calibrated model calls a photo "unknown" where its
    best probability is below the threshold chosen in training (see `edgeclf info`); the ranking is shown all the same.
    With --json each line also names the execution provider that served, as "device".

    --out writes nothing to standard output. Each record is on its line as soon as it is there; Ctrl-C or a crash leaves
    whole records, and --resume goes on behind them, from any folder, with the model, --top-k, --threshold, --cam and
    --cam-class that FILE was begun with. A photo counts as answered if FILE has its path, size and time of
    modification, so each is recorded once; one that could not be opened is tried again. Records are what --json prints,
    with size, modified, model, folder, threshold and maps_of; CSV has the ranks side by side. Names that are no text,
    and control characters, are \\uXXXX there, and an apostrophe keeps a cell from being a formula.
    """
    from edgeclf.classifier import Classifier
    from edgeclf.cli.photo_sources import STDIN, OverlayFiles, are_several, counting, find_photos
    from edgeclf.images.camera_raw import Tally

    if models := [photo for photo in photos if photo.endswith(".onnx")]:
        raise UsageError(f"{models[0]}: a model file among the photos", f"give it with -m {models[0]}")
    if resume and out is None:
        raise typer.BadParameter("it goes on with a file of answers; give --out too", param_hint="--resume")
    if resume and STDIN in photos:
        raise UsageError("-: nobody can say whether FILE answers standard input already", "leave out --resume")
    if cam_class is not None and cam is None:
        raise typer.BadParameter("it says which class --cam draws; give --cam too", param_hint="--cam-class")
    overlays = OverlayFiles(cam, photos, keep=resume) if cam is not None else None
    several = are_several(photos)
    classifier = Classifier(
        model,
        device,
        threads,
        threshold=threshold,
        wait=out is not None,
        low_memory=low_memory or not several,  # measured: for one photo, keeping memory for the next saves nothing
        for_many=several,
    )
    maps_of = "best-ranked"
    if cam_class is not None:  # an unknown class is a usage error before any photo is read
        maps_of = classifier.labels[classifier.index(cam_class)]
    failed, heat_maps, console, raws = False, 0, Console(), Tally()
    live = several and sys.stderr.isatty() and (out is not None or not sys.stdout.isatty())
    total = counting(photos) if live else lambda: 0

    def answers(found: Iterable["Found"]) -> Generator[dict[str, Any], None, None]:
        return _answers(classifier, found, top_k, overlays, cam_class)

    if out is None:
        with closing(answers(find_photos(photos, raws))) as given, console.progress("photos", live=live) as progress:
            for done, answer in enumerate(given, 1):
                if is_heat_map(answer):
                    heat_maps += 1
                else:
                    failed = failed or "error" in answer
                    _print(answer, as_json, console)
                progress(done, total())
        tell_heat_maps(heat_maps, console)
    else:
        from edgeclf.cli.signals import Stopping
        from edgeclf.field.record_file import RecordFile

        ranks = min(top_k, len(classifier.labels))
        rule = {"threshold": classifier.threshold, "maps_of": None if cam is None else maps_of}
        with (
            Stopping() as stop,
            RecordFile(out, classifier.sha256, ranks, resume=resume, rule=rule, retry=True) as records,
        ):
            failed = _record(records, find_photos(photos, raws), answers, stop, console, total)
        if stop:
            raise KeyboardInterrupt
    for line in raws.lines:
        console.line(line)
    if failed:
        raise typer.Exit(PhotoError.exit_code)


def _answers(
    classifier: "Classifier",
    found: Iterable["Found"],
    top_k: int,
    overlays: "OverlayFiles | None",
    cam_class: str | None,
) -> Generator[dict[str, Any], None, None]:
    """What ``--json`` prints, for one photo after another, in order."""
    from edgeclf.cli.photo_sources import answer_each

    def drawn(explanation: "Explanation") -> "_Drawn":
        picture = overlays.encode(explanation.overlay()) if overlays is not None else b""
        return _Drawn(explanation.prediction, explanation.label.label, explanation.padding_share, picture)

    def answers(photos: Iterator["Source"]) -> Generator["Prediction | _Drawn | EdgeclfError", None, None]:
        if overlays is None:
            return classifier.predict_many(photos, top_k)
        return classifier.explain_many(photos, drawn, cam_class, top_k)

    with closing(answer_each(((one.path, one.source) for one in found), answers)) as answered:
        for path, given in answered:
            answer: dict[str, Any] = {"path": path}
            if isinstance(given, ExplainError):
                answer |= answer_fields(given.prediction)
                answer["error"] = {"kind": "no-heat-map", "message": str(given)}
            elif isinstance(given, _Drawn) and overlays is not None:
                answer |= answer_fields(given.prediction)
                answer["cam"] = str(overlays.save(given.picture, path))
                answer["cam_class"] = given.label
                answer["padding_share"] = round(given.padding_share, 4)
            else:
                answer |= answer_fields(given)
            # The device waits for the session: a model that cannot be used is said before any answer.
            yield {**answer, "device": classifier.device}


@dataclass(frozen=True)
class _Drawn:
    """What stays of an explanation: the overlay's file, and what a record says."""

    prediction: "Prediction"
    label: str
    padding_share: float
    picture: bytes


def _record(
    records: "RecordFile",
    found: Iterable["Found"],
    answers: Callable[[Iterable["Found"]], Generator[dict[str, Any], None, None]],
    stop: "Stopping",
    console: Console,
    total: Callable[[], int],
) -> bool:
    """Answer what a record file does not answer yet into it, and say how many. True if some photo failed."""
    from edgeclf.field.photo_id import look_at

    ahead: deque[PhotoFile | None] = deque()  # taken, not answered yet
    skipped = done = failed = heat_maps = 0

    def unanswered() -> Iterator["Found"]:
        nonlocal skipped
        for one in found:
            if stop:
                return
            photo = look_at(one.path) if isinstance(one.source, str) else None
            if photo is not None:
                if photo.digest() in records.known:
                    skipped += 1
                    continue
                records.known.add(photo.digest())  # now, not when it is recorded: it may be given twice
            ahead.append(photo)
            yield one

    if records.cut:
        console.line(f"{records.path}: the last record was not whole and is answered again")
    with closing(answers(unanswered())) as given, console.progress("recorded") as progress:
        for answer in given:
            photo = ahead.popleft()
            if is_heat_map(answer):
                heat_maps += 1
                continue
            records.add(photo, answer)
            done += 1
            failed += "error" in answer
            progress(done, max(0, total() - skipped - heat_maps))
    tell_heat_maps(heat_maps, console)
    console.line(
        f"{records.path}: {done} recorded"
        + (f", {failed} with errors" if failed else "")
        + (f", {skipped} there already" if skipped else "")
        + (f" (it holds {records.failed} errors)" if skipped and records.failed else "")
        + ("; --resume goes on" if stop else "")
    )
    return failed > 0


def is_heat_map(answer: dict[str, Any]) -> bool:
    """Whether what was found among photos is a heat map of edgeclf."""
    return bool(answer.get("error", {}).get("kind") == "heat-map")


def tell_heat_maps(count: int, console: Console) -> None:
    """Say how many heat maps were found among photos, and left out."""
    if count:
        console.line(f"left out: {count} heat map{'s' * (count != 1)} made by edgeclf")


def answer_fields(prediction: Any) -> dict[str, Any]:
    """What ``--json`` says of a Prediction or a PhotoError, beside the path."""
    if isinstance(prediction, PhotoError):
        return {"error": {"kind": prediction.kind, "message": str(prediction)}}
    return {"unknown": prediction.unknown, "predictions": [_entry(e) for e in prediction.ranking]}


def _entry(ranked: Any) -> dict[str, Any]:
    entry = {"label": ranked.label, "index": ranked.index, "probability": round(ranked.probability, 6)}
    return entry if ranked.display_name is None else {**entry, "display_name": ranked.display_name}


def _print(answer: dict[str, Any], as_json: bool, console: Console) -> None:
    if as_json:
        print(
            f"{json.dumps(answer, allow_nan=False)}\n", end="", flush=True
        )  # one write: a kill leaves no half of a line
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
