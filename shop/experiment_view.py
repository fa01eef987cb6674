"""The running test for the page: arms, the confidence sequence as points of a picture, health and decision."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Any

from evaluation.experiment.decision import Experiment
from evaluation.experiment.words import health_rows
from shop.tally import ARMS, Point

if TYPE_CHECKING:
    from shop.service import Service

WIDE, HIGH = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 84, 14, 14, 40
"""Margins of the picture, in its own units."""
MOST = 1.0
"""Relative effects beyond ±100 % are cut off, so that the first points do not flatten the others."""
FEW = 2
"""Customers that each arm needs before anything can be told."""
VERDICTS = {
    "ship": "Treatment is better. The rule says: ship it.",
    "roll back": "Treatment is worse. The rule says: roll back.",
    "keep running": "Nothing is decided yet. Keep running.",
    "withheld": "A health check fails. No effect may be read.",
}


def experiment_view(service: Service) -> dict[str, Any]:
    """Everything the page shows."""
    tally, config = service.tally, service.config
    view: dict[str, Any] = {
        "name": config.experiment,
        "totals": dict(tally.totals),
        "arms": [],
        "policy": config.policy,
    }
    found = tally.experiment_now() if config.experiment else None
    if found is None:
        return view | {"waiting": bool(config.experiment)}
    now = tally.now
    points = [*tally.points, now] if now is not None else list(tally.points)
    arms = _arms(service)
    return view | {
        "waiting": False,
        "begun": min(arm["users"] for arm in arms) < FEW,
        "arms": arms,
        "allocation": config.allocation,
        "verdict": found.decision.verdict,
        "headline": VERDICTS[found.decision.verdict],
        "rule": found.decision.rule,
        "because": list(found.decision.because),
        "problems": list(found.analysis.problems),
        "health": health_rows(found),
        "srm": found.analysis.srm_p_value,
        "srm_ok": _srm_ok(found),
        "now": now,
        "plot": plot(points) if points else None,
        "points": points,
    }


def _srm_ok(found: Experiment) -> bool:
    p = found.analysis.srm_p_value
    return p is not None and p >= float(found.design["srm_alpha"])


def _arms(service: Service) -> list[dict[str, Any]]:
    rows = []
    for arm, name in enumerate(ARMS):
        users, shown, clicks, carts, bought = service.tally.totals_of(arm)
        rows.append(
            {
                "name": name,
                "about": "originals" if arm == 0 else f"looks, chosen by {service.config.policy.name}",
                "users": users,
                "impressions": shown,
                "clicks": clicks,
                "carts": carts,
                "purchases": bought,
                "rate": clicks / shown if shown else None,
            }
        )
    return rows


def plot(points: list[Point]) -> dict[str, Any]:
    """Coordinates of the confidence sequence: x is the logarithm of impressions, y the relative effect.

    Example:
        >>> made = plot([Point(100, 20, 0.1, -0.2, 0.4), Point(1000, 200, 0.1, 0.0, 0.2)])
        >>> made["line"].split()[0], [tick["text"] for tick in made["y_ticks"]]
        ('84.0,91.3', ['−40 %', '−20 %', '0 %', '+20 %', '+40 %'])
    """
    reach = min(max(max(abs(p.low), abs(p.high)) for p in points[-max(3, len(points) // 2) :]), MOST)
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5) if reach <= 2 * s or s == 0.5)
    top = 2 * step
    first, last = log(max(points[0].impressions, 1)), log(max(points[-1].impressions, 2))
    span = max(last - first, 1e-9)

    def x(p: Point) -> float:
        share = (log(max(p.impressions, 1)) - first) / span if len(points) > 1 else 1.0
        return round(LEFT + share * (WIDE - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        share = (top - max(-top, min(top, value))) / (2 * top)
        return round(TOP + share * (HIGH - TOP - BOTTOM), 1)

    upper = [f"{x(p)},{y(p.high)}" for p in points]
    lower = [f"{x(p)},{y(p.low)}" for p in reversed(points)]
    ticks = [
        {"y": y(i * step), "text": f"{i * step:+.0%}".replace("%", " %").replace("+0 ", "0 ").replace("-", "−")}
        for i in range(-2, 3)
    ]
    return {
        "band": " ".join([*upper, *lower]),
        "line": " ".join(f"{x(p)},{y(p.relative)}" for p in points),
        "dot": (x(points[-1]), y(points[-1].relative)),
        "y_ticks": ticks,
        "x_ticks": [{"x": x(p), "text": f"{p.impressions:,}", "end": end} for p, end in _ends(points)],
        "width": WIDE,
        "height": HIGH,
        "left": LEFT,
        "right": WIDE - RIGHT,
        "zero": y(0.0),
        "floor": HIGH - BOTTOM,
    }


def _ends(points: list[Point]) -> list[tuple[Point, str]]:
    return [(points[0], "start"), (points[-1], "end")] if len(points) > 1 else [(points[0], "end")]
