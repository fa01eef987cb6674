"""A policy judged by a log, as a self-contained page: the verdict, estimates, weights, and what is assumed."""

from __future__ import annotations

from evaluation.ope.diagnostics import BINS
from evaluation.ope.page import diagnostic_rows
from evaluation.ope.result import VERDICTS, OffPolicyResult, Valued
from evaluation.report import plots
from evaluation.report.blocks import Block, Decision, Document, Figure, Line, Points, Section, Table
from evaluation.report.experiment import SIDES
from evaluation.report.formats import estimate, number, percent

ROLES = {"better": "up", "worse": "down"}
FOOTER = "Written by stylerec ope; ope.json, ope.md and ope.svg of its --out hold the same."
RULES = "; ".join(f"{verdict} when {rule}" for verdict, rule in VERDICTS.items())


def to_document(found: OffPolicyResult) -> Document:
    """The report; `evaluation.report.to_html` writes it.

    Example:
        >>> import numpy as np
        >>> from evaluation.ope import BanditLog, Table, evaluate_policy
        >>> action = np.arange(4000) % 2
        >>> log = BanditLog.of(action, action * (np.arange(4000) % 3 == 0), np.full(4000, 0.5), actions=2)
        >>> page = to_document(evaluate_policy(log, Table(np.array([[0.0, 1.0]]), "always retro")))
        >>> page.decisions[0].verdict, [section.id for section in page.sections]
        ('Better', ['estimates', 'weights', 'assumptions'])
    """
    row = next(r for r in found.rows if r.decides)
    logged = estimate(found.logged.value, found.logged.low, found.logged.high, sign=False)
    headline = f"“{found.policy}” differs from what was logged by {_gap(row)} a round."
    if found.verdict == "withheld":
        headline = f"The log cannot tell what “{found.policy}” would have earned."
    box = Decision(
        kicker=f"Policy “{found.policy}”",
        role=ROLES.get(found.verdict, "flat"),
        verdict=_sentence(found.verdict),
        meaning=f"{_sentence(VERDICTS[found.verdict])}.",
        rule=f"{_sentence(RULES)}; in this order.",
        because=[_sentence(why) for why in found.because],
        assumption="",
    )
    return Document(
        title="Policy judged by a log",
        question=f"What would “{found.policy}” have earned on the rounds that were logged?",
        headline=headline,
        answers=[("As logged", f"{logged} a round"), ("Decides", f"{row.estimator}, {_value(row)} a round")],
        decisions=[box],
        sections=[_estimates(found), _weights(found), _assumptions(found)],
        footer=FOOTER,
    )


def _value(row: Valued) -> str:
    return estimate(row.value, row.low, row.high, sign=False)


def _gap(row: Valued) -> str:
    return estimate(row.difference, row.difference_low, row.difference_high)


def _estimates(found: OffPolicyResult) -> Section:
    lines = [
        plots.Row(
            label=row.estimator + (" decides" if row.decides else ""),
            value=row.difference,
            low=row.difference_low,
            high=row.difference_high,
            text=number(float(f"{row.difference:.3g}")),
        )
        for row in found.rows
    ]
    told = "; ".join(f"{line.label} {line.text}" for line in lines)
    plot = plots.forest("estimates", lines, tick=number, about=f"Difference from the logged policy: {told}.")
    columns = ["Estimator", "Value", "Difference from the log", "Limit of weights", "Assumes also"]
    rows = [[row.estimator, _value(row), _gap(row), number(row.bound), row.assumes or "–"] for row in found.rows]
    blocks: list[Block] = [
        Figure("Difference from the logged policy, reward a round", plot, told, SIDES),
        Table("Estimates in numbers", columns, rows, "tnnnw"),
    ]
    if found.skipped:
        blocks.append(Points([f"Not used: {name}, {why}." for name, why in found.skipped]))
    about = "Nine ways to the same figure. Only the one that was chosen before decides."
    return Section("estimates", "Estimates", "Estimates", about, blocks)


def _weights(found: OffPolicyResult) -> Section:
    counts, edges = found.diagnostics.histogram, BINS
    total = max(sum(counts), 1)
    bins = [i for i, count in enumerate(counts) if count]
    bars = []
    for i in range(bins[0], bins[-1] + 1) if bins else ():
        share, ends = counts[i] / total, [number(float(f"{edge:.2g}")) for edge in edges[i : i + 2]]
        bars.append(plots.Row(" to ".join(ends), share, 0, 0, percent(share)))
    rows = [[row["check"], row["value"]] for row in diagnostic_rows(found)]
    blocks: list[Block] = []
    if bars:
        told = f"Weights from {bars[0].label} up to {bars[-1].label}."
        plot = plots.bars("weights", bars, tick=percent, about=told)
        blocks.append(Figure("How the weights above 0 are spread, share of rounds", plot, told))
    blocks.append(Table("Weights in numbers", ["Figure", "Value"], rows, "tw"))
    about = "A few large weights mean that a few rounds speak for all: then no estimate can be trusted."
    return Section("weights", "Weights", "Weights", about, blocks)


def _assumptions(found: OffPolicyResult) -> Section:
    last = "A good verdict is a reason to run the A/B test, not to skip it."
    return Section("assumptions", "Assumptions", "What this assumes", "", [Points(found.assumptions), Line(last)])


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
