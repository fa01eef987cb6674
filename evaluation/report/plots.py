"""Forest plots and bars as SVG that follows the page's colours, fonts and width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evaluation.report.svg import ROLES, Labels, drawing


@dataclass(frozen=True)
class Row:
    """One line of a plot.

    Attributes:
        label: What it is; any text.
        value: The estimate, or a bar's length.
        low: Lower end of the interval.
        high: Upper end of the interval.
        text: The numbers as written beside it.
        group: Rows of one group stand together under its name.
        truth: The true value, marked when known.
        margin: What the interval must not lie beyond; a dashed line.
    """

    label: str
    value: float
    low: float
    high: float
    text: str
    group: str = ""
    truth: float | None = None
    margin: float | None = None

    @property
    def role(self) -> str:
        """``up`` or ``down`` when the interval lies wholly on one side of 0, else ``flat``."""
        return "up" if self.low > 0 else "down" if self.high < 0 else "flat"


def forest(name: str, rows: Sequence[Row], *, tick: Callable[[float], str], about: str) -> Markup:
    """Estimates with intervals around a line at 0; truth marked where known.

    Args:
        name: Prefix of every id; unique in the document.
        rows: At least one row.
        tick: Writes the numbers of the axis.
        about: The text alternative.

    Returns:
        Two drawings, one for wide and one for narrow pages; the style sheet shows one of them.

    Example:
        >>> svg = forest("demo", [Row("a", 0.1, 0.05, 0.2, "+0.1")], tick="{:g}".format, about="one <row>")
        >>> svg.count("<svg"), "one &lt;row&gt;" in svg, "#0102" in svg
        (2, True, False)
    """
    return _both(name, rows, about, tick, _mark_interval, True)


def bars(name: str, rows: Sequence[Row], *, tick: Callable[[float], str], about: str) -> Markup:
    """Horizontal bars from 0.

    Example:
        >>> bars("cost", [Row("fit", 3.0, 0, 0, "3 s")], tick="{:g}".format, about="seconds").count("<svg")
        2
    """
    return _both(name, rows, about, tick, _mark_bar, False)


Mark = Callable[[Axes, Row, float], None]


@dataclass(frozen=True)
class _Layout:
    """Wide: label, drawing and numbers in one line. Narrow: label and numbers above the drawing."""

    kind: str
    width: int
    left: int
    right: int
    step: int
    lift: float
    reach: float
    label_limit: int


LAYOUTS = (_Layout("wide", 760, 214, 178, 26, 0.0, 13, 32), _Layout("narrow", 350, 16, 16, 46, 0.42, 10, 27))
GROUP, AXIS = 34, 30


def _both(name: str, rows: Sequence[Row], about: str, tick: Callable[[float], str], mark: Mark, zero: bool) -> Markup:
    drawings = []
    for layout in LAYOUTS:
        labels = Labels()
        figure = _draw(rows, layout, labels, tick, mark, zero)
        drawings.append(drawing(figure, labels, f"{name}-{layout.kind}", layout.kind, about))
    return Markup("\n").join(drawings)


def _draw(
    rows: Sequence[Row],
    layout: _Layout,
    labels: Labels,
    tick: Callable[[float], str],
    mark: Mark,
    zero: bool,
) -> Figure:
    """One unit of the figure is one CSS pixel; y grows downwards."""
    places, heads, depth = _places(rows, layout.step)
    height = depth + AXIS
    figure = Figure(figsize=(layout.width / 72, height / 72))
    inner = (layout.width - layout.left - layout.right) / layout.width
    axes = figure.add_axes((layout.left / layout.width, AXIS / height, inner, depth / height))
    axes.set_ylim(depth, 0)
    _limits(axes, rows)
    ticks = _axis(axes, labels, tick)
    marks = [y + layout.step / 2 * (1 + layout.lift) for y in places]
    _grid(axes, ticks, marks, layout, zero)
    for text, y in heads:
        _write(axes, labels.add(text, 60), layout, y + GROUP - 10, "muted", weight="bold")
    for row, y, at in zip(rows, places, marks, strict=True):
        line = y + layout.step / 2 * (1 - layout.lift)
        _write(axes, labels.add(row.label, layout.label_limit), layout, line + 4, "ink")
        _write(
            axes,
            labels.add(row.text, 40),
            layout,
            line + 4,
            "ink" if row.role != "flat" else "muted",
            end=True,
        )
        mark(axes, row, at)
    return figure


def _places(rows: Sequence[Row], step: int) -> tuple[list[float], list[tuple[str, float]], float]:
    places, heads, y, group = [], [], 4.0, ""
    for row in rows:
        if row.group != group:
            heads.append((row.group, y))
            group, y = row.group, y + GROUP
        places.append(y)
        y += step
    return places, heads, y + 4


def _limits(axes: Axes, rows: Sequence[Row]) -> None:
    ends = [0.0] + [x for r in rows for x in (r.low, r.high, r.value, r.truth, r.margin) if x is not None]
    low, high = min(ends), max(ends)
    room = 0.04 * (high - low or 1.0)
    axes.set_xlim(low - room if low < 0 else 0.0 if low == 0 and high > 0 else low, high + room)


def _axis(axes: Axes, labels: Labels, tick: Callable[[float], str]) -> list[float]:
    low, high = axes.get_xlim()
    ticks = [t for t in MaxNLocator(4, min_n_ticks=3, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= t <= high]
    axes.set_xticks(ticks, [labels.add(tick(float(t)), 20) for t in ticks])
    axes.set_yticks([])
    axes.tick_params(axis="x", length=0, pad=7, labelsize=12, labelcolor=ROLES["muted"])
    axes.set_frame_on(False)
    return ticks


def _grid(axes: Axes, ticks: list[float], marks: list[float], layout: _Layout, zero: bool) -> None:
    """Lines behind the marks only, never behind text."""
    half = layout.reach
    tops, bottoms = [y - half for y in marks], [y + half for y in marks]
    for x in ticks:
        axes.vlines([x] * len(marks), tops, bottoms, color=ROLES["rule"], linewidth=1, zorder=1)
    if zero:
        axes.vlines([0.0] * len(marks), tops, bottoms, color=ROLES["ink"], linewidth=1.2, zorder=1.5)


def _write(
    axes: Axes, token: str, layout: _Layout, y: float, role: str, *, end: bool = False, weight: str = "normal"
) -> None:
    """Text at the figure's left edge, or at its right edge."""
    inner = layout.width - layout.left - layout.right
    x = 1 + layout.right / inner if end else -layout.left / inner
    axes.text(
        x, y, token, transform=axes.get_yaxis_transform(), color=ROLES[role], fontsize=13, fontweight=weight,
        ha="right" if end else "left", va="baseline", clip_on=False,
    )  # fmt: skip


def _mark_interval(axes: Axes, row: Row, y: float) -> None:
    colour = ROLES[row.role]
    axes.plot([row.low, row.high], [y, y], color=colour, linewidth=2.4, solid_capstyle="round")
    if row.margin is not None:
        axes.vlines(
            [row.margin], y - 11, y + 11, color=ROLES["truth"], linewidth=2, linestyles=(0, (2.5, 1.5)), zorder=2
        )
    if row.truth is not None:
        axes.plot([row.truth], [y], marker="D", markersize=9, mfc="none", mec=ROLES["truth"], mew=2, zorder=4)
    inside = ROLES["card"] if row.role == "flat" else colour
    axes.plot([row.value], [y], marker="o", markersize=8, mfc=inside, mec=colour, mew=2, zorder=3)


def _mark_bar(axes: Axes, row: Row, y: float) -> None:
    axes.barh(y, row.value, height=12, color=ROLES["up"])
