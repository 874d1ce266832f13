"""``edgeclf predict`` and ``edgeclf info``: what they answer, and where."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeclf import Classifier, __version__
from helpers import OLD_MODELS, draw
from PIL import Image

Run = Callable[..., subprocess.CompletedProcess[str]]


def put(path: Path, seed: int = 1, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(seed).convert(mode).save(path)
    return path


def answers(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def paths(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [answer["path"] for answer in answers(done)]


def test_human_output(edgeclf: Run, model: Path, photo: Path) -> None:
    done = edgeclf("predict", photo, "-m", model, "-k", 2)
    first, *ranked = done.stdout.splitlines()
    assert (done.returncode, done.stderr, first) == (0, "", str(photo))
    expected = Classifier(model).predict(photo, top_k=2).ranking
    assert len(ranked) == 2
    for line, entry in zip(ranked, expected, strict=True):
        name, share, *bar = line.split()
        assert (name, share) == (entry.label, f"{entry.probability:.1%}")
        assert len("".join(bar)) == round(entry.probability * 20)


def test_json_schema_is_exact(edgeclf: Run, model: Path, photo: Path) -> None:
    done = edgeclf("predict", photo, "-m", model, "--json", "--top-k", 3)
    assert (done.returncode, done.stderr) == (0, "")
    ranking = Classifier(model).predict(photo).ranking
    expected = [{"label": e.label, "index": e.index, "probability": round(e.probability, 6)} for e in ranking]
    device = Classifier(model).device
    assert answers(done) == [{"path": str(photo), "unknown": False, "predictions": expected, "device": device}]


def test_path_comes_back_as_given(edgeclf: Run, model: Path, tmp_path: Path) -> None:
    given = os.path.relpath(put(tmp_path / "a" / "x.png"))
    given = os.path.join(".", os.path.dirname(given), "..", "a", "x.png")
    assert paths(edgeclf("predict", given, "-m", model, "--json")) == [given]


def test_display_names(edgeclf: Run, make_model: Callable[..., Path], photo: Path) -> None:
    model = make_model(display={"king": "キングペンギン"})
    assert "キングペンギン" in edgeclf("predict", photo, "-m", model).stdout
    (answer,) = answers(edgeclf("predict", photo, "-m", model, "--json"))
    shown = {entry["label"]: entry.get("display_name") for entry in answer["predictions"]}
    assert shown == {"king": "キングペンギン", "adelie": None, "gentoo": None}


def test_console_that_cannot_write_a_name_does_not_crash(
    edgeclf_child: Run, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = make_model(display={"king": "キングペンギン"})
    photo, missing = put(tmp_path / "ペンギン.png"), tmp_path / "いない.png"
    done = edgeclf_child("predict", photo, missing, "-m", model, PYTHONUTF8="0", PYTHONIOENCODING="cp1252")
    assert done.returncode == 1
    assert r"\u30ad\u30f3\u30b0" in done.stdout
    assert "#" in done.stdout
    assert r"\u3044\u306a\u3044.png: no such file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only there may a name be any bytes")
def test_file_name_that_is_not_unicode(edgeclf: Run, model: Path, tmp_path: Path) -> None:
    shutil.copy(put(tmp_path / "x.png"), os.path.join(os.fsencode(tmp_path), b"\xff.png"))
    done = edgeclf("predict", tmp_path, "-m", model, "--json")
    assert (done.returncode, len(answers(done))) == (0, 2)
    assert edgeclf("predict", tmp_path, "-m", model, "--cam", tmp_path / "why").returncode == 0


def test_folders_are_walked_sorted_without_hidden_ones(edgeclf: Run, model: Path, tmp_path: Path) -> None:
    wanted = [put(tmp_path / name) for name in ("b.png", "c.JPG", "sub/a.jpeg", "sub/deep/z.webp")]
    for name in (".hidden.png", ".cache/x.png", "sub/.git/y.png"):
        put(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a photo")
    done = edgeclf("predict", tmp_path, "-m", model, "--json")
    assert (done.returncode, paths(done)) == (0, [str(path) for path in wanted])


def test_globs(edgeclf: Run, model: Path, tmp_path: Path) -> None:
    found = [put(tmp_path / name) for name in ("a.png", "b.png", "sub/c.png")]
    put(tmp_path / "d.jpg")
    literal = put(tmp_path / "odd[1].jpg")
    done = edgeclf("predict", tmp_path / "**" / "*.png", literal, "-m", model, "--json")
    assert (done.returncode, paths(done)) == (0, [*map(str, found), str(literal)])
    nothing = edgeclf("predict", tmp_path / "*.tiff", "-m", model)
    assert (nothing.returncode, nothing.stderr.count("\n")) == (1, 1)
    assert "no file matches" in nothing.stderr


def test_standard_input(edgeclf: Run, model: Path, photo: Path, tmp_path: Path) -> None:
    done = edgeclf("predict", "-", photo, "-m", model, "--json", "--cam", tmp_path / "why", stdin=photo.read_bytes())
    piped, named = answers(done)
    assert (done.returncode, piped["path"], named["path"]) == (0, "-", str(photo))
    assert piped["predictions"] == named["predictions"]
    assert sorted(p.name for p in (tmp_path / "why").iterdir()) == ["photo-cam.jpg", "stdin-cam.jpg"]
    empty = edgeclf("predict", "-", "-m", model)
    assert (empty.returncode, empty.stderr.count("\n")) == (1, 1)
    assert "0 bytes" in empty.stderr


def test_photos_of_all_kinds_are_answered(edgeclf: Run, model: Path, tmp_path: Path) -> None:
    put(tmp_path / "cmyk.jpg", mode="CMYK")
    put(tmp_path / "palette.png", mode="P")
    Image.fromarray(np.arange(900, dtype=np.uint16).reshape(30, 30)).save(tmp_path / "deep.png")
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    Image.new("RGB", (20, 20), "red").save(tmp_path / "exif.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0junk")
    done = edgeclf("predict", tmp_path, "-m", model, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert len([answer for answer in answers(done) if len(answer["predictions"]) == 3]) == 5


def test_one_overlay_into_a_file(edgeclf: Run, model: Path, photo: Path, tmp_path: Path) -> None:
    for name, kind in {"why.png": "PNG", "why.jpg": "JPEG", "sub/why.webp": "WEBP"}.items():
        target = tmp_path / name
        done = edgeclf("predict", photo, "-m", model, "--cam", target, "--json")
        (answer,) = answers(done)
        assert (done.returncode, answer["cam"], answer["cam_class"]) == (
            0,
            str(target),
            answer["predictions"][0]["label"],
        )
        with Image.open(target) as overlay:
            assert (overlay.format, overlay.width) == (kind, 160)
    done = edgeclf("predict", photo, "-m", model, "--cam", target)
    assert f"heat map of {answer['cam_class']}: {target}" in done.stdout


def test_photos_of_one_name_get_an_overlay_each(edgeclf: Run, model: Path, tmp_path: Path) -> None:
    for seed, name in enumerate(("a/x.png", "b/X.png", "c/x.jpg")):
        put(tmp_path / "in" / name, seed)
    done = edgeclf("predict", tmp_path / "in", "-m", model, "--cam", tmp_path / "out", "--json")
    written = [answer["cam"] for answer in answers(done)]
    assert done.returncode == 0
    assert len({name.casefold() for name in written}) == 3
    assert sorted(written) == sorted(str(path) for path in (tmp_path / "out").iterdir())
    assert len({Path(name).read_bytes() for name in written}) == 3


def test_named_class_is_explained(edgeclf: Run, every_map: Callable[..., Path], photo: Path, tmp_path: Path) -> None:
    model = every_map(resize="pad")
    target = tmp_path / "why.png"
    done = edgeclf("predict", photo, "-m", model, "--cam", target, "--cam-class", "king", "-k", 1, "--json")
    (answer,) = answers(done)
    explanation = Classifier(model).explain(photo, "king")
    assert (done.returncode, answer["cam_class"], len(answer["predictions"])) == (0, "king", 1)
    assert answer["padding_share"] == pytest.approx(explanation.padding_share, abs=1e-4)
    with Image.open(target) as overlay:
        assert overlay.tobytes() == explanation.overlay().tobytes()


def test_threads_and_device_are_accepted(edgeclf: Run, model: Path, photo: Path) -> None:
    plain = edgeclf("predict", photo, "-m", model, "--json")
    assert edgeclf("predict", photo, "-m", model, "--json", "--threads", 1, "--device", "cpu").stdout == plain.stdout


def test_info(edgeclf: Run, make_model: Callable[..., Path]) -> None:
    model = make_model(resize="pad", display={"king": "Königspinguin"})
    done = edgeclf("info", model)
    assert (done.returncode, done.stderr) == (0, "")
    for text in (str(model), "32 x 32 pixels", "letterboxed", "checksum correct", "fp32", "king", "Königspinguin"):
        assert text in done.stdout
    report = json.loads(edgeclf("info", model, "--json").stdout)
    assert (report["path"], report["bytes"]) == (str(model), model.stat().st_size)
    assert report["sha256"].encode() == model.read_bytes()[-64:]
    assert report["classes"] == ["adelie", "gentoo", "king"]
    assert report["contract"]["resize"] == "pad"


def test_default_model_and_its_variable(edgeclf: Run, model: Path, photo: Path) -> None:
    assert len(json.loads(edgeclf("info", "--json").stdout)["classes"]) == 1000
    (answer,) = answers(edgeclf("predict", photo, "--json", EDGECLF_MODEL=str(model)))
    assert {entry["label"] for entry in answer["predictions"]} == {"adelie", "gentoo", "king"}


def test_help_lists_every_command_and_the_exit_codes(edgeclf: Run) -> None:
    done = edgeclf("--help")
    assert done.returncode == 0
    listed = [
        line.split()[0]
        for line in done.stdout.split("Commands:")[1].split("Exit codes:")[0].split("\n  ")
        if line.strip()
    ]
    assert {"predict", "info", "train", "export"} <= set(listed)
    assert "141 the reader" in " ".join(done.stdout.split())
    assert edgeclf("--version").stdout == f"edgeclf {__version__}\n"


def started(*arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "edgeclf", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """So many links to one photo that no pipe holds all the answers."""
    original = put(tmp_path / "original.png")
    for number in range(1500):
        (tmp_path / "many" / f"{number:04}-{'x' * 80}.png").parent.mkdir(exist_ok=True)
        (tmp_path / "many" / f"{number:04}-{'x' * 80}.png").symlink_to(original)
    return tmp_path / "many"


@pytest.mark.parametrize("option", [["--json"], []])
def test_closed_pipe_ends_quietly(option: list[str], model: Path, many: Path) -> None:
    process = started("predict", many, "-m", model, *option)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(30) == 141


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_interrupt_ends_quietly_with_130(model: Path, many: Path) -> None:
    process = started("predict", many, "-m", model, "--json")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, talk = process.communicate(timeout=30)
    assert (process.returncode, b"Traceback" in talk) == (130, False)


def test_a_model_among_the_photos_is_told_where_it_goes(edgeclf: Run, tmp_path: Path) -> None:
    draw(1, 60, 40).save(tmp_path / "x.jpg")
    done = edgeclf("predict", tmp_path / "x.jpg", OLD_MODELS / "schema2.onnx")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"give it with -m {OLD_MODELS / 'schema2.onnx'}" in done.stderr


def test_a_photo_in_place_of_a_command_is_told_which_command(edgeclf: Run, tmp_path: Path) -> None:
    draw(1, 60, 40).save(tmp_path / "a b.jpg")
    done = edgeclf(tmp_path / "a b.jpg")
    assert done.returncode == 2
    assert f"did you mean `edgeclf predict '{tmp_path}/a b.jpg'`" in done.stderr


def test_many_classes_are_not_all_listed(edgeclf: Run) -> None:
    lines = edgeclf("info").stdout.splitlines()
    assert len(lines) < 60
    assert "970 more" in lines[-1]
