"""What the lists show: how much of the catalogue, how evenly, in which looks, and at whose expense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from evaluation.report import plots
from evaluation.report.blocks import Block, Facts, Figure, Line, Section, Table
from evaluation.report.formats import clean, finite, number, percent, plain, share

Record = Mapping[str, Any]
TITLE = "Exposure"
NONE = "No lists were made for the users, so nothing is known of what they would be shown."


def exposure(found: Record) -> Section:
    """The view of ``metrics["exposure"]``."""
    if not found:
        return Section("exposure", TITLE, TITLE, "", [Line(NONE, "empty")])
    k, users = number(found.get("k")), number(found.get("users"))
    model = clean(found.get("model"))
    about = f"What {users} users would be shown in lists of {k} by {model}, each item in the look chosen for them."
    blocks = [_facts(found), *_looks(found.get("looks") or []), *_categories(found.get("categories") or [])]
    return Section("exposure", TITLE, TITLE, about, [*blocks, *_moved(found.get("cannibalisation") or {})])


def _facts(found: Record) -> Facts:
    past: Record = found.get("past") or {}
    pairs = [
        ("Of the catalogue on some list", share(found.get("coverage"))),
        ("Places of the top 10% of items", share(found.get("top_share"))),
        ("The same, of past purchases", share(past.get("top_share"))),
        ("Gini (0 even, 1 one item)", _gini(found.get("gini"))),
        ("Gini of past purchases", _gini(past.get("gini"))),
    ]
    return Facts(pairs)


def _gini(x: Any) -> str:
    value = finite(x)
    return "–" if value is None else f"{value:.2f}"


def _looks(rows: Sequence[Record]) -> list[Block]:
    if not rows:
        return []
    plot, about = _shares("style-mix", [(plain(r.get("look")), r.get("share")) for r in rows], "Style mix")
    cells = [
        [plain(r.get("look")), number(r.get("places")), share(r.get("share")), number(r.get("items"))] for r in rows
    ]
    table = Table("Style mix in numbers", ["Look", "Places", "Share of places", "Different items"], cells, "tnnn")
    return [Figure("Style mix: in which look the recommended items appear", plot, about), table] if plot else [table]


def _categories(rows: Sequence[Record]) -> list[Block]:
    cells = [
        [clean(r.get("category")), share(r.get("share")), share(r.get("catalogue")), share(r.get("past"))] for r in rows
    ]
    columns = ["Category", "Of the places", "Of the catalogue", "Of past purchases"]
    return [Table("Who gets the places", columns, cells, "tnnn", "The largest categories by places.")] if cells else []


def _moved(found: Record) -> list[Block]:
    rows: Sequence[Record] = found.get("rows") or []
    if not rows:
        why = "Cannibalisation was not looked at: it needs looks, photos and a simulated test."
        return [Line(why, "empty")]
    cells = [
        [
            plain(r.get("places")),
            share(r.get("share")),
            number(r.get("control")),
            number(r.get("treatment")),
            percent(r.get("relative"), sign=True),
        ]
        for r in rows
    ]
    columns = ["Places", "Of all", "Picks, originals", "Picks, stylised", "Change"]
    note = "Picks expected on 1,000 pages where a shopper picks one item of a page at most."
    table = Table("Cannibalisation: do restyled items take picks from their neighbours?", columns, cells, "tnnnn", note)
    return [table, Line(clean(found.get("reads") or ""))]


def _shares(name: str, rows: Sequence[tuple[str, Any]], about: str) -> tuple[Markup, str]:
    lines = [plots.Row(label, x, 0, 0, share(x)) for label, part in rows if (x := finite(part)) is not None]
    if not lines:
        return Markup(""), ""
    told = f"{about}: {'; '.join(f'{line.label} {line.text}' for line in lines)}."
    return plots.bars(name, lines, tick=percent, about=told), told
