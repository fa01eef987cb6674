"""Lines with bands over time or size, as SVG that follows the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evaluation.report.svg import ROLES, Labels, drawing

Tick = Callable[[float], str]
SIZES = {"wide": (760, 300, 5), "narrow": (350, 250, 3)}
"""Width and height in CSS pixels, and about how many ticks stand below."""
LEFT, RIGHT, TOP, BELOW = 62, 18, 12, 50


@dataclass(frozen=True)
class Series:
    """One line of a plot.

    Attributes:
        x: (n,) places, rising.
        y: (n,) values.
        low: (n,) lower ends of the band; empty for none.
        high: (n,) upper ends.
        role: Colour, a key of `evaluation.report.svg.ROLES`.
        dashed: Drawn dashed, so that colour is not needed to tell it.
        dots: Marks at the values, with bars for the ends instead of a band.
    """

    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    role: str = "up"
    dashed: bool = False
    dots: bool = False


def curves(
    name: str,
    series: Sequence[Series],
    *,
    x_tick: Tick,
    y_tick: Tick,
    x_label: str,
    about: str,
    level: float | None = 0.0,
    y_limits: tuple[float, float] | None = None,
) -> Markup:
    """Lines in one frame.

    Args:
        name: Prefix of every id; unique in the document.
        series: At least one; the first lies behind.
        x_tick: Writes the numbers below.
        y_tick: Writes the numbers at the left.
        x_label: What runs along the bottom.
        about: The text alternative.
        level: A line across to compare with; None for none.
        y_limits: Ends of the upright axis; None: what the values ask for.

    Returns:
        Two drawings, one for wide and one for narrow pages.

    Example:
        >>> line = Series([1, 2, 3], [0.2, 0.1, 0.1], low=[-1, -0.2, 0], high=[1, 0.4, 0.2])
        >>> svg = curves("demo", [line], x_tick=str, y_tick=str, x_label="<day>", about="falls")
        >>> svg.count("<svg"), "&lt;day&gt;" in svg, "#0102" in svg
        (2, True, False)
    """
    drawings = []
    for kind, (width, height, most) in SIZES.items():
        labels = Labels()
        figure = Figure(figsize=(width / 72, height / 72))
        frame = (LEFT / width, BELOW / height, (width - LEFT - RIGHT) / width, (height - BELOW - TOP) / height)
        axes = figure.add_axes(frame)
        for one in series:
            _draw(axes, one)
        if y_limits is not None:
            axes.set_ylim(*y_limits)
        _frame(axes, labels, (x_tick, y_tick), most, level)
        axes.set_xlabel(labels.add(x_label, 60), fontsize=12, color=ROLES["muted"], labelpad=6)
        drawings.append(drawing(figure, labels, f"{name}-{kind}", kind, about))
    return Markup("\n").join(drawings)


def _draw(axes: Axes, one: Series) -> None:
    colour = ROLES[one.role]
    if one.dots:
        if one.low:
            axes.vlines(one.x, one.low, one.high, color=colour, linewidth=2)
        axes.plot(one.x, one.y, "o", markersize=6, mfc=ROLES["card"], mec=colour, mew=2, zorder=3)
        return
    if one.low:
        axes.fill_between(one.x, one.low, one.high, color=colour, alpha=0.16, linewidth=0)
        for end in (one.low, one.high):
            axes.plot(one.x, end, color=colour, linewidth=1, linestyle="--" if one.dashed else "-")
    axes.plot(one.x, one.y, color=colour, linewidth=2.2, linestyle="--" if one.dashed else "-", zorder=3)


def _frame(axes: Axes, labels: Labels, write: tuple[Tick, Tick], most: int, level: float | None) -> None:
    for axis, tick, n in ((axes.xaxis, write[0], most), (axes.yaxis, write[1], 4)):
        low, high = sorted(axis.get_view_interval())
        at = [t for t in MaxNLocator(n, min_n_ticks=2).tick_values(low, high) if low <= t <= high]
        axis.set_ticks(at, [labels.add(write_one, 16) for write_one in map(tick, map(float, at))])
    axes.tick_params(length=0, pad=6, labelsize=12, labelcolor=ROLES["muted"])
    axes.grid(axis="y", color=ROLES["rule"], linewidth=1)
    axes.set_axisbelow(True)
    if level is not None:
        axes.axhline(level, color=ROLES["ink"], linewidth=1.2, zorder=1.5)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(ROLES["rule"])
