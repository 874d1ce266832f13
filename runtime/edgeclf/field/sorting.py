"""Sorting the photos that the model was unsure about: a person's label moves the copy into the folder of its class.

    DIR/_unsorted/<guess>/IMG_0042.JPG  ->  DIR/<class>/IMG_0042.JPG

Only copies in the trays are moved, never over another file, each at one instant (``edgeclf.files.move_new``), and what
is moved is written down first (``edgeclf.field.sort_journal``). So a kill or a power cut loses no photo and leaves none
twice, and every step can be undone later. Threads and processes that sort the same folder take turns.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from edgeclf.class_names import shown
from edgeclf.errors import RecordError, UsageError
from edgeclf.field.sort_classes import SortClasses
from edgeclf.field.sort_journal import Journal, Move, Operation
from edgeclf.field.sort_results import Failure, Labelled, SortState, Undone
from edgeclf.field.trays import NONE_OF_THESE, TrayPhoto, Trays, is_at
from edgeclf.files.atomic_write import sync_folder
from edgeclf.files.move_new import is_placeholder, move_new, numbered
from edgeclf.files.photo_names import UNSORTED


class SortFolder:
    """A folder of class folders, with the trays of photos that wait for a label in its ``_unsorted``.

    Args:
        folder: as given to ``edgeclf watch --review``; it need not exist yet.
        labels: the classes of the model.
        display_names: class name -> name for people.

    Raises:
        UsageError: it is not a folder, or its class folders lie in splits, not directly in it.
    """

    def __init__(
        self, folder: Path, labels: Sequence[str] = (), display_names: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder.absolute()
        self.classes = SortClasses(self.folder, labels, display_names)
        self.trays = Trays(self.folder, self.classes.names)
        self._journal = Journal(self.folder)
        self._by_id: dict[str, TrayPhoto] = {}
        if os.path.exists(self.folder) and not os.path.isdir(self.folder):
            raise UsageError(f"--review {folder}: is not a folder", "name the folder with _unsorted in it")
        if os.path.exists(self._journal.path):  # what a crash left behind
            with contextlib.suppress(RecordError), self._writing():
                pass

    def photos(self) -> list[TrayPhoto]:
        """All photos that wait for a label now, by tray and name.

        Raises:
            RecordError: the trays cannot be read.
        """
        photos = self.trays.photos()
        self._by_id = {photo.id: photo for photo in photos}
        return photos

    def find(self, id: str) -> TrayPhoto | None:
        """A photo by its id, None if it is not in a tray any more."""
        photo = self._by_id.get(id)
        if photo is None:
            self.photos()
            photo = self._by_id.get(id)
        if photo is None or self._lies_there(photo):
            return photo
        self.trays.forget(photo)
        return None

    def state(self, client: str = "") -> SortState:
        """How far the sorting is.

        Args:
            client: who asks: whose last action could be undone.

        Raises:
            RecordError: the trays cannot be read.
        """
        with self._journal.unchanging():
            left = len(self.photos())
            self._journal.refresh()
            last = self._last(client)
            operations = [op for op in self._journal.operations.values() if not op.undoes]
        if left == 0 and operations:  # the last one may have emptied the trays: then it counts
            *operations, latest = operations
            done = len(latest.standing)
        else:
            done = 0
        for operation in reversed(operations):
            if operation.left == 0 and operation.done and not operation.restored:
                break
            done += len(operation.standing)
        return SortState(tuple(self.classes.counted()), left, done, self._in_words(last) if last else None)

    def label(self, ids: Sequence[str], label: str | None, *, new: bool = False, client: str = "") -> Labelled:
        """Move photos from their trays into the folder of a class.

        Args:
            ids: of the photos.
            label: the class; None if the photos show none of the classes: then they go to a folder in ``_unsorted``
                that is never trained on.
            new: it is the name of a new class.
            client: who asks; may be empty.

        Returns:
            What was moved, and for every other photo why it was not.

        Raises:
            UsageError: there is no such class, or the name cannot be a class.
            RecordError: nothing can be moved: the folder cannot be written, or another process keeps it locked.
        """
        wanted = None if label is None else self.classes.new(label) if new else self.classes.known(label)
        with self._writing():
            failed: list[Failure] = []
            found: list[TrayPhoto] = []
            already: dict[str, int] = {}  # this client sorted them so before: its answer was lost
            here = {photo.id: photo for photo in self.photos()}
            for id in dict.fromkeys(ids):
                photo = here.get(id)
                if photo and self._lies_there(photo):
                    found.append(photo)
                    continue
                if photo:
                    self.trays.forget(photo)
                before = self._journal.sorted_by(id)
                if before and before.label == wanted and before.client == client:
                    already[id] = before.number
                else:
                    failed.append(Failure(id, self._why_gone(before, client)))
            if not found:
                return Labelled(tuple(already), tuple(failed), max(already.values(), default=0), wanted)
            try:
                target, made = self._target(wanted)
            except OSError as error:
                raise self._journal.cannot_write(error) from error
            taken: set[str] = set()
            moves = [
                (photo.id, f"{UNSORTED}/{photo.tray}/{photo.name}", self._free(target, photo.name, taken))
                for photo in found
            ]
            moved: list[str] = []
            try:
                operation = self._journal.begin(wanted, client, moves, made=made)
                moved, not_moved = self._move(operation, len(here))
            finally:
                if made and not moved:
                    self._remove_empty(made)
            return Labelled((*already, *moved), (*failed, *not_moved), operation.number if moved else 0, wanted)

    def undo(self, action: int | None = None, client: str = "") -> Undone:
        """Move photos back into their trays.

        Args:
            action: ``Labelled.action``; by default this client's last one of which a photo still lies in its class.
            client: who asks; may be empty.

        Raises:
            UsageError: there is no such action.
            RecordError: nothing can be moved: the folder cannot be written, or another process keeps it locked.
        """
        with self._writing():
            before = self._last(client) if action is None else self._journal.operations.get(action)
            if action is not None and (before is None or before.undoes):
                raise UsageError(f"there is no action {action} to undo", "reload the page")
            if before is None or not before.standing:
                return Undone((), (), 0)
            failed, moves, places = [], [], {}
            taken: set[str] = set()
            for id in before.standing:
                _, tray_path, now = before.moves[id]
                tray, name = tray_path.split("/")[1:]
                if not self._was_left(before, id):
                    place = shown(os.path.dirname(now))
                    failed.append(Failure(id, f"is not in {place} any more, or was changed there"))
                    continue
                with contextlib.suppress(OSError):  # else moving says why
                    (self.trays.root / tray).mkdir(exist_ok=True)
                if (self.trays.root / tray).is_symlink():
                    failed.append(Failure(id, f"cannot go back: {shown(tray)} is a link now"))
                    continue
                places[id] = self._free(f"{UNSORTED}/{tray}", name, taken)
                moves.append((id, now, places[id]))
            if not moves:
                return Undone((), tuple(failed), before.number)
            operation = self._journal.begin(None, client, moves, undoes=before.number)
            restored, not_moved = self._move(operation, -1)
            if before.made:
                self._remove_empty(before.made)
            ids = {(UNSORTED, photo.tray, photo.name): photo.id for photo in self.photos()}
            now_called = (ids.get(tuple(operation.moves[id][2].split("/"))) for id in restored)  # type: ignore[arg-type]
            return Undone(tuple(id for id in now_called if id), (*failed, *not_moved), before.number)

    def _last(self, client: str) -> Operation | None:
        """The last operation of a client that can be undone: at least one of its photos lies where it was moved to."""
        mine = self._journal.standing_of(client)
        return next((op for op in mine if any(self._was_left(op, id) for id in op.standing)), None)

    def _was_left(self, operation: Operation, id: str) -> bool:
        """Whether a photo lies, unchanged, where a label moved it to."""
        return is_at(self.folder / operation.moves[id][2], self._place(operation, id), id)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._journal.writing():
            for operation in list(self._journal.operations.values()):
                if operation.done is None:  # its process was killed: whoever works holds the lock
                    self._settle(operation)
            yield

    def _settle(self, operation: Operation) -> None:
        """Find out how far an interrupted operation came."""
        done = []
        for id, before, after in operation.moves.values():
            place = self._place(operation, id)
            if is_at(self.folder / before, place, id):
                if is_placeholder(self.folder / after) and not is_placeholder(self.folder / before):
                    with contextlib.suppress(OSError):
                        (self.folder / after).unlink()
            elif is_at(self.folder / after, place, id):
                done.append(id)
        self._journal.end(operation, done, -1)

    def _place(self, operation: Operation, id: str) -> str:
        """Where in the trays a photo had its id."""
        first = self._journal.operations[operation.undoes] if operation.undoes else operation
        return first.moves[id][1].removeprefix(f"{UNSORTED}/")

    def _move(self, operation: Operation, before: int) -> tuple[list[str], list[Failure]]:
        """Move the photos of an operation, and write that it has ended.

        Args:
            operation: what to move.
            before: how many photos the trays had; -1 if the number after it does not matter.
        """
        done: list[str] = []
        failed: list[Failure] = []
        folders: set[str] = set()
        try:
            for move in list(operation.moves.values()):
                try:
                    self._move_one(operation, move)
                except FileNotFoundError:
                    failed.append(Failure(move[0], "is not there any more: another program moved or deleted it"))
                except (OSError, RecordError) as error:
                    what = (error.strerror or error) if isinstance(error, OSError) else error.message
                    failed.append(Failure(move[0], f"cannot be moved ({what}); check permissions and free space"))
                else:
                    done.append(move[0])
                    folders.update(map(os.path.dirname, operation.moves[move[0]][1:]))
        finally:  # also if the thread is interrupted: what was moved is known
            for folder in folders:
                sync_folder(self.folder / folder)
            self._journal.end(operation, done, before - len(done) if before >= 0 else -1)
        return done, failed

    def _move_one(self, operation: Operation, move: Move) -> None:
        id, before, after = move
        folder, name = os.path.split(after)
        while not move_new(self.folder / before, self.folder / after):
            after = self._free(folder, name, set())  # another program took the name meanwhile
            self._journal.change(operation, (id, before, after))

    def _target(self, label: str | None) -> tuple[str, str]:
        """The folder to move photos to, relative to ``folder``; if there was none, it is created, and given again."""
        if label is not None:
            return self.classes.make_folder(label)
        path = self.trays.root / NONE_OF_THESE
        with contextlib.suppress(FileExistsError):
            path.mkdir()
        if path.is_symlink() or not path.is_dir():
            raise RecordError(f"{path}: is not a folder", "rename it")
        return f"{UNSORTED}/{NONE_OF_THESE}", ""

    def _remove_empty(self, folder: str) -> None:
        with contextlib.suppress(OSError):  # there are other photos in it
            (self.folder / folder).rmdir()

    def _free(self, folder: str, name: str, taken: set[str]) -> str:
        number = 1
        while (path := f"{folder}/{numbered(name, number)}").casefold() in taken or os.path.lexists(self.folder / path):
            number += 1
        taken.add(path.casefold())
        return path

    def _lies_there(self, photo: TrayPhoto) -> bool:
        return is_at(self.trays.path(photo), f"{photo.tray}/{photo.name}", photo.id)

    def _why_gone(self, before: Operation | None, client: str) -> str:
        if before is None:
            return "is not there any more: another program moved, changed or deleted it"
        what = f"as {self.classes.display_name(before.label)}" if before.label is not None else "as none of these"
        return f"already sorted {what}" + (" by someone else" if before.client != client else "")

    def _in_words(self, operation: Operation) -> str:
        count = len(operation.standing)
        what = "none of these" if operation.label is None else self.classes.display_name(operation.label)
        return f"{count} photo{'s' * (count != 1)} sorted as {what}"
