"""The sorting page in a real browser: Debian's Chromium."""

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import draw
from page_browser import DESKTOP, PHONE, open_browser, running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as found:
        yield found


@pytest.fixture
def model(every_map: Callable[..., Path]) -> Path:
    return every_map(display={"king": "Königspinguin"})


@pytest.fixture
def service(model: Path, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts a service that sorts ``tmp_path``; gives the page's address."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str) -> str:
            given = ("-m", model, "--review", tmp_path, *arguments)
            return f"{stack.enter_context(running(*given)).url}sort"

        yield start


@pytest.fixture
def opened(browser: Any, service: Callable[..., str]) -> Iterator[Callable[..., Any]]:
    """Opens the page; any error in its console fails the test."""
    contexts, errors = [], []

    def open_page(address: str, expect_errors: bool = False, **options: Any) -> Any:
        context = browser.new_context(**(options or DESKTOP))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        expected = "Failed to load resource" if expect_errors else "nothing"
        page.on(
            "console",
            lambda message: (
                errors.append(message.text)
                if message.type == "error" and not message.text.startswith(expected)
                else None
            ),
        )
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        until(lambda: not progress(page).startswith("Loading"))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


def until(true: Callable[[], object], what: str = "it never became true") -> None:
    """Wait until something is true."""
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def fill(folder: Path, count: int = 6, first: int = 0) -> None:
    """Photos that all differ, and two that look like number 0."""
    place = folder / "_unsorted" / "king"
    place.mkdir(parents=True, exist_ok=True)
    for seed in range(first, first + count):
        draw(seed, 320, 240).save(place / f"{seed}.jpg", quality=95)
    for number in range(2 * (first == 0)):
        draw(0, 320, 240).crop((0, 0, 320 - number, 239)).save(place / f"like 0 {number}.jpg", quality=90)


def photos(folder: Path) -> dict[str, list[str]]:
    """Folder -> the names in it; folders may come and go meanwhile."""
    return {
        Path(path).relative_to(folder).as_posix(): photos
        for path, _, names in os.walk(folder)
        if path != str(folder) and (photos := sorted(name for name in names if name.endswith(".jpg")))
    }


def progress(page: Any) -> str:
    return str(page.inner_text("#progress-text"))


def name(page: Any) -> str:
    return str(page.text_content("#photo-name"))


def wait(page: Any, text: str) -> None:
    until(lambda: progress(page) == text, f"waited for {text!r}")


def predicted(page: Any) -> None:
    """Wait until the model has looked at all photos, and the page knows."""
    until(lambda: page.evaluate("fetch('sort/photos').then((answer) => answer.json())")["unpredicted"] == 0)
    page.reload()
    page.wait_for_selector("#ranking li")


def test_sorting_by_keyboard_with_undo(opened: Callable[..., Any], service: Callable[..., str], tmp_path: Path) -> None:
    fill(tmp_path)
    address = service("--run", "runs/first")
    page = opened(address)
    predicted(page)
    assert progress(page) == "0 of 8 sorted"
    assert page.locator(".class-button").all_inner_texts()[2].split("\n") == ["Königspinguin", "3"]
    first = name(page)
    page.keyboard.press("3")
    wait(page, "1 of 8 sorted")
    until(lambda: photos(tmp_path).get("king") == [first])
    second = name(page)
    assert second != first
    page.keyboard.press("Space")
    third = name(page)
    assert third not in (first, second)
    page.keyboard.press("0")
    wait(page, "2 of 8 sorted")
    until(lambda: photos(tmp_path).get("_unsorted/_none_of_these") == [third])
    page.keyboard.press("u")
    wait(page, "1 of 8 sorted")
    assert name(page) == third
    until(lambda: "_unsorted/_none_of_these" not in photos(tmp_path))
    page.keyboard.press("Control+z")
    wait(page, "0 of 8 sorted")
    assert name(page) == first
    assert page.is_disabled("#undo")
    best = page.inner_text("#ranking li:first-child bdi")
    page.keyboard.press("Enter")
    wait(page, "1 of 8 sorted")
    label = {"Königspinguin": "king"}.get(best, best)
    until(lambda: photos(tmp_path).get(label) == [first])
    page.reload()  # an undo is not forgotten
    wait(page, "1 of 8 sorted")
    page.keyboard.press("u")
    wait(page, "0 of 8 sorted")
    page.keyboard.press("h")
    page.wait_for_selector("#heat:visible")
    assert page.evaluate("document.getElementById('heat').width") >= 320
    assert page.get_attribute("#heat-button", "aria-pressed") == "true"
    page.keyboard.press("h")
    page.wait_for_selector("#heat", state="hidden")
    for _ in range(8):  # faster than anybody looks
        page.keyboard.press("2")
    wait(page, "8 of 8 sorted")
    page.wait_for_selector("#end:visible")
    assert page.inner_text("#end-title") == "All photos are sorted"
    assert page.inner_text("#train-line") == f"edgeclf train {tmp_path} --from runs/first"
    page.click("#copy")
    until(lambda: page.inner_text("#copy") in ("Copied", "Press Ctrl+C"))
    until(lambda: len(photos(tmp_path)["gentoo"]) == 8)
    page.keyboard.press("u")
    wait(page, "7 of 8 sorted")
    page.wait_for_selector("#stage img:visible")


def test_after_a_click_the_space_key_skips(
    opened: Callable[..., Any], service: Callable[..., str], tmp_path: Path
) -> None:
    fill(tmp_path)
    page = opened(service())
    page.click(".class-button >> nth=0")
    wait(page, "1 of 8 sorted")
    shown = name(page)
    page.keyboard.press("Space")
    assert name(page) != shown
    assert progress(page) == "1 of 8 sorted", "the button is not pressed once more"
    page.focus(".class-button >> nth=1")  # by the tab key: there the space key presses it
    page.keyboard.press("Space")
    wait(page, "2 of 8 sorted")
    page.keyboard.press("Space")
    wait(page, "3 of 8 sorted")
    until(lambda: len(photos(tmp_path).get("gentoo", [])) == 2)


def test_a_service_that_is_killed_and_started_again(opened: Callable[..., Any], model: Path, tmp_path: Path) -> None:
    fill(tmp_path, 30)
    with running("-m", model, "--review", tmp_path) as killed:
        page = opened(f"{killed.url}sort", expect_errors=True)
        before = sorted(path.read_bytes() for path in tmp_path.rglob("*.jpg"))
        for number in range(24):
            page.keyboard.press("123"[number % 3])
            if number == 8:
                killed.stop(signal.SIGKILL)
        page.wait_for_selector("#notice:visible")
        assert "not sorted" in page.inner_text("#notice-text")
        assert sorted(path.read_bytes() for path in tmp_path.rglob("*.jpg")) == before
        killed.start()
        page.reload()
        until(lambda: " of 32 sorted" in progress(page))
        done = int(progress(page).split()[0])
        assert sum(len(names) for folder, names in photos(tmp_path).items() if "_unsorted" not in folder) == done
        for _ in range(32 - done):
            page.keyboard.press("2")
        wait(page, "32 of 32 sorted")
        until(lambda: "_unsorted/king" not in photos(tmp_path))
        assert sorted(path.read_bytes() for path in tmp_path.rglob("*.jpg")) == before
        for _ in range(3):
            page.keyboard.press("u")
        until(lambda: len(photos(tmp_path).get("_unsorted/king", [])) == 3)


def test_sorting_by_tap_on_a_phone(opened: Callable[..., Any], service: Callable[..., str], tmp_path: Path) -> None:
    fill(tmp_path)
    address = service()
    page = opened(address, **PHONE)
    predicted(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.locator(".class-button").first.is_visible()
    assert page.locator(".class-button kbd").first.is_hidden(), "no keys on a phone"
    for target in page.locator("button:visible").all():
        box = target.bounding_box()
        assert box
        assert box["height"] >= 43, target.inner_text()
    bottoms = "[...document.querySelectorAll('.class-button')].map((b) => b.getBoundingClientRect().bottom)"
    on_screen = max(page.evaluate(bottoms)) <= 740
    assert on_screen, "photo, guess and classes fit on the screen together"
    first = name(page)
    page.tap(".class-button >> nth=0")
    wait(page, "1 of 8 sorted")
    page.tap("#none")
    wait(page, "2 of 8 sorted")
    page.tap("#skip")
    page.tap("#undo")
    wait(page, "1 of 8 sorted")
    page.tap("#undo")
    wait(page, "0 of 8 sorted")
    assert name(page) == first
    page.tap("#view-grid")
    page.tap(".pick >> nth=0")
    page.tap(".pick >> nth=3")
    assert page.inner_text("#labels-title") == "2 photos selected"
    page.tap(".class-button >> nth=1")
    wait(page, "2 of 8 sorted")
    until(lambda: len(photos(tmp_path).get("gentoo", [])) == 2)
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_many_at_once(opened: Callable[..., Any], service: Callable[..., str], tmp_path: Path) -> None:
    fill(tmp_path, 10)
    address = service()
    page = opened(address)
    predicted(page)
    page.keyboard.press("v")
    assert page.locator(".pick").count() == 12
    assert page.is_disabled(".class-button >> nth=0")
    page.click(".group-button:visible >> nth=0")
    assert page.inner_text("#labels-title") == "3 photos selected", "near-duplicates by one tap"
    page.keyboard.press("3")
    wait(page, "3 of 12 sorted")
    until(lambda: photos(tmp_path).get("king") == ["0.jpg", "like 0 0.jpg", "like 0 1.jpg"])
    page.click(".pick >> nth=1")
    page.click(".pick >> nth=4", modifiers=["Shift"])
    assert page.locator('.pick[aria-pressed="true"]').count() == 4
    page.keyboard.press("Escape")
    assert page.locator('.pick[aria-pressed="true"]').count() == 0
    page.focus(".pick >> nth=0")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowRight")
    assert page.inner_text("#labels-title") == "2 photos selected"
    page.keyboard.press("Control+a")
    assert page.inner_text("#labels-title") == "9 photos selected"
    page.keyboard.press("0")
    wait(page, "12 of 12 sorted")
    until(lambda: len(photos(tmp_path).get("_unsorted/_none_of_these", [])) == 9)
    page.keyboard.press("Control+z")
    wait(page, "3 of 12 sorted")
    until(lambda: len(photos(tmp_path)["_unsorted/king"]) == 9)


def test_the_button_for_near_duplicates_selects_them(
    opened: Callable[..., Any], service: Callable[..., str], tmp_path: Path
) -> None:
    fill(tmp_path, 1)
    address = service()
    page = opened(address)
    predicted(page)
    assert page.inner_text("#alike") == "Label all 3 photos that look nearly the same"
    page.click("#alike")
    assert page.inner_text("#labels-title") == "3 photos selected"


def test_a_new_class(opened: Callable[..., Any], service: Callable[..., str], tmp_path: Path) -> None:
    fill(tmp_path)
    address = service()
    page = opened(address, expect_errors=True)
    page.keyboard.press("/")
    page.keyboard.type("u0 rock/hopper")  # keys are letters there
    assert progress(page) == "0 of 8 sorted"
    page.click("#new-class")
    wait(page, "1 of 8 sorted")
    page.wait_for_selector(".class-button:has-text('u0 rock_hopper')")
    until(lambda: len(photos(tmp_path).get("u0 rock_hopper", [])) == 1)
    page.keyboard.press("5")
    wait(page, "2 of 8 sorted")
    until(lambda: len(photos(tmp_path)["u0 rock_hopper"]) == 2)
    page.keyboard.press("/")
    page.keyboard.type("gen")
    assert page.locator(".class-button").count() == 1
    page.keyboard.press("Enter")
    wait(page, "3 of 8 sorted")
    until(lambda: len(photos(tmp_path).get("gentoo", [])) == 1)
    assert page.locator(".class-button").count() == 5
    page.fill("#class-text", "King")
    assert page.is_hidden("#new-class"), "that class exists"
    page.fill("#class-text", "Train")
    page.click("#new-class")
    page.wait_for_selector("#notice:visible")
    assert "'Train' means something else to edgeclf" in page.inner_text("#notice-text")
    wait(page, "3 of 8 sorted")


def test_two_people_at_once(opened: Callable[..., Any], service: Callable[..., str], tmp_path: Path) -> None:
    fill(tmp_path)
    address = service()
    one = opened(address)
    predicted(one)
    two = opened(address, **PHONE)
    two.wait_for_selector("#ranking li")
    shown = name(one)
    assert name(two) == shown
    one.keyboard.press("1")
    until(lambda: photos(tmp_path).get("adelie") == [shown])
    two.tap(".class-button >> nth=1")
    two.wait_for_selector("#notice:visible")
    assert two.inner_text("#notice-text") == "1 photo: already sorted as adelie by someone else."
    wait(two, "1 of 8 sorted")
    assert photos(tmp_path)["adelie"] == [shown]
    assert "gentoo" not in photos(tmp_path)
    assert two.is_disabled("#undo"), "what the other did is not mine to take back"
    two.tap(".class-button >> nth=1")
    wait(two, "2 of 8 sorted")
    until(lambda: len(photos(tmp_path).get("gentoo", [])) == 1)
    one.keyboard.press("u")
    until(lambda: "adelie" not in photos(tmp_path))
    assert len(photos(tmp_path)["gentoo"]) == 1


def test_what_does_not_come_through_is_put_back(
    opened: Callable[..., Any], service: Callable[..., str], tmp_path: Path
) -> None:
    fill(tmp_path)
    address = service()
    page = opened(address, expect_errors=True)
    predicted(page)
    shown = name(page)
    page.route("**/sort/label", lambda route: route.abort())
    page.keyboard.press("1")
    page.wait_for_selector("#notice:visible")
    assert page.inner_text("#notice-text").startswith("The photo is not sorted. The service cannot be reached.")
    assert (progress(page), name(page)) == ("0 of 8 sorted", shown)
    assert photos(tmp_path).keys() == {"_unsorted/king"}
    page.unroute("**/sort/label")
    page.click("#notice-retry")
    wait(page, "1 of 8 sorted")
    until(lambda: photos(tmp_path).get("adelie") == [shown])
    assert page.is_hidden("#notice")


def test_a_label_stands_when_the_question_after_it_fails(
    opened: Callable[..., Any], service: Callable[..., str], tmp_path: Path
) -> None:
    fill(tmp_path)
    page = opened(service(), expect_errors=True)
    predicted(page)
    shown = name(page)
    page.route("**/sort/state", lambda route: route.abort())
    page.fill("#class-text", "rockhopper")
    page.click("#new-class")
    until(lambda: photos(tmp_path).get("rockhopper") == [shown])
    page.unroute("**/sort/state")
    page.evaluate("dispatchEvent(new Event('focus'))")
    wait(page, "1 of 8 sorted")
    assert name(page) != shown


def test_photos_that_come_and_go_meanwhile(
    opened: Callable[..., Any], service: Callable[..., str], tmp_path: Path
) -> None:
    fill(tmp_path, 1)
    (tmp_path / "_unsorted" / "king" / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    address = service()
    page = opened(address, expect_errors=True)
    predicted(page)
    shown = name(page)
    (tmp_path / "_unsorted" / "king" / shown).unlink()
    page.keyboard.press("1")
    page.wait_for_selector("#notice:visible")
    assert "another program moved, changed or deleted it" in page.inner_text("#notice-text")
    wait(page, "0 of 3 sorted")
    for _ in range(2):
        page.keyboard.press("1")
    wait(page, "2 of 3 sorted")
    assert name(page) == "broken.jpg"
    until(lambda: "damaged" in page.text_content("#stage-status"))
    page.keyboard.press("0")
    wait(page, "3 of 3 sorted")
    page.wait_for_selector("#end:visible")
    until(lambda: photos(tmp_path).get("_unsorted/_none_of_these") == ["broken.jpg"])
    fill(tmp_path, 2, first=100)
    page.evaluate("dispatchEvent(new Event('focus'))")  # who comes back to the page sees what is new
    page.wait_for_selector("#stage img:visible")
    wait(page, "0 of 2 sorted")


def test_a_read_only_view(opened: Callable[..., Any], service: Callable[..., str], tmp_path: Path) -> None:
    fill(tmp_path)
    address = service("--read-only", "--run", "run")
    page = opened(address)
    predicted(page)
    assert progress(page) == "8 photos wait for a label"
    assert page.locator(".class-button:visible").count() == 0
    assert all(page.is_hidden(f"#{id}") for id in ("labels", "none", "train"))
    first = name(page)
    for key in ("1", "0", "Enter", "Space"):
        page.keyboard.press(key)
    assert name(page) != first
    page.click("#undo")
    assert (page.inner_text("#undo"), name(page)) == ("Back", first)
    page.click("#view-grid")
    page.click(".pick >> nth=2")
    page.wait_for_selector("#one:visible")
    assert photos(tmp_path).keys() == {"_unsorted/king"}


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        pytest.param(DESKTOP, "light", id="desktop-light"),
        pytest.param(PHONE, "dark", id="phone-dark"),
        pytest.param(DESKTOP, "dark", id="desktop-dark", marks=pytest.mark.campaign),
        pytest.param(PHONE, "light", id="phone-light", marks=pytest.mark.campaign),
    ],
)
def test_axe_finds_nothing(
    size: dict[str, Any],
    scheme: str,
    opened: Callable[..., Any],
    service: Callable[..., str],
    npm_packages: Path,
    tmp_path: Path,
) -> None:
    axe = (npm_packages / "axe-core" / "axe.min.js").read_text()
    fill(tmp_path, 4)

    def check(page: Any, where: str) -> None:
        page.evaluate(axe)  # the page's own policy allows no other script
        found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        said = [f"{where}: {one['id']}: {one['nodes'][0]['html']}" for one in found["violations"]]
        assert said == []

    address = service()
    page = opened(address, **size, color_scheme=scheme)
    predicted(page)
    check(page, "one")
    page.click("#heat-button")
    page.wait_for_selector("#heat:visible")
    page.fill("#class-text", "something new")
    check(page, "heat map")
    page.click("#view-grid")
    check(page, "grid")
    page.click(".pick >> nth=0")
    page.fill("#class-text", "")
    check(page, "selected")
    page.click("#select-all")
    page.click("#none")
    page.wait_for_selector("#end:visible")
    check(page, "end")


def test_every_key_on_the_page_is_said(page: Path) -> None:
    text = (page / "sort.html").read_text()
    assert set(re.findall(r"<kbd>(.+?)</kbd>", text)) == {"0", "space", "u", "h", "v", "/", "enter"}
