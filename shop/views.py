"""What templates are given: plain values, escaped by the template, never markup."""

from __future__ import annotations

from typing import Any

import numpy as np

from shop.answers import image_url
from shop.showing import Shown
from shop.snapshot import Snapshot
from study.explaining import WORDS

CHOICES = 60
"""Customers that the picker offers; any other id can be typed."""
LONG = 7
"""Reasons listed by themselves."""
NAMES = {"id": "this product itself", **WORDS, "magenta-style": "the style of its photo, seen otherwise"}
WIDEST = 2.5
"""Standard deviations at which a bar of the profile is full."""


def card_views(snapshot: Snapshot, shown: Shown) -> list[dict[str, Any]]:
    """The products of a list, each with both pictures."""
    chances = [None] * len(shown.items) if shown.propensity is None else shown.propensity.tolist()
    return [
        {
            "item": str(snapshot.fitted.items.ids[item]),
            "title": snapshot.title(item),
            "category": snapshot.text("category", item),
            "price": snapshot.price(item),
            "look": snapshot.looks[look],
            "is_styled": look > 0,
            "image": image_url(snapshot, item, look),
            "original": image_url(snapshot, item, 0),
            "position": position,
            "propensity": chance,
            "reason": reason,
        }
        for position, (item, look, chance, reason) in enumerate(
            zip(shown.items.tolist(), shown.look.tolist(), chances, shown.reasons, strict=True)
        )
    ]


def look_views(snapshot: Snapshot, item: int) -> list[dict[str, Any]]:
    """Every look of a product."""
    return [
        {
            "look": look,
            "accepted": bool(snapshot.items.accepted[item, column]),
            "reason": str(snapshot.items.refusal[item, column]) or "there is no such picture",
            "image": image_url(snapshot, item, column),
        }
        for column, look in enumerate(snapshot.looks)
    ]


def profile_view(snapshot: Snapshot, style: dict[str, Any]) -> dict[str, Any]:
    """A customer's taste: a bar from the middle for every look, favourite categories, and what they have."""
    bars = []
    for look, value in sorted(style["lean"].items(), key=lambda pair: -pair[1]):
        width = round(min(abs(value) / WIDEST, 1) * 50, 1)
        words = "more" if value > 0 else "less"
        bars.append(
            {
                "look": look,
                "value": value,
                "x": 50 if value > 0 else round(50 - width, 1),
                "width": width,
                "words": f"{abs(value):.1f} standard deviations {words} than the average customer",
            }
        )
    places = snapshot.fitted.items.encode(style["history"][:8])
    past = [{"title": snapshot.title(int(p)), "image": image_url(snapshot, int(p), 0)} for p in places]
    return {
        "segment": style["segment"],
        "bars": bars,
        "categories": list(style["categories"].items())[:4],
        "past": [p for p in past if p["image"]],
        "n": sum(style["categories"].values()),
    }


def user_choices(snapshot: Snapshot) -> list[str]:
    """Customers with a history, in the model's order."""
    return [str(user) for user in snapshot.fitted.users.ids[np.flatnonzero(snapshot.has_history)[:CHOICES]]]


def why_view(snapshot: Snapshot, why: dict[str, Any]) -> dict[str, Any]:
    """An explanation as rows of bars around a middle; small parts are put together."""
    parts = why["parts"]
    rows = [(_called(part), float(part["value"])) for part in parts[:LONG]]
    if len(parts) > LONG:
        rows.append((f"{len(parts) - LONG} smaller reasons together", sum(float(p["value"]) for p in parts[LONG:])))
    widest = max((abs(value) for _, value in rows), default=0.0) or 1.0
    bars = []
    for name, value in rows:
        width = round(abs(value) / widest * 50, 1)
        bars.append({"name": name, "value": value, "x": 50 if value >= 0 else round(50 - width, 1), "width": width})
    return {"words": why["text"], "bars": bars, "score": why["score"]}


def _called(part: dict[str, Any]) -> str:
    if part.get("title"):
        return f"you chose {part['title']}"
    name = str(part["name"])
    named = NAMES.get(name, name.replace("=", ": "))
    if part["kind"] == "item bias":
        return "how popular it is" if name == "id" else f"popularity of {named}"
    words = {
        "user bias": "how much this customer chooses",
        "average user": "what most customers like",
        "common": "what most customers like",
        "rest": "left by training",
    }
    return words.get(part["kind"], named)
