"""`edgeclf train` and `edgeclf sample-data` as a user meets them."""

import errno
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def one_line(done: "subprocess.CompletedProcess[str]") -> str:
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_train_then_export_then_predict(edgeclf: Cli, class_folders: Path, tmp_path: Path) -> None:
    run, model = tmp_path / "run", tmp_path / "model.onnx"
    done = edgeclf(
        *("train", class_folders, "--arch", "cnn4", "--image-size", 64, "--epochs", 3, "--batch-size", 8),
        *("--workers", 0, "--out", run),
    )
    assert done.returncode == 0, done.stderr
    assert f"edgeclf export {run}" in done.stdout
    assert sum(line.startswith("epoch ") for line in done.stderr.splitlines()) == 3
    assert "validation: " in done.stderr
    assert "test: " not in done.stderr
    done = edgeclf("export", run, "-o", model, "--int8", "--author", "A. Birder")
    assert done.returncode == 0, done.stderr
    assert "onnx int8" in done.stdout
    done = edgeclf("predict", class_folders / "king", "-m", model, "--json")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 10
    done = edgeclf("info", model)
    assert "A. Birder" in done.stdout
    assert "validation" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 5, "no such folder"),
        (["one"], 5, "only one class"),
        (["hollow"], 5, "no images in class folder skua"),
        (["photos", "--arch", "resnet51"], 2, "choose one of"),
        (["photos", "--resize", "stretch"], 2, "--resize stretch"),
        (["photos", "--unfreeze", "layer9", "--weights", "none"], 2, "no such stage"),
        (["photos", "--weights", "nothing.pth"], 5, "no such weight file"),
        (["photos", "--classes", "king,emperor"], 5, "no class folder emperor"),
        (["photos", "--from", "photos"], 5, "not a run folder"),
        (["photos", "--from", "nowhere"], 5, "nowhere: no such folder"),
        (["photos", "--from", "one/king/king_000.jpg"], 5, "is a file"),
        (["photos", "--out", "one"], 2, "already exists"),
        (["photos", "--out", "photos/run"], 2, "inside the photos"),
    ],
)
def test_bad_input_is_one_line_and_a_documented_code(
    arguments: list[str],
    code: int,
    message: str,
    edgeclf: Cli,
    class_folders: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(class_folders, tmp_path / "photos")
    shutil.copytree(class_folders / "king", tmp_path / "one" / "king")
    shutil.copytree(class_folders, tmp_path / "hollow")
    (tmp_path / "hollow" / "skua").mkdir()
    monkeypatch.chdir(tmp_path)
    done = edgeclf("train", *arguments)
    assert done.returncode == code, done.stderr
    assert message in one_line(done)
    assert not (tmp_path / "runs").exists()


def test_imagenet_weights_offline_end_in_one_line(
    edgeclf: Cli, class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No proxy answers on this port, so the download fails at once, as it does without a network."""

    def refused(*_: object) -> None:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    monkeypatch.setattr(socket.socket, "connect", refused)
    proxy = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = edgeclf(
        *("train", class_folders, "--arch", "vgg16", "--out", tmp_path / "run"), TORCH_HOME=str(tmp_path), **proxy
    )
    assert done.returncode == 5
    line = done.stderr.strip().splitlines()[-1]
    assert str(tmp_path / "hub" / "checkpoints" / "vgg16-397923af.pth") in line
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_the_earlier_flags_of_the_learning_rates_work_and_give_one_line_of_notice(edgeclf: Cli) -> None:
    shown = edgeclf("train", "--help").stdout
    for old, new in (("--head-rate", "--head-lr"), ("--base-rate", "--backbone-lr")):
        assert new in shown
        assert old not in shown
        done = edgeclf("train", old, "-1")
        notice, error = done.stderr.splitlines()
        assert notice == f"note: {old} is now called {new}"
        assert f"{old} -1.0: give 0 or more" in error
        assert done.returncode == 2
        twice = edgeclf("train", old, 1, new, 1).stderr.splitlines()[-1]
        assert re.search(rf"{old} and {new} are the same option|{new} and {old} are the same option", twice)
        assert re.search(rf"; leave ({old}|{new}) out$", twice)


def test_sample_data_refuses_a_used_folder(edgeclf: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    done = edgeclf("sample-data", tmp_path, "--per-class", 1)
    assert done.returncode == 2
    assert "edgeclf: " in one_line(done)
    done = edgeclf("sample-data", tmp_path / "new", "--per-class", 1, "--size", 64)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "new").glob("*/*.jpg"))) == 6
