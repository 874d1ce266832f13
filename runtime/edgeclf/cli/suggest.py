"""``edgeclf suggest``: the photos that are worth a label most."""

import csv
import json
import os
import sys
from array import array
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeclf.cli.console import Console, printable
from edgeclf.cli.options import Device, LowMemory, Threads
from edgeclf.cli.print_records import tell_device, tell_heat_maps
from edgeclf.errors import PhotoError, UsageError

if TYPE_CHECKING:
    from edgeclf.classifier import Classifier
    from edgeclf.field.find_photos import Found, Source
    from edgeclf.field.photo_vectors import PhotoVectors
    from edgeclf.field.suggest import Suggestion
    from edgeclf.results import Features

COLUMNS = ("rank", "path", "label", "probability", "gain", "similarity")


def suggest(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model file.")],
    photos: Annotated[
        list[str], typer.Argument(metavar="PHOTO...", help="Photos, folders (searched recursively) or globs.")
    ],
    count: Annotated[
        int, typer.Option("-n", "--count", metavar="N", min=1, help="How many photos to suggest at most.")
    ] = 60,
    known: Annotated[
        list[Path] | None,
        typer.Option("--known", metavar="DIR", help="Photos with a label, such as the training folder; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="A table, with a row for each photo that looks alike.")] = False,
    review: Annotated[
        Path | None,
        typer.Option("--review", metavar="DIR", help="Copy the photos into DIR/_unsorted, for the sorting page."),
    ] = None,
    alike: Annotated[
        bool, typer.Option("--alike", help="With --review: copy the photos that look alike, too.")
    ] = False,
    device: Device = "auto",
    threads: Threads = None,
    low_memory: LowMemory = False,
) -> None:
    """Suggest the photos that are worth a label most.

    \b
    edgeclf suggest birds.onnx card/ -n 60 --known photos/
    edgeclf suggest birds.onnx card/ --known photos/ --review photos/
    edgeclf suggest birds.onnx card/ --known photos/ --csv > label-these.csv

    The photos are chosen so that together they are like as many others as possible, more so like those that the model
    is unsure about, and unlike each other and the photos of --known. Give --known the photos that the model was trained
    on: without it, photos like these are suggested, too. Its folder _unsorted does not count. Copies of labelled or
    suggested photos are left out, even if fewer than N are suggested then.

    Each suggestion has the photos that look like it (a cosine of their features of 0.6 or more): often one label does
    for all. With --review, sort them with `edgeclf serve -m MODEL --review DIR`, at the address /sort; photos are
    copied, never moved.

    --json prints rank, path, label and probability (what the model predicts), unsure (1 minus the gap between its two
    best probabilities), gain (the share of all photos that this one is like and earlier ones are not), alike [path,
    similarity], and with --review copies [path]. --csv prints rank, path, label, probability, gain and similarity; rows
    without a gain look like the suggestion of the same rank. A photo that cannot be read is reported and left out.
    """
    from edgeclf.classifier import Classifier
    from edgeclf.field.find_photos import STDIN, each_once, find_photos
    from edgeclf.field.photo_vectors import PhotoVectors
    from edgeclf.field.suggest import MAX_CANDIDATES, choose
    from edgeclf.files.walk import image_files
    from edgeclf.images.camera_raw import Tally

    if as_json and as_csv:
        raise UsageError("--json and --csv", "choose one of them")
    if alike and review is None:
        raise typer.BadParameter("it copies photos; give --review too", param_hint="--alike")
    if STDIN in photos:
        raise UsageError("-: suggest chooses among files", "name photos or folders")
    if models := [photo for photo in photos if photo.endswith(".onnx")]:
        raise UsageError(f"{models[0]}: a model file among the photos", "name one model, then photos")
    for folder in known or []:
        if not folder.is_dir():
            raise UsageError(f"--known {folder}: is not a folder", "name the folder with the labelled photos")
    trays = _trays(review, photos)
    classifier = Classifier(model, device, threads, low_memory=low_memory, for_many=True)
    console, raws = Console(), Tally()
    labelled = _Looked(console, PhotoVectors())
    with console.progress("labelled photos") as progress:
        for folder in known or []:
            labelled.look(classifier, _labelled(str(folder), image_files), progress)
    looked = _Looked(console, PhotoVectors())
    with console.progress("photos") as progress:
        looked.look(classifier, each_once(find_photos(photos, raws)), progress)
    for line in raws.lines:
        console.line(line)
    tell_heat_maps(looked.heat_maps, console)
    tell_device(classifier.device, console)
    if not known:
        console.line("without --known DIR, photos like those that the model was trained on may be suggested")
    with console.progress("choosing") as progress:
        chosen = choose(looked.vectors, looked.unsure, labelled.vectors, count, progress)
    compared = min(len(looked.paths), MAX_CANDIDATES)
    if len(chosen) < min(count, compared):
        console.line(f"{compared - len(chosen)} of {compared} photos are nearly the same as labelled or suggested ones")
    elif len(chosen) < count:
        console.line(f"{len(chosen)} photos to choose from, fewer than {count}")
    _print(chosen, looked, classifier, trays if trays is None else _Copier(trays, alike), as_json, as_csv)
    if looked.failed or labelled.failed:
        raise typer.Exit(PhotoError.exit_code)


@dataclass
class _Looked:
    """What is kept of photos that the model has looked at.

    Attributes:
        console: where unreadable photos are told.
        vectors: of the features of the photos that could be read.
        paths: of these photos.
        label, probability: what the model predicts: index of the class, 0..1.
        unsure: see ``edgeclf.field.suggest.unsureness``.
        failed: how many photos could not be read.
        heat_maps: how many were heat maps that edgeclf made.
    """

    console: Console
    vectors: "PhotoVectors"
    paths: list[str] = field(default_factory=list)
    label: "array[int]" = field(default_factory=lambda: array("l"))
    probability: "array[float]" = field(default_factory=lambda: array("f"))
    unsure: "array[float]" = field(default_factory=lambda: array("f"))
    failed: int = 0
    heat_maps: int = 0

    def look(self, classifier: "Classifier", found: "Iterable[Found]", progress: Any) -> None:
        """Look at photos, in parallel, and keep what is needed of each: about 400 bytes and its path."""
        from edgeclf.cli.photo_sources import predict_each
        from edgeclf.field.suggest import unsureness
        from edgeclf.images.heatmap_mark import OVERLAY_KIND

        def features(photos: "Iterator[Source]") -> "Generator[Features | PhotoError, None, None]":
            return classifier.features_many(photos, 2)

        with closing(predict_each(((one.path, one.source) for one in found), features)) as pairs:
            for done, (path, result) in enumerate(pairs, 1):
                progress(done, 0)
                if isinstance(result, PhotoError):
                    if result.kind == OVERLAY_KIND:
                        self.heat_maps += 1
                    else:
                        self.failed += 1
                        self.console.line(f"edgeclf: {printable(str(result))}")
                    continue
                ranking = result.prediction.ranking
                self.paths.append(path)
                self.label.append(ranking[0].index)
                self.probability.append(ranking[0].probability)
                self.unsure.append(unsureness([one.probability for one in ranking]))
                self.vectors.add(result.vector)


class _Copier:
    """Copies suggested photos into the trays of the sorting page.

    Args:
        trays: a ``ReviewFolder``.
        alike: also those that look like them.
    """

    def __init__(self, trays: Any, alike: bool) -> None:
        self._trays, self._alike = trays, alike

    def copies(self, one: "Suggestion", looked: _Looked, labels: tuple[str, ...]) -> list[str]:
        """Copy, under the class that the model predicts for each photo; the paths of the copies."""
        numbers = (one.photo, *one.alike) if self._alike else (one.photo,)
        made = (self._trays.copy(looked.paths[number], labels[looked.label[number]]) for number in numbers)
        return [str(path) for path in made if path is not None]


def _trays(review: Path | None, photos: list[str]) -> Any:
    """The folder that photos are copied to; None without ``review``."""
    if review is None:
        return None
    from edgeclf.field.review import ReviewFolder

    folder = review.absolute()
    for place in {place for photo in photos for place in _folders(photo)}:
        ReviewFolder(folder, Path(place).absolute())  # refuses photos that lie where the copies go
    return ReviewFolder(folder)


def _folders(photo: str) -> set[str]:
    """What one argument names: a folder itself, or the folders that its photos lie in."""
    from edgeclf.files.glob_patterns import is_pattern, matching
    from edgeclf.files.hanging_disk import with_time_limit

    def named(progress: Any) -> set[str]:
        if os.path.isdir(photo):
            return {photo}
        return {os.path.dirname(name) for name in (matching(photo, progress) if is_pattern(photo) else [photo])}

    try:
        return with_time_limit(named, photo)
    except PhotoError:
        return set()  # told when the photos are read


def _labelled(folder: str, image_files: Any) -> "Iterator[Found]":
    """The photos below a folder of class folders, but not those that wait for a label."""
    from edgeclf.field.find_photos import Found
    from edgeclf.files.photo_names import UNSORTED

    def listed(error: OSError) -> None:
        raise UsageError(f"--known {error.filename}: cannot be listed ({error.strerror})", "check its permissions")

    for path in image_files(folder, listed):
        if UNSORTED not in Path(path).relative_to(folder).parts:
            yield Found(path, path)


def _print(
    chosen: "tuple[Suggestion, ...]",
    looked: _Looked,
    classifier: "Classifier",
    copier: _Copier | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    from edgeclf.field.csv_columns import escaped

    labels = classifier.labels
    table = csv.writer(sys.stdout, lineterminator="\n")
    if as_csv:
        table.writerow(COLUMNS)
    for rank, one in enumerate(chosen, 1):
        copies = [] if copier is None else copier.copies(one, looked, labels)
        path, label = looked.paths[one.photo], labels[looked.label[one.photo]]
        probability = round(looked.probability[one.photo], 6)
        if as_json:
            values = {"rank": rank, "path": path, "label": label, "probability": probability}
            values |= {"unsure": round(looked.unsure[one.photo], 6), "gain": round(one.gain, 6)}
            pairs = zip(one.alike, one.similarity, strict=True)
            values["alike"] = [{"path": looked.paths[n], "similarity": round(cosine, 4)} for n, cosine in pairs]
            if copier is not None:
                values["copies"] = copies
            print(json.dumps(values, allow_nan=False))
        elif as_csv:
            for number, cosine in ((one.photo, 1.0), *zip(one.alike, one.similarity, strict=True)):
                name, guess = escaped(looked.paths[number]), escaped(labels[looked.label[number]])
                gain = f"{one.gain:.6f}" if number == one.photo else ""
                table.writerow((rank, name, guess, f"{looked.probability[number]:.6f}", gain, f"{cosine:.4f}"))
        else:
            like = f", {len(one.alike)} look alike" if one.alike else ""
            name = classifier.manifest.display_names.get(label, label)
            print(printable(f"{rank:>4}  {path}: {name} {probability:.1%}{like}"))
    sys.stdout.flush()
