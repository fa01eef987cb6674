"""An experiment for people: rows of tables and lines of text."""

from __future__ import annotations

from typing import Any

from evaluation.experiment.decision import Decision, Experiment
from evaluation.experiment.many_arms import ManyArms


def effect_rows(found: Experiment) -> list[dict[str, Any]]:
    """One row a metric and method: the effect, its interval for one look and at any time, and the belief."""
    rows = []
    for r in found.analysis.results:
        e = r.estimate
        rows.append(
            {
                "metric": r.metric,
                "role": r.role,
                "method": r.method,
                "control": e.control,
                "treatment": e.treatment,
                "relative": e.relative,
                "low": e.relative_low,
                "high": e.relative_high,
                "p_value": e.p_value,
                "any_time_low": r.anytime.low,
                "any_time_high": r.anytime.high,
                "chance_higher": None if r.belief is None else r.belief.chance_positive,
            }
        )
    return rows


def health_rows(found: Experiment) -> list[dict[str, Any]]:
    """One row a health check."""
    return [{"check": c.name, "p_value": c.p_value, "problem": c.problem or "none"} for c in found.analysis.checks]


def arms_rows(found: ManyArms) -> list[dict[str, Any]]:
    """`effect_rows` of every treatment; the interval and p are those that are adjusted for their number."""
    rows = []
    for label, arm in found.arms.items():
        for row, r in zip(effect_rows(arm), arm.analysis.results, strict=True):
            told = {"low": r.reading.low, "high": r.reading.high, "adjusted_p": r.adjusted_p_value}
            rows.append({"arm": label} | row | told)
    return rows


def verdict_lines(decision: Decision) -> list[str]:
    """The verdict, its rule, and the figures it read."""
    return [f"verdict: {decision.verdict}", f"rule: {decision.rule}", *(f"  {why}" for why in decision.because)]


def exploratory_rows(found: Experiment) -> dict[str, list[dict[str, Any]]]:
    """Title → rows of what is for ideas, not for decisions; empty ones are left out."""
    analysis = found.analysis
    tables = {
        "by segment": [dict(row) for row in analysis.segments],
        "by taste": [dict(row) for row in analysis.tastes],
        "first and second half": [] if analysis.halves is None else [analysis.halves],
        "by day": [dict(row) for row in analysis.days],
    }
    return {title: rows for title, rows in tables.items() if rows}
