"""The test: its design, results, guardrails and segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from evaluation.report import plots
from evaluation.report.blocks import Block, Figure, Fold, Line, Pairs, Section, Table
from evaluation.report.formats import estimate, finite, number, p_value, percent, plain, value
from evaluation.report.verdict import assumption

Record = Mapping[str, Any]

MOST = 40
"""Lines of a plot; the table below it has them all."""
NO_TEST = "This study has no A/B test."
SIDES = (("dot up", "wholly above 0"), ("dot down", "wholly below 0"), ("dot flat", "includes 0"))
TRUTH = ("diamond", "true effect in the simulation")
GROUPS = {"goal": "Goal", "guardrail": "Guardrail", "other": "Other estimates"}
DESIGN = {
    "units": "Users",
    "users": "Users planned",
    "arms": "Arms",
    "goals": "Goals",
    "guardrails": "Guardrails",
    "allocation": "Share in the second arm",
    "alpha": "Level (two-sided)",
    "looks": "Looked at",
    "slate": "Products on a page",
    "sessions": "Pages a user, mean",
    "style_effect": "Style effect assumed (log-odds of a click)",
    "base_click_rate": "Clicks on a product that is looked at",
    "minimum_detectable_relative_effect_at_80%_power": "Smallest effect shown with 80% power",
}
SHARES = ("allocation", "alpha", "base_click_rate", "minimum_detectable_relative_effect_at_80%_power")


def goal(ab: Record) -> Record | None:
    """The result the decision hangs on: the goal metric, by CUPED where there is one."""
    goals = [r for r in ab.get("results") or [] if r.get("is_goal")]
    adjusted = [r for r in goals if is_adjusted(r)]
    return next(iter(adjusted or goals), None)


def is_adjusted(result: Record) -> bool:
    """Whether each user's past was adjusted for."""
    return "cuped" in str(result.get("method")).lower()


def role_of(result: Record) -> str:
    """goal, guardrail or other."""
    if result.get("is_goal"):
        return "goal"
    return "guardrail" if result.get("role") == "guardrail" else "other"


def design(ab: Record) -> Section:
    """What was planned, the main settings first."""
    found: Record = ab.get("design") or {}
    blocks: list[Block] = []
    if assumption(ab):
        blocks.append(Line(assumption(ab), "note"))
    if found:
        main = [(DESIGN[k], _setting(k, found[k])) for k in DESIGN if k in found]
        blocks.append(Pairs(main))
        if rest := [(plain(k).capitalize(), value(v)) for k, v in found.items() if k not in DESIGN]:
            blocks.append(Fold(f"{len(rest)} further settings", [Pairs(rest)]))
    else:
        blocks.append(Line(NO_TEST if not ab else "The design of the test was not written down.", "empty"))
    about = "Who was compared with whom, on what, and what the test could see." if found else ""
    return Section("design", "Design", "Design of the test", about, blocks)


def results(ab: Record) -> Section:
    """Absolute and relative effects with intervals; p adjusted over the goals."""
    rows: list[Record] = list(ab.get("results") or [])
    about = (
        "Effects of the stylised presentations, against the originals. Intervals are 95% unless the design says else."
    )
    if not rows:
        return Section("results", "Results", "Results", "", [Line(NO_TEST, "empty")])
    truth: Record = ab.get("truth") or {}
    blocks: list[Block] = []
    plot, told = _forest("results", [r for r in rows if role_of(r) != "guardrail"], truth)
    if plot:
        key = (*SIDES, TRUTH) if truth else SIDES
        blocks.append(
            Figure("Relative effect: dots right of the line mean more with stylised pictures", plot, told, key)
        )
    columns = ["Metric", "Method", "Original", "Stylised", "Difference", "Relative", "p", "Adjusted p"]
    about_p = "p is adjusted over the goals; other estimates are read for ideas and decide nothing."
    blocks.append(Table("Results in numbers", columns, [_result(r) for r in rows], "ttnnnnnn", about_p))
    if cuped := _cuped(finite((ab.get("cuped") or {}).get("variance_ratio"))):
        blocks.append(Line(cuped))
    return Section("results", "Results", "Results", about, blocks)


