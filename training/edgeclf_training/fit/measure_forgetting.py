"""Measures how the classes of an earlier run fare after training went on from it, on its held-out photos."""

from dataclasses import replace

from edgeclf.errors import DataError
from edgeclf.events import Listener, progress, say

from edgeclf_training.dataset.class_changes import ClassChanges
from edgeclf_training.dataset.known_photos import KnownPhoto, read_known
from edgeclf_training.dataset.samples import KNOWN_PHOTOS_FILE, Sample
from edgeclf_training.evaluation.forgetting import Forgetting, compare
from edgeclf_training.evaluation.predictions import predict
from edgeclf_training.networks import Network
from edgeclf_training.run.earlier_run import changes_of
from edgeclf_training.run.relocate import is_there
from edgeclf_training.run.run_folder import Run, load_run

_MAX_PHOTOS = 2000  # held-out photos that are compared


def measure_forgetting(run: Run, network: Network, on_event: Listener) -> Forgetting | None:
    """Compare the network with that of the earlier run.

    Args:
        run: trained; ``start`` names the earlier run.
        network: its best weights.
        on_event: gets progress, and a line if the earlier run cannot be read any more.

    Returns:
        The comparison; None if the run did not start from another one, that one is gone, or it has no class of it.
    """
    if run.start is None:
        return None
    try:
        start = load_run(run.start)
        earlier_network = start.network()
    except DataError as error:
        say(on_event, f"forgetting is not measured: {error.message}")
        return None
    changes = changes_of(run.options, start)
    if not any(changes.rows(label) for label in run.classes):
        say(on_event, "forgetting is not measured: no class of the earlier run is left")
        return None
    pairs, missing = _held_out(run, start, changes)
    step = max(1, -(-len(pairs) // _MAX_PHOTOS))
    pairs = pairs[::step]
    old, new = ([pair[i] for pair in pairs] for i in (0, 1))
    device = run.options.device
    with progress(on_event, "measuring forgetting") as update:
        before = predict(earlier_network, old, start.classes, start.contract, "earlier", device=device)
        now = predict(network, new, run.classes, run.contract, "earlier", device=device, progress=update)
    return compare(
        start.folder.resolve().name,
        before.logits,
        now.logits,
        [sample.label for sample in now.samples],
        run.classes,
        {label: changes.rows(label) for label in run.classes},
        missing + len(now.missing),
    )


def _held_out(run: Run, start: Run, changes: ClassChanges) -> tuple[list[tuple[Sample, Sample]], int]:
    """Held-out photos of the earlier run, as it labelled them and as this run does; and how many cannot be used.

    A photo that was moved is found among the held-out photos of this run. Where both runs have it, the label of this
    run holds. Photos that this run trains on are not used, nor those of classes that it has not.
    """
    contents, known = _contents(start), _known(run)
    trained = {photo.scan.sha256 for photo in known if photo.scan and photo.part == "train"}
    trained_paths = {sample.path for sample in run.split.train}
    by_key = {_key(photo): photo.scan.sha256 for photo in known if photo.scan}
    here = {by_key[key]: s for s in (*run.split.val, *run.split.test) if (key := _key(s)) in by_key}
    pairs, missing = [], 0
    for old in (*start.split.val, *start.split.test):
        content = contents.get(_key(old), "")
        label = here[content].label if content in here else changes.label(old.label)
        if label is None or label not in run.classes or not changes.rows(label):
            continue
        place = old if is_there(old) else here.get(content)
        if place is None or old.path in trained_paths or content in trained:
            missing += 1
        else:
            pairs.append((replace(place, label=old.label), replace(place, label=label)))
    return pairs, missing


def _contents(run: Run) -> dict[tuple[str, str, int], str]:
    return {_key(photo): photo.scan.sha256 for photo in _known(run) if photo.scan}


def _known(run: Run) -> tuple[KnownPhoto, ...]:
    try:
        return read_known(run.folder / "split" / KNOWN_PHOTOS_FILE)
    except (FileNotFoundError, DataError):  # a run of an older version
        return ()


def _key(photo: Sample | KnownPhoto) -> tuple[str, str, int]:
    return photo.label, photo.path.name if isinstance(photo, Sample) else photo.name, photo.size
