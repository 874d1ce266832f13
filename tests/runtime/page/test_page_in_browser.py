"""The main page in a real browser, with the real service."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from edgeclf import Classifier
from edgeclf.field.csv_columns import csv_columns
from edgeclf.field.record import Record
from edgeclf.field.record_lines import from_line, to_line
from helpers import draw
from page_browser import DESKTOP, PHONE, Service, open_browser, open_page, running
from PIL import ExifTags, Image

DISPLAY = {"adelie": "Adélie penguin", "gentoo": "ジェンツーペンギン", "king": "ملك البطريق"}
DONE = ".card:is([data-state=answered], [data-state=failed])"
CANVAS = "canvas => canvas.toDataURL()"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def penguins(every_map: Callable[..., Path]) -> Path:
    """A model with the heat maps of all its classes, whose photos show that the network sees a part of them only."""
    return every_map(display=DISPLAY)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four photos, the third one damaged."""
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"IMG_{number}.jpg" for number in range(4)]
    for number, path in enumerate(paths):
        draw(number, 320, 240).save(path, quality=95)
    paths[2].write_bytes(paths[2].read_bytes()[:2000])
    return paths


@pytest.fixture(scope="module")
def expected(penguins: Path, photos: list[Path]) -> tuple[float, list[Record]]:
    """A threshold that makes some photos unknown, and the records of the whole photos."""
    best = sorted(Classifier(penguins).predict(photos[at]).best.probability for at in (0, 1, 3))
    threshold = round((best[0] + best[1]) / 2, 4)
    assert best[0] < threshold < best[1]
    classifier = Classifier(penguins, threshold=threshold)
    return threshold, [
        Record.of(photos[at].name, classifier.predict(photos[at]), classifier.device) for at in (0, 1, 3)
    ]


@pytest.fixture(scope="module")
def service(penguins: Path, expected: tuple[float, list[Record]]) -> Iterator[Service]:
    with running("-m", penguins, "--threshold", str(expected[0])) as service:
        yield service


def _expect(locator: Any) -> Any:
    from playwright.sync_api import expect

    return expect(locator)


def _send(page: Any, photos: list[Path], done: int | None = None) -> None:
    page.set_input_files("#choose", photos)
    _expect(page.locator(DONE)).to_have_count(len(photos) if done is None else done, timeout=20_000)


def test_on_a_phone(browser: Any, service: Service, photos: list[Path], expected: tuple[float, list[Record]]) -> None:
    with open_page(browser, **PHONE, color_scheme="dark") as page:
        page.goto(service.url)
        camera = page.locator("#camera")
        assert camera.get_attribute("accept") == "image/*"
        assert camera.get_attribute("capture") == "environment"
        _expect(page.get_by_text("Take a photo")).to_be_visible()
        camera.set_input_files(photos[0])
        _expect(page.locator(DONE)).to_have_count(1)
        _send(page, photos, 5)

        cards = page.locator(".card")
        shown = [cards.nth(at) for at in (0, 1, 3)]
        for card, record in zip(shown, expected[1], strict=True):
            names = [one.display_name or one.label for one in record.predictions[:3]]
            assert card.locator("bdi").all_text_contents() == names
            assert card.locator(".share").all_text_contents() == [
                f"{one.probability:.1%}" for one in record.predictions[:3]
            ]
            assert ("Unknown" in card.inner_text()) == record.unknown
        assert {record.unknown for record in expected[1]} == {True, False}
        _expect(cards.nth(2)).to_contain_text("This photo is damaged or incomplete.")
        _expect(cards.nth(2).get_by_role("button")).to_be_disabled()
        assert page.evaluate("document.documentElement.scrollWidth") == 360

        small = page.evaluate("""[...document.querySelectorAll("button, .button, summary, .site-footer a")].filter(
            (one) => one.offsetParent && one.getBoundingClientRect().height < 44).map((one) => one.outerHTML)""")
        assert small == []

        shown[0].get_by_role("button").tap()
        canvas = page.locator(".heat-canvas")
        _expect(canvas).to_be_visible()
        assert page.locator(".heat-choice").count() == 4
        _expect(page.get_by_text("the network never saw them")).to_be_visible()
        pictures = [canvas.evaluate(CANVAS)]
        page.locator(".heat-choice").nth(1).tap()
        pictures.append(canvas.evaluate(CANVAS))
        page.get_by_label("Opacity").fill("0")
        pictures.append(canvas.evaluate(CANVAS))
        page.locator("[name=heat-class]").nth(2).check()  # at opacity 0 all classes look the same
        assert canvas.evaluate(CANVAS) == pictures[2]
        assert len({hashlib.sha256(one.encode()).digest() for one in pictures}) == 3
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        page.get_by_role("button", name="Close").tap()
        _expect(page.locator("dialog")).to_be_hidden()


