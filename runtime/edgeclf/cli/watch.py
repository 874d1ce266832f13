"""``edgeclf watch``: classify new photos in a folder."""

import os
import signal
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeclf.cli.console import Console, printable
from edgeclf.cli.options import Device, LowMemory, NoExif, Threads
from edgeclf.cli.print_records import print_json, print_line, tell_device
from edgeclf.cli.signals import Stopping
from edgeclf.errors import PhotoError, UsageError

if TYPE_CHECKING:
    from edgeclf.classifier import Classifier
    from edgeclf.field.find_photos import Source
    from edgeclf.field.photo_id import PhotoFile
    from edgeclf.field.record import Record
    from edgeclf.field.record_file import RecordFile
    from edgeclf.field.review import ReviewFolder
    from edgeclf.field.watcher import FolderWatch
    from edgeclf.results import Prediction

_RETRY_FACTOR = 10  # times --settle: seconds until a photo that could not be read is tried again


def watch(
    folder: Annotated[Path, typer.Argument(metavar="IN", help="Folder that receives photos, with its sub-folders.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE.jsonl|FILE.csv", help="Where each photo is recorded, once.")
    ],
    review: Annotated[
        Path | None, typer.Option("--review", metavar="DIR", help="Copy unknown photos to DIR/_unsorted/<guess>/.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("-m", "--model", metavar="MODEL", help="Model file; default as for predict."),
    ] = None,
    top_k: Annotated[int, typer.Option("-k", "--top-k", metavar="N", min=1, help="How many classes to record.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    threshold: Annotated[
        float | None,
        typer.Option(metavar="P", min=0.0, max=1.0, help='Best probability below which a photo is "unknown".'),
    ] = None,
    settle: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0.0, help="How long a photo must stay unchanged first."),
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Classify what is there, then end (for cron).")] = False,
    no_exif: NoExif = False,
    device: Device = "auto",
    threads: Threads = None,
    low_memory: LowMemory = False,
) -> None:
    """Classify new photos in a folder, and record each exactly once.

    \b
    edgeclf watch /media/card/DCIM --out answers.csv
    edgeclf watch in/ --out answers.jsonl -m birds.onnx --review photos/ --threshold 0.8
    edgeclf watch in/ --out answers.jsonl --once                  # from cron

    FILE has the format of `edgeclf predict --out`, with time, place and camera of photos unless --no-exif is given. An
    existing FILE is continued: photos in IN that are not in FILE are classified first. A photo is identified by path,
    size and time of modification; a replaced file is a new photo. A photo is classified when it has not changed for
    --settle seconds. If it cannot be decoded, it is tried once more after ten times that, then recorded as an error. If
    it cannot be opened, or its disk does not answer, it is tried again at growing intervals, and recorded when it can
    be read. A power cut or a kill loses no record and repeats none; a line on standard output may be repeated.

    --review copies photos that are "unknown" (see `edgeclf predict --help`), never over another file. To label one,
    move it from DIR/_unsorted/<guess>/ to DIR/<class>/: `edgeclf train DIR` uses the class folders, never _unsorted.

    IN may disappear and come back. SIGTERM ends with 0, Ctrl-C with 130, both after the photos that are being
    classified; --once ends with 1 if photos could not be read. docs/field.md has a systemd unit.
    """
    with Stopping() as stop:
        from edgeclf.classifier import Classifier
        from edgeclf.field.record import PredictSettings
        from edgeclf.field.record_file import RecordFile, check_suffix
        from edgeclf.field.review import ReviewFolder
        from edgeclf.field.watcher import FolderWatch

        check_suffix(out)
        source = folder.absolute()  # so that a record means the same photo from any working folder
        if os.path.exists(source) and not os.path.isdir(source):
            raise UsageError(f"{folder}: is not a folder", "name the folder that receives photos")
        if once and not os.path.isdir(source):
            raise UsageError(f"{folder}: no such folder", "is the card or the mount there?")
        reviewer = ReviewFolder(review.absolute(), source) if review is not None else None
        classifier = Classifier(model, device, threads, threshold=threshold, low_memory=low_memory, for_many=True)
        console = Console()
        tell_device(classifier.device, console)
        ranks = min(top_k, len(classifier.labels))
        settings = PredictSettings(classifier.threshold)
        with RecordFile(
            out, classifier.sha256, ranks, resume=True, settings=settings, facts=not no_exif, sync_every=0
        ) as records:
            if records.cut:
                console.line(f"{out}: the last record was incomplete; its photo is classified again")
            watcher = FolderWatch(
                str(source),
                records.known,
                settle=settle,
                retry_after=_RETRY_FACTOR * settle,
                skip=review,
                on_unreadable=lambda path, error: console.line(
                    f"edgeclf: {printable(path)}: the folder cannot be read ({error.strerror}); it is left out"
                ),
                on_raw=lambda path: console.line(
                    f"{printable(path)}: camera raw files are left out, edgeclf cannot read them: save JPEGs, too"
                ),
            )
            work = _Work(classifier, records, reviewer, console, top_k, as_json, once, facts=not no_exif)
            console.line(f"watching {printable(str(folder))}, {records.found} photos recorded in {out} so far")
            _run(watcher, work, stop, console, once)
    if stop.signal == signal.SIGINT:
        raise KeyboardInterrupt
    if once and work.failed:
        raise typer.Exit(PhotoError.exit_code)


def _run(watcher: "FolderWatch", work: "_Work", stop: Stopping, console: Console, once: bool) -> None:
    """Scan and classify until asked to stop; with ``once``, until the photos of the first scan are classified."""
    scans, away = 0, False
    while not stop:
        work.classify_new(watcher, stop)
        if watcher.gone is not None:
            reason = f"{watcher.folder}: cannot be read ({watcher.gone.strerror})"
            if once:
                raise UsageError(reason, "is the card or the mount there?")
            if not away:
                console.line(f"edgeclf: {printable(reason)}; waiting until it is back")
        elif away:
            console.line(f"edgeclf: {printable(watcher.folder)}: is back")
        away = watcher.gone is not None
        scans += not away
        if once and scans >= 2 and not watcher.postponed:  # the first scan cannot tell which photos are stable
            if watcher.waiting:
                console.line(f"{watcher.waiting} photos are new or just changed, and are left for the next run")
            return
        stop.wait(watcher.pause)


class _Work:
    """What is done with every photo: classify, copy for review, print, record, in this order."""

    def __init__(
        self,
        classifier: "Classifier",
        records: "RecordFile",
        reviewer: "ReviewFolder | None",
        console: Console,
        top_k: int,
        as_json: bool,
        once: bool,
        *,
        facts: bool = True,
    ) -> None:
        self.failed, self._once, self._facts = 0, once, facts
        self._classifier, self._records, self._reviewer = classifier, records, reviewer
        self._console, self._top_k, self._as_json = console, top_k, as_json

    def classify_new(self, watcher: "FolderWatch", stop: Stopping) -> None:
        """Classify what one scan finds; return when all records are on the disk."""
        from edgeclf.cli.photo_sources import predict_each
        from edgeclf.field.photo_id import look_at
        from edgeclf.field.record import Record
        from edgeclf.field.record_file import TEMPORARY
        from edgeclf.files.photo_names import FoundPath
        from edgeclf.images.heatmap_mark import OVERLAY_KIND

        def found() -> Iterator[tuple["PhotoFile", str]]:
            for photo in watcher.scan():
                if stop:
                    return
                yield photo, FoundPath(photo.path)

        def predictions(photos: Iterator["Source"]) -> Generator["Prediction | PhotoError", None, None]:
            return self._classifier.predict_many(photos, self._top_k, facts=self._facts)

        with closing(predict_each(found(), predictions)) as pairs:
            for photo, prediction in pairs:
                if isinstance(prediction, PhotoError) and prediction.kind == OVERLAY_KIND:
                    self._records.known.add(photo.digest())  # not a photo: nothing to record
                    continue
                if look_at(photo.path) != photo:
                    continue  # deleted, or changed while it was read: then it is a new photo
                record = Record.of(photo.path, prediction)
                if isinstance(prediction, PhotoError):
                    tries, temporary = watcher.put_off(photo), prediction.kind in TEMPORARY
                    if tries == 1 or (temporary and not self._once):
                        if tries == 2:
                            self._print(record)
                        continue
                    watcher.give_up(photo)
                    self.failed += 1
                    if temporary:  # left for the next run
                        self._records.known.add(photo.digest())
                        self._print(record)
                        continue
                elif prediction.unknown and self._reviewer is not None:
                    copy = self._reviewer.copy(photo.path, prediction.best.label)
                    if copy is None:
                        continue
                    record = replace(record, copy=str(copy))
                self._print(record)
                self._records.add(photo, record)
        self._records.commit()

    def _print(self, record: "Record") -> None:
        print_json(record) if self._as_json else print_line(record, self._console)
