"""Networks of others: registered in a program, or provided by an installed package."""

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from edgeclf import Classifier
from edgeclf.errors import UsageError
from edgeclf_training.networks import (
    architecture_names,
    build_network,
    get_architecture,
    register_architecture,
    registry,
)
from helpers import ROOT
from torch import nn

EXAMPLE = ROOT / "docs" / "examples" / "own_network"
CNN4 = get_architecture("cnn4")


def install(site: Path, name: str, module: str, value: str, network: str = "") -> None:
    """Put a package with one network into a folder of packages, as pip would."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[edgeclf.architectures]\n{network or name} = {value}\n")
    (site / f"{name}.py").write_text(module)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    registry._registered.clear()


@pytest.mark.usefixtures("share_traces")
def test_the_example_trains_explains_and_exports(
    site: Path, class_folders: Path, tmp_path: Path, edgeclf: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (entry,) = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"][
        "edgeclf.architectures"
    ].items()
    assert entry[0] == "tinynet"
    install(site, "tinynet", (EXAMPLE / "tinynet.py").read_text(), entry[1])
    assert architecture_names()[-1] == "tinynet"
    run, photo = tmp_path / "run", next((class_folders / "king").iterdir())
    flags = ("--epochs", 4, "--batch-size", 8, "--workers", 0, "--device", "cpu")
    done = edgeclf("train", class_folders, "--arch", "tinynet", "--weights", "none", "--out", run, *flags)
    assert done.returncode == 0, done.stderr
    for name, options in (("fp32", ()), ("int8", ("--int8",))):
        path = tmp_path / f"{name}.onnx"
        done = edgeclf("export", run, "-o", path, *options, "--force")
        assert done.returncode == 0, done.stderr
        manifest = Classifier(path).manifest
        assert (manifest.architecture, manifest.precision) == ("tinynet", name)
        overlay = tmp_path / f"{name}.png"
        done = edgeclf("predict", photo, "-m", path, "--cam", overlay, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["predictions"][0]["label"] in ("adelie", "gentoo", "king")
        assert overlay.stat().st_size > 0


def test_the_lines_of_the_guide_register_a_network() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "your-network.md").read_text("utf-8"), re.DOTALL)
    exec(compile(code, "your-network.md", "exec"), {"__name__": "__main__"})
    assert build_network("cnn4_small", 2)[0].head.widths == (512, 2)


def test_a_network_registered_in_a_program_has_its_defaults() -> None:
    register_architecture("small", replace(CNN4, image_size=64))
    network, loaded = build_network("small", 3)
    assert loaded is None
    assert network.stages == ("conv1", "conv2", "conv3", "conv4")
    assert network.head.widths == (512, 3)
    assert architecture_names()[-1] == "small"
    register_architecture("small", replace(CNN4, image_size=96))  # the notebook's cell once more
    assert get_architecture("small").image_size == 96


@pytest.mark.parametrize("name", ["cnn4", "resnet50", "tinynet"])
def test_no_name_is_given_twice(name: str, site: Path) -> None:
    install(site, "tinynet", "", "tinynet:NET")
    with pytest.raises(UsageError, match=f"a network '{name}' already"):
        register_architecture(name, CNN4)


@pytest.mark.parametrize("name", ["", "Big", "a b", "../x", "x" * 65, "ü"])
def test_a_name_is_one_that_files_can_keep(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        register_architecture(name, CNN4)


@pytest.mark.parametrize(
    ("module", "value", "says"),
    [
        ("import nowhere_to_be_found", "broken:NET", r"\(ModuleNotFoundError: No module named 'nowhere_to_be_found'\)"),
        ("raise SystemError('one\\ntwo')", "broken:NET", r"cannot be loaded \(SystemError: one\)"),
        ("", "broken:NET", "cannot be loaded .AttributeError"),
        ("raise SystemExit", "broken:NET", r"cannot be loaded \(SystemExit: \)"),
        ("NET = 5", "broken:NET", "broken:NET of the package broken is not an edgeclf_training.Architecture"),
    ],
)
def test_a_broken_package_is_one_line_and_others_go_on(
    module: str, value: str, says: str, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(__import__("sys").modules, "broken", raising=False)
    install(site, "broken", module, value)
    with pytest.raises(UsageError, match=says) as raised:
        get_architecture("broken")
    assert "\n" not in str(raised.value)
    assert build_network("cnn4", 2)[0].stages == ("conv1", "conv2", "conv3", "conv4")
    assert "broken" in architecture_names()


@pytest.mark.parametrize("name", ["../../x", "ViT-B/16", "a b"])
def test_a_package_cannot_give_a_name_that_files_cannot_keep(name: str, site: Path) -> None:
    install(site, "odd", "raise RuntimeError('imported')", "odd:NET", network=name)
    with pytest.raises(UsageError, match="cannot be the name of a network"):
        get_architecture(name)


def broken_skeleton() -> nn.Module:
    raise ValueError("no such block\nmore")


def badly_wired(net: nn.Module) -> tuple[list[tuple[str, nn.Module]], None]:
    return [("a", nn.Conv2d(3, 8, 3)), ("b", nn.Conv2d(16, 8, 3))], None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"skeleton": broken_skeleton}, r"'bad' cannot be built \(ValueError: no such block\)"),
        ({"cut": lambda net: net.nothing}, r"cannot be built \(AttributeError: .*nothing"),
        ({"cut": badly_wired}, r"cannot be built \(RuntimeError: .*channels"),
    ],
)
@pytest.mark.parametrize("size", [None, 40, 300])
def test_a_network_that_cannot_be_built_is_one_line(changes: dict[str, Any], says: str, size: int | None) -> None:
    register_architecture("bad", replace(CNN4, **changes))
    with pytest.raises(UsageError, match=says) as raised:
        build_network("bad", 2, image_size=size)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "changes", [{"mean": (0.5,)}, {"std": (0.229, 0.224, 0.225)}, {"std": (1.0, float("nan"), 1.0)}], ids=str
)
def test_normalisation_for_values_up_to_1_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"for RGB values 0\.\.255"):
        replace(CNN4, **changes)


def test_a_network_of_one_size_says_which() -> None:
    def flat(net: nn.Module) -> tuple[list[tuple[str, nn.Module]], None]:
        return [("all", nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 64), nn.Unflatten(1, (16, 2, 2))))], None

    register_architecture("fixed", replace(CNN4, cut=flat, image_size=64))
    assert build_network("fixed", 2)[0].head.widths == (512, 2)
    with pytest.raises(UsageError, match="cannot take photos of 96 x 96 pixels; give --image-size 64"):
        build_network("fixed", 2, image_size=96)


def test_two_packages_with_one_name_are_told_apart_by_the_user(site: Path) -> None:
    for package in ("one", "two"):
        install(site, package, "", f"{package}:NET", network="same")
    with pytest.raises(UsageError, match=r"several packages provide a network 'same': (one and two|two and one)"):
        get_architecture("same")
    assert architecture_names().count("same") == 1


def test_a_package_cannot_replace_a_network_of_edgeclf(site: Path) -> None:
    install(site, "evil", "raise SystemExit", "evil:NET", network="resnet18")
    assert get_architecture("resnet18").classifier == "fc."


def test_stages_that_end_in_no_image_are_refused() -> None:
    def flat(net: nn.Module) -> tuple[list[tuple[str, nn.Module]], None]:
        return [("all", nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 8)))], None

    register_architecture("flat", replace(CNN4, cut=flat, image_size=64))
    with pytest.raises(UsageError, match=r"end in \(1, 8\), not in \[N, channels, height, width\]"):
        build_network("flat", 2)


def test_an_unknown_name_lists_all_of_them(site: Path) -> None:
    shutil.rmtree(site)
    with pytest.raises(UsageError, match=r"no architecture 'vit'.*cnn4, timm:NAME, or install the package"):
        get_architecture("vit")