def test_keyboard_only(browser: Any, service: Service, photos: list[Path]) -> None:
    def focused() -> str:
        return str(page.evaluate("document.activeElement.id || document.activeElement.getAttribute('aria-label')"))

    def tab_to(wanted: str) -> None:
        for _ in range(15):
            page.keyboard.press("Tab")
            if focused() == wanted:
                return
        raise AssertionError(f"Tab does not reach {wanted}")

    with open_page(browser, **DESKTOP, color_scheme="light") as page:
        page.on("filechooser", lambda chooser: chooser.set_files(photos[:2]))
        page.goto(service.url)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the photos"
        tab_to("choose")
        page.keyboard.press("Space")
        _expect(page.locator(DONE)).to_have_count(2)
        _expect(page.get_by_role("status").first).to_contain_text("All 2 photos done.")
        tab_to(f"Heat map of {photos[0].name}")
        page.keyboard.press("Enter")
        canvas = page.locator(".heat-canvas")
        _expect(canvas).to_be_visible()
        first = canvas.evaluate(CANVAS)
        tab_to("heat-opacity")
        page.keyboard.press("ArrowRight")
        more_opaque = canvas.evaluate(CANVAS)
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowDown")
        assert len({first, more_opaque, canvas.evaluate(CANVAS)}) == 3
        assert page.locator("[name=heat-class]").nth(1).is_checked()
        page.keyboard.press("Escape")
        assert focused() == f"Heat map of {photos[0].name}"


def test_the_heat_map_lies_on_the_upright_photo(browser: Any, service: Service, tmp_path: Path) -> None:
    """Phones turn photos by a tag. What this browser cannot show, as HEIC, has a neutral picture and an answer."""
    turned, unshown = tmp_path / "turned.jpg", tmp_path / "unshown.tif"
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = 6  # to be turned by 90 degrees clockwise: the bright corner comes to the right
    draw(1, 320, 200).save(turned, exif=tags)
    draw(1, 320, 200).save(unshown)
    brightness = """canvas => [0.1, 0.9].map((x) => {
        const { width, height } = canvas;
        const [r, g, b] = canvas.getContext("2d").getImageData(x * width, 0.05 * height, 1, 1).data;
        return r + g + b;
    })"""
    with open_page(browser, **PHONE) as page:
        page.goto(service.url)
        _send(page, [turned, unshown])
        _expect(page.locator(".card-photo img")).to_have_count(1)
        canvas, grey = page.locator(".heat-canvas"), page.get_by_text("cannot show this kind of photo")
        for at, path in enumerate((turned, unshown)):
            page.get_by_label(f"Heat map of {path.name}").click()
            _expect(canvas).to_be_visible()
            page.get_by_label("Opacity").fill("0")
            _expect(grey).to_have_count(at)
            left, right = canvas.evaluate(brightness)
            assert (right > left + 60) == (path == turned)
            page.get_by_role("button", name="Close").click()


def test_drop_and_paste(browser: Any, service: Service, photos: list[Path]) -> None:
    give = """([kind, bytes, name]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(bytes)], name, { type: "image/jpeg" }));
        const options = { bubbles: true, cancelable: true };
        const event = kind === "paste" ? new ClipboardEvent(kind, { ...options, clipboardData: transfer })
            : new DragEvent(kind, { ...options, dataTransfer: transfer });
        return document.body.dispatchEvent(event);
    }"""
    with open_page(browser, **DESKTOP) as page:
        page.goto(service.url)
        data = list(photos[0].read_bytes())
        assert not page.evaluate(give, ["dragover", data, "a.jpg"])  # the browser does not open the file itself
        _expect(page.locator("#add.is-target")).to_have_count(1)
        assert not page.evaluate(give, ["drop", data, "dropped.jpg"])
        assert not page.evaluate(give, ["paste", data, "pasted.jpg"])
        _expect(page.locator(DONE)).to_have_count(2)
        assert page.locator(".card-file").all_text_contents() == ["pasted.jpg", "dropped.jpg"]
        _expect(page.locator("#add.is-target")).to_have_count(0)


