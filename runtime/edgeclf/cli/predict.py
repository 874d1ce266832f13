"""``edgeclf predict``: top-k predictions and heat maps for photos."""

import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeclf.cli.console import Console
from edgeclf.cli.options import Device, LowMemory, NoExif, Ray, Threads
from edgeclf.cli.print_records import is_heat_map, print_json, print_ranking, tell_device, tell_heat_maps
from edgeclf.errors import ExplainError, PhotoError, UsageError

if TYPE_CHECKING:
    from edgeclf.classifier import Classifier
    from edgeclf.cli.event_records import Groups, PredictedPhoto
    from edgeclf.cli.photo_sources import OverlayFiles
    from edgeclf.field.find_photos import Found, Source
    from edgeclf.field.record import Record
    from edgeclf.results import Explanation, Prediction


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
            help="Model file; default: $EDGECLF_MODEL, else the ImageNet network in the package.",
        ),
    ] = None,
    top_k: Annotated[int, typer.Option("-k", "--top-k", metavar="N", min=1, help="How many classes to show.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.jsonl|FILE.csv", help="Record the predictions in a file, one by one."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue --out FILE, if it exists: skip photos that are in it.")
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
            help='Best probability below which a photo is "unknown"; 0: never unknown; default: the model\'s own.',
        ),
    ] = None,
    events: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0.0,
            help="Answer photos of one camera together that were taken at most SECONDS apart, one after another.",
        ),
    ] = None,
    no_exif: NoExif = False,
    device: Device = "auto",
    threads: Threads = None,
    low_memory: LowMemory = False,
    ray: Ray = None,
    batch: Annotated[int, typer.Option(metavar="N", min=1, help="With --ray: photos in an answer file.")] = 256,
) -> None:
    """Classify photos.

    \b
    edgeclf predict photo.jpg
    edgeclf predict photo.jpg --cam why.png
    edgeclf predict field-day/ -m birds.onnx --json > answers.jsonl
    edgeclf predict field-day/ -m birds.onnx --out answers.csv --resume
    edgeclf predict field-day/ -m birds.onnx --out answers.csv --events 5
    edgeclf predict 'card/**/*.JPG' -m birds.onnx --cam overlays/
    curl -s http://camera/still | edgeclf predict -
    edgeclf predict s3://survey/2026/ -m birds.onnx --ray HEAD:6379 --out s3://survey/answers --resume

    In folders, hidden files and files of the system (@eaDir, waste bins) are left out, and links to folders are
    followed. Heat maps made by edgeclf are left out, unless one is the only argument; --cam overwrites only these.

    A photo that cannot be read is reported, and the others are still classified. A calibrated model calls a photo
    "unknown" if its best probability is below the threshold chosen in training (see `edgeclf info`); the ranking is
    still shown. With --json each line also has the execution provider that was used, as "device".

    If a photo's EXIF says so, its record has taken, latitude, longitude and camera: also the place of a nest or a home.
    --no-exif leaves them out.

    --events reads the times of all photos first, then classifies event by event. Each record also has the answer of its
    event, the mean of the logits: event (path of its first photo), event_photos (how many were classified),
    event_label, event_probability, event_unknown. A camera is told by name and serial number, without a serial number
    by name and folder. A photo without a time is an event of its own.

    --out prints no predictions. Each record is one line, written at once; Ctrl-C or a crash leaves complete records.
    --resume continues after them, from any folder, with the model, --top-k, --threshold, --cam, --cam-class and
    --events that FILE was begun with. A photo is skipped if FILE has its path, size and time of modification, so each
    is recorded once; one that could not be opened is tried again. Records are what --json prints, with size, modified,
    model, folder, threshold, maps_of and events; CSV has the ranked classes side by side. In CSV, control characters
    and names that are not text are \\uXXXX, and an apostrophe keeps a cell from being a formula.

    --ray predicts on all CPUs of a Ray cluster (auto, HOST:PORT; local: this machine). PHOTO may also be a list of
    paths (.txt, .csv, .tsv, .parquet), a .tar of photos, or an address (s3://, gs://). --out is then a folder that all
    nodes see, or an address: it gets the same records as JSON lines and as Parquet, in files of --batch photos, and
    job.json.
    --resume continues it after any crash, with the same model, --top-k, --threshold, --no-exif and versions.
    """
    if ray is not None:
        from edgeclf.cli.predict_cluster import predict_on_cluster, refuse

        refuse({"--cam": cam, "--cam-class": cam_class, "--events": events, "--json": as_json})
        refuse({"--low-memory": low_memory, "--device": device != "auto"})
        options = {"top_k": top_k, "threshold": threshold, "threads": threads, "batch": batch, "facts": not no_exif}
        predict_on_cluster(photos, model, ray, out, resume=resume, options=options)
        return
    from edgeclf.classifier import Classifier
    from edgeclf.cli.event_records import Groups, find_events
    from edgeclf.cli.photo_sources import OverlayFiles, are_several, counting
    from edgeclf.field.find_photos import STDIN, find_photos
    from edgeclf.images.camera_raw import Tally

    if models := [photo for photo in photos if photo.endswith(".onnx")]:
        raise UsageError(f"{models[0]}: a model file among the photos", f"give it with -m {models[0]}")
    if resume and out is None:
        raise typer.BadParameter("it continues a record file; give --out too", param_hint="--resume")
    if resume and STDIN in photos:
        raise UsageError("-: --resume does not work with standard input", "leave out --resume, or name the photos")
    if events is not None and not events < float("inf"):
        raise typer.BadParameter("give a number of seconds", param_hint="--events")
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
        low_memory=low_memory or not several,  # measured: for one photo it saves nothing to keep memory
        for_many=several,
    )
    if overlays is not None and not classifier.manifest.cam_classes:
        raise UsageError(
            f"{model or 'the model'} has no heat maps: it was exported with --no-cam, or its network has none",
            "leave out --cam",
        )
    maps_of = "best-ranked"
    if cam_class is not None:  # so that an unknown class is a usage error before a photo is read
        maps_of = classifier.labels[classifier.index(cam_class)]
    failed, heat_maps, console, raws = False, 0, Console(), Tally()
    live = several and sys.stderr.isatty() and (out is not None or not sys.stdout.isatty())
    total = counting(photos) if live else lambda: 0

    def predicted(groups: "Groups") -> Generator[list["Record"], None, None]:
        wanted = _Wanted(top_k, overlays, cam_class, logits=events is not None, facts=not no_exif)
        return groups.records(_predicted(classifier, groups.photos(), wanted), classifier if wanted.logits else None)

    def found() -> Iterable[list["Found"]]:
        each = find_photos(photos, raws)
        return ([one] for one in each) if events is None else find_events(each, events, console, live)

    if out is None:
        with closing(predicted(Groups(found(), False))) as results, console.progress("photos", live=live) as progress:
            for done, record in enumerate(chain.from_iterable(results), 1):
                if is_heat_map(record):
                    heat_maps += 1
                else:
                    failed = failed or record.error is not None
                    print_json(record) if as_json else print_ranking(record, console)
                progress(done, total())
        tell_heat_maps(heat_maps, console)
    else:
        from edgeclf.cli.record_to_file import record_to_file
        from edgeclf.cli.signals import Stopping
        from edgeclf.field.record import PredictSettings
        from edgeclf.field.record_file import RecordFile

        ranks = min(top_k, len(classifier.labels))
        settings = PredictSettings(classifier.threshold, None if cam is None else maps_of, events)
        with (
            Stopping() as stop,
            RecordFile(
                out, classifier.sha256, ranks, resume=resume, settings=settings, facts=not no_exif, retry=True
            ) as file,
        ):
            failed = record_to_file(file, found(), predicted, stop, console, total)
        if stop:
            raise KeyboardInterrupt
    for line in raws.lines:
        console.line(line)
    tell_device(classifier.device, console)
    if failed:
        raise typer.Exit(PhotoError.exit_code)


