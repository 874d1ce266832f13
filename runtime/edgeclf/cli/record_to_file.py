"""``predict --out``: predictions into a record file, one by one."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING

from edgeclf.cli.console import Console
from edgeclf.cli.print_records import is_heat_map, tell_heat_maps

if TYPE_CHECKING:
    from edgeclf.cli.event_records import Groups
    from edgeclf.cli.signals import Stopping
    from edgeclf.field.find_photos import Found
    from edgeclf.field.photo_id import PhotoFile
    from edgeclf.field.record import Record
    from edgeclf.field.record_file import RecordFile


def record_to_file(
    file: "RecordFile",
    found: Iterable[list["Found"]],
    predicted: Callable[["Groups"], Generator[list["Record"], None, None]],
    stop: "Stopping",
    console: Console,
    total: Callable[[], int],
) -> bool:
    """Add the photos that are not in a record file yet, and print how many. True if a photo failed.

    An event is predicted as a whole if one of its photos is new.
    """
    from edgeclf.cli.event_records import Groups
    from edgeclf.field.photo_id import look_at

    waiting: deque[tuple[PhotoFile | None, bool]] = deque()  # given to the classifier, not recorded yet; is it new?
    skipped = done = failed = heat_maps = 0

    def new_photos() -> Iterator[list["Found"]]:
        nonlocal skipped
        for group in found:
            if stop:
                return
            photos: list[tuple[PhotoFile | None, bool]] = []
            for one in group:
                photo = look_at(one.path) if isinstance(one.source, str) else None
                is_new = photo is None or photo.digest() not in file.known
                skipped += not is_new
                if photo is not None and is_new:
                    file.known.add(photo.digest())  # now, not when it is recorded: the user may name it twice
                photos.append((photo, is_new))
            if any(is_new for _, is_new in photos):
                waiting.extend(photos)
                yield group

    if file.cut:
        console.line(f"{file.path}: the last record was incomplete; its photo is classified again")
    groups = Groups(new_photos(), stop)
    with closing(predicted(groups)) as results, console.progress("recorded") as progress:
        for record in chain.from_iterable(results):
            photo, is_new = waiting.popleft()
            if not is_new:
                continue
            if is_heat_map(record):
                heat_maps += 1
                continue
            file.add(photo, record)
            done += 1
            failed += record.error is not None
            progress(done, max(0, total() - skipped - heat_maps))
    tell_heat_maps(heat_maps, console)
    console.line(
        f"{file.path}: {done} recorded"
        + (f", {failed} with errors" if failed else "")
        + (f", {skipped} there already" if skipped else "")
        + (f" (it holds {file.failed} errors)" if skipped and file.failed else "")
        + ("; --resume continues" if stop else "")
    )
    return failed > 0
