"""A test as a report of its own: one self-contained page, the verdict and its rule first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from evaluation.experiment.decision import Experiment
from evaluation.experiment.looking import Reading
from evaluation.experiment.many_arms import ManyArms
from evaluation.report import plots
from evaluation.report.blocks import Block, Checks, Decision, Document, Figure, Line, Section, Table
from evaluation.report.checks import checks
from evaluation.report.experiment import SIDES, design, guardrails, segments
from evaluation.report.formats import estimate, number, p_value, percent, plain
from evaluation.report.timeline import over_time

MEANINGS = {
    "ship": ("up", "The treatment is better, and nothing that is guarded got worse than allowed."),
    "roll back": ("down", "The treatment does harm: keep the control."),
    "keep running": ("flat", "The data do not decide yet."),
    "withheld": ("flat", "A health check fails: the effects must not be read before it is explained."),
}
DIAMOND = ("diamond", "true effect in the simulation")
FOOTER = "Written by stylerec analyze; its --out and --json hold every number."


def to_document(found: Experiment | ManyArms, *, title: str) -> Document:
    """The report; `evaluation.report.to_html` and `to_markdown` write it.

    Args:
        found: A test, of one treatment or of several.
        title: Its name.

    Example:
        >>> import pandas as pd
        >>> from evaluation.experiment.decision import analyze_log
        >>> from evaluation.experiment.metrics import Metric
        >>> from evaluation.experiment.plan import Plan
        >>> log = pd.DataFrame({"user_id": list("abcdef"), "arm": [0, 0, 0, 1, 1, 1], "click": [1, 2, 3, 11, 12, 13]})
        >>> page = to_document(analyze_log(log, Plan({"clicks": Metric("click")})), title="Spring")
        >>> page.decisions[0].verdict, page.headline[:46]
        ('Ship', 'Yes: “1” changed clicks by +500.0%, 95% interv')
    """
    arms = found.arms if isinstance(found, ManyArms) else {str(found.design["arms"][1]): found}
    told = {label: arm.to_json() for label, arm in arms.items()}
    first = next(iter(told.values()))
    one = len(arms) == 1
    sections = [_health(told), _results(arms), guardrails(first) if one else _guarded(told)]
    if one:
        sections += [over_time(first, first["sequence"]), segments(first)]
    boxes = [_box(found.decision, "Decision", next(iter(arms.values())).assumption)]
    if isinstance(found, ManyArms):
        boxes = [replace(boxes[0], verdict=f"Ship “{found.ships}”")] if found.ships is not None else boxes
        boxes += [_box(arm.decision, f"“{label}” against control", "") for label, arm in arms.items()]
    return Document(
        title=title,
        question=f"{' or '.join(f'“{label}”' for label in arms)} against “{first['design']['arms'][0]}”",
        headline=_headline(found),
        answers=[],
        decisions=boxes,
        sections=[*sections, design(first if one else {**first, "design": _whole_design(first, arms)})],
        footer=FOOTER,
    )


def _whole_design(first: Mapping[str, Any], arms: Mapping[str, Experiment]) -> dict[str, Any]:
    """Of all arms: the pairs share their control."""
    counts = [arm.analysis.counts for arm in arms.values()]
    units = counts[0][0] + sum(treated for _, treated in counts)
    pair = {key: value for key, value in first["design"].items() if key not in ("users", "allocation")}
    return pair | {"design": "multi-arm", "arms": [pair["arms"][0], *arms], "units": units}


def _box(decision: Any, kicker: str, assumption: str) -> Decision:
    role, meaning = MEANINGS[decision.verdict]
    because = [_sentence(why) for why in decision.because]
    return Decision(kicker, role, _sentence(decision.verdict), meaning, _sentence(decision.rule), because, assumption)


def _headline(found: Experiment | ManyArms) -> str:
    """The answer in a sentence, by the intervals that decide."""
    if found.decision.verdict == "withheld":
        return "No answer: a health check fails."
    if isinstance(found, ManyArms):
        if found.ships is None:
            return "No treatment is shown to be better than control."
        return _sentence_of(found.arms[found.ships], found.ships)
    return _sentence_of(found, str(found.design["arms"][1]))


def _sentence_of(arm: Experiment, label: str) -> str:
    goal = arm.analysis.deciding("goal")[0]
    p = goal.adjusted_p_value if goal.adjusted_p_value is not None else goal.reading.p_value
    shown = p <= float(arm.design["alpha"])
    better = (goal.estimate.absolute > 0) == (arm.design["better"][goal.metric] == "higher")
    answer = ("Yes" if better else "No") if shown else "Not shown"
    level, doubt = f"{100 * (1 - float(arm.design['alpha'])):.6g}%", "" if shown else ", which may be chance"
    change = _relative(goal.estimate.relative, goal.reading).replace(" [", f", {level} interval [")
    return f"{answer}: “{label}” changed {plain(goal.metric)} by {change}{doubt}."


def _relative(value: float | None, reading: Reading) -> str:
    return estimate(value, reading.low, reading.high, as_percent=True)


def _health(told: Mapping[str, Mapping[str, Any]]) -> Section:
    blocks: list[Block] = []
    for label, test in told.items():
        if len(told) > 1:
            blocks.append(Line(f"“{label}” against control", "head"))
        blocks.append(Checks(checks({"experiment": test})))
    about = "What must hold before an effect is read; one that fails withholds the verdict."
    return Section("health", "Health", "Health checks", about, blocks)


def _results(arms: Mapping[str, Experiment]) -> Section:
    lines = list(_lines(arms))
    truth = any(line.truth is not None for line in lines)
    control, treatment = next(iter(arms.values())).design["arms"]
    heads = [control, treatment if len(arms) == 1 else "Treatment"]
    blocks: list[Block] = []
    if lines:
        told = "; ".join(f"{line.label} {line.text}" for line in lines[:12])
        plot = plots.forest("effects", lines, tick=lambda x: percent(x, sign=True), about=f"Relative effects: {told}.")
        key = (*SIDES, DIAMOND) if truth else SIDES
        blocks.append(Figure(f"Relative effect: right of the line is more than in “{control}”", plot, told, key))
    rows = [_row(label, r, several=len(arms) > 1) for label, arm in arms.items() for r in arm.analysis.results]
    columns = ["Metric", "Role", "Method", *map(str, heads), "Difference", "Relative", "p", "Adjusted p"]
    note = "Intervals and p are those of the plan's way of looking; goals' p are adjusted for their number."
    blocks.append(Table("Results in numbers", columns, rows, "tttnnnnnn", note))
    about = "Every metric by every method; of a metric's rows, the last one decides."
    return Section("results", "Results", "Results", about, blocks)


def _lines(arms: Mapping[str, Experiment]) -> Iterator[plots.Row]:
    """The rows that decide, and metrics that are only reported."""
    for label, arm in arms.items():
        last = {r.metric: r for r in arm.analysis.results}
        for metric, r in last.items():
            low, high, value = r.reading.low, r.reading.high, r.estimate.relative
            if value is not None and low is not None and high is not None:
                group = plain(r.role).capitalize() if len(arms) == 1 else f"“{label}”"
                true = (arm.truth.get(metric) or {}).get("relative")
                yield plots.Row(plain(metric), value, low, high, _relative(value, r.reading), group, true)


def _row(label: str, r: Any, *, several: bool) -> list[str]:
    e = r.estimate
    return [
        plain(r.metric) + (f", “{label}”" if several else ""),
        r.role,
        r.method,
        number(e.control),
        number(e.treatment),
        estimate(e.absolute, e.low, e.high),
        _relative(e.relative, r.reading),
        p_value(r.reading.p_value),
        p_value(r.adjusted_p_value),
    ]


def _guarded(told: Mapping[str, Mapping[str, Any]]) -> Section:
    """Every treatment's guardrails in numbers; one part, because a plot's ids must stay unique."""
    parts = {label: guardrails(test) for label, test in told.items()}
    first = next(iter(parts.values()))
    tables: list[Block] = [
        replace(block, caption=f"“{label}”")
        for label, part in parts.items()
        for block in part.blocks
        if isinstance(block, Table)
    ]
    return replace(first, blocks=tables or first.blocks)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
