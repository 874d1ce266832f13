"""A classifier uses the bytes that were checked, also after the file, the process or the object has changed."""

import copy
import io
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeclf import Classifier, UsageError
from edgeclf.concurrency import in_order
from edgeclf.errors import ModelDamagedError, ModelError
from edgeclf.model.file import read_model_file
from helpers import draw

PHOTOS = [np.asarray(draw(number)) for number in range(4)]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def answers(classifier: Classifier) -> list[bytes]:
    """Logits one by one, then in the sessions of ``predict_many``."""
    one_by_one = [classifier.predict(photo, logits=True).logits for photo in PHOTOS]
    side_by_side = [answer.logits for answer in classifier.predict_many(PHOTOS, logits=True)]
    return [logits.round(4).tobytes() for logits in one_by_one + side_by_side]


@pytest.fixture(scope="module")
def other(make_model: Callable[..., Path]) -> Path:
    """A model with the same classes in another order."""
    return make_model(classes=("king", "gentoo", "adelie"))


@pytest.fixture
def live(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(model, tmp_path / "live.onnx"))


@pytest.fixture
def no_memory_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on systems other than Linux."""
    monkeypatch.delattr(os, "memfd_create", raising=False)


def renamed(path: Path, other: Path) -> None:
    path.rename(path.with_suffix(".old"))


def deleted(path: Path, other: Path) -> None:
    path.unlink()


def replaced(path: Path, other: Path) -> None:
    os.replace(shutil.copy(other, path.with_suffix(".tmp")), path)


def rewritten(path: Path, other: Path) -> None:
    path.write_bytes(other.read_bytes())


def rewritten_alike(path: Path, other: Path) -> None:
    """The same size, the same time."""
    before, data = path.stat(), bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def emptied(path: Path, other: Path) -> None:
    path.write_bytes(b"")


CHANGES = [renamed, deleted, replaced, rewritten, rewritten_alike, emptied]


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs memory files")
@pytest.mark.parametrize("change", CHANGES)
def test_every_session_is_of_the_bytes_that_were_checked(
    change: Callable[[Path, Path], None], live: Path, other: Path
) -> None:
    """Also if the file itself was overwritten."""
    classifier, expected = Classifier(live, threads=2), answers(Classifier(live, threads=2))
    change(live, other)
    assert answers(pickle.loads(pickle.dumps(classifier))) == expected
    assert answers(copy.deepcopy(classifier)) == expected
    path = f"/proc/self/fd/{classifier._file.content._descriptor}"
    with pytest.raises(PermissionError), open(path, "r+b", buffering=0) as file:
        file.write(b"other")


@pytest.mark.usefixtures("no_memory_files")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("threads", [1, 2])
def test_it_answers_on_as_before(
    change: Callable[[Path, Path], None], threads: int, live: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(live.parent)
    classifier = Classifier(live.name, threads=threads)
    expected = answers(Classifier(live, threads=threads))
    change(live, other)
    monkeypatch.chdir("/")
    assert answers(classifier) == expected
    assert answers(copy.copy(classifier)) == expected if change in CHANGES[:3] else True


@pytest.mark.usefixtures("no_memory_files")
@pytest.mark.parametrize("change", CHANGES[3:])
def test_bytes_that_are_gone_are_never_others(change: Callable[[Path, Path], None], live: Path, other: Path) -> None:
    classifier = Classifier(live)
    change(live, other)
    for attempt in (lambda: Classifier.predict(copy.deepcopy(classifier), PHOTOS[0]), lambda: pickle.dumps(classifier)):
        with pytest.raises(ModelDamagedError, match="overwritten while in use"):
            attempt()


@pytest.mark.usefixtures("no_memory_files")
@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_while_onnxruntime_opens_it_is_refused_or_the_same(
    change: Callable[[Path, Path], None], live: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    expected = answers(Classifier(live, threads=1))
    real = onnxruntime.InferenceSession

    def session(content: Any, *arguments: Any, **options: Any) -> Any:
        change(live, other)
        return real(content, *arguments, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    if change in CHANGES[:3]:
        assert answers(Classifier(live, threads=1)) == expected
    else:
        with pytest.raises(ModelDamagedError, match="overwritten"):
            Classifier(live, threads=1)


def test_closed_descriptors_are_noticed_and_those_of_others_left_open(live: Path, other: Path) -> None:
    classifier = Classifier(live)
    expected, descriptor = answers(classifier), classifier._file.content._descriptor
    opened = os.open(other, os.O_RDONLY)
    theirs = os.dup2(opened, descriptor)
    os.close(opened)
    try:
        assert answers(classifier) == expected
        with pytest.raises(ModelDamagedError):
            pickle.dumps(classifier)
        del classifier
        os.fstat(theirs)
    finally:
        os.close(theirs)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO])
def test_bytes_of_a_model_are_a_model(kind: Callable[[bytes], Any], model: Path) -> None:
    assert answers(Classifier(kind(model.read_bytes()))) == answers(Classifier(model))


def test_an_open_file_is_a_model_and_its_name_is_told(model: Path, tmp_path: Path) -> None:
    with model.open("rb") as file:
        assert answers(Classifier(file)) == answers(Classifier(model))
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(model.read_bytes()[:-1])
    with cut.open("rb") as file, pytest.raises(ModelError, match=r"cut\.onnx"):
        Classifier(file)
    with pytest.raises(ModelError, match=r"^the model: "):
        Classifier(cut.read_bytes())
    with pytest.raises(ModelError, match=r"cannot be read \(read of closed file\); open it again"):
        Classifier(file)


@pytest.mark.parametrize("wrong", [7, 7.5, [b"x" * 10**6], {"a": "b" * 10**6}, np.zeros(10**5), io.StringIO("x")])
def test_other_types_are_one_line(wrong: Any) -> None:
    with pytest.raises(TypeError) as caught:
        Classifier(wrong)
    assert len(str(caught.value)) < 100
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"threads": "2"}, {"threads": 1.5}, {"threshold": "high"}, {"threshold": "0.5"}, {"device": None}]
)
def test_other_types_of_options_are_one_line(options: Any, model: Path) -> None:
    with pytest.raises(TypeError, match=f"^{next(iter(options))} is a "):
        Classifier(model, **options)
    with pytest.raises(TypeError, match=r"^top_k is a whole number"):
        Classifier(model).predict(PHOTOS[0], top_k="5")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [b"mod\xe8le\xff.onnx", "企鹅.onnx".encode()])
@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "POSIX"])
def test_paths_of_any_bytes(name: bytes, locale: str, model: Path, tmp_path: Path) -> None:
    folder = os.path.join(os.fsencode(tmp_path), b"\xff\xfe")
    os.mkdir(folder)
    path = os.path.join(folder, name)
    shutil.copy(model, path)
    photo = tmp_path / "photo.png"
    draw(1).save(photo)
    environment = {**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "edgeclf", "predict", str(photo), "-m", path]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout


def test_a_pickle_takes_the_bytes_and_the_settings_along(live: Path) -> None:
    classifier = Classifier(live, threads=1, threshold=0.25)
    expected, data = answers(classifier), pickle.dumps(classifier)
    live.unlink()
    again = pickle.loads(data)
    assert answers(again) == expected
    assert (again.threads, again.threshold, again.labels, again.sha256, again.device) == (
        classifier.threads,
        0.25,
        classifier.labels,
        classifier.sha256,
        classifier.device,
    )
    assert pickle.loads(pickle.dumps(again._file)) == classifier._file


def _in_another_process(classifier: Classifier, found: Any) -> None:
    found.put(answers(classifier))


@pytest.mark.parametrize("method", ["spawn", "forkserver", pytest.param("fork", marks=needs_fork)])
def test_it_goes_to_other_processes(method: str, live: Path) -> None:
    classifier = Classifier(live)
    expected, context = answers(classifier), multiprocessing.get_context(method)
    found = context.Queue()
    child = context.Process(target=_in_another_process, args=(classifier, found))
    child.start()
    assert found.get(timeout=60) == expected
    child.join(60)
    assert child.exitcode == 0


FORKING = """
import copy, gc, os, pickle, sys, time
from edgeclf import Classifier
state, end, model, photo = sys.argv[1:]
c = Classifier(model, threads=2, wait=state != "opening")
expected = None
if state not in ("new", "opening"):
    expected = c.predict(photo).best