def guardrails(ab: Record) -> Section:
    """What must not get worse, with the margin it may lose."""
    rows: list[Record] = [r for r in ab.get("results") or [] if role_of(r) == "guardrail"]
    if not rows:
        why = "This test sets no guardrail." if ab else NO_TEST
        return Section("guardrails", "Guardrails", "Guardrails", "", [Line(why, "empty")])
    margins = {str(r["metric"]): _margin(ab, r) for r in rows}
    plot, told = _forest("guardrails", rows, ab.get("truth") or {}, margins)
    key = [*SIDES, ("margin", "the loss that may be risked"), *([TRUTH] if ab.get("truth") else [])]
    blocks: list[Block] = (
        [Figure("Guardrails: no interval should lie beyond its dashed margin", plot, told, key)] if plot else []
    )
    table = [_guardrail(r, margins[str(r["metric"])], _lower_is_better(ab, r)) for r in rows]
    blocks.append(Table("Guardrails in numbers", ["Metric", "Method", "Relative", "Margin", "Reads"], table, "ttnnt"))
    return Section(
        "guardrails", "Guardrails", "Guardrails", "What must not get worse while the goal is chased.", blocks
    )


def _margin(ab: Record, row: Record) -> float:
    """The relative change that may be risked: below 0, or above it where less is better."""
    found: Record = ab.get("design") or {}
    margin = finite((found.get("margins") or {}).get(row.get("metric")))
    margin = finite(found.get("guardrail_margin")) if margin is None else margin
    return (margin or 0.0) * (1 if _lower_is_better(ab, row) else -1)


def segments(ab: Record) -> Section:
    """For whom: exploratory."""
    rows: list[Record] = list(ab.get("segments") or [])
    tastes: list[Record] = list(ab.get("tastes") or [])
    title, name = "For whom? Segments of the users", "Segments"
    if not rows and not tastes:
        why = "No segments were compared." if ab else NO_TEST
        return Section("segments", name, title, "", [Line(why, "empty")])
    about = "Exploratory: no correction for looking at many, so take them as hints for the next test."
    blocks: list[Block] = []
    if plot := _segments_forest(rows):
        blocks.append(Figure("Relative effect by segment of the users", plot, _told_segments(rows), SIDES))
        if len(rows) > MOST:
            blocks.append(Line(_told_segments(rows)))
    if rows:
        cells = [[plain(s.get("segment")), plain(s.get("level")), number(s.get("n")), relative(s)] for s in rows]
        blocks.append(Table("Segments in numbers", ["Segment", "Level", "Users", "Relative effect"], cells, "ttnn"))
    if tastes:
        cells = [[plain(t.get("taste")), number(t.get("n")), _per_sd(t), p_value(t.get("p_value"))] for t in tastes]
        columns = ["Taste", "Users", "Change of the effect per standard deviation", "p"]
        blocks.append(Table("How the effect grows with a taste", columns, cells, "tnnn"))
    return Section("segments", name, title, about, blocks)


def _setting(name: str, given: Any) -> str:
    if name in SHARES:
        return percent(given)
    return ", ".join(map(plain, given)) if name in ("goals", "guardrails") and given else value(given)


def _cuped(ratio: float | None) -> str:
    if ratio is None:
        return ""
    change = f"removes {percent(1 - ratio)}" if ratio <= 1 else f"adds {percent(ratio - 1)}"
    return f"CUPED, adjusting for each user's behaviour before the test, {change} of the variance."


def _ends(row: Record) -> tuple[float | None, float | None, float | None]:
    """The relative effect and its interval as the plan's way of looking makes it."""
    known = next((p for p in ("looked_", "relative_", "") if finite(row.get(f"{p}low")) is not None), "relative_")
    return finite(row.get("relative")), finite(row.get(f"{known}low")), finite(row.get(f"{known}high"))


