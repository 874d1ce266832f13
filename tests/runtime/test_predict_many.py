"""Many photos in parallel: the same results as one by one, in order, within limits, and no thread left."""

import io
import itertools
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeclf import Classifier, ExplainError, PhotoError, UsageError
from edgeclf.cli import console
from edgeclf.cli.photo_sources import counting
from edgeclf.concurrency import AHEAD, in_order
from edgeclf.evaluation.compare import compare
from edgeclf.hardware import Memory
from edgeclf.results import Explanation, Prediction
from helpers import draw, workers
from PIL import Image

WORKERS = 3


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    yield
    assert workers() == []


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("many")
    paths = [folder / f"{number:02}.{'jpg' if number % 2 else 'png'}" for number in range(20)]
    for number, path in enumerate(paths):
        draw(number, 60 + 9 * number, 80).save(path)
    return paths


@pytest.fixture
def png() -> bytes:
    buffer = io.BytesIO()
    draw(3).save(buffer, "PNG")
    return buffer.getvalue()


def bits(answer: Prediction | PhotoError) -> bytes:
    assert isinstance(answer, Prediction)
    assert answer.logits is not None
    return answer.logits.tobytes()


@pytest.mark.parametrize("options", [{}, {"for_many": True}, {"low_memory": True}], ids=str)
def test_int8_answers_are_those_of_one_by_one_bit_for_bit(
    make_model: Callable[..., Path], files: list[Path], options: dict[str, bool]
) -> None:
    model = make_model(int8=True)
    alone = Classifier(model, threads=2)
    expected = [alone.predict(path, logits=True) for path in files]
    assert len({bits(answer) for answer in expected}) > 10
    answers = list(Classifier(model, threads=WORKERS, **options).predict_many(files, logits=True))
    assert answers == expected
    assert [bits(answer) for answer in answers] == [bits(answer) for answer in expected]


def test_fp32_rankings_are_those_of_one_by_one(model: Path, files: list[Path]) -> None:
    classifier = Classifier(model, threads=WORKERS)
    for path, answer in zip(files, classifier.predict_many(files, top_k=2), strict=True):
        assert isinstance(answer, Prediction)
        assert [e.label for e in answer.ranking] == [e.label for e in classifier.predict(path, 2).ranking]
        assert answer.logits is None


