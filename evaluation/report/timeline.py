"""The test over time: what could be concluded at every look, and whether the effect fades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.report.blocks import Block, Figure, Fold, Line, Section, Table
from evaluation.report.curves import Series, curves
from evaluation.report.experiment import NO_TEST
from evaluation.report.formats import clean, estimate, finite, number, p_value, percent, plain

Record = Mapping[str, Any]
TITLE = "Over time"


def over_time(ab: Record, sequence: Record) -> Section:
    """The confidence sequence, the effect by day, and the test of novelty.

    Args:
        ab: The test.
        sequence: metric and rows of n, relative, low, high (valid at every look), once_low, once_high.
    """
    if not ab:
        return Section("time", TITLE, TITLE, "", [Line(NO_TEST, "empty")])
    blocks = [*_sequence(sequence), *_any_time(ab.get("results") or []), *_novelty(ab)]
    about = "What could be concluded at each look, and whether the effect wears off."
    return Section("time", TITLE, TITLE, about, blocks)


def _sequence(sequence: Record) -> list[Block]:
    rows = [r for r in sequence.get("rows") or [] if _whole(r, "relative", "low", "high", "once_low", "once_high")]
    if not rows:
        return [Line("No confidence sequence: users were not read in the order they came.", "empty")]
    metric, last = plain(sequence.get("metric")), rows[-1]
    first = next((r for r in rows if _clear(r["low"], r["high"])), None)
    told = (
        f"The interval first excludes 0 after {number(first['n'])} users."
        if first
        else f"After {number(last['n'])} users the interval still includes 0."
    )
    n = [float(r["n"]) for r in rows]
    wide = Series(n, [r["relative"] for r in rows], [r["low"] for r in rows], [r["high"] for r in rows])
    once = [Series(n, [r[key] for r in rows], role="flat", dashed=True) for key in ("once_low", "once_high")]
    limit = 1.15 * max(abs(x) for r in rows[len(rows) // 4 :] for x in (r["low"], r["high"]))
    plot = curves(
        "sequence",
        [wide, *once],
        x_tick=lambda x: number(round(x)),
        y_tick=lambda y: percent(y, sign=True),
        x_label="users so far",
        about=f"Relative effect on {metric} as users came. {told}",
        y_limits=(-limit, limit) if limit else None,
    )
    key = [("band up", "95% confidence sequence: holds at every look"), ("dash", "95% interval for a single look")]
    cells = [[number(r["n"]), _percent(r), _percent(r, "once_")] for r in rows]
    columns = ["Users so far", "At every look", "For a single look"]
    about = "Peeking is allowed only with the wider of the two."
    return [
        Figure(f"Confidence sequence: the effect on {metric} as users came", plot, told, key),
        Line(told),
        Fold(f"The same at {len(rows)} looks in numbers", [Table("Confidence sequence", columns, cells, "nnn", about)]),
    ]


def _any_time(results: Sequence[Record]) -> list[Block]:
    rows = [r for r in results if finite(r.get("anytime_low")) is not None]
    if not rows:
        return []
    cells = [
        [
            plain(r.get("metric")),
            plain(r.get("method")),
            _percent(r, "anytime_"),
            p_value(r.get("anytime_p_value")),
            percent(r.get("posterior_chance_positive")),
        ]
        for r in rows
    ]
    columns = ["Metric", "Method", "Relative, at any time", "p, at any time", "Chance that it is higher"]
    return [Table("At the end: what may be said however often one looked", columns, cells, "ttnnn")]


def _novelty(ab: Record) -> list[Block]:
    days = [d for d in ab.get("days") or [] if _whole(d, "relative", "low", "high")]
    halves: Record = ab.get("halves") or {}
    found: list[Block] = []
    if len(days) > 1:
        at = [float(i + 1) for i in range(len(days))]
        values, low, high = ([d[key] for d in days] for key in ("relative", "low", "high"))
        marks = Series(at, values, low, high, dots=True)
        ends = [percent(x, sign=True) for x in (values[0], values[-1])]
        told = f"Relative effect on each of {len(days)} days, from {ends[0]} on the first to {ends[1]} on the last."
        plot = curves(
            "days",
            [marks],
            x_tick=lambda x: f"{x:.0f}",
            y_tick=lambda y: percent(y, sign=True),
            x_label="day of the test",
            about=told,
        )
        found.append(Figure("Effect by day: a novelty effect would fall towards 0", plot, told))
        cells = [[clean(d["day"]).partition(" ")[0], number(d.get("n")), _percent(d)] for d in days]
        found.append(Table("Effect by day", ["Day", "Users", "Relative effect"], cells, "tnn"))
    if halves:
        found.append(Line(_fades(halves)))
    return found or [
        Line("No test of novelty: the log holds no times, so no day and no half can be told apart.", "empty")
    ]


def _fades(halves: Record) -> str:
    first, second = (percent(halves.get(key), sign=True) for key in ("first", "second"))
    change = estimate(halves.get("change"), halves.get("low"), halves.get("high"))
    low, high = finite(halves.get("low")), finite(halves.get("high"))
    clear = low is not None and high is not None and _clear(low, high)
    reads = "the halves differ" if clear else "no change is shown"
    return (
        f"Novelty: {first} in the first half of the test, {second} in the second; "
        f"absolute change {change}, p {p_value(halves.get('p_value'))}: {reads}."
    )


def _percent(row: Record, prefix: str = "") -> str:
    return estimate(row.get("relative"), row.get(f"{prefix}low"), row.get(f"{prefix}high"), as_percent=True)


def _clear(low: float, high: float) -> bool:
    return low > 0 or high < 0


def _whole(row: Record, *keys: str) -> bool:
    return all(finite(row.get(key)) is not None for key in keys)