if state == "many":
    list(c.predict_many([photo] * 5))
if state == "iterating":
    iterator = c.predict_many([photo] * 1000)
    next(iterator)
def child():
    best = c.predict(photo).best
    many = [answer.best for answer in c.predict_many([photo] * 4)]
    assert many == [best] * 4 and expected in (None, best)
    if end == "deletes":
        del globals()["c"]
        gc.collect()
    if end == "copies":
        assert pickle.loads(pickle.dumps(c)).predict(photo).best == copy.copy(c).predict(photo).best == best
    if end == "forks":
        if (grandchild := os.fork()) == 0:
            c.predict(photo)
            sys.exit(0)
        assert os.waitpid(grandchild, 0)[1] == 0
children = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        if end != "idle":
            child()
        sys.exit(0)
    children.append(pid)
assert c.predict(photo).best == (expected or c.predict(photo).best)
until = time.monotonic() + 40
while children and time.monotonic() < until:
    pid, status = os.waitpid(-1, os.WNOHANG)
    if pid:
        assert status == 0, status
        children.remove(pid)
    time.sleep(0.01)
if children:
    import signal
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    sys.exit("a child hangs")
"""


@needs_fork
@pytest.mark.parametrize(
    ("state", "end"),
    [
        *((state, "answers") for state in ("new", "opening", "used", "many", "iterating")),
        *(("many", end) for end in ("idle", "deletes", "copies", "forks")),
    ],
)
def test_children_of_a_fork_answer_and_end(state: str, end: str, live: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    draw(1).save(photo)
    command = [sys.executable, "-W", "ignore", "-c", FORKING, state, end, str(live), str(photo)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_fork
def test_a_forked_iterator_says_so_instead_of_waiting_for_ever() -> None:
    results = in_order(lambda item: item, range(100), 2)
    next(results)
    if (child := os.fork()) == 0:
        try:
            next(results)
        except UsageError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    results.close()


def test_without_proc_and_without_the_right_the_bytes_are_read(live: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = answers(Classifier(live, threads=1))
    monkeypatch.setattr("edgeclf.model.verified_bytes._can_open", lambda path: False)
    with read_model_file(live).content.opened() as content:
        assert content == live.read_bytes()
    assert answers(Classifier(live, threads=1)) == expected


def test_no_descriptor_is_left_open(live: Path) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    Classifier(live).predict(PHOTOS[0])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        Classifier(live).predict(PHOTOS[0])
        with pytest.raises(ModelError):
            Classifier(live.parent)
    assert len(os.listdir("/proc/self/fd")) == before
