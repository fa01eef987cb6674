"""An invented study: every number here is made up for the tests, none was measured."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from invented_parts import HALVES, days, exposure, off_policy, rehearsal
from PIL import Image, ImageDraw

LOOKS = ("retro", "minimalist", "fashion")
NOUNS = (
    "Wool coat",
    "Canvas sneaker",
    "Desk lamp",
    "Leather tote",
    "Lounge chair",
    "Silk scarf",
    "Linen dress",
)
CATEGORIES = ("garments", "shoes", "lamps", "bags", "chairs", "scarves", "garments")
BOUNDS = {"ssim": (0.71, 0.9), "edge": (0.66, 0.93), "cosine": (0.74, 0.9), "product_delta_e": (0.6, 2.7)}


def drawn_image(item_id: str, look: str) -> Image.Image | None:
    """A placeholder: a coloured shape on a ground that tells the look."""
    rng = random.Random(item_id)
    ground = {"original": "#f6f5f2", "retro": "#e8cfa2", "minimalist": "#ffffff", "fashion": "#cfd8e6"}[look]
    picture = Image.new("RGB", (240, 320), ground)
    colour = tuple(rng.randrange(30, 200) for _ in range(3))
    left, top = rng.randrange(40, 80), rng.randrange(50, 110)
    ImageDraw.Draw(picture).rounded_rectangle((left, top, 240 - left, 300), 24, fill=colour)
    return picture


def noisy_image(item_id: str, look: str) -> Image.Image:
    """The hardest picture to compress: noise, another for every pair."""
    rng = np.random.default_rng(abs(hash((item_id, look))) % 2**32)
    return Image.fromarray(rng.integers(0, 256, (176, 132, 3), dtype=np.uint8))


def lean(items: int = 2) -> dict[str, Any]:
    """The same with a short offline comparison, to be written quickly."""
    metrics = study(items)
    for name in ("rows", "comparisons"):
        rows = [r for r in metrics["offline"][name] if r["k"] == 20 and r["metric"] in ("recall", "coverage")]
        metrics["offline"][name] = [r for r in rows if r["model"] == "hybrid"]
    metrics["ab"]["segments"] = metrics["ab"]["segments"][:2]
    return metrics


def study(items: int = 18) -> dict[str, Any]:
    """The metrics of an invented study with every section."""
    rng = random.Random(7)
    return {
        "study": {
            "name": "spring window",
            "created": "2031-02-03 04:05 UTC",
            "seed": 7,
            "command": "stylerec run study.toml --out runs/spring-window",
            "versions": {"python": "3.12.9", "stylerec": "0.1.0", "numpy": "2.4.0", "torch": "2.14.0"},
            "hashes": {
                "catalog": "5f1c9ad2b0e34467",
                "interactions": "0bd3e7718c21aa5e",
                "images": "99c10f7ee6a2d4b3",
            },
            "config": {
                "split": {"kind": "time", "quantile": 0.8},
                "models": {"hybrid": {"factors": 64, "loss": "warp"}},
            },
        },
        "data": _data(items),
        "features": [
            {"block": "efficientnet-lite0", "dims": 1280, "encoder": "efficientnet-lite0", "seconds": 12.25},
            {"block": "gram", "dims": 64, "encoder": "gram", "seconds": 3.5},
        ],
        "looks": [_look(look, rng) for look in LOOKS],
        "offline": _offline(rng),
        "ab": _ab(),
        "exposure": exposure(),
        "rehearsal": rehearsal(),
        "ope": off_policy(),
        "gallery": [_item(i, rng) for i in range(items)],
        "people": [_person(i, rng, items) for i in range(4)],
        "cost": [
            _stage("ingest", 1.93, 412.0, 240, "photos"),
            _stage("looks", 21.4, 655.5, 720, "images"),
            _stage("features", 18.27, 1231.0, 960, "images"),
            _stage("fit", 14.6, 903.0, 4, "models"),
            _stage("offline", 6.08, 870.2, 394, "users"),
            _stage("simulated A/B", 4.71, 988.0, 20000, "users") | {"reused": True},
        ],
    }


def _data(items: int) -> dict[str, Any]:
    return {
        "items": 240,
        "users": 400,
        "interactions": 18342,
        "first": "2030-01-01",
        "last": "2030-06-30",
        "filtered": {"items": 12, "interactions": 3},
        "rejected": [
            {"source": "interactions", "reason": "unparsable date", "count": 31, "example": "31.02.2030"},
            {"source": "interactions", "reason": "unknown item", "count": 7, "example": "0999999001"},
            {"source": "catalog", "reason": "NUL in id", "count": 1, "example": "a\x00b"},
        ],
        "images": {"ok": 229, "note": 8, "bad": 3},
        "image_problems": [{"item_id": "item-007", "reason": "truncated after 1,024 bytes"}] * 3,
    }


def _look(look: str, rng: random.Random) -> dict[str, Any]:
    rejected = {"retro": 23, "minimalist": 4, "fashion": 41}[look]
    scores = {}
    for name, (low, median) in BOUNDS.items():
        scores[name] = {"p05": low, "median": median + rng.random() * 0.02, "p95": median + 0.06}
    reasons = {"product colour moved": rejected - 3, "edges lost": 3}
    return {
        "look": look,
        "made": 240,
        "accepted": 240 - rejected,
        "rejected": rejected,
        "reasons": reasons,
        "scores": scores,
    }


MODELS = (
    ("popularity", "none"),
    ("als", "none"),
    ("content", "metadata"),
    ("hybrid", "none"),
    ("hybrid", "metadata"),
    ("hybrid", "original"),
    ("hybrid", "retro"),
    ("hybrid", "minimalist"),
)
METRICS = ("recall", "precision", "ndcg", "map", "mrr", "hit_rate", "coverage")
DENOMINATORS = {
    "recall": "relevant items of the user",
    "precision": "k",
    "coverage": "items of the segment",
    "hit_rate": "users with a relevant item",
}


def _offline(rng: random.Random) -> dict[str, Any]:
    rows, comparisons = [], []
    for (model, features), segment, metric, k in (
        (m, s, x, k) for m in MODELS for s in ("all", "warm", "cold") for x in METRICS for k in (10, 20)
    ):
        level = 0.02 + 0.012 * MODELS.index((model, features)) + 0.004 * METRICS.index(metric) + k / 1000
        level *= {"all": 1, "warm": 1.13, "cold": 0.03 if features == "none" else 0.6}[segment]
        level += rng.random() * 0.004
        key = {"model": model, "features": features, "segment": segment, "metric": metric, "k": k}
        users = {"all": 394, "warm": 391, "cold": 127}[segment]
        wide = 0.006 if segment != "cold" else 0.015
        has = metric != "coverage"
        rows.append(
            key
            | {
                "value": level,
                "low": max(0.0, level - wide) if has else None,
                "high": level + wide if has else None,
            }
            | {"n_users": users, "denominator": DENOMINATORS.get(metric, "users with a relevant item")}
        )
        if (model, features) != ("hybrid", "metadata") and has:
            gap = 0.008 * (MODELS.index((model, features)) - 4) * {"all": 1, "warm": 0.7, "cold": 2}[segment]
            gap += rng.random() * 0.005
            ends = {
                "difference": gap,
                "low": gap - wide,
                "high": gap + wide,
                "p_value": 0.5 * rng.random() ** 3,
            }
            comparisons.append(key | ends | {"baseline": "hybrid / metadata"})
    return {
        "split": {
            "kind": "time",
            "cut": "2030-05-25",
            "train": 14673,
            "test": 3669,
            "users unknown in train": 6,
        },
        "ks": [10, 20],
        "baseline": "hybrid / metadata",
        "rows": rows,
        "comparisons": comparisons,
        "notes": ["6 users were unknown in training; their 41 test rows are not averaged."],
    }


def _ab() -> dict[str, Any]:
    def result(metric: str, method: str, relative: float, half: float, *, goal: bool, p: float) -> dict[str, Any]:
        control = {"clicks_per_user": 3.214, "click_rate": 0.0642, "sessions_per_user": 5.02}[metric]
        return {
            "metric": metric,
            "method": method,
            "control": control,
            "treatment": control * (1 + relative),
            "absolute": control * relative,
            "low": control * (relative - half),
            "high": control * (relative + half),
            "relative": relative,
            "relative_low": relative - half,
            "relative_high": relative + half,
            "p_value": p,
            "n_control": 10031,
            "n_treatment": 9969,
            "is_goal": goal,
            "covers_truth": True,
            "adjusted_p_value": p if goal else None,
            "anytime_low": relative - 1.9 * half,
            "anytime_high": relative + 1.9 * half,
            "anytime_p_value": min(1.0, 9 * p),
            "posterior_chance_positive": 1 - p / 2,
            "role": "goal" if goal else "guardrail" if metric == "sessions_per_user" else "other",
        }

    return {
        "design": {
            "arms": ["original", "stylised"],
            "units": 20000,
            "slate": 10,
            "sessions": 5,
            "allocation": 0.5,
            "style_effect": 0.1,
            "guardrail_margin": 0.02,
            "seed": 7,
        },
        "truth": {
            "clicks_per_user": {"control": 3.2, "treatment": 3.337, "absolute": 0.137, "relative": 0.0428},
            "click_rate": {"control": 0.064, "treatment": 0.0667, "absolute": 0.0027, "relative": 0.0426},
            "sessions_per_user": {"control": 5, "treatment": 5, "absolute": 0, "relative": 0.0},
        },
        "results": [
            result("clicks_per_user", "Welch", 0.0467, 0.0213, goal=True, p=0.0000174),
            result("clicks_per_user", "CUPED", 0.0441, 0.0138, goal=True, p=4.2e-10),
            result("click_rate", "ratio (delta method)", 0.0452, 0.0201, goal=False, p=0.0000104),
            result("sessions_per_user", "Welch", -0.0031, 0.0127, goal=False, p=0.632),
        ],
        "srm": {"counts": [10031, 9969], "p_value": 0.661, "ok": True},
        "cuped": {"variance_ratio": 0.4193},
        "days": days(),
        "halves": HALVES,
        "checks": [
            {"name": "sample ratio", "p_value": 0.661, "problem": ""},
            {"name": "outcomes", "p_value": None, "problem": ""},
            {"name": "balance of pre_clicks", "p_value": 0.41, "problem": ""},
        ],
        "segments": [
            {
                "segment": "taste for the look",
                "level": "leans to it",
                "n": 6667,
                "relative": 0.0913,
                "low": 0.067,
                "high": 0.1156,
            },
            {
                "segment": "taste for the look",
                "level": "neutral",
                "n": 6666,
                "relative": 0.0412,
                "low": 0.017,
                "high": 0.0651,
            },
            {
                "segment": "taste for the look",
                "level": "leans away",
                "n": 6667,
                "relative": -0.0071,
                "low": -0.031,
                "high": 0.0167,
            },
            {
                "segment": "history",
                "level": "5 items or more",
                "n": 15230,
                "relative": 0.0471,
                "low": 0.031,
                "high": 0.063,
            },
            {
                "segment": "history",
                "level": "fewer than 5 items",
                "n": 4770,
                "relative": 0.0312,
                "low": -0.002,
                "high": 0.0645,
            },
        ],
        "assumption": "The simulator assumes that a look a user leans to raises the odds of a click; "
        "this rehearsal validates the analysis and is no evidence about real shoppers.",
        "decision": {
            "verdict": "ship",
            "rule": "Ship when the goal's interval lies above 0 and no guardrail's interval lies below −2%.",
            "because": [
                "clicks per user: +4.4% [3.1%, 5.8%], wholly above 0",
                "sessions per user: −0.31% [−1.6%, 1.0%], not below −2%",
            ],
        },
    }


def _item(i: int, rng: random.Random) -> dict[str, Any]:
    looks = []
    for look in LOOKS:
        accepted = rng.random() > 0.2
        scores = {name: round(high - rng.random() * 0.1, 4) for name, (_, high) in BOUNDS.items()}
        reason = "" if accepted else "product_delta_e 4.31 above 3"
        looks.append({"look": look, "accepted": accepted, "reason": reason, "scores": scores})
    title = f"{NOUNS[i % len(NOUNS)]} {i + 1}"
    return {
        "item_id": f"item-{i:03d}",
        "title": title,
        "category": CATEGORIES[i % len(NOUNS)],
        "looks": looks,
    }


def _person(i: int, rng: random.Random, items: int) -> dict[str, Any]:
    def entry() -> dict[str, Any]:
        j = rng.randrange(items)
        return {"item_id": f"item-{j:03d}", "title": f"{NOUNS[j % len(NOUNS)]} {j + 1}"}

    shown = []
    for rank in range(1, 9):
        look = rng.choice(("original", *LOOKS))
        told = {"presentation": look, "score": 3.0 / rank, "rank": rank, "cold": rank % 5 == 0}
        shown.append(entry() | told | {"reason": f"{look} fits", "why": f"Its colour speaks for it in row {rank}"})
    return {"user_id": f"user-{i:04d}", "history": [entry() for _ in range(6)], "recommendations": shown}


def _stage(stage: str, seconds: float, memory: float, work: int, unit: str) -> dict[str, Any]:
    found = {"stage": stage, "seconds": seconds, "peak_memory_mb": memory, "work": work, "unit": unit}
    return found | {"reused": False}
