"""Everything that can go wrong at the command line: its exit code, and one line that says so."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from edgeclf.classifier import DEFAULT_MODEL
from edgeclf.model.file import MANIFEST_KEY, SEAL_LENGTH, seal
from edgeclf.model.manifest import SCHEMA_VERSION
from onnx import TensorProto, helper
from PIL import Image

Run = Callable[..., subprocess.CompletedProcess[str]]


def complaint(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line on stderr."""
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("edgeclf: ")
    assert "Traceback" not in done.stdout
    return line


def truncated(photo: Path, kind: str) -> bytes:
    with Image.open(photo) as image:
        image.save(photo.with_name("whole"), kind)
    whole = photo.with_name("whole").read_bytes()
    return whole[: len(whole) // 2]


@pytest.fixture
def bad(photo: Path, png_of_zeros: Callable[[int], bytes], tmp_path: Path) -> dict[str, Path]:
    """Photos that cannot be read, by what is wrong with them."""
    contents = {
        "text.jpg": b"shopping list\n",
        "truncated.jpg": truncated(photo, "JPEG"),
        "truncated.png": truncated(photo, "PNG"),
        "zero.jpg": b"",
        "bomb.png": png_of_zeros(20000),
        "bad exif.jpg": b"\xff\xd8\xff\xe1\0\x10Exif\0\0II*\0\xff\xff",
    }
    folder = tmp_path / "bad"
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "album.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    return {name: folder / name for name in [*contents, "album.jpg", "pipe.jpg", "missing.jpg", "nothing"]}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing.jpg", "no such file"),
        ("album.jpg", "no images in this folder"),
        ("text.jpg", "not an image"),
        ("truncated.jpg", "damaged"),
        ("truncated.png", "damaged"),
        ("zero.jpg", "0 bytes"),
        ("bomb.png", "the limit is 50 megapixels"),
        ("pipe.jpg", "not a regular file"),
        ("bad exif.jpg", ""),
    ],
)
def test_bad_photo_is_one_line_and_exit_1(
    edgeclf: Run, model: Path, bad: dict[str, Path], name: str, says: str
) -> None:
    done = edgeclf("predict", bad[name], "-m", model)
    assert done.stdout == ""
    line = complaint(done, 1)
    assert str(bad[name]) in line
    assert says in line


def test_good_photos_among_bad_ones_are_answered(edgeclf: Run, model: Path, bad: dict[str, Path], photo: Path) -> None:
    order = [bad["zero.jpg"], photo, bad["album.jpg"], bad["bomb.png"], photo]
    done = edgeclf("predict", *order, "-m", model, "--json")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["path"] for answer in answers] == list(map(str, order))
    assert ["predictions" in answer for answer in answers] == [False, True, False, False, True]
    kinds = [answer["error"]["kind"] for answer in answers if "error" in answer]
    assert kinds == ["empty", "no-images", "too-large"]
    assert (done.returncode, done.stderr) == (1, "")  # with --json the errors are data
    human = edgeclf("predict", *order, "-m", model)
    assert (human.returncode, human.stdout.count(f"{photo}\n")) == (1, 2)
    messages = [f"edgeclf: {answer['error']['message']}" for answer in answers if "error" in answer]
    assert human.stderr.splitlines() == messages


def unsealed(model: Path) -> onnx.ModelProto:
    return onnx.load_from_string(model.read_bytes()[:-SEAL_LENGTH])


@pytest.fixture
def bad_models(model: Path, tmp_path: Path) -> dict[str, Path]:
    flipped = bytearray(model.read_bytes())
    flipped[len(flipped) // 2] ^= 4
    newer = unsealed(model)
    for entry in newer.metadata_props:
        if entry.key == MANIFEST_KEY:
            entry.value = json.dumps({"schema_version": SCHEMA_VERSION + 1})
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", value[:1], value[1:])
    contents = {
        "not onnx": b"dear diary",
        "no manifest": helper.make_model(graph).SerializeToString(),
        "broken seal": bytes(flipped),
        "newer schema": seal(newer.SerializeToString()),
        "empty": b"",
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)
    return {name: tmp_path / f"{name}.onnx" for name in [*contents, "missing"]}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("not onnx", "not an ONNX model"),
        ("no manifest", "without edgeclf's manifest"),
        ("broken seal", "the seal is broken"),
        ("newer schema", "pip install --upgrade edgeclf"),
        ("empty", "0 bytes"),
        ("missing", "no such model file"),
    ],
)
def test_bad_model_is_one_line_and_exit_3(
    edgeclf: Run, bad_models: dict[str, Path], photo: Path, name: str, says: str
) -> None:
    line = complaint(edgeclf("predict", photo, "-m", bad_models[name]), 3)
    assert str(bad_models[name]) in line
    assert says in line
    assert complaint(edgeclf("info", bad_models[name]), 3) == line


def test_debug_shows_the_trace(edgeclf_child: Run, photo: Path) -> None:
    done = edgeclf_child("--debug", "predict", photo, "-m", "nowhere.onnx")
    assert done.returncode != 0
    assert "Traceback" in done.stderr
    assert "no such model file" in done.stderr