def whole(row: Record) -> tuple[float, float, float] | None:
    """The relative effect and the ends of its interval; None where one is missing."""
    x, low, high = _ends(row)
    return None if x is None or low is None or high is None else (x, low, high)


def relative(row: Record) -> str:
    """The relative effect with its interval, as the plan's way of looking makes it."""
    return estimate(*_ends(row), as_percent=True)


def _per_sd(row: Record) -> str:
    return estimate(row.get("per_sd"), row.get("low"), row.get("high"), as_percent=True)


def _name(row: Record) -> str:
    return plain(row.get("metric")) + (f" ({role_of(row)})" if role_of(row) != "other" else "")


def _result(row: Record) -> list[str]:
    return [
        _name(row),
        plain(row.get("method")),
        number(row.get("control")),
        number(row.get("treatment")),
        estimate(row.get("absolute"), row.get("low"), row.get("high")),
        relative(row),
        p_value(row.get("p_value")),
        p_value(row.get("adjusted_p_value")),
    ]


def _guardrail(row: Record, margin: float, lower: bool) -> list[str]:
    _, low, high = _ends(row)
    gains = (None if high is None else -high, None if low is None else -low) if lower else (low, high)
    reads = _reads(*gains, -abs(margin))
    return [plain(row.get("metric")), plain(row.get("method")), relative(row), percent(margin, sign=True), reads]


def _reads(low: float | None, high: float | None, worst: float) -> str:
    if low is None or high is None:
        return "cannot be read: control is 0 or the interval is missing"
    if high < worst:
        return "broken: wholly beyond the margin"
    return "held: wholly within the margin" if low > worst else "open: the margin is inside the interval"


def _lower_is_better(ab: Record, row: Record) -> bool:
    return ((ab.get("design") or {}).get("better") or {}).get(row.get("metric")) == "lower"


def _forest(
    name: str, rows: Sequence[Record], truth: Record, margins: Mapping[str, float] | None = None
) -> tuple[Markup, str]:
    ordered = sorted(rows, key=lambda r: list(GROUPS).index(role_of(r)))
    lines = [
        plots.Row(
            label=plain(r["metric"]) + (", CUPED" if is_adjusted(r) else ""),
            value=ends[0],
            low=ends[1],
            high=ends[2],
            text=relative(r),
            group=GROUPS[role_of(r)],
            truth=finite((truth.get(r["metric"]) or {}).get("relative")),
            margin=None if margins is None else margins[str(r["metric"])],
        )
        for r in ordered
        for ends in [whole(r)]
        if ends is not None
    ]
    return _percent_forest(name, lines, "Relative effects of stylised presentations")


def _segments_forest(segments: Sequence[Record]) -> Markup:
    return _percent_forest("segments", list(_segment_lines(segments)), _told_segments(segments))[0]


def _segment_lines(segments: Sequence[Record]) -> Iterator[plots.Row]:
    for s in segments:
        if all(finite(s.get(k)) is not None for k in ("relative", "low", "high")):
            yield plots.Row(
                label=plain(s.get("level")),
                value=s["relative"],
                low=s["low"],
                high=s["high"],
                text=relative(s),
                group=plain(s.get("segment")).capitalize(),
            )


def _told_segments(segments: Sequence[Record]) -> str:
    sides = [line.role for line in _segment_lines(segments)]
    up, down = sides.count("up"), sides.count("down")
    first = f", the first {MOST} of them drawn" if len(sides) > MOST else ""
    return (
        f"{len(sides)} segments{first}: {up} wholly above 0, {down} wholly below 0; the table below holds the numbers."
    )


def _percent_forest(name: str, lines: Sequence[plots.Row], about: str) -> tuple[Markup, str]:
    if not lines:
        return Markup(""), ""
    lines = lines[:MOST]
    told = f"{about}: {'; '.join(f'{line.label} {line.text}' for line in lines[:12])}."
    return plots.forest(name, lines, tick=lambda x: percent(x, sign=True), about=told), told
