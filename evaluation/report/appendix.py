"""How far the numbers can be trusted: the simulation against its truth, and a policy judged by a log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from evaluation.ope.diagnostics import BINS
from evaluation.report import plots
from evaluation.report.blocks import Block, Figure, Line, Pairs, Points, Section, Table
from evaluation.report.curves import Series, curves
from evaluation.report.experiment import TRUTH, role_of
from evaluation.report.formats import clean, estimate, finite, number, part, percent, plain

Record = Mapping[str, Any]
NO_SIMULATION = "No simulated test: there is no known truth to compare estimates with."
NO_LOG = "No log with propensities was judged; `stylerec ope LOG … --out RUN` and `stylerec report RUN` add it here."
OPE_VERDICTS = {
    "better": "better than the logged policy",
    "worse": "worse than the logged policy",
    "withheld": "withheld: the log cannot tell",
}


def appendix(metrics: Record) -> Section:
    """Truth, bias, coverage and power of the simulated test; estimators and weights of the off-policy evaluation."""
    ab: Record = metrics.get("ab") or {}
    blocks: list[Block] = [Line("Simulated test against its truth", "head"), *_truth(ab)]
    blocks += _repeats((metrics.get("rehearsal") or {}).get("repeats") or {})
    blocks += [Line("Off-policy evaluation", "head"), *_ope(metrics.get("ope") or {})]
    about = "Appendix: does the analysis find what was put in, and what would another policy have earned?"
    return Section("appendix", "Simulation and log", "Simulation and off-policy", about, blocks)


def _truth(ab: Record) -> list[Block]:
    truth: Record = ab.get("truth") or {}
    rows = [r for r in ab.get("results") or [] if r.get("metric") in truth]
    if not rows:
        return [Line(NO_SIMULATION, "empty")]
    covers = [bool(r["covers_truth"]) for r in rows if r.get("covers_truth") is not None]
    cells = [_against(r, truth[r["metric"]]) for r in rows]
    columns = ["Metric", "Method", "True relative effect", "Estimated", "Estimate less truth", "Truth in the interval"]
    blocks: list[Block] = [Table("One simulated test", columns, cells, "ttnnnt")]
    if covers:
        blocks.append(Line(f"{sum(covers)} of {len(covers)} intervals cover the true effect."))
    return blocks


def _against(row: Record, true: Record) -> list[str]:
    estimated, known = finite(row.get("relative")), finite(true.get("relative"))
    bias = "–" if estimated is None or known is None else percent(estimated - known, sign=True)
    keys = ("relative", "relative_low", "relative_high")
    return [
        plain(row.get("metric")) + (f" ({role_of(row)})" if role_of(row) != "other" else ""),
        plain(row.get("method")),
        percent(true.get("relative"), sign=True),
        estimate(*(row.get(k) for k in keys), as_percent=True),
        bias,
        {True: "yes", False: "no", None: "–"}[row.get("covers_truth")],
    ]


def _repeats(found: Record) -> list[Block]:
    rows: Sequence[Record] = [r for r in found.get("rows") or [] if finite(r.get("found")) is not None]
    if not rows:
        return []
    cells = [
        [
            f"× {number(r.get('times'))}",
            percent(r.get("true"), sign=True),
            estimate(r.get("bias"), r.get("bias_low"), r.get("bias_high"), as_percent=True),
            estimate(r.get("coverage"), r.get("coverage_low"), r.get("coverage_high"), as_percent=True, sign=False),
            estimate(r.get("found"), r.get("found_low"), r.get("found_high"), as_percent=True, sign=False),
        ]
        for r in rows
    ]
    columns = ["Assumed style effect", "True relative effect", "Mean bias", "Intervals with the truth", "Effect found"]
    note = (
        f"{number(found.get('n'))} simulated tests of {number(found.get('users'))} users a row, goal "
        f"{plain(found.get('metric'))}; brackets: 95% Monte-Carlo intervals. "
        "With no true effect, “found” counts false alarms."
    )
    table = Table("The same test many times: bias, coverage and power", columns, cells, "nnnnn", note)
    return [*_power(found, rows), table]


def _power(found: Record, rows: Sequence[Record]) -> list[Block]:
    curve = [(x, y) for x, y in found.get("curve") or [] if finite(x) is not None and finite(y) is not None]
    if len(curve) < 2:
        return []
    line = Series([x for x, _ in curve], [y for _, y in curve])
    known = [r for r in rows if finite(r.get("true")) is not None]
    keys = ("true", "found", "found_low", "found_high")
    x, y, low, high = ([float(r[key]) for r in known] for key in keys)
    dots = Series(x, y, low, high, role="truth", dots=True)
    pairs = [f"{percent(a, sign=True)} found in {percent(b)}" for a, b in zip(x, y, strict=True)]
    told = f"Chance that a test of this size finds an effect: {'; '.join(pairs)}."
    plot = curves(
        "power",
        [line, dots],
        x_tick=lambda v: percent(round(v, 6), sign=True),
        y_tick=percent,
        x_label="true relative effect",
        about=told,
        level=0.8,
        y_limits=(0.0, 1.05),
    )
    key = [
        ("line up", "by formula (normal approximation)"),
        (TRUTH[0].replace("diamond", "ring"), "simulated, with 95% interval"),
    ]
    return [Figure("Power: the chance that a test of this size finds an effect (line across: 80%)", plot, told, key)]


def _ope(found: Record) -> list[Block]:
    rows: Sequence[Record] = found.get("rows") or []
    if not rows:
        return [Line(NO_LOG, "empty")]
    verdict = str(found.get("verdict"))
    logged: Record = found.get("logged") or {}
    earned = estimate(logged.get("value"), logged.get("low"), logged.get("high"), sign=False)
    reads = f"{clean(found.get('policy'))}: {OPE_VERDICTS.get(verdict, clean(verdict))}."
    blocks: list[Block] = [
        Line(f"{reads} The log itself earned {earned} a round.", "note"),
        Points([clean(b) for b in found.get("because") or []]),
    ]
    lines = [
        plots.Row(clean(r.get("estimator")), r["difference"], r["difference_low"], r["difference_high"], _gap(r))
        for r in rows
        if all(finite(r.get(k)) is not None for k in ("difference", "difference_low", "difference_high"))
    ]
    if lines:
        told = f"Difference from the log by estimator: {'; '.join(f'{x.label} {x.text}' for x in lines)}."
        plot = plots.forest("ope", lines, tick=lambda x: number(x) if x else "0", about=told)
        blocks.append(Figure("Value of the policy less that of the log, by estimator", plot, told))
    cells = [
        [
            clean(r.get("estimator")) + (" (decides)" if r.get("decides") else ""),
            estimate(r.get("value"), r.get("low"), r.get("high"), sign=False),
            _gap(r),
            clean(r.get("assumes") or "–"),
        ]
        for r in rows
    ]
    blocks.append(Table("Estimators", ["Estimator", "Value", "Difference from the log", "Assumes also"], cells, "tnnw"))
    return [
        *blocks,
        *_weights(found.get("diagnostics") or {}),
        Points([clean(a) for a in found.get("assumptions") or []]),
    ]


def _gap(row: Record) -> str:
    return estimate(row.get("difference"), row.get("difference_low"), row.get("difference_high"))


def _weights(d: Record) -> list[Block]:
    if not d:
        return []
    pairs = [
        ("Rounds", number(d.get("n"))),
        ("Effective sample size (ESS)", f"{number(_rounded(d.get('ess')))} ({part(d.get('ess'), d.get('n'))})"),
        ("Mean weight, expected 1", number(d.get("mean_weight"))),
        ("Largest weight", f"{number(d.get('max_weight'))} ({percent(d.get('largest_share'))} of all weight)"),
        ("Choices never shown in the log", percent(d.get("unsupported"))),
        ("Weights that are 0", percent(d.get("zero"))),
    ]
    blocks: list[Block] = [Pairs(pairs)]
    counts = [finite(c) for c in d.get("histogram") or []]
    if len(counts) == len(BINS) - 1 and any(counts):
        ends = [(number(a), number(b)) for a, b in pairwise(BINS)]
        bars = [plots.Row(f"{a} to {b}", c or 0, 0, 0, number(c)) for (a, b), c in zip(ends, counts, strict=True) if c]
        told = f"Rounds by importance weight: {'; '.join(f'{r.label}: {r.text}' for r in bars)}."
        plot = plots.bars("weights", bars, tick=lambda x: number(round(x)), about=told)
        blocks.append(Figure("Importance weights: how many rounds have which weight", plot, told))
        blocks.append(Table("Weights in numbers", ["Weight", "Rounds"], [[r.label, r.text] for r in bars], "tn"))
    return blocks


def _rounded(x: Any) -> float | None:
    value = finite(x)
    return None if value is None else round(value, 1)
