"""A site as one page in a real browser, opened from the disk; and the engine in a page of somebody else."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import in_process
from edgeclf.errors import BackendError
from edgeclf.model.file import read_model_file
from edgeclf.model.manifest import Calibration
from edgeclf.web.browser_runtime import read_browser_runtime
from edgeclf.web.folder import write_site
from edgeclf.web.one_file import make_page, write_page
from edgeclf.web.site import Site, make_site
from helpers import ROOT, draw
from page_browser import DESKTOP, PHONE, comparable, open_browser, open_page, static_host
from PIL import Image, ImageChops

PHONE_WIDTH = 360
DONE = ".card:is([data-state=answered], [data-state=failed])"
EXACT = "Exact on this device"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def model(make_model: Callable[..., Path]) -> Path:
    calibration = Calibration(1.3, 0.3395, 10, 8, 1, 0.1, 0.05)
    return make_model(int8=True, golden=True, display={"king": "ملك البطريق"}, calibration=calibration)


@pytest.fixture(scope="module")
def site(model: Path) -> Site:
    try:
        return make_site(read_model_file(model), read_browser_runtime(), "Penguins")
    except BackendError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"IMG_{number}.jpg" for number in range(3)]
    for number, path in enumerate(paths):
        draw(number, 320 + 700 * number, 240 + 101 * number).save(path, quality=92)
    paths.append(folder / "broken.jpg")
    paths[-1].write_bytes(paths[0].read_bytes()[:700])
    return paths


def _expect(locator: Any) -> Any:
    from playwright.sync_api import expect

    return expect(locator)


def _predicted(photos: list[Path], model: Path, *options: str | Path) -> list[dict[str, Any]]:
    """The records of `edgeclf predict --json`."""
    done = in_process("predict", *photos, "-m", model, "--device", "cpu", *(options or ["--json"]))
    assert done.returncode in (0, 1), done.stderr
    text = Path(options[1]).read_text() if options else done.stdout
    return [comparable(json.loads(line)) for line in text.splitlines() if '"path"' in line]


def test_it_opens_from_the_disk(browser: Any, site: Site, model: Path, photos: list[Path], tmp_path: Path) -> None:
    """With its answers, its heat maps and its self-test, and without a single connection."""
    file = tmp_path / "Pages of mine, 100 %" / "penguins #1.html"
    file.parent.mkdir()
    write_page(make_page(site), file)
    asked: list[str] = []
    with open_page(browser, **PHONE) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.context.set_offline(True)
        page.goto(file.as_uri())
        _expect(page.locator(".site-panel")).to_contain_text(EXACT, timeout=30_000)
        _expect(page.locator(".site-panel")).to_contain_text("Works without a network.")
        page.set_input_files("#choose", photos)
        _expect(page.locator(DONE)).to_have_count(len(photos), timeout=30_000)
        with page.expect_download() as download:
            page.locator("#save-jsonl").click()
        saved = [json.loads(line) for line in Path(download.value.path()).read_text().splitlines()]
        found = sorted(map(comparable, saved), key=lambda record: record["path"])
        assert found == sorted(
            _predicted(photos, model, "--out", tmp_path / "out.jsonl"), key=lambda record: record["path"]
        )
        page.locator(".card[data-state=answered] button").first.click()
        _expect(page.locator("#heat-view canvas")).to_be_visible()
        assert page.title() == "Penguins"
    assert [address for address in asked if not address.startswith(("blob:", "data:"))] == [file.as_uri()]


def test_it_looks_like_the_site(
    browser: Any, site: Site, photos: list[Path], npm_packages: Path, tmp_path: Path
) -> None:
    """On a phone, light and dark: axe finds nothing, nothing is cut off, and the picture is that of the site."""
    write_site(site, tmp_path / "site")
    write_page(make_page(site), tmp_path / "page.html")
    axe = (npm_packages / "axe-core" / "axe.min.js").read_text()
    with static_host(tmp_path / "site") as host:
        one = _look(browser, (tmp_path / "page.html").as_uri(), photos, tmp_path / "page.png", axe)
        other = _look(browser, host.url, photos, tmp_path / "site.png")
    for page, whole in zip(one, other, strict=True):
        assert page.size == whole.size
        assert ImageChops.difference(page, whole).getbbox() is None
        assert page.size[0] == PHONE_WIDTH
        assert len(page.getcolors(1 << 20)) > 500  # photos, not a page without its styles


def _look(browser: Any, address: str, photos: list[Path], file: Path, axe: str = "") -> list[Image.Image]:
    """The page with answers and all of its panels open, in both colour schemes."""
    found = []
    with open_page(browser, **PHONE, bypass_csp=True, reduced_motion="reduce") as page:
        page.goto(address)
        _expect(page.locator(".site-panel")).to_contain_text(EXACT, timeout=30_000)
        _expect(page.locator(".site-panel")).to_contain_text("Works without a network.")
        page.add_style_tag(content=".card { content-visibility: visible }")  # cards below the screen are drawn, too
        for photo in photos:
            page.set_input_files("#choose", photo)
            _expect(page.locator(DONE).filter(has_text=photo.name)).to_have_count(1, timeout=30_000)
        for summary in page.locator(".site-panel summary, .card summary").all():
            summary.click()
        page.evaluate(axe)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(300)  # the bars' transition
            if axe:
                problems = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
                assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in problems] == []
            assert page.evaluate("document.documentElement.scrollWidth") == PHONE_WIDTH
            page.screenshot(path=file, full_page=True)
            with Image.open(file) as image:
                found.append(image.convert("RGB"))
    return found


def test_pages_of_different_models_keep_their_answers_apart(
    browser: Any, site: Site, make_model: Callable[..., Path], photos: list[Path], tmp_path: Path
) -> None:
    """A browser has one database for all pages of a disk. A page that was moved or renamed finds its answers."""
    other = make_site(read_model_file(make_model(int8=True, golden=True)), read_browser_runtime(), "Others")
    write_page(make_page(site), tmp_path / "one.html")
    write_page(make_page(site), tmp_path / "renamed.html")
    write_page(make_page(other), tmp_path / "other.html")
    kept = ".site-history summary"
    with open_page(browser, **DESKTOP) as page:
        page.goto((tmp_path / "one.html").as_uri())
        page.locator(kept).click()
        page.get_by_label("Keep answers on this device").check()
        page.set_input_files("#choose", photos[0])
        _expect(page.locator(kept)).to_have_text("1 answer kept on this device", timeout=30_000)
        for name, text in (("other", "Keep answers on this device"), ("renamed", "1 answer kept on this device")):
            page.goto((tmp_path / f"{name}.html").as_uri())
            _expect(page.locator(kept)).to_have_text(text)


def _example(folder: str) -> str:
    """The example in the documentation, for a site in another folder."""
    text = re.findall(r"```html\n(.*?)```", (ROOT / "docs" / "web.md").read_text(), re.DOTALL)[0]
    assert len(text.splitlines()) <= 10
    assert text.count("./birds/") == 1
    found: str = text.replace("./birds/", f"./{folder}/")
    return found


def test_the_example_in_the_documentation(
    browser: Any, site: Site, model: Path, photos: list[Path], tmp_path: Path
) -> None:
    write_site(site, tmp_path / "penguins")
    (tmp_path / "photo.html").write_text(_example("penguins"))
    with static_host(tmp_path, "/deep/") as host, open_page(browser, **DESKTOP) as page:
        page.goto(f"{host.url}photo.html")
        page.wait_for_function("document.querySelector('input').onchange !== null")  # the model is open
        for photo, expected in zip(photos, _predicted(photos, model), strict=True):
            page.set_input_files("input", photo)
            _expect(page.locator("#answer")).to_contain_text(photo.name)
            assert comparable(json.loads(page.locator("#answer").inner_text())) == expected


def test_the_engine_in_a_page_of_others(
    browser: Any, site: Site, model: Path, photos: list[Path], tmp_path: Path
) -> None:
    write_site(site, tmp_path / "penguins")
    (tmp_path / "page.html").write_text("<!doctype html><title>Mine</title>")
    (tmp_path / "photo.jpg").write_bytes(photos[0].read_bytes())
    with static_host(tmp_path) as host, open_page(browser, **DESKTOP) as page:
        page.goto(f"{host.url}page.html")
        found = page.evaluate("""async () => {
            const { open, EngineError } = await import("./penguins/edgeclf.js");
            const classifier = await open("penguins");
            const blob = await (await fetch("photo.jpg")).blob();
            const record = await classifier.classify(blob, { name: "IMG_0.jpg", topK: 2, threshold: 0 });
            const { maps } = await classifier.explain(blob);
            const { exact } = await classifier.selfTest();
            const isExact = classifier.isExact(record);
            const signal = AbortSignal.abort();
            const stopped = await classifier.classify(blob, { signal }).catch((error) => error.kind);
            classifier.close();
            const closed = await classifier.classify(blob).catch((error) => [error instanceof EngineError, error.kind]);
            const missing = await open("nowhere/").catch((error) => error.kind);
            const { classes } = classifier.model.manifest;
            return { record, maps, exact, isExact, stopped, closed, missing, classes };
        }""")
    record, expected = found["record"], _predicted(photos[:1], model)[0]
    assert record["predictions"] == expected["predictions"][:2]
    assert (record["path"], record["unknown"], record["device"]) == ("IMG_0.jpg", False, "wasm")
    assert found["maps"][0]["label"] == record["predictions"][0]["label"]
    assert (found["exact"], found["isExact"]) == (True, True)
    assert (found["stopped"], found["closed"], found["missing"]) == ("aborted", [True, "closed"], "offline")
    assert found["classes"] == list(read_model_file(model).manifest.classes)
