"""The same report as Markdown and JSON, and two studies side by side."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import markdown_it
import pytest
from invented_study import drawn_image, lean, study
from test_page import HOSTILE, Page, poisoned

from evaluation.report import Document, compare, document, to_html, to_markdown
from evaluation.report.blocks import Checks, Section, Table
from evaluation.report.formats import clean


def blocks_of(kind: str, node: Any) -> list[dict[str, Any]]:
    """Every block of a kind in a report's JSON, folded ones too."""
    if isinstance(node, list):
        return [found for one in node for found in blocks_of(kind, one)]
    if not isinstance(node, dict):
        return []
    mine = [node] if node.get("kind") == kind else []
    return mine + [found for one in node.values() for found in blocks_of(kind, one)]


@pytest.fixture(scope="module")
def report() -> Document:
    return document(study(4), drawn_image)


TEST = ("health", "design", "results", "guardrails", "time", "segments")
ORDER = [*TEST, "exposure", "offline", "gallery", "people", "appendix", "cost", "again"]


def test_sections_stand_in_the_order_of_reading(report: Document, page: str) -> None:
    assert [section.id for section in report.sections] == ORDER
    ids = [attrs["id"] for tag, attrs in Page(page).tags if tag == "section"]
    assert ids == ["decision", *ORDER]
    assert all(section.blocks for section in report.sections)


def test_the_navigation_leads_everywhere_once(report: Document) -> None:
    assert sorted(section.id for _, sections in report.navigation for section in sections) == sorted(ORDER)


def test_markdown_says_what_the_page_says(report: Document) -> None:
    # Oracle: a CommonMark parser; every cell and sentence of the page is in the text that it reads.
    html = markdown_it.MarkdownIt("commonmark").enable("table").render(to_markdown(report))
    told, words = Page(html).words, Page(re.sub(r"<svg class=.plot.*?</svg>", "", to_html(report), flags=re.S)).words
    assert html.count("<table>") == len(blocks_of("table", report.to_json()))
    for text in (report.headline, *(s.title for s in report.sections), *(s.about for s in report.sections)):
        assert " ".join(text.split()) in told
    numbers = set(re.findall(r"[−+]?\d[\d,.]*%?", words))
    assert len(numbers) > 400
    assert {n for n in numbers if n.strip(",.") not in told} == set()


def test_hostile_text_stays_text_in_markdown() -> None:
    # Oracle: the same tags as the harmless report's, whatever its texts say.
    def tags(metrics: dict[str, Any]) -> list[str]:
        text = to_markdown(document(metrics, lambda item, look: None))
        return [tag for tag, _ in Page(markdown_it.MarkdownIt("commonmark").enable("table").render(text)).tags]

    hostile = poisoned(lean())
    assert set(tags(hostile)) == set(tags(lean()))
    told = to_markdown(document(hostile, lambda item, look: None))
    assert "<script>" not in told.split("```")[0]
    assert clean(HOSTILE).split()[1] in told  # Arabic arrives as it is


def test_json_is_plain_and_holds_the_tables(report: Document) -> None:
    plain = json.loads(json.dumps(report.to_json(), allow_nan=False))
    tables = {block["caption"]: block for block in blocks_of("table", plain)}
    first = tables["Results in numbers"]["rows"][0]
    assert first[:2] == ["clicks per user (goal)", "Welch"]
    assert [block["about"] for block in blocks_of("figure", plain) if not block["about"]] == []
    assert "data:image" not in json.dumps(plain)


def test_every_plot_has_its_numbers_in_a_table(report: Document) -> None:
    for section in report.sections:
        plain = Document("", "", "", [], [], [section]).to_json()
        assert not blocks_of("figure", plain) or blocks_of("table", plain), section.id


def compared(other: dict[str, Any]) -> dict[str, Section]:
    return {section.id: section for section in compare(lean(), other).sections}


def test_the_same_study_twice_differs_in_nothing() -> None:
    told = compare(lean(), lean())
    assert told.headline == "Both studies come to the same verdict: ship."
    assert told.title == "spring window (first) and spring window (second)"
    sections = {section.id: section for section in told.sections}
    assert [block.text for block in sections["configuration"].blocks] == ["Both studies say the same here."]
    table = sections["offline"].blocks[0]
    assert {row[-1].text for row in table.rows} == {"+0.0000"}


def test_what_differs_is_told() -> None:
    other = copy.deepcopy(lean())
    other["study"]["config"]["models"]["hybrid"] = {"factors": 32, "epochs": 5}
    other["study"] |= {"seed": 8, "name": "summer"}
    other["study"]["versions"]["torch"] = "2.15.0"
    rows = [r for r in other["offline"]["rows"] if r["segment"] == "all" and r["metric"] == "recall"]
    rows[0]["value"] += 0.0123
    found = compared(other)
    settings, versions, seeds = found["configuration"].blocks
    assert [list(row) for row in settings.rows] == [
        ["models.hybrid.epochs", "–", "5"],
        ["models.hybrid.factors", "64", "32"],
        ["models.hybrid.loss", "warp", "–"],
    ]
    assert [list(row) for row in versions.rows] == [["torch", "2.14.0", "2.15.0"]]
    assert seeds.text == "The seeds differ: 7 and 8."
    assert found["offline"].blocks[0].rows[0][-1].text == "+0.0123"


def test_a_withheld_study_shows_no_effects_beside_the_other() -> None:
    other = copy.deepcopy(lean())
    other["study"]["name"] = "summer"
    other["ab"]["srm"] |= {"ok": False, "p_value": 0.00001}
    told = compare(lean(), other)
    assert told.headline == "spring window comes to “ship”, summer to “withheld”."
    table = next(b for s in told.sections if s.id == "results" for b in s.blocks if isinstance(b, Table))
    assert all(row[-1] == "–" for row in table.rows)
    assert any(row[-2] != "–" for row in table.rows)


def test_checks_come_first() -> None:
    assert isinstance(document(lean(), lambda item, look: None).sections[0].blocks[0], Checks)
