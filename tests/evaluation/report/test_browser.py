"""The page in a real browser: widths, colour schemes, accessibility by axe-core, sorting, zoom, print, no script."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from invented_study import drawn_image, lean
from test_page import poisoned

from evaluation.report import compare, render, to_html

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra dev")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-core, of the extra dev")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the path")
WIDTHS = (390, 768, 1440)
ARABIC, EMOJI, SCRIPT = "معطف صوفي طويل", "Coat 🧥✨", "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, page: str) -> dict[str, Path]:
    """The pages on disk, as a reader opens them."""
    hostile = lean(4)
    for item, title in zip(hostile["gallery"], (SCRIPT, ARABIC, EMOJI), strict=False):
        item["title"] = title
    other = lean() | {"study": lean()["study"] | {"name": "summer", "seed": 8}}
    texts = {
        "whole": page,
        "lean": render(lean(8), drawn_image),
        "empty": render({}, lambda item, look: None),
        "hostile": render(hostile, drawn_image),
        "poisoned": render(poisoned(lean()), drawn_image),
        "compared": to_html(compare(lean(), other)),
    }
    folder = tmp_path_factory.mktemp("pages")
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


def opened(browser: Any, path: Path, width: int = 1440, **options: Any) -> Any:
    tab = browser.new_page(viewport={"width": width, "height": 900}, **options)
    tab.goto(path.as_uri())
    return tab


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [("lean", 390, "light"), ("lean", 1440, "dark"), ("empty", 768, "light"), ("compared", 768, "light")],
)
def test_axe_finds_nothing(browser: Any, files: dict[str, Path], name: str, width: int, scheme: str) -> None:
    # Oracle: all of axe-core's rules (WCAG 2 A and AA, best practices), everything folded open.
    tab = opened(browser, files[name], width, color_scheme=scheme)
    tab.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
    found = axe.Axe().run(tab).response["violations"]
    tab.close()
    assert [(v["id"], v["impact"], v["nodes"][0]["html"]) for v in found] == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["whole", "poisoned", "compared"])
def test_nothing_is_wider_than_the_page(browser: Any, files: dict[str, Path], name: str, width: int) -> None:
    tab = opened(browser, files[name], width)
    tab.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
    wide = tab.evaluate("document.documentElement.scrollWidth")
    seen = tab.evaluate("[...document.querySelectorAll('svg.plot')].map((p) => p.getBoundingClientRect().width > 0)")
    tab.close()
    assert wide <= width
    assert sum(seen) == len(seen) / 2  # of each plot's two drawings one is seen


def test_titles_show_as_text(browser: Any, files: dict[str, Path]) -> None:
    tab = browser.new_page()
    said: list[str] = []
    tab.on("dialog", lambda dialog: said.append(dialog.message) or dialog.dismiss())
    tab.on("console", lambda message: said.append(message.text))
    tab.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
    for name in ("hostile", "poisoned"):
        tab.goto(files[name].as_uri())
    assert said == []  # nothing ran, nothing was fetched, nothing was complained of
    tab.goto(files["hostile"].as_uri())
    for title, direction in ((SCRIPT, "ltr"), (ARABIC, "rtl"), (EMOJI, "ltr")):
        shown = tab.locator(".item h3 bdi", has_text=title).first
        assert shown.is_visible()
        assert shown.evaluate("(one) => getComputedStyle(one).direction") == direction
    tab.close()


def test_a_click_on_a_head_sorts(browser: Any, files: dict[str, Path]) -> None:
    tab = opened(browser, files["whole"])
    rows = "[...document.querySelector('#offline table.sortable').tBodies[0].rows]"
    column = f"{rows}.map((row) => +row.cells[1].dataset.order)"
    before = tab.evaluate(column)
    tab.locator("#offline table.sortable").first.locator("th", has_text="Recall@20").get_by_role("button").click()
    after = tab.evaluate(column)
    head = tab.locator("#offline th[aria-sort]").first.get_attribute("aria-sort")
    tab.close()
    assert before != after == sorted(before, reverse=True)
    assert head == "descending"


def test_a_click_on_a_picture_enlarges_it(browser: Any, files: dict[str, Path]) -> None:
    tab = opened(browser, files["whole"])
    small = tab.locator("#gallery .frame svg").first
    label, width = small.get_attribute("aria-label"), small.bounding_box()["width"]
    tab.locator("#gallery .frame button").first.click()
    large = tab.locator("dialog svg")
    assert large.bounding_box()["width"] > 1.5 * width
    assert tab.locator("dialog p").text_content() == label
    tab.keyboard.press("Escape")
    assert not tab.locator("dialog").is_visible()
    tab.locator("#gallery .frame button").first.focus()
    tab.keyboard.press("Enter")  # without a mouse, too
    assert tab.locator("dialog").is_visible()
    tab.close()


def test_no_script_is_needed(browser: Any, files: dict[str, Path]) -> None:
    tab = opened(browser, files["whole"], java_script_enabled=False)
    assert all(tab.locator(f"#{one} h2").is_visible() for one in ("decision", "results", "gallery", "cost", "again"))
    tab.locator("#gallery summary").click()
    assert tab.locator("#gallery details .item").first.is_visible()
    tab.close()


def test_print_keeps_plots_and_drops_what_is_for_screens(browser: Any, files: dict[str, Path]) -> None:
    tab = opened(browser, files["whole"], color_scheme="dark")
    tab.emulate_media(media="print", color_scheme="light")
    ground, ink = (tab.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    assert (ground, ink) == ("rgb(255, 255, 255)", "rgb(0, 0, 0)")
    assert not tab.locator("nav").is_visible()
    assert tab.locator(".verdict").is_visible()
    assert all(mark.is_visible() for mark in tab.locator("#results .key i").all())
    names = tab.locator("#gallery .scores dt").all()[:12]
    assert {round(name.bounding_box()["height"]) for name in names} == {round(names[0].bounding_box()["height"])}
    assert tab.locator("#results svg.plot.wide").is_visible()
    assert tab.pdf(format="A4").startswith(b"%PDF")
    tab.close()
