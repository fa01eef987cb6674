"""An explanation in two sentences that a customer understands.

What speaks for an item is what it gains beyond the average item: what all items share explains nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from recsys.explain.contributions import EVERYONE, Term

if TYPE_CHECKING:
    from recsys.explain.explanation import Explanation

Titles = Mapping[str, str]
NAMED = 3
"""Past items named at most; those that give less than a third of what the first gives are not."""
FEATURES = 2
"""Features named at most."""
SLIGHT = 0.1
"""Of what the first reason gives: a second one that gives less is not worth a sentence."""


def sentences(explained: Explanation, titles: Titles, words: Titles, bought: str) -> str:
    """What speaks for the item most, and what else.

    Args:
        explained: The explanation.
        titles: Item id → title.
        words: Feature → what customers call it.
        bought: What an interaction is.
    """
    reasons = _reasons(explained, titles, words, bought)
    title = titles.get(explained.item, explained.item)
    if not reasons:
        return (
            f"Nothing we know of you speaks for {title} more than for other products. It scores below the average one."
        )
    lead = f"Mostly because {reasons[0]}."
    liked = _liked(explained, words)
    if liked:
        return f"{lead} It also fits your liking for {_listed(liked)}."
    if len(reasons) > 1:
        return f"{lead} Also because {reasons[1]}."
    return f"{lead} Nothing else speaks for {title} more than for other products."


def _reasons(explained: Explanation, titles: Titles, words: Titles, bought: str) -> list[str]:
    """Clauses, the strongest first; only what speaks for the item."""
    table = explained.table
    gain = table.values.sum(axis=1) - table.usual
    groups: dict[str, float] = {}
    for term, value in zip(table.users, gain, strict=True):
        groups[term.kind] = groups.get(term.kind, 0.0) + float(value)
    clauses: dict[str, Callable[[], str]] = {
        "past item": lambda: f"you {bought} {_listed(_named(table.users, gain, titles))}",
        "everyone": lambda: "many customers choose it",
        "id": lambda: "customers who choose as you do like it",
        "feature": lambda: f"it suits customers like you ({_listed(_features(table.users, gain, words))})",
        "common": lambda: "most customers like it",
        "average user": lambda: "most customers like it, and of your own taste we know nothing yet",
        "rest": lambda: "customers who choose as you do like it",
    }
    enough = SLIGHT * max(0.0, *groups.values())
    found = [clauses[k]() for k, value in sorted(groups.items(), key=lambda g: -g[1]) if value > enough]
    return list(dict.fromkeys(found))


def _named(terms: Sequence[Term], gain: Sequence[float], titles: Titles) -> list[str]:
    values = {t.name: float(g) for t, g in zip(terms, gain, strict=True) if t.kind == "past item" and g > 0}
    best = sorted(values, key=lambda name: -values[name])[:NAMED]
    return [titles.get(name, name) for name in best if values[name] >= values[best[0]] / 3]


def _features(terms: Sequence[Term], gain: Sequence[float], words: Titles) -> list[str]:
    values = {t.name: float(g) for t, g in zip(terms, gain, strict=True) if t.kind == "feature" and g > 0}
    return [called(name, words) for name in sorted(values, key=lambda n: -values[n])[:FEATURES]]


def _liked(explained: Explanation, words: Titles) -> list[str]:
    """The features of the item that the user's own terms like."""
    table = explained.table
    own = np.array([t != EVERYONE for t in table.users])
    return list(dict.fromkeys(_features(table.items, table.values[own].sum(axis=0), words)))


def called(name: str, words: Titles) -> str:
    """What customers call a feature.

    Example:
        >>> called("category=bag", {}), called("gram", {"gram": "its style"}), called("price", {})
        ('bag (category)', 'its style', 'price')
    """
    block, _, column = name.partition("=")
    return words.get(name, f"{column} ({words.get(block, block)})" if column else name)


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
