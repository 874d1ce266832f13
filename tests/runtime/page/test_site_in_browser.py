"""A static site in a real browser: the answers of edgeclf, offline, updates as a whole, the self-test."""

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import in_process
from edgeclf import Classifier
from edgeclf.field.csv_columns import csv_columns
from edgeclf.field.record import Record
from edgeclf.images.photo_bytes import NamedPhoto
from edgeclf.model.default_model import DEFAULT_MODEL
from edgeclf.model.file import read_model_file
from edgeclf.model.manifest import Calibration
from edgeclf.serve.predictions import Predictor
from edgeclf.web.browser_runtime import BrowserRuntime, read_browser_runtime
from edgeclf.web.folder import write_site
from edgeclf.web.site import Site, make_site
from helpers import draw
from page_browser import ARGUMENTS, DESKTOP, PHONE, StaticHost, comparable, open_browser, open_page, static_host
from PIL import Image

DONE = ".card:is([data-state=answered], [data-state=failed])"
KEPT = "Works without a network."
EXACT = "Exact on this device"
CALIBRATION = Calibration(1.3, 0.3395, 10, 8, 1, 0.1, 0.05)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser("--use-fake-device-for-media-stream") as browser:
        yield browser


@pytest.fixture(scope="module")
def runtime() -> BrowserRuntime:
    from edgeclf.errors import BackendError

    try:
        return read_browser_runtime()
    except BackendError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def model(make_model: Callable[..., Path]) -> Path:
    """INT8, with black borders, golden photos, a threshold and names for people."""
    display = {"gentoo": "ジェンツーペンギン", "king": "ملك البطريق"}
    return make_model(resize="pad", int8=True, golden=True, display=display, calibration=CALIBRATION)


@pytest.fixture(scope="module")
def site(model: Path, runtime: BrowserRuntime) -> Site:
    return make_site(read_model_file(model), runtime, "Penguins")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """JPEGs of several shapes and sizes, one of them damaged."""
    folder = tmp_path_factory.mktemp("photos")
    sizes = [(320, 240), (200, 331), (1601, 1200), (64, 48), (97, 97)]
    paths = [folder / f"IMG_{number}.jpg" for number in range(len(sizes))]
    for number, (path, (width, height)) in enumerate(zip(paths, sizes, strict=True)):
        draw(number, width, height).save(path, quality=92)
    paths[3].write_bytes(paths[3].read_bytes()[:700])
    return paths


@pytest.fixture
def folder(site: Site, tmp_path: Path) -> Path:
    write_site(site, tmp_path / "site")
    return tmp_path / "site"