def test_saved_records_are_those_of_edgeclf(
    browser: Any, service: Service, photos: list[Path], penguins: Path, expected: tuple[float, list[Record]]
) -> None:
    def save(button: str) -> bytes:
        with page.expect_download() as download:
            page.get_by_role("button", name=button).click()
        return Path(download.value.path()).read_bytes()

    with open_page(browser, **DESKTOP) as page:
        page.goto(service.url)
        _send(page, photos)
        rows, lines = save("CSV"), save("JSON lines")
    columns = csv_columns(4)
    assert rows.startswith(("\ufeff" + ",".join(columns) + "\n").encode())
    records = [from_line(line, None) for line in lines.splitlines()]
    assert rows == ("\ufeff" + ",".join(columns) + "\n").encode() + b"".join(to_line(one, columns) for one in records)
    assert [record.path for record in records] == [path.name for path in photos]
    assert records[2].error is not None
    assert records[2].error.kind == "damaged"
    for record, wanted in zip([records[at] for at in (0, 1, 3)], expected[1], strict=True):
        assert (record.predictions, record.unknown, record.device) == (
            wanted.predictions,
            wanted.unknown,
            wanted.device,
        )
    assert [record.size for record in records] == [path.stat().st_size for path in photos]
    assert {record.model for record in records} == {Classifier(penguins).sha256[:16]}
    assert {record.settings.threshold for record in records if record.settings} == {expected[0]}