@dataclass(frozen=True)
class _Wanted:
    """What is predicted for each photo: classes to rank, heat maps, logits, and facts from the EXIF."""

    top_k: int
    overlays: "OverlayFiles | None"
    cam_class: str | None
    logits: bool
    facts: bool


def _predicted(
    classifier: "Classifier", found: Iterable["Found"], wanted: _Wanted
) -> Generator["PredictedPhoto", None, None]:
    """Records of one photo after another, in order; heat maps are saved on the way."""
    from edgeclf.cli.event_records import PredictedPhoto
    from edgeclf.cli.photo_sources import predict_each
    from edgeclf.field.record import Record

    def drawn(explanation: "Explanation") -> "_Drawn":
        picture = wanted.overlays.encode(explanation.overlay()) if wanted.overlays is not None else b""
        return _Drawn(explanation.prediction, explanation.label.label, explanation.padding_share, picture)

    def results(photos: Iterator["Source"]) -> Generator["Prediction | _Drawn | PhotoError | ExplainError", None, None]:
        top_k, logits, facts = wanted.top_k, wanted.logits, wanted.facts
        if wanted.overlays is None:
            return classifier.predict_many(photos, top_k, logits=logits, facts=facts)
        return classifier.explain_many(photos, drawn, wanted.cam_class, top_k, logits=logits, facts=facts)

    with closing(predict_each(((one.path, one.source) for one in found), results)) as pairs:
        for path, result in pairs:
            # Asking for the device waits for the session: a model that cannot be used is reported before any record.
            device = classifier.device
            if not isinstance(result, _Drawn):
                prediction = result.prediction if isinstance(result, ExplainError) else result
                logits = None if isinstance(prediction, PhotoError) else prediction.logits
                yield PredictedPhoto(Record.of(path, result, device), logits)
            elif wanted.overlays is not None:
                file = wanted.overlays.save(result.picture, path)
                record = Record.of(path, result.prediction, device)
                record = record.with_heat_map(str(file), result.label, result.padding_share)
                yield PredictedPhoto(record, result.prediction.logits)


@dataclass(frozen=True)
class _Drawn:
    """What is kept of an explanation: the bytes of the overlay's file, and what goes into the record."""

    prediction: "Prediction"
    label: str
    padding_share: float
    picture: bytes
