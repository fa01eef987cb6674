"""A result for people: Markdown, and a picture of the estimates and the weights."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.ope.diagnostics import BINS
from evaluation.ope.result import VERDICTS, OffPolicyResult
from evaluation.report.formats import estimate, number, percent


def estimate_rows(result: OffPolicyResult) -> list[dict[str, Any]]:
    """One row an estimator, for a table; a star marks the one that decides."""
    return [
        {
            "estimator": row.estimator + (" *" if row.decides else ""),
            "value": row.value,
            "low": row.low,
            "high": row.high,
            "difference": row.difference,
            "difference_low": row.difference_low,
            "difference_high": row.difference_high,
            "bound": row.bound,
        }
        for row in result.rows
    ]


def diagnostic_rows(result: OffPolicyResult) -> list[dict[str, str]]:
    """What the weights say, one figure a row."""
    d = result.diagnostics
    shown = {
        "rounds": f"{d.n:,}" if d.n == d.n_units else f"{d.n:,} of {d.n_units:,} units",
        "effective sample size": f"{d.ess:,.1f} ({percent(d.ess / d.n)})",
        "effective number of rewards": f"{d.reward_ess:,.1f}",
        "mean weight, expected 1": f"{number(d.mean_weight)} ± {number(d.mean_weight_error)}",
        "weights at 50, 90, 99, 99.9 %": ", ".join(number(q) for q in d.quantiles),
        "largest weight": f"{number(d.max_weight)} ({percent(d.largest_share)} of all weight)",
        "weights that are 0": percent(d.zero),
        "choices never shown in the log": percent(d.unsupported),
        "rows refused": percent(d.refused),
    }
    return [{"check": name, "value": value} for name, value in shown.items()]


def to_markdown(result: OffPolicyResult) -> str:
    """The whole result; numbers as people read them."""
    rows = [
        {
            "estimator": f"**{row.estimator}**" if row.decides else row.estimator,
            "value": estimate(row.value, row.low, row.high, sign=False),
            "difference from the log": estimate(row.difference, row.difference_low, row.difference_high),
            "assumes also": row.assumes or "–",
        }
        for row in result.rows
    ]
    skipped = [f"- {name}: {why}" for name, why in result.skipped]
    logged = estimate(result.logged.value, result.logged.low, result.logged.high, sign=False)
    parts = [
        f"# {result.policy}: {result.verdict}",
        f"{VERDICTS[result.verdict].capitalize()}.",
        "\n".join(f"- {line}" for line in result.because),
        f"The logged policy earned {logged} a round.",
        _table(rows),
        "The estimator in bold decides.",
        "\n".join(["Not used:", "", *skipped]) if skipped else "",
        "## Weights",
        _table(diagnostic_rows(result)),
        "## What this assumes",
        "\n".join(f"- {line}" for line in result.assumptions),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([row[name].replace("|", "/") for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def to_svg(result: OffPolicyResult) -> str:
    """Estimates with intervals beside the logged policy's mean, and how the weights are spread."""
    with matplotlib.rc_context({"svg.hashsalt": "ope", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(9, 0.32 * len(result.rows) + 1.6), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[3, 2])
        _draw_estimates(left, result)
        _draw_weights(right, result)
        with io.StringIO() as out:
            figure.savefig(out, format="svg", metadata={"Date": None})
            return out.getvalue()


def _draw_estimates(axes: Axes, result: OffPolicyResult) -> None:
    at = np.arange(len(result.rows))[::-1]
    value = np.array([row.value for row in result.rows])
    reach = np.array([[row.value - row.low, row.high - row.value] for row in result.rows]).T
    axes.errorbar(value, at, xerr=reach, fmt="o", color="#1f4e79", capsize=3, markersize=4)
    axes.axvline(result.logged.value, color="#888888", linestyle="--", linewidth=1)
    axes.set_yticks(at, [row.estimator + (" *" if row.decides else "") for row in result.rows])
    axes.set_xlabel("reward a round; dashed: as logged")
    axes.margins(y=0.1)


def _draw_weights(axes: Axes, result: OffPolicyResult) -> None:
    edges = np.asarray(BINS)
    axes.bar(edges[:-1], result.diagnostics.histogram, width=np.diff(edges), align="edge", color="#9db8d2")
    axes.set_xscale("log")
    axes.set_yscale("symlog")
    axes.axvline(1, color="#888888", linestyle="--", linewidth=1)
    axes.set_xlabel("weight")
    axes.set_ylabel("rounds")
