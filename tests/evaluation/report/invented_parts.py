"""More of the invented study: exposure, the rehearsal's repeats, and a policy judged by a log."""

from __future__ import annotations

from typing import Any


def exposure() -> dict[str, Any]:
    looks = {"original": 1210, "retro": 1630, "minimalist": 760, "fashion": 400}
    shares = {"garments": (0.41, 0.38, 0.44), "shoes": (0.22, 0.2, 0.19), "lamps": (0.37, 0.42, 0.37)}
    return {
        "model": "hybrid",
        "k": 10,
        "users": 400,
        "coverage": 0.7625,
        "gini": 0.613,
        "top_share": 0.472,
        "past": {"gini": 0.688, "top_share": 0.551},
        "looks": [{"look": n, "places": p, "share": p / 4000, "items": p // 10} for n, p in looks.items()],
        "categories": [{"category": n, "share": a, "catalogue": b, "past": c} for n, (a, b, c) in shares.items()],
        "cannibalisation": {
            "rows": [
                {"places": "restyled", "share": 0.7, "control": 350.0, "treatment": 371.0, "relative": 0.06},
                {"places": "kept as they are", "share": 0.3, "control": 120.0, "treatment": 117.6, "relative": -0.02},
            ],
            "reads": "Their neighbours lose 2% of their clicks.",
        },
    }


def rehearsal() -> dict[str, Any]:
    def row(times: float, true: float, found: float) -> dict[str, Any]:
        told = {"times": times, "true": true, "bias": 0.0007, "bias_low": -0.0011, "bias_high": 0.0025}
        told |= {"coverage": 0.95, "coverage_low": 0.863, "coverage_high": 0.983}
        return told | {"found": found, "found_low": max(0.0, found - 0.1), "found_high": min(1.0, found + 0.1)}

    sequence = [
        {
            "n": n,
            "relative": 0.044 + 20 / n,
            "low": 0.044 + 20 / n - 5 / n**0.5,
            "high": 0.044 + 20 / n + 5 / n**0.5,
            "once_low": 0.044 + 20 / n - 2.8 / n**0.5,
            "once_high": 0.044 + 20 / n + 2.8 / n**0.5,
        }
        for n in range(1000, 20001, 1000)
    ]
    return {
        "sequence": {"metric": "clicks_per_user", "rows": sequence},
        "repeats": {
            "metric": "clicks_per_user",
            "n": 60,
            "users": 20000,
            "rows": [row(0, 0.0, 0.05), row(0.5, 0.021, 0.41), row(1, 0.0428, 0.93), row(1.5, 0.065, 1.0)],
            "curve": [[0.0, 0.05], [0.02, 0.4], [0.04, 0.9], [0.07, 1.0]],
        },
    }


def off_policy() -> dict[str, Any]:
    def row(name: str, gap: float, half: float, *, decides: bool = False) -> dict[str, Any]:
        told = {"estimator": name, "value": 0.0051 + gap, "low": 0.0051 + gap - half, "high": 0.0051 + gap + half}
        told |= {"difference": gap, "difference_low": gap - half, "difference_high": gap + half}
        return told | {
            "decides": decides,
            "bound": None,
            "assumes": "" if name != "DM" else "the reward model is right",
        }

    histogram = [0] * 32
    histogram[11:14] = [512, 3010, 448]
    return {
        "policy": "one look for all",
        "verdict": "no difference shown",
        "because": ["difference from the logged policy +0.0004 [−0.0009, 0.0017] (DR)"],
        "logged": {"value": 0.0051, "low": 0.0045, "high": 0.0057},
        "rows": [row("IPW", 0.0003, 0.0021), row("DR", 0.0004, 0.0013, decides=True), row("DM", 0.0001, 0.0004)],
        "diagnostics": {
            "n": 3970,
            "ess": 2841.27,
            "mean_weight": 0.994,
            "max_weight": 6.8,
            "largest_share": 0.0017,
            "unsupported": 0.0,
            "zero": 0.12,
            "histogram": histogram,
        },
        "assumptions": ["Propensities are right."],
    }


def days() -> list[dict[str, Any]]:
    effects = (0.081, 0.066, 0.052, 0.049, 0.047, 0.031, 0.029)
    return [
        {"day": f"2030-06-{d:02d} 00:00:00", "n": 2800 + d, "relative": x, "low": x - 0.03, "high": x + 0.03}
        for d, x in enumerate(effects, 1)
    ]


HALVES = {"first": 0.061, "second": 0.034, "change": -0.081, "low": -0.15, "high": -0.012, "p_value": 0.021}
