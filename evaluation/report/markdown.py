r"""A report as Markdown: the same words and numbers, without pictures.

Example:
    >>> escape("a|b <i> *c*")
    'a\\|b &lt;i&gt; \\*c\\*'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from evaluation.report.blocks import (
    Block,
    Cell,
    Check,
    Checks,
    Code,
    Decision,
    Document,
    Facts,
    Figure,
    Fold,
    Gallery,
    Item,
    Line,
    Pairs,
    People,
    Person,
    Points,
    Table,
    Tile,
)

_SPECIAL = re.compile(r"([\\`*_\[\]|#~])")
STATES = {True: "ok", False: "FAILED", None: "not checked"}


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", " ".join(safe.split()))


def to_markdown(document: Document) -> str:
    """The whole report; folds are open, plots are their text alternatives, pictures their captions."""
    parts = [f"# {escape(document.title)}", f"*{escape(document.question)}*", f"**{escape(document.headline)}**"]
    parts += ["\n".join(f"- {escape(name)}: {escape(text)}" for name, text in document.answers)]
    parts += [_decision(one) for one in document.decisions]
    for section in document.sections:
        parts += [f"## {escape(section.title)}", escape(section.about), *_blocks(section.blocks)]
    parts.append(escape(document.footer))
    return "\n\n".join(part for part in parts if part) + "\n"


def _decision(one: Decision) -> str:
    lines = [f"> **{escape(one.kicker)}: {escape(one.verdict)}**"]
    for text in (one.meaning, *one.because, f"Rule: {one.rule}" if one.rule else "", one.assumption):
        lines += [">", f"> {escape(text)}"] if text else []
    return "\n".join(lines)


def _blocks(blocks: Sequence[Block]) -> Iterator[str]:
    for block in blocks:
        yield _WRITE[block.kind](block)


def _table(block: Table) -> str:
    rule = ["--:" if kind == "n" else "---" for kind in block.kinds]
    rows = [[_cell(cell) for cell in row] for row in block.cells()]
    note = f"\n{escape(block.note)}\n" if block.note else ""
    lines = [[escape(c) for c in block.columns], rule, *rows]
    return f"**{escape(block.caption)}**\n{note}\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(cell: Cell) -> str:
    text = " ".join(escape(t) for t in (cell.text, cell.sub) if t)
    return f"**{text}**" if cell.best else text


def _figure(block: Figure) -> str:
    return f"*Plot: {escape(block.caption)}.* {escape(block.about)}"


def _line(block: Line) -> str:
    return f"### {escape(block.text)}" if block.style == "head" else escape(block.text)


def _points(block: Points) -> str:
    return "\n".join(f"- {escape(text)}" for text in block.texts)


def _pairs(block: Facts | Pairs) -> str:
    return "\n".join(f"- {escape(name)}: {escape(text)}" for name, text in block.pairs)


def _code(block: Code) -> str:
    longest = max((len(run) for run in re.findall("`+", block.text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{block.text}\n{fence}"


def _checks(block: Checks) -> str:
    def one(check: Check) -> str:
        return f"- {escape(check.name)}: **{STATES[check.ok]}**. {escape(check.text)}"

    return "\n".join(map(one, block.rows))


def _gallery(block: Gallery) -> str:
    return "\n".join(f"- {escape(item.title)} ({escape(item.item_id)}): {_tiles(item)}" for item in block.items)


def _tiles(item: Item) -> str:
    told = []
    for tile in item.tiles[1:]:
        scores = ", ".join(f"{escape(name)} {score}" for name, score in tile.scores)
        state = f"rejected: {escape(tile.note)}" if tile.rejected else "accepted"
        told.append(f"{escape(tile.label)} {state}" + (f" ({scores})" if scores else ""))
    return "; ".join(told) or "original only"


def _people(block: People) -> str:
    return "\n\n".join(map(_person, block.people))


def _person(person: Person) -> str:
    def line(tile: Tile) -> str:
        why = f" – {escape(tile.why)}" if tile.why else ""
        return f"{escape(tile.note) or '1'}. {escape(tile.title)} ({escape(tile.label)}){why}"

    chosen = ", ".join(escape(tile.title) for tile in person.history) or "nothing"
    return "\n".join([f"### User {escape(person.user_id)}", "", f"Chose: {chosen}.", "", *map(line, person.shown)])


def _fold(block: Fold) -> str:
    return "\n\n".join([f"*{escape(block.summary)}*", *_blocks(block.blocks)])


_WRITE: dict[str, Callable[[Any], str]] = {
    "table": _table,
    "figure": _figure,
    "line": _line,
    "points": _points,
    "facts": _pairs,
    "pairs": _pairs,
    "code": _code,
    "checks": _checks,
    "gallery": _gallery,
    "people": _people,
    "fold": _fold,
}
