"""What a report consists of, before it becomes HTML, Markdown or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, ClassVar

from markupsafe import Markup

from evaluation.report.thumbs import Thumb


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: What it says.
        sub: A smaller line below, such as an interval.
        order: What sorting goes by; None: the text.
        best: The best of its column.
        role: ``up``, ``down`` or "": its colour.
    """

    text: str
    sub: str = ""
    order: float | None = None
    best: bool = False
    role: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under a caption; the first cell of a row names it.

    Attributes:
        caption: What the rows are.
        columns: Their heads.
        rows: Texts or cells.
        kinds: A letter a column: t text, n number, w wide text.
        note: A smaller line in the caption.
        sortable: A script may sort it.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    kinds: str
    note: str = ""
    sortable: bool = False

    def cells(self) -> Iterator[list[Cell]]:
        """Rows of cells; a number's interval, in brackets, goes to its second line."""
        for row in self.rows:
            yield [_cell(x, self.kinds[i]) for i, x in enumerate(row)]


def _cell(x: str | Cell, kind: str) -> Cell:
    if isinstance(x, Cell):
        return x
    head, opened, rest = x.partition(" [") if kind == "n" else (x, "", "")
    return Cell(head, f"[{rest}" if opened else "")


@dataclass(frozen=True)
class Figure:
    """A plot with a caption and a key of (class of the mark, meaning); its numbers stand in a table beside."""

    kind: ClassVar[str] = "figure"
    caption: str
    plot: Markup
    about: str = ""
    key: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Line:
    """A paragraph.

    Attributes:
        text: What it says.
        style: p, note (set apart), empty (says why nothing is here) or head (a heading).
    """

    kind: ClassVar[str] = "line"
    text: str
    style: str = "p"


@dataclass(frozen=True)
class Points:
    """Several notes."""

    kind: ClassVar[str] = "points"
    texts: Sequence[str]


@dataclass(frozen=True)
class Facts:
    """A few figures to be seen at once: (name, text)."""

    kind: ClassVar[str] = "facts"
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Pairs:
    """Settings: (name, text)."""

    kind: ClassVar[str] = "pairs"
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Code:
    """Text as a machine wrote it."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Check:
    """A health check.

    Attributes:
        name: What was checked.
        ok: Whether it holds; None: it could not be checked.
        text: The figures, in words.
    """

    name: str
    ok: bool | None
    text: str


@dataclass(frozen=True)
class Checks:
    """Health checks."""

    kind: ClassVar[str] = "checks"
    rows: Sequence[Check]


@dataclass(frozen=True)
class Tile:
    """One picture with its captions."""

    thumb: Thumb | None
    alt: str
    label: str
    title: str = ""
    note: str = ""
    scores: tuple[tuple[str, str], ...] = ()
    rejected: bool = False
    cold: bool = False
    why: str = ""


@dataclass(frozen=True)
class Item:
    """An item of the gallery: its original beside each look."""

    title: str
    item_id: str
    category: str
    tiles: list[Tile]


@dataclass(frozen=True)
class Gallery:
    """Items in pictures."""

    kind: ClassVar[str] = "gallery"
    items: Sequence[Item]


@dataclass(frozen=True)
class Person:
    """A user: what they chose and what they would be shown."""

    user_id: str
    history: list[Tile]
    shown: list[Tile]


@dataclass(frozen=True)
class People:
    """Users in picture rows."""

    kind: ClassVar[str] = "people"
    people: Sequence[Person]


@dataclass(frozen=True)
class Fold:
    """Blocks that open on a click; Markdown shows them open."""

    kind: ClassVar[str] = "fold"
    summary: str
    blocks: Sequence[Block]


Block = Table | Figure | Line | Points | Facts | Pairs | Code | Checks | Gallery | People | Fold


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        id: Anchor in the page.
        name: In the navigation.
        title: Its heading.
        about: What it shows, in a sentence; "" for nothing to say.
        blocks: At least one: a section without data says why.
    """

    id: str
    name: str
    title: str
    about: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Decision:
    """The verdict in a box; ``kicker`` says of which kind of test or study."""

    kicker: str
    role: str
    verdict: str
    meaning: str
    rule: str
    because: list[str]
    assumption: str


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes:
        title: Its name.
        question: What it answers.
        headline: The answer, in a sentence.
        answers: (to what, answer): sentences below the headline.
        decisions: One box a study.
        sections: In the order people read.
        readers: (who, ids of the sections where they find their answers): the navigation.
        thumbs: Every picture, once.
        ratio: Width over height of the pictures' frame.
        footer: The last line.
    """

    title: str
    question: str
    headline: str
    answers: Sequence[tuple[str, str]]
    decisions: Sequence[Decision]
    sections: Sequence[Section]
    readers: Sequence[tuple[str, Sequence[str]]] = ()
    thumbs: Sequence[Thumb] = field(default_factory=list)
    ratio: str = "0.75"
    footer: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain dicts and lists; plots by their text, pictures by theirs.

        Example:
            >>> page = Document("t", "q", "h", [], [], [Section("a", "A", "A", "", [Line("none", "empty")])])
            >>> page.to_json()["sections"][0]["blocks"]
            [{'kind': 'line', 'text': 'none', 'style': 'empty'}]
        """
        told: dict[str, Any] = _plain(self)
        return {key: value for key, value in told.items() if key not in ("readers", "thumbs", "ratio")}

    @property
    def navigation(self) -> list[tuple[str, list[Section]]]:
        """The sections by reader; all of them under no name where no readers are told apart."""
        by_id = {section.id: section for section in self.sections}
        found = [(who, [by_id[id] for id in ids if id in by_id]) for who, ids in self.readers]
        return found or [("", list(self.sections))]


def _plain(thing: Any) -> Any:
    if isinstance(thing, Thumb | Markup):
        return None
    if is_dataclass(thing):
        kind = {"kind": thing.kind} if hasattr(thing, "kind") else {}
        return kind | {f.name: _plain(getattr(thing, f.name)) for f in fields(thing) if f.name not in ("thumb", "plot")}
    if isinstance(thing, list | tuple):
        return [_plain(x) for x in thing]
    return thing
