"""Sorts a folder in a child process, kills the child at a random instant, counts the photos; again and again.

Prints one JSON line. The children are forked, so that a kill costs milliseconds. The machine is not cut off, so a flush
only takes time here, as on a disk. With ``placeholder`` the system's exclusive rename is taken to be missing; ``link``
is a fault, to see that the count finds it.
"""

import collections
import errno
import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from edgeclf.field import sorting as sorting_module
from edgeclf.field.sort_journal import JOURNAL
from edgeclf.field.sorting import SortFolder
from edgeclf.files import move_new

LABELS = ("king", "gentoo", "a new one", None)


def fill(folder: Path, count: int) -> None:
    """Trays in which several photos have the same name and all differ."""
    for number in range(count):
        tray = folder / "_unsorted" / ("king", "adelie", "皇帝ペンギン")[number % 3]
        tray.mkdir(parents=True, exist_ok=True)
        (tray / f"IMG_{number // 4 % 5}{'abcd'[number % 4]}{number}.jpg").write_bytes(b"photo %d" % number)
    (folder / "king").mkdir()
    (folder / "king" / "IMG_0a0.jpg").write_bytes(b"a photo that was there before")


def photos(folder: Path) -> collections.Counter[str]:
    """Digest of content -> how often it is there; empty files, which may wait for a rename, are not photos."""
    found = [path for path in folder.rglob("*.jpg") if path.is_file() and path.stat().st_size]
    return collections.Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in found)


def sort_for_ever(folder: Path, seed: int) -> None:
    """Label and undo at random."""
    rng = random.Random(seed)
    sorting = SortFolder(folder, ("king", "gentoo", "adelie"))
    while True:
        waiting = [photo.id for photo in sorting.photos()]
        if waiting and rng.random() < 0.6:
            label = rng.choice(LABELS)
            sorting.label(rng.sample(waiting, min(len(waiting), rng.randint(1, 16))), label, new=label is not None)
        else:
            sorting.undo()


def operations_in(folder: Path) -> int:
    """How many operations were begun."""
    journal = folder / "_unsorted" / JOURNAL
    return journal.read_bytes().count(b'{"operation"') if journal.exists() else 0


def wait_for_operation(folder: Path, begun: int) -> None:
    """Wait until a child has begun to sort: on a busy machine it takes a while to start."""
    end = time.monotonic() + 30
    while operations_in(folder) == begun and time.monotonic() < end:
        time.sleep(0.001)


def main(folder: Path, kills: int, how: str, seed: int) -> None:
    """Kill as often as asked."""
    if how == "link":  # the fault that the tests seed: what a plain implementation would do

        def link_and_delete(source: Path, target: Path) -> bool:
            os.link(source, target)
            time.sleep(0.0005)
            os.unlink(source)
            return True

        sorting_module.move_new = link_and_delete
    if how == "placeholder":
        move_new._exclusive_rename = lambda: lambda source, target: errno.ENOSYS  # type: ignore[assignment]
    os.fsync = lambda descriptor: time.sleep(0.0002)
    fill(folder, 24)
    before, rng = photos(folder), random.Random(seed)
    lost = twice = empty = 0
    for number in range(kills):
        begun = operations_in(folder)
        child = os.fork()
        if not child:
            try:
                sort_for_ever(folder, seed * 10_000 + number)
            finally:
                os._exit(1)  # an error is no kill
        wait_for_operation(folder, begun)
        time.sleep(rng.uniform(0, 0.04))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "the child ended by itself"
        after = photos(folder)
        lost += sum((before - after).values())
        twice += sum((after - before).values())
        empty += sum(path.stat().st_size == 0 for path in folder.rglob("*.jpg"))
    sorting = SortFolder(folder)  # what a crash left is settled
    still_empty = sum(path.stat().st_size == 0 for path in folder.rglob("*.jpg"))
    operations = sorting._journal.operations
    interrupted = sum(op.left == -1 for op in operations.values() if not op.undoes)
    while sorting.undo().restored:
        pass
    back = len(sorting.photos())
    line = {"kills": kills, "lost": lost, "twice": twice, "empty": empty, "still_empty": still_empty}
    print(json.dumps({**line, "operations": len(operations), "interrupted": interrupted, "back": back, "photos": 24}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
