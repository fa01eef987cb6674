"""The pages in a real browser: pick a customer, compare pictures, ask why, click; the event is on disk."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from shop_study import HOSTILE, served, until

from shop.compaction import read_events

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
WIDTHS = (390, 768, 1440)


@pytest.fixture(scope="module")
def window(shop_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address of a served shop that runs a test in which everybody is treated, and its event log."""
    log = tmp_path_factory.mktemp("log")
    options = ("--events", str(log), "--experiment", "spring", "--allocation", "0.5", "--policy", "best")
    with served(shop_study, *options) as (address, _):
        yield address, log


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; install it with: apt-get install chromium")
    with sync_api.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield made
        made.close()


@pytest.fixture
def page(browser: sync_api.Browser) -> Iterator[sync_api.Page]:
    """A page on which nothing may go wrong: no script error, nothing that the policy of contents refuses."""
    wrong: list[str] = []
    opened = browser.new_page(viewport={"width": 390, "height": 844})
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda told: wrong.append(told.text) if told.type == "error" else None)
    yield opened
    opened.close()
    assert not wrong


def treated(page: sync_api.Page, address: str) -> str:
    """A customer of the treatment arm who is shown looks."""
    for i in range(30):
        page.goto(f"{address}/?user=u{i:02d}")
        if page.locator(".arm .treatment").count() and page.locator(".card.styled").count():
            return f"u{i:02d}"
    raise AssertionError("nobody is treated")


def test_from_customer_to_event_to_experiment(
    window: tuple[str, Path], browser: sync_api.Browser, page: sync_api.Page
) -> None:
    address, log = window
    page.goto(address)
    page.get_by_role("combobox", name="Customer").fill("u00")
    page.get_by_role("button", name="Show").click()
    sync_api.expect(page.get_by_role("heading", level=1)).to_have_text("u00")
    user = treated(page, address)
    card = page.locator(".card.styled").first
    item, look = card.get_attribute("data-item"), card.get_attribute("data-look")
    assert f"/images/{look}/" in (card.locator("img.look").get_attribute("src") or "")

    plain = card.locator("img.plain")
    hidden = plain.evaluate("e => getComputedStyle(e).clipPath")
    page.get_by_label("Originals").check()
    assert plain.evaluate("e => getComputedStyle(e).clipPath") == "none" != hidden
    page.get_by_label("Compare").check()
    card.locator(".wipe").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert card.evaluate("e => e.style.getPropertyValue('--cut')") == "1%"

    card.get_by_role("link", name=re.compile("Why this")).click()
    sheet = page.get_by_role("dialog")
    sync_api.expect(sheet.get_by_role("heading", name="Why this product?")).to_be_visible()
    parts = [float(text) for text in sheet.locator("td.num").all_inner_texts()]
    score = float(re.search(r"score of (-?[\d.]+)", sheet.locator("caption").inner_text())[1])  # type: ignore[index]
    assert sum(parts) == pytest.approx(score, abs=0.01 * len(parts))
    page.keyboard.press("Escape")
    sync_api.expect(sheet).to_be_hidden()

    card.locator("a.open").click()
    sync_api.expect(page.locator(".mark")).to_have_text("shown to you")
    page.get_by_role("button", name="Add to bag").click()
    sync_api.expect(page.get_by_role("status")).to_have_text("In your bag")

    def stored() -> bool:
        frame = read_events(log)[0]
        mine = frame[(frame["user_id"] == user) & (frame["item_id"] == item) & (frame["presentation"] == look)]
        return {"impression", "click", "cart"} <= set(mine["event"])

    until(stored)
    frame = read_events(log)[0]
    mine = frame[(frame["user_id"] == user) & frame["event"].isin(["impression", "click", "cart"])]
    assert set(mine["arm"]) == {"treatment"}
    assert mine.loc[mine["item_id"] == item, "page_id"].nunique() == 1

    page.goto(f"{address}/experiment")
    before = int(page.locator("#treatment-users").inner_text())
    assert before >= 1
    other = browser.new_page()
    for i in range(29, 0, -1):
        other.goto(f"{address}/?user=u{i:02d}")
    other.close()
    sync_api.expect(page.locator("#treatment-users")).not_to_have_text(str(before), timeout=15_000)
    sync_api.expect(page.locator("#verdict-title")).to_be_visible()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("where", ["/?user=u03", "/", "/product/i12?user=u03", "/experiment", "/product/nothing"])
def test_nothing_is_wider_than_the_screen(
    window: tuple[str, Path], browser: sync_api.Browser, width: int, where: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(window[0] + where)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    heights = "[...document.querySelectorAll('button, .modes label, .styles a')].map(e => e.offsetHeight)"
    assert all(height >= 38 for height in page.evaluate(heights) if height)
    page.close()


@pytest.mark.parametrize("where", ["/?user=u03", "/product/i12?user=u03", "/experiment"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    window: tuple[str, Path], browser: sync_api.Browser, where: str, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    # The page's own policy refuses foreign scripts, axe among them.
    context = browser.new_context(bypass_csp=True, color_scheme=scheme, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(window[0] + where)
    found = axe.Axe().run(page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found if v["impact"] in ("serious", "critical")] == []
    context.close()


def test_hostile_titles_are_text(window: tuple[str, Path], page: sync_api.Page) -> None:
    asked = []
    page.on("dialog", lambda dialog: asked.append(dialog.message))
    titles = []
    for i in range(12):
        page.goto(f"{window[0]}/?user=u{i:02d}")
        titles += page.locator(".card .title").all_inner_texts()
        assert page.locator("script").count() == 1
    assert set(HOSTILE.values()) <= set(titles)
    page.goto(f"{window[0]}/product/x%20y%3F%26%23%3Cb%3E?user=u01")
    assert page.locator(".id").inner_text() == "x y?&#<b>"
    assert not asked


def test_it_works_without_script(window: tuple[str, Path], browser: sync_api.Browser) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"{window[0]}/?user=u03")
    page.get_by_label("Originals").check()
    page.locator(".why").first.click()
    sync_api.expect(page.get_by_role("heading", name="Why this product?")).to_be_visible()
    context.close()