def test_a_smaller_copy_only_if_asked(browser: Any, service: Service, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    draw(5, 2400, 1800).save(large, quality=95)
    sizes = []
    with open_page(browser, **PHONE) as page:
        page.goto(service.url)
        for ticked in (False, True):
            if ticked:
                page.get_by_text("Slow network?").tap()
                page.get_by_label("Make photos smaller").check()
            _send(page, [large], 2 if ticked else 1)
            assert ("smaller copy" in page.locator(".card").first.inner_text()) == ticked
        with page.expect_download() as download:
            page.get_by_role("button", name="JSON lines").tap()
        sizes = [json.loads(line)["size"] for line in Path(download.value.path()).read_bytes().splitlines()]
    assert sizes[0] == large.stat().st_size
    assert sizes[1] < sizes[0]


def test_progress_in_a_slow_network(browser: Any, service: Service, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    draw(5, 2400, 1800).save(large, quality=95)
    rate = large.stat().st_size / 2  # bytes a second
    with open_page(browser, **PHONE) as page:
        page.goto(service.url)
        slow = page.context.new_cdp_session(page)
        slow.send("Network.enable")
        slow.send(
            "Network.emulateNetworkConditions",
            {"offline": False, "latency": 50, "downloadThroughput": -1, "uploadThroughput": rate},
        )
        page.set_input_files("#choose", large)
        _expect(page.locator(".card")).to_contain_text(re.compile("Sending [1-9][0-9]?%"))
        _expect(page.get_by_label("Upload of large.jpg")).to_be_visible()
        _expect(page.locator(".card[data-state=answered]")).to_have_count(1)
        _expect(page.get_by_label("Upload of large.jpg")).to_have_count(0)


def test_two_uploads_at_a_time(browser: Any, service: Service, photos: list[Path]) -> None:
    with open_page(browser, **DESKTOP) as page:
        open_now, most = 0, 0

        def begun(request: Any) -> None:
            nonlocal open_now, most
            if "predict" in request.url:
                open_now += 1
                most = max(most, open_now)

        def ended(request: Any) -> None:
            nonlocal open_now
            open_now -= "predict" in request.url

        page.on("request", begun)
        page.on("requestfinished", ended)
        page.goto(service.url)
        _send(page, [photos[0]] * 40)
        assert page.locator(".card-photo img").count() < 40  # thumbnails are made for what is near the window
    assert most == 2


def test_the_service_ends_and_comes_back(browser: Any, penguins: Path, photos: list[Path]) -> None:
    with running("-m", penguins) as service, open_page(browser, **PHONE) as page:
        page.goto(service.url)
        _send(page, photos[:1])
        service.stop()
        page.set_input_files("#choose", photos[:2])
        notice = page.locator("#notice")
        _expect(notice).to_contain_text("The service cannot be reached.")
        _expect(notice).to_contain_text("Trying again by itself in")
        _expect(page.get_by_role("alert")).to_contain_text("Check the Wi-Fi")
        page.locator(".card-photo:enabled").tap()
        _expect(page.locator("dialog")).to_contain_text("The service cannot be reached.")
        service.start()
        page.locator("dialog").get_by_role("button", name="Try again").tap()
        _expect(page.locator(".heat-canvas")).to_be_visible()
        page.get_by_role("button", name="Close").tap()
        _expect(page.locator(DONE)).to_have_count(3, timeout=30_000)  # by itself
        _expect(notice).to_be_hidden()


def test_a_model_without_heat_maps_says_so_and_offers_no_other_try(
    browser: Any, make_model: Callable[..., Path], photos: list[Path]
) -> None:
    with running("-m", make_model(cam=False, golden=True)) as service, open_page(browser, **PHONE) as page:
        page.goto(service.url)
        _send(page, photos[:1])
        page.locator(".card-photo:enabled").tap()
        _expect(page.locator("dialog")).to_contain_text("This model has no heat maps.")
        _expect(page.locator("dialog").get_by_role("button", name="Try again")).to_be_hidden()
        _expect(page.locator(".heat-canvas")).to_be_hidden()


def test_the_token(browser: Any, penguins: Path, photos: list[Path]) -> None:
    with running("-m", penguins, "--token", "tufted-puffin-17") as service, open_page(browser, **PHONE) as page:
        page.goto(service.url)
        assert page.url == f"{service.url}login"
        page.get_by_label("Token").fill("wrong")
        page.keyboard.press("Enter")
        page.wait_for_url("**/login?wrong=1")
        page.get_by_label("Token").fill("tufted-puffin-17")
        page.keyboard.press("Enter")
        page.wait_for_url(service.url)
        _send(page, photos[:1])
        page.context.clear_cookies()
        page.set_input_files("#choose", photos[:1])
        notice = page.locator("#notice")
        _expect(notice).to_contain_text("The service asks for its token again.")
        with page.context.expect_page() as other:
            notice.get_by_role("link", name="Sign in").tap()
        other.value.get_by_label("Token").fill("tufted-puffin-17")
        other.value.keyboard.press("Enter")
        other.value.wait_for_url(service.url)
        notice.get_by_role("button", name="Try again").tap()
        _expect(page.locator(DONE)).to_have_count(2)


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (503, {"Retry-After": "1"}, "The service is busy with other photos."),
        (413, {}, "This photo is too large for the service."),
        (403, {}, "The service does not allow this."),
        (200, {}, "Something else than edgeclf answered."),
    ],
)
def test_clear_words(
    browser: Any, service: Service, photos: list[Path], status: int, headers: dict[str, str], words: str
) -> None:
    with open_page(browser, **PHONE) as page:
        page.goto(service.url)
        body = "<html>" if status == 200 else '{"error": {"kind": "k", "message": "the limit is 64 MB"}}'
        page.route("**/predict?*", lambda route: route.fulfill(status=status, headers=headers, body=body))
        page.set_input_files("#choose", photos[:1])
        _expect(page.locator("main")).to_contain_text(words, use_inner_text=True)
        page.unroute("**/predict?*")
        if status != 503:
            page.get_by_role("button", name="Try again").tap()
        _expect(page.locator(".card[data-state=answered]")).to_have_count(1)  # after 503 by itself
        _expect(page.locator("main")).not_to_contain_text(words, use_inner_text=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Any, service: Service, photos: list[Path], npm_packages: Path, scheme: str) -> None:
    def problems() -> list[str]:
        page.wait_for_timeout(400)  # the bars' transition
        found = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
        return [f"{one['id']}: {node['html']}: {node['failureSummary']}" for one in found for node in one["nodes"]]

    with open_page(browser, **PHONE, color_scheme=scheme, bypass_csp=True) as page:
        page.goto(service.url)
        page.add_script_tag(path=npm_packages / "axe-core" / "axe.min.js")
        assert problems() == []
        page.get_by_text("Slow network?").tap()
        _send(page, photos)
        page.get_by_text("What the service said").tap()
        assert problems() == []
        page.locator(".card-photo:enabled").first.tap()
        _expect(page.locator(".heat-canvas")).to_be_visible()
        assert problems() == []
        page.get_by_role("button", name="Close").tap()
        page.route("**/predict?*", lambda route: route.fulfill(status=401, body='{"error": {"message": "m"}}'))
        page.set_input_files("#choose", photos[:1])
        _expect(page.locator("#notice")).to_be_visible()
        assert problems() == []
        grounds = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, grounds[4:-1].split(","))) > 384) == (scheme == "light")


def test_axe_finds_nothing_on_the_pages_for_the_token_and_the_api(
    browser: Any, service: Service, npm_packages: Path
) -> None:
    with open_page(browser, **PHONE, bypass_csp=True) as page:
        for path, shown in (("login?wrong=1", "button"), ("docs", "section")):
            page.goto(service.url + path)
            _expect(page.locator(shown).first).to_be_visible()
            page.add_script_tag(path=npm_packages / "axe-core" / "axe.min.js")
            found = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
            assert [f"{one['id']}: {node['html']}" for one in found for node in one["nodes"]] == []
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"], path
