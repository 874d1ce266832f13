"""``edgeclf compare``: changed answers, accuracies, heat maps and times of two models on the same photos."""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgeclf import Classifier, ImageContract, UsageError, network_input
from edgeclf.evaluation.compare import check_comparable, compare
from edgeclf.evaluation.metrics import paired_interval
from edgeclf.heatmaps.overlay import enlarge
from edgeclf.heatmaps.similarity import correlation
from helpers import draw, write_class_folders
from onnx import helper

Run = Callable[..., subprocess.CompletedProcess[str]]
Make = Callable[..., Path]


def values(done: subprocess.CompletedProcess[str], code: int = 0) -> dict[str, Any]:
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ask(first: Path, second: Path, photos: list[Path]) -> Any:
    return compare(Classifier(first), Classifier(second), [(str(photo), str(photo)) for photo in photos])


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders, for the CLI; wider than high, so that crop and pad see different things."""
    return write_class_folders(tmp_path_factory.mktemp("compare") / "photos", 6, seed=50)


def test_a_model_agrees_with_itself(edgeclf: Run, every_map: Make, photos: Path) -> None:
    model = every_map()
    found = values(edgeclf("compare", model, model, photos, "--json", "--threads", 1))
    assert (found["photos"], found["agreeing"], found["changed"], found["unreadable"]) == (18, 18, [], [])
    assert (found["difference"], found["size_ratio"]) == (0.0, 1.0)
    assert found["interval"][0] < 0 < found["interval"][1]
    assert found["maps"]["mean"] == pytest.approx(1.0)
    assert found["maps"]["lowest"] == pytest.approx(1.0)
    assert (found["maps"]["compared"], found["maps"]["dead"], found["maps"]["missing"]) == (18, 0, 0)
    a, b = found["models"]
    assert a["bytes"] == b["bytes"] == model.stat().st_size
    assert a["milliseconds"] > 0
    assert found["time_ratio"] == pytest.approx(b["milliseconds"] / a["milliseconds"], rel=0.05)


def test_figures_are_those_of_a_count_of_their_own(edgeclf: Run, every_map: Make, photos: Path) -> None:
    """Heads of two kinds, so different answers; maps compared through explain()."""
    first, second = every_map(resize="squash"), every_map(resize="squash", head="mlp")
    one, two = Classifier(first), Classifier(second)
    changed, table, correlations = [], {(a, b): 0 for a in (True, False) for b in (True, False)}, {}
    for photo in sorted(photos.glob("*/*.jpg")):
        answers = one.predict(photo).best, two.predict(photo).best
        a, b = (answer.label == photo.parent.name for answer in answers)
        table[a, b] += 1
        if answers[0].label != answers[1].label:
            told = [{"label": e.label, "probability": round(e.probability, 6)} for e in answers]
            changed.append({"path": str(photo), "true": photo.parent.name, "first": told[0], "second": told[1]})
        cams = [c.explain(photo, answers[0].label).cam for c in (one, two)]
        if all(cam.max() > cam.min() for cam in cams):
            correlations[str(photo)] = np.corrcoef(cams[0].ravel(), cams[1].ravel())[0, 1]
    found = values(edgeclf("compare", first, second, photos, "--json"))
    assert changed, "else there is little to compare"
    assert found["changed"] == changed
    assert (found["photos"], found["agreeing"], found["labelled"]) == (18, 18 - len(changed), 18)
    right = table[True, True] + table[True, False], table[True, True] + table[False, True]
    assert tuple(side["correct"] for side in found["models"]) == right
    assert [side["accuracy"] for side in found["models"]] == pytest.approx([r / 18 for r in right])
    assert found["difference"] == pytest.approx((right[1] - right[0]) / 18)
    interval = paired_interval(table[False, True], table[True, False], 18)
    assert found["interval"] == pytest.approx(list(interval))
    maps = found["maps"]
    assert len(correlations) > 1
    assert (maps["compared"], maps["dead"], maps["missing"]) == (len(correlations), 18 - len(correlations), 0)
    assert maps["mean"] == pytest.approx(np.mean(list(correlations.values())), abs=1e-6)
    assert maps["lowest_path"] == min(correlations, key=lambda path: correlations[path])
    assert maps["lowest"] == pytest.approx(min(correlations.values()), abs=1e-6)


def test_people_read_the_same_metrics(edgeclf: Run, every_map: Make, photos: Path) -> None:
    first, second = every_map(resize="squash"), every_map(resize="squash", head="mlp")
    found = values(edgeclf("compare", first, second, photos, "--json"))
    done = edgeclf("compare", first, second, photos)
    assert (done.returncode, done.stderr) == (0, "")
    low, high = found["interval"]
    for text in (
        f"{found['agreeing']} of 18 photos ({found['agreeing'] / 18:.1%})",
        f"A {found['models'][0]['correct']} of 18",
        f"B {found['models'][1]['correct']} of 18",
        f"{100 * found['difference']:+.1f} points, 95 % interval {100 * low:+.1f} to {100 * high:+.1f}",
        f"size {found['size_ratio']:.2f}",
        f"correlation {found['maps']['mean']:.3f} on average, {found['maps']['lowest']:.3f} at lowest",
    ):
        assert text in done.stdout
    listed = [line for line in done.stdout.splitlines() if " -> " in line]
    assert len(listed) == len(found["changed"])
    one = found["changed"][0]
    assert listed[0] == (
        f"{one['path']}: {one['first']['label']} {one['first']['probability']:.1%} -> "
        f"{one['second']['label']} {one['second']['probability']:.1%} (is {one['true']})"
    )


def test_json_keys_are_those_the_help_documents(edgeclf: Run, model: Path, photo: Path) -> None:
    found = values(edgeclf("compare", model, model, photo, "--json"))
    text = " ".join(edgeclf("compare", "--help").stdout.split())
    documented = text.split("--json prints ")[1].split("Shares are")[0]
    for key in (*found, *found["models"][0], *found["maps"]):
        assert key in documented
    assert (found["labelled"], found["difference"], found["interval"]) == (0, None, None)
    assert [side["accuracy"] for side in found["models"]] == [None, None]
    assert "no folder has the name of a class" in edgeclf("compare", model, model, photo).stdout


def test_classes_are_compared_by_name_whatever_their_order(make_model: Make, photos: Path) -> None:
    """The same network under names in another order: index 0 is another class."""
    names = ("adelie", "gentoo", "king")
    turned = make_model(classes=("king", "adelie", "gentoo"))
    files = sorted(photos.glob("*/*.jpg"))
    found = ask(make_model(classes=names), turned, files)
    assert (found.photos, found.agreeing) == (18, 0)
    for one in found.changed:
        assert one.second.label == Classifier(turned).labels[one.first.index]
    assert found.counts.both == 0
    right = [one for one in found.changed if one.second.label == one.true]
    assert found.counts.correct[1] == len(right)
    assert found.maps.missing == 18, "B carries the map of its own best class only"


def test_models_of_different_classes_are_refused_in_one_line(edgeclf: Run, make_model: Make, photo: Path) -> None:
    first, second = make_model(), make_model(classes=("adelie", "gentoo", "emperor", "auk", "puffin", "skua"))
    done = edgeclf("compare", first, second, photo)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert f"only {first} has king; only {second} has auk, emperor, puffin and 1 more" in done.stderr
    with pytest.raises(UsageError, match="only b has"):
        check_comparable(
            Classifier(first), Classifier(make_model(classes=(*Classifier(first).labels, "auk"))), ("a", "b")
        )


def test_unreadable_photos_are_reported_and_the_rest_compared(edgeclf: Run, model: Path, tmp_path: Path) -> None:
    draw(1).save(tmp_path / "good.png")
    (tmp_path / "bad.jpg").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    done = edgeclf("compare", model, model, tmp_path, tmp_path / "missing.jpg", tmp_path / "empty", "--json")
    found = values(done, 1)
    assert found["photos"] == 1
    assert [e["kind"] for e in found["unreadable"]] == ["empty", "not-found", "no-images"]
    assert len(done.stderr.splitlines()) == 3
    assert "Traceback" not in done.stderr
    nothing = edgeclf("compare", model, model, tmp_path / "empty")
    assert nothing.returncode == 1
    assert "no photo could be read" in nothing.stdout
    nothing = values(edgeclf("compare", model, model, tmp_path / "empty", "--json"), 1)
    assert (nothing["photos"], nothing["time_ratio"], nothing["maps"]["mean"]) == (0, None, None)


def test_photos_are_taken_as_predict_takes_them(edgeclf: Run, model: Path, photos: Path, photo: Path) -> None:
    found = values(
        edgeclf("compare", model, model, photos / "king" / "*_00?.jpg", "-", "--json", stdin=photo.read_bytes())
    )
    assert (found["photos"], found["labelled"]) == (7, 6)


def test_bad_models_end_as_elsewhere(edgeclf: Run, model: Path, photo: Path) -> None:
    for first, second in ((model, "missing.onnx"), (photo, model)):
        done = edgeclf("compare", first, second, photo)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "", 1)
    assert edgeclf("compare", model, model).returncode == 2


def test_dead_maps_are_counted_not_averaged(every_map: Make, model: Path, rebuild: Any, photos: Path) -> None:
    def kill(proto: onnx.ModelProto) -> None:
        for node in proto.graph.node:
            node.output[:] = ["cam_alive" if name == "cam" else name for name in node.output]
        proto.graph.initializer.append(helper.make_tensor("nought", onnx.TensorProto.FLOAT, [], [0.0]))
        proto.graph.node.append(helper.make_node("Mul", ["cam_alive", "nought"], ["cam"]))

    found = ask(model, rebuild(kill), sorted(photos.glob("king/*.jpg")))
    assert (found.photos, found.agreeing) == (6, 6)
    assert (found.maps.dead, found.maps.compared, found.maps.mean, found.maps.lowest) == (6, 0, None, None)


class Noting(Classifier):
    """Notes when it is asked, and takes its time if told to."""

    def __init__(self, model: Path, name: str, calls: list[str], seconds: float = 0.0) -> None:
        super().__init__(model, threads=1)
        self.name, self.calls, self.seconds = name, calls, seconds
        self.images: list[Any] = []

    def infer(self, image: Any) -> Any:
        self.calls.append(self.name)
        self.images.append(image)
        time.sleep(self.seconds)
        return super().infer(image)


def test_the_models_take_turns_after_a_warm_up(model: Path, photo: Path) -> None:
    calls: list[str] = []
    compare(Noting(model, "A", calls), Noting(model, "B", calls), [(str(photo), str(photo))] * 3)
    assert "".join(calls) == "AB" + "AB" + "BA" + "AB"


def test_each_model_gets_the_photo_through_its_own_contract(make_model: Make, photo: Path) -> None:
    pair = Noting(make_model(), "A", []), Noting(make_model(resize="pad"), "B", [])
    found = compare(*pair, [(str(photo), str(photo))])
    for model in pair:
        for image in model.images:
            np.testing.assert_array_equal(image, network_input(photo, model.manifest.contract))
    assert (pair[0].images[0] != pair[1].images[0]).any()
    assert found.photos == 1


def test_the_time_is_that_of_each_model(model: Path, photo: Path) -> None:
    for first, second in ((0.05, 0.0), (0.0, 0.05)):
        pair = Noting(model, "A", [], first), Noting(model, "B", [], second)
        found = compare(*pair, [(str(photo), str(photo))] * 5)
        assert found.milliseconds is not None
        assert [value >= 50 for value in found.milliseconds] == [first > 0, second > 0]


def test_correlation_by_hand() -> None:
    rng = np.random.default_rng(2)
    square = ImageContract(32, "squash")
    one, two = (rng.random((7, 7), np.float32) for _ in range(2))
    both = (square, square)
    assert correlation((one, two), both, (60, 40)) == pytest.approx(np.corrcoef(one.ravel(), two.ravel())[0, 1])
    assert correlation((one, 1 - one), both, (60, 40)) == pytest.approx(-1)
    flat = np.full((7, 7), 0.3, np.float32)
    assert correlation((one, flat), both, (60, 40)) is None
    assert correlation((flat, flat), both, (60, 40)) is None
    assert correlation((one, flat), (square, ImageContract(32, "crop")), (60, 40)) is None
    larger = enlarge(one, (14, 14)) * one.max()
    assert correlation((one, larger), (square, replace(square, size=64)), (60, 40)) == pytest.approx(1)


@pytest.mark.parametrize("photo", [(200, 100), (90, 160), (4000, 3000)])
def test_maps_of_different_contracts_are_compared_on_the_photo(photo: tuple[int, int]) -> None:
    """The same evidence seen through a crop and through a letterbox: cell by cell they differ, on the photo not."""

    def seen(contract: ImageContract) -> Any:
        left, top, right, bottom = contract.placement(*photo).input_on_photo()
        grid = (np.arange(32) + 0.5) / 32
        x, y = left + grid * (right - left), top + grid * (bottom - top)
        across, down = (x / photo[0] - 0.4) * 4, (y / photo[1] - 0.55) * 4
        return np.exp(-(across[None] ** 2) - down[:, None] ** 2).astype(np.float32)

    crop, pad = ImageContract(64, "crop"), ImageContract(64, "pad")
    maps = seen(crop), seen(pad)
    found = correlation(maps, (crop, pad), photo)
    assert found is not None
    assert found > 0.99
    assert found > np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1] + 0.02