def test_device_that_is_not_there_is_exit_4(edgeclf: Run, model: Path, photo: Path) -> None:
    line = complaint(edgeclf("predict", photo, "-m", model, "--device", "abacus"), 4)
    assert "'abacus'" in line
    assert "available: auto, " in line
    assert "cpu" in line


def test_cuda_without_cuda_is_exit_4(edgeclf: Run, model: Path, photo: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    assert 'pip install "edgeclf[gpu]"' in complaint(edgeclf("predict", photo, "-m", model, "--device", "cuda"), 4)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--nonsense"], "no such option: --nonsense"),
        (["--jsn"], "did you mean --json"),
        (["--threads", "0"], "0 is not in the range"),
        (["--top-k", "0"], "0 is not in the range"),
        (["--top-k", "many"], "'many' is not a valid"),
        (["--top-k"], "'--top-k' requires an argument"),
        (["--cam-class", "king"], "give --cam too"),
    ],
)
def test_usage_errors_are_exit_2(edgeclf: Run, model: Path, photo: Path, arguments: list[str], says: str) -> None:
    done = edgeclf("predict", photo, "-m", model, *arguments)
    assert done.stdout == ""
    line = complaint(done, 2)
    assert line.startswith("edgeclf: predict: ")
    assert says in line
    assert line.endswith("see `edgeclf predict --help`")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["predict"], "predict: missing argument 'PHOTO...'; see `edgeclf predict --help`"),
        (["--nonsense"], "no such option: --nonsense; see `edgeclf --help`"),
        (["classify", "x.jpg"], "no such command: classify; see `edgeclf --help`"),
        (["predikt", "x.jpg"], "no such command: predikt; did you mean predict; see `edgeclf --help`"),
        (["data", "check", "--jsno", "x"], "data check: no such option: --jsno; did you mean --json"),
    ],
)
def test_what_is_not_there_or_missing_is_one_line_and_exit_2(edgeclf: Run, arguments: list[str], says: str) -> None:
    assert complaint(edgeclf(*arguments), 2).startswith(f"edgeclf: {says}")


def test_nothing_at_all_is_answered_with_the_help(edgeclf: Run) -> None:
    for arguments in ([], ["data"]):
        done = edgeclf(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("Usage: edgeclf")


def test_unknown_class_is_exit_2_with_a_suggestion(edgeclf: Run, model: Path, photo: Path, tmp_path: Path) -> None:
    done = edgeclf("predict", photo, "-m", model, "--cam", tmp_path / "why.png", "--cam-class", "Gentoo")
    line = complaint(done, 2)
    assert "no class 'Gentoo'" in line
    assert "gentoo" in line
    assert not (tmp_path / "why.png").exists()


def test_class_without_a_map_is_exit_1_and_still_answered(
    edgeclf: Run, model: Path, photo: Path, tmp_path: Path
) -> None:
    """The small network of the tests carries the best class's map only."""
    answer = json.loads(edgeclf("predict", photo, "-m", model, "--json").stdout)
    last = answer["predictions"][-1]["label"]
    done = edgeclf("predict", photo, "-m", model, "--cam", tmp_path / "why.png", "--cam-class", last)
    line = complaint(done, 1)
    assert f"no heat map for {last}" in line
    assert done.stdout == edgeclf("predict", photo, "-m", model).stdout
    done = edgeclf("predict", photo, "-m", model, "--cam", tmp_path / "why.png", "--cam-class", last, "--json")
    explained = json.loads(done.stdout)
    assert explained["predictions"] == answer["predictions"]
    assert explained["error"] == {"kind": "no-heat-map", "message": line.removeprefix("edgeclf: ")}
    assert not (tmp_path / "why.png").exists()


def test_overlay_targets_that_make_no_sense(edgeclf: Run, model: Path, photo: Path, tmp_path: Path) -> None:
    other = shutil.copy(photo, tmp_path / "other.jpg")
    before = photo.read_bytes()
    link = tmp_path / "link.jpg"
    link.symlink_to(photo)
    refusals = {
        "cannot hold several": (photo, other, "--cam", tmp_path / "why.png"),
        "name a folder": (tmp_path, "--cam", tmp_path / "why.png"),
        "cannot write this format": (photo, "--cam", tmp_path / "why.txt"),
        "is the photo itself": (photo, "--cam", photo),
        "name another file": (photo, "--cam", link),
        "cannot be written": (photo, "--cam", photo / "why.png"),
    }
    for says, arguments in refusals.items():
        assert says in complaint(edgeclf("predict", *arguments, "-m", model), 2)
    assert photo.read_bytes() == before
    assert not (tmp_path / "why.png").exists()
    assert not list(tmp_path.glob(".*"))  # no temporary file is left behind


@pytest.mark.parametrize(
    "arguments",
    [
        ("watch", "", "--out", "a.csv", "--once"),
        ("watch", ".", "--out", "", "--once"),
        ("predict", "a.jpg", "--cam", ""),
        ("predict", "a.jpg", "--out", ""),
        ("evaluate", DEFAULT_MODEL, ""),
    ],
)
def test_an_empty_argument_is_not_the_folder_here(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from edgeclf.cli.app import run

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["edgeclf", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        run()
    assert (ended.value.code, capsys.readouterr().err) == (
        2,
        "edgeclf: an argument is empty; name a file or a folder; the current one is .\n",
    )
    assert not list(tmp_path.iterdir())
