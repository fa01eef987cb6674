"""The page as a browser gets it: safe, self-contained, accessible, small."""

import base64
import copy
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from invented_study import drawn_image, lean, noisy_image, study

from evaluation.report import render
from evaluation.report.formats import number, percent

VOID = {"meta", "link", "img", "br", "hr", "input"}
HOSTILE = (
    '<script>alert("x")</script>\x00 مرحبا 🧥 \u202e & \'"><img src=http://evil.example/ onerror=alert(1)> $x_{1}$ @0@'
)


class Page(HTMLParser):
    """Tags in order, the text outside style and script, and whether tags nest."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.crossed: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    def named(self, *names: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.tags if tag in names]


def poisoned(thing: Any) -> Any:
    """Every text in a structure made hostile, keys that only name things in the program left alone."""
    keep = {"metric", "segment", "presentation", "look", "verdict"}
    if isinstance(thing, dict):
        return {k: v if k in keep and isinstance(v, str) else poisoned(v) for k, v in thing.items()}
    if isinstance(thing, list):
        return [poisoned(x) for x in thing]
    return f"{HOSTILE}{thing}" if isinstance(thing, str) else thing


def test_tags_nest_and_close(page: str) -> None:
    found = Page(page)
    assert found.crossed == []
    assert found.open == []


def test_hostile_text_stays_text() -> None:
    # Oracle: the same tags and attributes' names as the harmless page, whatever its texts say.
    harmless = Page(render(study(), lambda item, look: None))
    html = render(poisoned(study()), lambda item, look: None)
    hostile = Page(html)
    assert [t for t, _ in hostile.tags if t in ("script", "img")] == ["script"]
    assert {t for t, _ in hostile.tags} == {t for t, _ in harmless.tags}
    assert not [a for _, attrs in hostile.tags for a in attrs if a.startswith("on")]
    assert "\x00" not in html
    assert "\u202e" not in html  # it would turn the numbers after it around
    assert "مرحبا 🧥" in hostile.words
    assert "$x_{1}$ @0@" in hostile.words
    assert hostile.crossed == []
    html.encode("utf-8")


def test_surrogates_can_be_written() -> None:
    html = render({"study": {"name": "a\ud800b"}}, lambda item, look: None)
    assert "a\ufffdb" in html
    html.encode("utf-8")


def test_nothing_reaches_outside(page: str) -> None:
    for _, attrs in Page(page).tags:
        for name in ("src", "href", "xlink:href", "action", "data", "poster"):
            value = attrs.get(name)
            assert value is None or value.startswith(("#", "data:image/webp;base64,")), value
    assert not re.search(r"https?://|@import", page)
    assert all(ref.startswith("url(#") for ref in re.findall(r"url\([^)]*\)", page))


def test_the_policy_admits_only_the_own_script(page: str) -> None:
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    policy = next(a["content"] for a in Page(page).named("meta") if a.get("http-equiv"))
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def test_ids_are_unique_and_references_resolve(page: str) -> None:
    tags = Page(page).tags
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    wanted = {v[1:] for _, attrs in tags for k, v in attrs.items() if k == "href" and v and v.startswith("#")}
    wanted |= set(re.findall(r"url\(#([^)]*)\)", page))
    wanted |= {attrs["aria-labelledby"] for _, attrs in tags if "aria-labelledby" in attrs}
    assert wanted <= set(ids)


def test_headings_go_down_one_level_at_a_time(page: str) -> None:
    levels = [int(tag[1]) for tag, _ in Page(page).tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_tables_and_pictures_speak(page: str) -> None:
    found = Page(page)
    assert len(found.named("table")) == len(found.named("caption")) > 8
    assert all(a.get("scope") in ("col", "row") for a in found.named("th"))
    assert all(a.get("aria-label") for a in found.named("svg") if a.get("role") == "img")
    assert all(a.get("role") == "img" or a.get("aria-hidden") == "true" for a in found.named("svg"))
    assert {"header", "main", "nav", "footer"} <= {tag for tag, _ in found.tags}


def test_the_numbers_are_those_of_the_metrics(page: str) -> None:
    metrics, words = study(), Page(page).words
    row = next(
        r for r in metrics["offline"]["rows"] if r["metric"] == "ndcg" and r["k"] == 20 and r["segment"] == "cold"
    )
    assert f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" in words
    assert number(metrics["data"]["interactions"]) == "18,342"
    assert "18,342" in words
    for result in metrics["ab"]["results"]:
        assert f"{100 * result['relative']:+.1f}%".replace("-", "−") in words
    assert percent(metrics["ab"]["truth"]["clicks_per_user"]["relative"], sign=True) in words
    for look in metrics["looks"]:
        assert f"{look['accepted']} of 240" in words
    assert "removes 58.1% of the variance" in words  # 1 − 0.4193
    assert "33.6 images/s" in words  # 720 images in 21.4 s
    assert "Time in all 1 min 7 s" in words  # 1.93 + 21.4 + 18.27 + 14.6 + 6.08 + 4.71 = 66.99


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("ab", "This study has no A/B test."),
        ("offline", "This study was not evaluated offline."),
        ("gallery", "This study has no stylised presentations to show."),
        ("looks", "This study has no looks, so the guard had nothing to judge."),
        ("people", "This study shows no user's recommendations."),
        ("cost", "Feature blocks"),
        ("data", "This study carries no account of its data."),
        ("features", "Time per stage"),
        ("rehearsal", "No confidence sequence"),
        ("exposure", "No lists were made for the users"),
        ("ope", "No log with propensities was judged"),
        ("study", "Study"),
    ],
)
def test_a_section_may_be_absent(section: str, line: str) -> None:
    metrics = lean()
    del metrics[section]
    found = Page(render(metrics, lambda item, look: None))
    assert line in found.words
    assert found.crossed == []


@pytest.mark.parametrize(
    "metrics",
    [{}, dict.fromkeys(study(1)), {key: type(section)() for key, section in study(1).items()}],
    ids=["absent", "None", "empty"],
)
def test_an_empty_study_says_so_everywhere(metrics: dict[str, Any]) -> None:
    words = Page(render(metrics, lambda item, look: None)).words
    assert "cannot say whether stylised presentations beat the originals" in words
    for line in (
        "no account of its data",
        "no stylised presentations",
        "not evaluated offline",
        "no A/B test",
    ):
        assert line in words


def test_not_a_number_and_missing_fields_are_dashes() -> None:
    metrics = study(2)
    for row in metrics["offline"]["rows"] + metrics["offline"]["comparisons"]:
        row.update(low=None, high=None, p_value=None)
    for row in metrics["ab"]["results"]:
        row.update(relative=None, relative_low=None, relative_high=None, absolute=float("nan"), p_value=None)
    metrics["ab"]["segments"][0]["relative"] = None
    metrics["ab"]["truth"] = {}
    words = Page(render(metrics, lambda item, look: None)).words
    assert "nan" not in words.lower().split()
    assert "None" not in words.split()


def test_pictures_are_asked_for_once_and_stored_once() -> None:
    asked: list[tuple[str, str]] = []

    def image(item: str, look: str) -> Any:
        asked.append((item, look))
        return drawn_image(item, look)

    html = render(study(), image)
    assert len(asked) == len(set(asked))
    uris = re.findall(r"data:image/webp;base64,[^\"]+", html)
    assert len(uris) == len(set(uris)) == len(asked)


def test_300_items_of_noise_stay_below_5_mb() -> None:
    # Noise is the worst case: no photo is harder to compress. 300 originals and 900 looks.
    html = render(study(300), noisy_image)
    assert len(html.encode()) < 5_000_000
    assert html.count("data:image/webp") == 1200


def test_rendering_reads_and_does_not_write() -> None:
    metrics = study(2)
    before = copy.deepcopy(metrics)
    assert render(metrics, drawn_image) == render(json.loads(json.dumps(metrics)), drawn_image)
    assert metrics == before


def test_the_gallery_tells_how_much_of_a_look_was_taken_where_it_backed_off() -> None:
    metrics = study()
    metrics["gallery"][1]["looks"][0]["strength"] = 0.4375
    words = Page(render(metrics, lambda item, look: None)).words
    assert words.count("strength 0.44") == 1
