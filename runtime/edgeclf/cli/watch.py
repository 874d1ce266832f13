"""``edgeclf watch``: classify photos as they come into a folder."""

import os
import signal
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeclf.cli.console import Console, printable
from edgeclf.cli.options import Device, LowMemory, Threads
from edgeclf.cli.print_records import print_json, print_line
from edgeclf.cli.signals import Stopping
from edgeclf.errors import PhotoError, UsageError

if TYPE_CHECKING:
    from edgeclf.classifier import Classifier
    from edgeclf.cli.photo_sources import Source
    from edgeclf.field.photo_id import PhotoFile
    from edgeclf.field.record import Record
    from edgeclf.field.record_file import RecordFile
    from edgeclf.field.review import ReviewFolder
    from edgeclf.field.watcher import FolderWatch
    from edgeclf.results import Prediction

_PATIENCE = 10  # times --settle, until a photo that could not be read is tried again


def watch(
    folder: Annotated[Path, typer.Argument(metavar="IN", help="Folder that photos come into, with its sub-folders.")],
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
        float, typer.Option(metavar="SECONDS", min=0.0, help="How long a photo must stay the same to be taken.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Answer what is there, then end (for cron).")] = False,
    device: Device = "auto",
    threads: Threads = None,
    low_memory: LowMemory = False,
) -> None:
    """Classify photos as they come into a folder, and record each exactly once.

    \b
    edgeclf watch /media/card/DCIM --out answers.csv
    edgeclf watch in/ --out answers.jsonl -m birds.onnx --review photos/ --threshold 0.8
    edgeclf watch in/ --out answers.jsonl --once                  # from cron

    FILE is the record, as `edgeclf predict --out` writes it, and goes on where it ends: photos that lie in IN already
    and are not in FILE are taken first. A photo is its path, size and time of modification; replaced, it is a new one.
    It is taken once it has stayed the same for --settle seconds. One that does not decode is tried again after ten
    times that, then recorded as an error; one that may not be opened, or whose disk does not answer, is tried again
    and again, ever later, and recorded when it can be read. A power cut or a kill loses no record and repeats none; a
    line on standard output may be repeated.

    --review copies photos that are "unknown" (see `edgeclf predict --help`), never over another file. Moving one from
    DIR/_unsorted/<guess>/ to DIR/<class>/ labels it: `edgeclf train DIR` takes the class folders, never _unsorted.

    IN may vanish and come back. SIGTERM ends with 0, Ctrl-C with 130, both after the photos in hand; --once with 1 if
    photos could not be read. docs/field.md has a systemd unit.
    """
    with Stopping() as stop:
        from edgeclf.classifier import Classifier
        from edgeclf.field.record import PredictSettings
        from edgeclf.field.record_file import RecordFile, check_suffix
        from edgeclf.field.review import ReviewFolder
        from edgeclf.field.watcher import FolderWatch

        check_suffix(out)
        source = folder.absolute()  # a record must mean the same photo wherever edgeclf is started next time
        if os.path.exists(source) and not os.path.isdir(source):
            raise UsageError(f"{folder}: is not a folder", "name the folder that photos come into")
        if once and not os.path.isdir(source):
            raise UsageError(f"{folder}: no such folder", "is the card or the mount there?")
        reviewer = ReviewFolder(review.absolute(), source) if review is not None else None
        classifier = Classifier(model, device, threads, threshold=threshold, low_memory=low_memory, for_many=True)
        console = Console()
        ranks = min(top_k, len(classifier.labels))
        settings = PredictSettings(classifier.threshold)
        with RecordFile(out, classifier.sha256, ranks, resume=True, settings=settings, sync_every=0) as records:
            if records.cut:
                console.line(f"{out}: the last record was not whole; its photo is answered again")
            watcher = FolderWatch(
                str(source),
                records.known,
                settle=settle,
                patience=_PATIENCE * settle,
                skip=review,
                told=lambda path, error: console.line(
                    f"edgeclf: {printable(path)}: the folder cannot be read ({error.strerror}); going on without it"
                ),
                onraw=lambda path: console.line(
                    f"{printable(path)}: camera raw files are left out, they cannot be read here: save JPEGs, too"
                ),
            )
            work = _Work(classifier, records, reviewer, console, top_k, as_json, once)
            console.line(f"watching {printable(str(folder))}, {records.found} photos recorded in {out} so far")
            _run(watcher, work, stop, console, once)
    if stop.signal == signal.SIGINT:
        raise KeyboardInterrupt
    if once and work.failed:
        raise typer.Exit(PhotoError.exit_code)


def _run(watcher: "FolderWatch", work: "_Work", stop: Stopping, console: Console, once: bool) -> None:
    """Look and answer until asked to stop; if only once, until what was there at the first look is answered."""
    looks, away = 0, False
    while not stop:
        work.answer_new(watcher, stop)
        if watcher.gone is not None:
            reason = f"{watcher.folder}: cannot be read ({watcher.gone.strerror})"
            if once:
                raise UsageError(reason, "is the card or the mount there?")
            if not away:
                console.line(f"edgeclf: {printable(reason)}; waiting for it")
        elif away:
            console.line(f"edgeclf: {printable(watcher.folder)}: is back")
        away = watcher.gone is not None
        looks += not away
        if once and looks >= 2 and not watcher.postponed:  # the first look takes nothing: nobody knows what is quiet
            if watcher.waiting:
                console.line(f"{watcher.waiting} photos came or changed just now and are left for the next run")
            return
        stop.wait(watcher.pause)


class _Work:
    """What is done with every photo: answer, copy for review, print, record, in this order."""

    def __init__(
        self,
        classifier: "Classifier",
        records: "RecordFile",
        reviewer: "ReviewFolder | None",
        console: Console,
        top_k: int,
        as_json: bool,
        once: bool,
    ) -> None:
        self.failed, self._once = 0, once
        self._classifier, self._records, self._reviewer = classifier, records, reviewer
        self._console, self._top_k, self._as_json = console, top_k, as_json

    def answer_new(self, watcher: "FolderWatch", stop: Stopping) -> None:
        """Take what one look finds; return when all of it is on the disk."""
        from edgeclf.cli.photo_sources import answer_each
        from edgeclf.field.photo_id import look_at
        from edgeclf.field.record import Record
        from edgeclf.field.record_file import PASSING
        from edgeclf.files.photo_names import FoundPath
        from edgeclf.images.overlay_mark import OVERLAY_KIND

        def found() -> Iterator[tuple["PhotoFile", str]]:
            for photo in watcher.look():
                if stop:
                    return
                yield photo, FoundPath(photo.path)

        def predictions(photos: Iterator["Source"]) -> Generator["Prediction | PhotoError", None, None]:
            return self._classifier.predict_many(photos, self._top_k)

        with closing(answer_each(found(), predictions)) as answers:
            for photo, prediction in answers:
                if isinstance(prediction, PhotoError) and prediction.kind == OVERLAY_KIND:
                    self._records.known.add(photo.digest())  # no photo: nothing to record
                    continue
                if look_at(photo.path) != photo:
                    continue  # gone, or changed while it was read: then it is a new photo
                record = Record.of(photo.path, prediction)
                if isinstance(prediction, PhotoError):
                    again, passing = watcher.put_off(photo), prediction.kind in PASSING
                    if again == 1 or (passing and not self._once):
                        if again == 2:
                            self._print(record)
                        continue
                    watcher.give_up(photo)
                    self.failed += 1
                    if passing:  # left for the next run
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
