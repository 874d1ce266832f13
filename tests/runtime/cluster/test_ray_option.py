"""The option --ray on the command line, and how many actors a cluster gets; Ray itself is not needed."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Done
from edgeclf.cli.predict_cluster import with_address
from edgeclf.cluster.session import Actors, actors_for, connect, is_ray_address
from edgeclf.errors import UsageError

Run = Callable[..., Done]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("predict --ray photos/", "predict --ray local photos/"),
        ("predict photos/ --ray", "predict photos/ --ray local"),
        ("predict photos/ --ray --out o", "predict photos/ --ray local --out o"),
        ("predict --ray auto photos/", "predict --ray auto photos/"),
        ("predict --ray head:6379 photos/", "predict --ray head:6379 photos/"),
        ("predict --ray C:\\photos", "predict --ray local C:\\photos"),
        ("predict -- --ray", "predict -- --ray"),
        ("predict photos/", "predict photos/"),
    ],
)
def test_an_address_is_optional(typed: str, meant: str) -> None:
    assert with_address(typed.split()) == meant.split()


def test_what_is_an_address() -> None:
    assert all(map(is_ray_address, ("local", "auto", "10.0.0.1:6379", "head:6379")))
    assert not any(map(is_ray_address, ("photos", "C:\\x", ":6379", "head", "s3://bucket/x")))
    with pytest.raises(UsageError, match="HOST:PORT"):
        connect("nowhere")


@pytest.mark.parametrize("words", [["--json"], ["--cam", "maps/"], ["--events", "5"], ["--low-memory"], []])
def test_what_does_not_go_together(edgeclf: Run, photo: Path, tmp_path: Path, words: list[str]) -> None:
    out = ["--out", str(tmp_path / "answers")] if words else []
    done = edgeclf("predict", photo, "--ray", *out, *words)
    assert done.returncode == 2
    assert (words or ["--out"])[0] in done.stderr
    assert not (tmp_path / "answers").exists()


def test_without_ray_the_extra_is_named(
    edgeclf: Run, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr("edgeclf.cli.extras.find_spec", lambda name: None if name == "ray" else object())
    done = edgeclf("predict", photo, "--ray", "--out", tmp_path / "answers")
    assert done.returncode == 4
    assert "edgeclf[ray]" in done.stderr


def test_actors_fill_the_cluster() -> None:
    assert actors_for(16, 0, None) == Actors(16, 1, 0)
    assert actors_for(16, 0, 4) == Actors(4, 4, 0)
    assert actors_for(16, 2, None) == Actors(2, 8, 1)
    assert actors_for(2, 4, None) == Actors(4, 1, 1)
    with pytest.raises(UsageError, match="--threads 4"):
        actors_for(2, 0, 4)