def test_little_memory_means_few_photos_at_a_time(
    model: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = Classifier(model, threads=WORKERS)
    expected = list(classifier.predict_many(files))
    for mebibytes, threads in ((10, 1), (140, 2), (10_000, WORKERS), (None, WORKERS)):
        room = None if mebibytes is None else mebibytes * 2**20
        monkeypatch.setattr("edgeclf.model.session_pool.memory", lambda room=room: Memory(None, room))
        asked: list[int] = []

        def noting(work: Any, items: Any, workers: int, asked: list[int] = asked) -> Iterator[Any]:
            asked.append(workers)
            return in_order(work, items, workers)

        monkeypatch.setattr("edgeclf.model.session_pool.in_order", noting)
        assert list(classifier.predict_many(files)) == expected
        assert asked == [threads]


def test_low_memory_keeps_nothing_between_inferences(model: Path) -> None:
    for low in (True, False):
        options = Classifier(model, low_memory=low)._session.get_session_options()
        assert options.enable_cpu_mem_arena is options.enable_mem_pattern is not low


def test_every_kind_of_photo_even_if_it_changes_behind_the_iterator(model: Path, files: list[Path], png: bytes) -> None:
    classifier = Classifier(model, threads=WORKERS)
    frames = [np.asarray(draw(number)) for number in range(30)]
    expected = [bits(classifier.predict(frame, logits=True)) for frame in frames]

    def one_buffer() -> Iterator[Any]:
        buffer = np.empty_like(frames[0])
        for frame in frames:
            buffer[:] = frame
            yield buffer

    def one_image() -> Iterator[Any]:
        image = Image.new("RGB", (frames[0].shape[1], frames[0].shape[0]))
        for frame in frames:
            image.paste(Image.fromarray(frame))
            yield image

    for source in (one_buffer, one_image):
        assert [bits(answer) for answer in classifier.predict_many(source(), logits=True)] == expected

    def closed_again() -> Iterator[Any]:
        for path in files:
            with path.open("rb") as file:
                yield file

    named = [bits(answer) for answer in classifier.predict_many(files, logits=True)]
    assert [bits(answer) for answer in classifier.predict_many(closed_again(), logits=True)] == named
    single = bits(classifier.predict(png, logits=True))
    assert [bits(answer) for answer in classifier.predict_many([png, bytearray(png)], logits=True)] == [single] * 2


def test_errors_come_in_their_turn_and_the_rest_go_on(model: Path, files: list[Path], tmp_path: Path) -> None:
    told = PhotoError("no-images", "nothing there")
    (tmp_path / "empty.jpg").touch()
    photos = [files[0], tmp_path / "empty.jpg", io.BytesIO(b"no photo"), told, np.zeros((0, 4), np.uint8), files[1]]
    answers = list(Classifier(model, threads=WORKERS).predict_many(photos))
    kinds = [answer.kind if isinstance(answer, PhotoError) else None for answer in answers]
    assert kinds == [None, "empty", "not-an-image", "no-images", "empty", None]
    assert answers[3] is told


@pytest.mark.parametrize("number", [0, 1, 2])
def test_few_photos(model: Path, files: list[Path], number: int) -> None:
    assert len(list(Classifier(model, threads=WORKERS).predict_many(files[:number]))) == number


def test_endless_photos_are_read_a_few_ahead(model: Path, png: bytes) -> None:
    taken = itertools.count()
    photos = (png for _ in taken)
    answers = Classifier(model, threads=WORKERS).predict_many(photos)
    assert next(taken) == 0
    for _ in range(60):
        assert isinstance(next(answers), Prediction)
        assert len(workers()) <= WORKERS
    answers.close()
    assert next(taken) - 2 <= 60 + AHEAD * WORKERS + 1


def test_iterator_that_is_dropped_or_interrupted_leaves_no_thread(model: Path, png: bytes) -> None:
    classifier = Classifier(model, threads=WORKERS)
    answers = classifier.predict_many(itertools.repeat(png))
    next(answers)
    assert workers()
    del answers
    assert workers() == []

    def interrupted() -> Iterator[bytes]:
        yield from itertools.repeat(png, 7)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(classifier.predict_many(interrupted()))
    assert workers() == []


def test_one_classifier_serves_several_iterators_at_once(model: Path, files: list[Path]) -> None:
    classifier = Classifier(model, threads=2)
    for one, two in zip(classifier.predict_many(files), classifier.predict_many(files), strict=True):
        assert one == two


def test_comparing_decodes_each_photo_as_the_networks_take_it(
    make_model: Callable[..., Path], files: list[Path], tmp_path: Path
) -> None:
    pair = [Classifier(make_model(resize=resize), threads=2) for resize in ("crop", "pad")]
    photos = [*((str(path), path) for path in files), ("missing", tmp_path / "missing.png")]
    compared = compare(pair[0], pair[1], iter(photos))
    answers = [[model.predict(path, 1).best.label for model in pair] for path in files]
    assert compared.photos == len(files)
    assert [one.path for one in compared.changed] == [
        str(path) for path, (first, second) in zip(files, answers, strict=True) if first != second
    ]
    assert [error.kind for error in compared.unreadable] == ["not-found"]


def test_command_line_answers_a_folder_as_one_by_one(
    edgeclf: Callable[..., subprocess.CompletedProcess[str]], make_model: Callable[..., Path], files: list[Path]
) -> None:
    model, folder = make_model(int8=True), files[0].parent
    together = edgeclf("predict", folder, "-m", model, "--json", "--threads", WORKERS)
    assert together.returncode == 0
    assert len(together.stdout.splitlines()) == len(files)
    assert edgeclf("predict", folder, "-m", model, "--json", "--low-memory").stdout == together.stdout
    alone = "".join(edgeclf("predict", path, "-m", model, "--json").stdout for path in sorted(files)[:2])
    assert together.stdout.startswith(alone)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")
def test_progress_is_told_to_a_terminal_and_leaves_nothing(model: Path, files: list[Path], tmp_path: Path) -> None:
    import pty

    listening, terminal = pty.openpty()
    command = [sys.executable, "-m", "edgeclf", "predict", str(files[0].parent), "no.jpg", "-m", str(model)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=terminal, cwd=tmp_path, timeout=120)
    os.close(terminal)
    told = os.read(listening, 65536).decode()
    os.close(listening)
    assert (done.returncode, b"photos:" in done.stdout) == (1, False)
    assert "photos: 1" in told
    assert "\r\x1b[Kedgeclf: no.jpg: no such file" in told  # on a line of its own
    assert told.endswith("\r\x1b[K")


def test_progress_tells_rate_and_time_left() -> None:
    assert console._count(0, 0, 9) == " ..."
    assert console._count(3, 9, 0.5) == ": 3/9"
    assert console._count(50, 0, 10) == ": 50, 5.0/s"
    assert console._count(50, 500, 10) == ": 50/500, 5.0/s, 2 min left"
    assert console._count(500, 500, 100) == ": 500/500, 5.0/s"
    assert [console._duration(s) for s in (5, 89.6, 600, 7200)] == ["5 s", "90 s", "10 min", "2.0 h"]


def test_photos_are_counted_without_reading_standard_input(files: list[Path]) -> None:
    folder = files[0].parent
    known = counting([str(folder), "-", "missing.jpg", str(folder / "*.png")])
    deadline = threading.Event()
    while not known():
        deadline.wait(0.01)
    assert known() == len(files) + 1 + 1 + len(files) // 2


def test_iterator_that_is_never_ended_does_not_keep_python_from_ending(model: Path, png: bytes) -> None:
    script = (
        "import itertools, sys; from edgeclf import Classifier; "
        "answers = Classifier(sys.argv[1], threads=2).predict_many(itertools.repeat(sys.stdin.buffer.read())); "
        "next(answers); print('one')"
    )
    done = subprocess.run([sys.executable, "-c", script, str(model)], input=png, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"one\n", b"")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_interrupting_a_folder_ends_at_once(model: Path, tmp_path: Path) -> None:
    """Also while every worker is in the middle of a photo."""
    draw(1, 1500, 1500).save(tmp_path / "large.png")
    command = [sys.executable, "-m", "edgeclf", "predict", *["large.png"] * 900, "-m", str(model), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    answered, talk = process.communicate(timeout=60)
    assert (process.returncode, talk) == (130, b"")
    assert len(answered.splitlines()) < 890


@pytest.mark.parametrize("low_memory", [False, True])
def test_maps_and_overlays_are_those_of_one_by_one(
    make_model: Callable[..., Path], files: list[Path], tmp_path: Path, low_memory: bool
) -> None:
    classifier = Classifier(make_model(int8=True), threads=WORKERS, low_memory=low_memory)
    drawers: set[int] = set()

    def drawn(explanation: Explanation) -> tuple[Prediction, bytes, bytes]:
        drawers.add(threading.get_ident())
        return explanation.prediction, explanation.cam.tobytes(), explanation.overlay().tobytes()

    expected = [drawn(classifier.explain(path)) for path in files]
    drawers.clear()
    given = list(classifier.explain_many([*files[:9], tmp_path / "none.jpg", np.asarray(draw(3)), *files[9:]], drawn))
    missing, array = given.pop(9), given.pop(9)
    assert isinstance(missing, PhotoError)
    assert missing.kind == "not-found"
    assert array == drawn(classifier.explain(draw(3)))
    assert given == expected
    assert (threading.get_ident() in drawers) == low_memory or len(drawers) > 1


def test_a_class_without_a_map_is_an_error_in_its_turn(model: Path, files: list[Path]) -> None:
    classifier = Classifier(model, threads=WORKERS)
    label = classifier.predict(files[0], 3).ranking[-1].label
    given = list(classifier.explain_many(files, lambda found: found.cam.tobytes(), label))
    assert any(isinstance(one, ExplainError) for one in given)
    for path, one in zip(files, given, strict=True):
        if isinstance(one, ExplainError):
            with pytest.raises(ExplainError, match=re.escape(str(one))) as raised:
                classifier.explain(path, label)
            assert raised.value.prediction == one.prediction
        else:
            assert one == classifier.explain(path, label).cam.tobytes()
    with pytest.raises(UsageError, match="explain_many"):
        classifier.explain_many(files[0], lambda found: found)  # type: ignore[arg-type]


def test_command_line_draws_a_folder_as_one_by_one(
    edgeclf: Callable[..., Any], model: Path, files: list[Path], tmp_path: Path
) -> None:
    for threads in (1, WORKERS):
        done = edgeclf(
            "predict", files[0].parent, "-m", model, "--cam", tmp_path / f"maps{threads}", "--threads", threads
        )
        assert done.returncode == 0
    one, many = (sorted((tmp_path / f"maps{threads}").iterdir()) for threads in (1, WORKERS))
    assert [path.name for path in one] == [path.name for path in many]
    assert len(one) == len(files)
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(one, many, strict=True))