@pytest.fixture(scope="module")
def visit(browser: Any, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A visit whose self-test has ended: opening a site takes seconds, and several tests can use the same page."""
    folder = tmp_path_factory.mktemp("visit") / "site"
    write_site(site, folder)
    with static_host(folder) as host, open_page(browser, **DESKTOP) as page:
        page.goto(host.url)
        _wait_for(page, EXACT)
        yield page


@pytest.fixture
def opened(visit: Any) -> Any:
    """The page of the visit, with an empty list."""
    if visit.locator("#clear").is_visible():
        visit.locator("#clear").click()
    _expect(visit.locator(".card")).to_have_count(0)
    return visit


def _expect(locator: Any) -> Any:
    from playwright.sync_api import expect

    return expect(locator)


def _send(page: Any, photos: list[Path]) -> None:
    page.set_input_files("#choose", photos)
    _expect(page.locator(DONE)).to_have_count(len(photos), timeout=30_000)


def _saved(page: Any) -> list[dict[str, Any]]:
    """The records of the list, as the page saves them."""
    with page.expect_download() as download:
        page.locator("#save-jsonl").click()
    return [json.loads(line) for line in Path(download.value.path()).read_text().splitlines()]


def _wait_for(page: Any, text: str) -> None:
    _expect(page.locator(".site-panel")).to_contain_text(text, timeout=30_000)


def _predicted(photos: list[Path], model: Path, out: Path) -> list[dict[str, Any]]:
    """The records that `edgeclf predict` writes, as the page cannot know folders."""
    done = in_process("predict", *photos, "-m", model, "--device", "cpu", "--out", out)
    assert done.returncode in (0, 1), done.stderr
    lines = [json.loads(line) for line in out.read_text().splitlines() if '"path"' in line]
    return [comparable(line) for line in lines]


def test_answers_offline_under_any_path(
    browser: Any, folder: Path, photos: list[Path], model: Path, tmp_path: Path
) -> None:
    """First visit, then the host is gone: all fields of all records are those of `edgeclf predict`."""
    expected = _predicted(photos, model, tmp_path / "out.jsonl")
    assert {record.get("unknown") for record in expected} == {True, False, None}
    with static_host(folder, "/any/deep path/".replace(" ", "%20")) as host, open_page(browser, **PHONE) as page:
        page.goto(host.url)
        _wait_for(page, EXACT)
        _wait_for(page, KEPT)
        plain = [path for path in host.asked if path.endswith((".wasm", ".onnx"))]
        packed = [path for path in host.asked if path.endswith(".gz")]
        assert len(packed) == len(set(packed)) >= 2  # a host that does not compress is asked for what is compressed
        assert len(plain) == len(set(plain))
        host.stop()
        page.reload()
        _send(page, photos)
        found = [comparable(record) for record in _saved(page)]
        assert found == expected
        _expect(page.locator(".card", has_text="pixels not proved")).to_have_count(0)
        _wait_for(page, EXACT)
        _expect(page.locator(".site-footer")).to_contain_text("wasm")
        _expect(page.get_by_text("Photos never leave this device.")).to_be_visible()


def test_airplane_mode_after_a_restart(browser: Any, folder: Path, model: Path, tmp_path: Path) -> None:
    """First visit, browser closed, host gone, browser opened again: twenty photos."""
    photos = [tmp_path / f"{number}.jpg" for number in range(20)]
    for number, path in enumerate(photos):
        draw(number, 150 + 7 * number, 260 - 5 * number).save(path, progressive=number % 2 == 1)
    classifier = Classifier(model, "cpu")
    expected = [Record.of(path.name, classifier.predict(path), "wasm").to_dict()["predictions"] for path in photos]

    def opened() -> Any:
        chromium = browser.browser_type
        return chromium.launch_persistent_context(
            tmp_path / "profile", executable_path=shutil.which("chromium"), args=ARGUMENTS
        )

    with static_host(folder) as host:
        visit = opened()
        page = visit.pages[0]
        page.goto(host.url)
        _wait_for(page, KEPT)
        visit.close()
    visit = opened()
    try:
        page = visit.pages[0]
        page.goto(host.url)
        _send(page, photos)
        assert [record["predictions"] for record in _saved(page)] == expected
    finally:
        visit.close()


@pytest.mark.parametrize("resize", ["crop", pytest.param("squash", marks=pytest.mark.campaign)])
def test_models_that_compute_in_floats(
    browser: Any, make_model: Callable[..., Path], runtime: BrowserRuntime, tmp_path: Path, resize: str
) -> None:
    """Their logits may differ in the last digits; the self-test passes, and says what it found."""
    floats = make_model(resize=resize, golden=True)
    write_site(make_site(read_model_file(floats), runtime), tmp_path / "site")
    with static_host(tmp_path / "site") as host, open_page(browser, **DESKTOP) as page:
        page.goto(host.url)
        _expect(page.locator(".site-test[data-state=passed]")).to_have_text(
            re.compile("^(Exact on this device|Close on this device, not the same bits)"), timeout=30_000
        )
        assert "FAIL" not in page.locator(".site-checks").text_content()


def test_heat_maps_are_the_services(browser: Any, folder: Path, photos: list[Path], model: Path) -> None:
    classifier = Classifier(model, "cpu")
    whole = [path for path in photos if path != photos[3]]
    with static_host(folder) as host, open_page(browser, **DESKTOP) as page:
        page.goto(host.url)
        _wait_for(page, KEPT)
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        for path in whole:
            found = page.evaluate(
                """async ([name, base64]) => {
                    const { wasmEngine } = await import(new URL("page/engine-wasm.js", document.baseURI).href);
                    window.engine ??= wasmEngine("model.json");
                    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
                    return window.engine.explain(new File([bytes], name));
                }""",
                [path.name, base64.b64encode(path.read_bytes()).decode()],
            )
            _, expected = Predictor(classifier).explain(NamedPhoto(path.name, path.read_bytes()), None, 5)
            assert expected is not None
            expected["record"]["device"] = "wasm"
            assert json.loads(json.dumps(found)) == json.loads(json.dumps(expected))
            assert any(0 < one["padding_share"] < 1 for one in found["maps"]) == (path != photos[4])


def test_the_view_of_a_heat_map(opened: Any, photos: list[Path]) -> None:
    _send(opened, photos[:1])
    opened.locator(".card-photo").click()
    _expect(opened.locator(".heat-canvas")).to_be_visible()
    _expect(opened.locator(".heat-body")).to_contain_text("padding that was added")
    opened.get_by_role("button", name="Close").click()


def test_a_model_without_heat_maps_says_so(
    browser: Any, make_model: Callable[..., Path], runtime: BrowserRuntime, photos: list[Path], tmp_path: Path
) -> None:
    mapless = make_model(cam=False, golden=True)
    write_site(make_site(read_model_file(mapless), runtime), tmp_path / "site")
    with static_host(tmp_path / "site") as host, open_page(browser, **DESKTOP) as page:
        page.goto(host.url)
        _send(page, photos[:1])
        page.locator(".card-photo").click()
        _expect(page.locator("#heat-view")).to_contain_text("This model has no heat maps.")
        _expect(page.locator("#heat-view").get_by_role("button", name="Try again")).to_be_hidden()


def test_errors_speak_of_this_device(opened: Any, photos: list[Path], tmp_path: Path) -> None:
    text = tmp_path / "letter.jpg"
    text.write_text("Dear Sir")
    _send(opened, [photos[3], text])
    _expect(opened.locator(".card").nth(0)).to_contain_text("This photo is damaged or incomplete.")
    _expect(opened.locator(".card").nth(1)).to_contain_text("This file is not a photo.")
    opened.get_by_text("Details").first.click()
    assert "service" not in opened.locator("#answers").inner_text().lower()


def test_other_formats_are_marked(opened: Any, tmp_path: Path) -> None:
    for name in ("drawn.png", "lossy.webp"):
        draw(3).save(tmp_path / name)
    _send(opened, [tmp_path / "drawn.png", tmp_path / "lossy.webp"])
    _expect(opened.locator(".card").nth(0)).to_contain_text("pixels not proved")
    _expect(opened.locator(".card").nth(1)).not_to_contain_text("pixels not proved")


def test_a_photo_that_is_too_large(opened: Any, tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    with open(path, "wb") as file:
        file.truncate(65 * 2**20)
    _send(opened, [path])
    _expect(opened.locator(".card")).to_contain_text("This photo is too large for this device.")
    opened.get_by_text("Details").click()
    _expect(opened.locator(".card")).to_contain_text("huge.jpg: the file has more than 64 MiB")


def _with_changed_logit(site: Site, runtime: BrowserRuntime, model: Path) -> Site:
    """The same site, in whose description one bit of one golden logit differs."""
    file = read_model_file(model)
    assert file.manifest.golden is not None
    first, *others = file.manifest.golden.photos
    logits = bytearray(first.logits)
    logits[0] ^= 1
    golden = replace(file.manifest.golden, photos=(replace(first, logits=bytes(logits)), *others))
    return make_site(replace(file, manifest=replace(file.manifest, golden=golden)), runtime, "Penguins")


def test_the_self_test_sees_one_bit(
    browser: Any, site: Site, runtime: BrowserRuntime, model: Path, photos: list[Path], tmp_path: Path
) -> None:
    write_site(_with_changed_logit(site, runtime, model), tmp_path / "site")
    with static_host(tmp_path / "site") as host, open_page(browser, **DESKTOP) as page:
        page.goto(host.url)
        _send(page, [photos[0], photos[2]])  # at once: photos go before the self-test
        _wait_for(page, "Differs on this device: photo 1 (")
        _expect(page.locator(".card", has_text="this device differs")).to_have_count(2)
        page.locator(".site-test summary").click()
        _wait_for(page, "the same bits are expected")
        with page.expect_download() as download:
            page.get_by_text("Save as JSON").click()
        found = json.loads(Path(download.value.path()).read_text())
        assert (found["passed"], found["exact"]) == (False, False)
        assert [photo["network_passed"] for photo in found["selftest"]["photos"]].count(False) == 1
        assert {check["name"]: check["status"] for check in found["checks"]}["network"] == "FAIL"


def test_the_self_test_says_what_the_doctor_says(browser: Any, runtime: BrowserRuntime, tmp_path: Path) -> None:
    """With the model in the package, whose golden photos are real ones."""
    write_site(make_site(read_model_file(DEFAULT_MODEL), runtime), tmp_path / "site")
    doctor = json.loads(in_process("doctor", "--json").stdout)
    with static_host(tmp_path / "site") as host, open_page(browser, **DESKTOP) as page:
        page.goto(host.url)
        _wait_for(page, EXACT)
        page.locator(".site-test summary").click()
        with page.expect_download() as download:
            page.get_by_text("Save as JSON").click()
        found = json.loads(Path(download.value.path()).read_text())
    said = {check["name"]: check["detail"] for check in found["checks"]}
    expected = {check["name"]: check["detail"] for check in doctor["checks"]}
    assert said["network"] == expected["network"] == "8 photos: logits bit-identical to those at export"
    keys = ("label", "pixels", "network", "same_bits", "pixels_passed", "network_passed", "error")
    assert found["selftest"]["photos"] == [{key: one[key] for key in keys} for one in doctor["selftest"]["photos"]]
    assert found["selftest"]["tolerance"] == doctor["selftest"]["tolerance"] == 0


def test_history_on_this_device(browser: Any, folder: Path, photos: list[Path], tmp_path: Path) -> None:
    """Only if wanted; across visits and without the host; with the time and the place of the photos."""
    dated = tmp_path / "dated.jpg"
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif.get_ifd(0x8769)[0x9003] = "2026:11:27 03:26:04"
    exif.get_ifd(0x8825).update({1: "S", 2: (54.0, 30.0, 36.0), 3: "W", 4: (36.0, 45.0, 0.0)})
    draw(1).save(dated, exif=exif)
    with static_host(folder) as host, open_page(browser, **PHONE) as page:
        page.goto(host.url)
        _wait_for(page, KEPT)
        _send(page, photos[:1])
        _expect(page.locator(".site-history summary")).to_have_text("Keep answers on this device")
        page.locator(".site-history summary").click()
        page.get_by_label("Keep answers on this device").check()
        page.get_by_role("button", name="Clear").click()
        _send(page, [dated, photos[3]])
        assert _saved(page)[0] | {"taken": "2026-11-27T03:26:04", "latitude": -54.51} == _saved(page)[0]
        host.stop()
        page.reload()
        _expect(page.locator(".site-history summary")).to_have_text("1 answer kept on this device")
        page.locator(".site-history summary").click()
        _expect(page.get_by_label("Keep answers on this device")).to_be_checked()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        with page.expect_download() as download:
            page.locator(".site-history").get_by_role("button", name="All as CSV").click()
        header, row = Path(download.value.path()).read_text("utf-8-sig").splitlines()
        assert header.split(",") == [*csv_columns(3)]
        assert row.split(",")[-4:] == ["2026-11-27T03:26:04", "-54.51", "-36.75", "Camera"]
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Delete all").click()
        _expect(page.locator(".site-history")).to_contain_text("None is kept.")


def test_live_view(browser: Any, folder: Path) -> None:
    """With the camera that chromium draws: an answer a second, and a frame that is kept as a photo."""
    with static_host(folder) as host, open_page(browser, **PHONE, permissions=["camera"]) as page:
        page.goto(host.url)
        _wait_for(page, EXACT)
        page.get_by_role("button", name="Live view").click()
        _expect(page.locator(".live-view .ranking li")).to_have_count(3, timeout=20_000)
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        page.get_by_role("button", name="Keep this photo").click()
        _expect(page.locator(".live-view")).to_be_hidden()
        _expect(page.locator(DONE)).to_have_count(1)
        _expect(page.locator(".card")).to_contain_text("live-20")
        assert page.evaluate("document.querySelector('.live-video').srcObject") is None


def test_the_camera_is_refused(opened: Any) -> None:
    opened.get_by_role("button", name="Live view").click()
    _expect(opened.locator(".live-view")).to_contain_text("The camera was not allowed.")
    opened.get_by_role("button", name="Close").click()


def test_axe(browser: Any, folder: Path, photos: list[Path], npm_packages: Path) -> None:
    with static_host(folder) as host, open_page(browser, **DESKTOP, bypass_csp=True) as page:
        page.goto(host.url)
        _wait_for(page, EXACT)
        _send(page, photos[:1])
        for summary in page.locator(".site-panel summary").all():
            summary.click()
        page.add_script_tag(path=npm_packages / "axe-core" / "axe.min.js")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found = page.evaluate("axe.run().then((result) => result.violations)")
            assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []


def _versions(page: Any) -> list[str]:
    found: list[str] = page.evaluate("caches.keys()")
    return sorted(name.split(" ")[-1] for name in found)


def _replace(folder: Path, site: Site, *without: str) -> None:
    """Put another site in the place of one, as a copy that was interrupted would leave it."""
    for path, data in site.files.items():
        if path not in without:
            (folder / path).write_bytes(data)
            (folder / f"{path}.gz").unlink(missing_ok=True)


def test_updates_come_as_a_whole(
    browser: Any, folder: Path, site: Site, runtime: BrowserRuntime, model: Path, photos: list[Path]
) -> None:
    newer = make_site(read_model_file(model), runtime, "Penguins 2")
    with static_host(folder) as host, open_page(browser, **DESKTOP) as page:
        page.goto(host.url)
        _wait_for(page, KEPT)
        # Half an update: the page is new, but a script is missing and another one is of the version before.
        scripts = dict(newer.files, **{"page/queue.js": newer.files["page/queue.js"] + b"\n// newer\n"})
        newest = _renewed(newer, scripts)
        _replace(folder, newest, "page/queue.js")
        page.reload()
        page.evaluate("navigator.serviceWorker.getRegistration().then((one) => one.update()).catch(() => {})")
        page.wait_for_timeout(1500)
        assert page.title() == "Penguins"
        _expect(page.get_by_text("A new version of this page is ready")).to_be_hidden()
        _send(page, photos[:2])
        page.reload()
        assert page.title() == "Penguins"

        _replace(folder, newest)
        page.reload()
        _expect(page.get_by_text("A new version of this page is ready")).to_be_visible(timeout=20_000)
        assert page.title() == "Penguins"
        host.asked.clear()
        other = page.context.new_page()  # a second window, with photos in its list
        other.goto(host.url)
        _send(other, photos[:1])
        page.get_by_role("button", name="Use it now").click()
        _expect(page).to_have_title("Penguins 2", timeout=20_000)
        _wait_for(page, EXACT)
        _expect(other.locator(DONE)).to_have_count(1)
        assert other.title() == "Penguins"
        other.get_by_role("button", name="Use it now").click()
        _expect(other).to_have_title("Penguins 2", timeout=20_000)
        other.close()
        assert _versions(page) == [newest.version]
        assert not [path for path in host.asked if path.endswith((".onnx", ".wasm", ".gz"))]  # they did not change
        host.stop()
        page.reload()
        _send(page, photos[:2])
        assert page.title() == "Penguins 2"


def _renewed(site: Site, files: dict[str, bytes]) -> Site:
    """A site of these files, with a service worker that knows them."""
    listed = {path: [hashlib.sha256(data).hexdigest(), len(data)] for path, data in files.items()}
    del listed["service-worker.js"]
    first, rest = files["service-worker.js"].decode().split("\n", 1)
    assert first.startswith("self.SITE")
    value = json.dumps({"version": "newest", "files": listed})
    return Site(files | {"service-worker.js": f"self.SITE = {value};\n{rest}".encode()}, {}, "newest")


def test_two_sites_of_one_host(
    browser: Any, folder: Path, model: Path, runtime: BrowserRuntime, tmp_path: Path
) -> None:
    both = tmp_path / "both"
    shutil.copytree(folder, both / "one")
    write_site(make_site(read_model_file(model), runtime, "Two"), both / "two")
    with static_host(both) as host, open_page(browser, **DESKTOP) as page:
        for name in ("one", "two"):
            page.goto(f"{host.url}{name}/")
            _wait_for(page, KEPT)
        assert len(_versions(page)) == 2
        host.stop()
        for name, title in (("one", "Penguins"), ("two", "Two")):
            page.goto(f"{host.url}{name}/index.html?from=home")
            assert page.title() == title


def test_it_can_be_installed(browser: Any, folder: Path) -> None:
    with static_host(folder) as host, open_page(browser, **PHONE) as page:
        page.goto(host.url)
        _wait_for(page, KEPT)
        session = page.context.new_cdp_session(page)
        found = session.send("Page.getAppManifest")
        assert found["errors"] == []
        assert json.loads(found["data"])["name"] == "Penguins"
        errors = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
        assert [error["errorId"] for error in errors if error["errorId"] != "in-incognito"] == []


def test_narrow_and_by_keyboard(browser: Any, folder: Path, photos: list[Path]) -> None:
    with static_host(folder) as host, open_page(browser, **PHONE) as page:
        page.goto(host.url)
        _wait_for(page, EXACT)
        page.locator(".site-test summary").press("Enter")
        _expect(page.get_by_role("row").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        small = page.evaluate("""[...document.querySelectorAll("button, .button, summary")].filter(
            (one) => one.offsetParent && one.getBoundingClientRect().height < 44).map((one) => one.outerHTML)""")
        assert small == []
        names = page.locator(".site-checks th").all_text_contents()
        assert names == ["browser", "processor", "onnxruntime", "model", "canvas", "network", "pixels"]
        assert re.search(r"\d", page.locator(".site-checks tr").first.inner_text())


def test_without_a_service_worker(browser: Any, folder: Path, photos: list[Path]) -> None:
    """As over http in a local network: answers, but no offline use."""
    with static_host(folder) as host, open_page(browser, **DESKTOP, service_workers="block") as page:
        page.add_init_script("Object.defineProperty(Navigator.prototype, 'serviceWorker', { value: undefined })")
        page.goto(host.url)
        _send(page, photos[:1])
        _wait_for(page, "Does not work without a network")
        _wait_for(page, EXACT)
        assert isinstance(host, StaticHost)
