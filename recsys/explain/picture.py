"""An explanation as bars: what adds to the score to the right, what takes from it to the left."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from recsys.errors import ConfigError
from recsys.explain.words import called
from recsys.files import write_bytes

if TYPE_CHECKING:
    from recsys.explain.explanation import By, Explanation, Part

Titles = Mapping[str, str]
FOR, AGAINST = "#0072B2", "#D55E00"
"""Okabe and Ito's blue and vermilion: told apart in every kind of colour vision, and by the hatching in print."""
SHOWN, LONGEST = 12, 34
"""Bars by themselves; letters of a label."""
TITLE, USER = 32, 20
"""Letters of a title and of a user's id in the heading, of which the picture holds one line."""
ID = {"taste": "this item itself", "id": "this customer's own taste", "item bias": "popularity"}
BIASES = {"item bias": "popularity: ", "user bias": "user bias: "}
WHOLE = {"average user": "what the average customer likes", "common": "all customers alike", "rest": "left by training"}


def figure(explained: Explanation, by: By | None, titles: Titles, words: Titles) -> Figure:
    """Bars and the score under them."""
    return _figure(explained, by, titles, words, _plain)


def write(explained: Explanation, path: Path, by: By | None, titles: Titles, words: Titles) -> None:
    """The figure as SVG or PNG; the text alternative is its title and description.

    Raises:
        ConfigError: The name ends in neither.
    """
    writers = {".svg": _svg, ".png": _png}
    if path.suffix.lower() not in writers:
        raise ConfigError(f"a picture must end in .svg or .png, got {path.name}")
    write_bytes(path, writers[path.suffix.lower()](explained, by, titles, words))


def alternative(explained: Explanation, by: By | None, titles: Titles, words: Titles) -> str:
    """The picture in words: every bar with its number."""
    bars = _bars(explained, by, titles, words)
    digits = _digits([value for _, value in bars])
    listed = "; ".join(f"{label} {value:+,.{digits}f}" for label, value in bars)
    return f"{_heading(explained, titles)}. Score {explained.score:,.{digits}f} = {listed}."


def _png(explained: Explanation, by: By | None, titles: Titles, words: Titles) -> bytes:
    out, about = io.BytesIO(), alternative(explained, by, titles, words)
    metadata = {"Description": about, "Software": None}
    figure(explained, by, titles, words).savefig(out, format="png", dpi=150, metadata=metadata)
    return out.getvalue()


def _svg(explained: Explanation, by: By | None, titles: Titles, words: Titles) -> bytes:
    """Matplotlib lays out short ASCII marks; the real text, in any script, is put in afterwards, escaped."""
    texts: list[str] = []

    def mark(text: str) -> str:
        texts.append(text)
        return f"@{len(texts) - 1}@"

    out = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "stylerec"}):
        drawn = _figure(explained, by, titles, words, mark)
        drawn.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    body = re.sub(r"@(\d+)@", lambda m: escape(texts[int(m.group(1))]), out.getvalue())
    heading, about = escape(_heading(explained, titles)), escape(alternative(explained, by, titles, words))
    at = body.index(">", body.index("<svg "))
    label = f' role="img" aria-labelledby="t d"><title id="t">{heading}</title><desc id="d">{about}</desc>'
    return (body[:at] + label + body[at + 1 :]).encode()


def _figure(explained: Explanation, by: By | None, titles: Titles, words: Titles, text: Callable[[str], str]) -> Figure:
    bars = _bars(explained, by, titles, words)
    drawn = Figure(figsize=(8, 1.35 + 0.32 * len(bars)))
    inch = 1 / drawn.get_figheight()
    axes = drawn.add_axes((0.36, 0.65 * inch, 0.6, 1 - 1.25 * inch))
    digits = _digits([value for _, value in bars])
    _draw(axes, [value for _, value in bars], digits)
    axes.set_yticks(range(len(bars)), [text(label) for label, _ in bars], parse_math=False)
    axes.tick_params(axis="y", length=0, labelsize=9)
    axes.set_xlabel(f"adds to the score: {explained.score:,.{digits}f} in all")
    heading = text(_heading(explained, titles, TITLE, USER))
    drawn.text(0.02, 1 - 0.38 * inch, heading, size=11, weight="bold", parse_math=False)
    return drawn


def _digits(values: Sequence[float]) -> int:
    """Decimals at which the largest has at least three figures: of small scores more, of counts none."""
    largest = max(map(abs, values))
    if largest >= 1000:
        return 0
    return 3 if largest >= 0.1 or not largest else 2 - math.floor(math.log10(largest))


def _draw(axes: Axes, values: Sequence[float], digits: int) -> None:
    colours, hatches = zip(*((FOR, "") if v >= 0 else (AGAINST, "///") for v in values), strict=True)
    axes.barh(range(len(values)), values, height=0.66, color=colours, hatch=hatches, edgecolor="white", linewidth=0)
    for y, value in enumerate(values):
        side, gap = ("left", 4) if value >= 0 else ("right", -4)
        axes.annotate(
            f"{value:+,.{digits}f}", (value, y), (gap, 0), textcoords="offset points", va="center", ha=side, size=9
        )
    room = 0.25 * (max(map(abs, values)) or 1.0)
    axes.set_xlim(min(0.0, *values) - room, max(0.0, *values) + room)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    if not digits:
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.invert_yaxis()
    axes.axvline(0, color="#333333", linewidth=0.8)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _heading(explained: Explanation, titles: Titles, title: int | None = None, user: int | None = None) -> str:
    """The question; ``title`` and ``user`` are how many letters of each there is room for."""
    what, whom = _short(titles.get(explained.item, explained.item), title), _short(explained.user, user)
    return f"Why {what} for customer {whom}? ({explained.model})"


def _bars(explained: Explanation, by: By | None, titles: Titles, words: Titles) -> list[tuple[str, float]]:
    """Labels and values, the largest first, the small ones as one: the bars, too, add up to the score."""
    every = explained.parts(by)
    parts = sorted((p for p in every if p.value), key=lambda p: -abs(p.value)) or every[:1]
    shown, others = (parts, []) if len(parts) <= SHOWN else (parts[: SHOWN - 1], parts[SHOWN - 1 :])
    bars = [(_short(_label(p, titles, words), LONGEST), p.value) for p in shown]
    return bars + ([(f"{len(others)} smaller ones", sum(p.value for p in others))] if others else [])


def _label(part: Part, titles: Titles, words: Titles) -> str:
    if part.name == "common" and part.kind == "taste":
        return "all items alike"
    if part.name == "id" and part.kind in ID:
        return ID[part.kind]
    if part.kind in WHOLE:
        return WHOLE[part.kind]
    if part.kind == "past item":
        return f"has {titles.get(part.name, part.name)}"
    own, _, other = part.name.partition(" × ")
    if other:
        return f"{titles.get(own) or called(own, words)} × {called(other, words)}"
    return BIASES.get(part.kind, "") + called(part.name, words)


def _short(text: str, longest: int | None) -> str:
    text = " ".join(text.split())
    return text if longest is None or len(text) <= longest else text[: longest - 1] + "…"


def _plain(text: str) -> str:
    """What the picture's font can draw; □ for the rest (an SVG shows it with the reader's fonts)."""
    from matplotlib import font_manager, ft2font

    known = ft2font.FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap()
    return "".join(c if ord(c) in known else "□" for c in text)
