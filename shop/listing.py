"""What is asked for and what is listed: known customers by their ids, strangers by what they have or like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.data.recommendations import Recommendations
from recsys.errors import ConfigError, unknown_name
from recsys.models.requests import as_recommendations
from recsys.rerank.chain import Step, rerank
from recsys.rerank.rules import Exclude
from recsys.topk import Floats, Ints
from shop.search import Question
from shop.snapshot import Snapshot
from study.serving import CANDIDATES

LIKED = 20
"""Products that stand for what a stranger likes."""
NAMELESS = "stranger"


@dataclass(frozen=True, eq=False)
class Wish:
    """One request, checked.

    Attributes:
        user_id: A known customer's; of a stranger any name, or "".
        k: List length.
        exclude_seen: Leave out what the customer has.
        look: What the customer asked for; "": the policy chooses.
        history: Of a stranger.
        only: Indices of items that may be listed; None: all.
        hidden: Indices of items that may not.
    """

    user_id: str
    k: int
    exclude_seen: bool = True
    look: str = ""
    history: tuple[str, ...] | None = None
    only: Ints | None = None
    hidden: Ints | None = None


def wish_of(
    snapshot: Snapshot,
    user_id: str,
    *,
    k: int,
    exclude_seen: bool = True,
    allow: Sequence[str] | None = None,
    deny: Sequence[str] = (),
    look: str = "",
    history: Sequence[str] | None = None,
) -> Wish:
    """Check a request against what is served.

    Raises:
        ConfigError: There is no such look.
        UnknownIdError: A customer or item is unknown.
    """
    if look and look not in snapshot.looks:
        raise ConfigError(unknown_name("look", look, snapshot.looks))
    items = snapshot.fitted.items
    if history is None:
        if snapshot.place(user_id) < 0:
            snapshot.fitted.users.encode([user_id])
    else:
        items.encode(history)
    only = None if allow is None else items.encode(allow)
    if look:
        fitting = np.flatnonzero(snapshot.items.accepted[:, snapshot.looks.index(look)])
        only = fitting if only is None else np.intersect1d(only, fitting)
    hidden = items.encode(deny) if len(deny) else None
    past = None if history is None else tuple(history)
    return Wish(user_id, k, exclude_seen, look, past, None if only is None else np.unique(only), hidden)


def liked(snapshot: Snapshot, features: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The most chosen products with these values of catalogue columns: a history for who likes them.

    Raises:
        ConfigError: No such column, or no product has such values.
    """
    frame = snapshot.items.frame
    fits = np.ones(len(frame), bool)
    for column, values in features.items():
        if column not in frame.columns or column in ("item_id", "image"):
            known = [str(c) for c in frame.columns if c not in ("item_id", "image")]
            raise ConfigError(unknown_name("feature", column, known))
        fits &= frame[column].astype(str).isin([str(v) for v in values]).to_numpy()
    if not fits.any():
        raise ConfigError(f"no product has {dict(features)!r}; ask /v1/features for the values there are")
    chosen = np.bincount(snapshot.fitted.seen.indices, minlength=len(frame))
    order = np.lexsort((np.argsort(snapshot.search.order), -chosen))
    return tuple(snapshot.fitted.items.ids[order[fits[order]][:LIKED]])


def listed(snapshot: Snapshot, wishes: Sequence[Wish]) -> list[tuple[Ints, Floats]]:
    """The items and scores of each wish, by the study's own rules; at most `search.AT_ONCE` wishes."""
    known = [i for i, wish in enumerate(wishes) if wish.history is None]
    found: dict[int, tuple[Ints, Floats]] = {}
    if known:
        answers = snapshot.search.answer([_question(snapshot, wishes[i]) for i in known])
        found |= dict(zip(known, answers, strict=True))
    for i, wish in enumerate(wishes):
        if wish.history is not None:
            found[i] = _for_stranger(snapshot, wish)
    return [_ruled(snapshot, wish, *found[i]) for i, wish in enumerate(wishes)]


def _rules(snapshot: Snapshot) -> list[Step]:
    return [step for step in snapshot.steps if not isinstance(step, Exclude)]


def _length(snapshot: Snapshot, wish: Wish) -> int:
    return min(wish.k * (CANDIDATES if _rules(snapshot) else 1), len(snapshot.fitted.items))


def _question(snapshot: Snapshot, wish: Wish) -> Question:
    parts = [part for part in (wish.hidden, snapshot.denied) if part is not None]
    hidden = np.concatenate(parts) if parts else None
    return Question(snapshot.place(wish.user_id), _length(snapshot, wish), wish.exclude_seen, hidden, wish.only)


def _for_stranger(snapshot: Snapshot, wish: Wish) -> tuple[Ints, Floats]:
    items = snapshot.fitted.items
    parts = [part for part in (wish.hidden, snapshot.denied) if part is not None]
    found = snapshot.fitted.recommend_for(
        {wish.user_id or NAMELESS: wish.history or ()},
        k=_length(snapshot, wish),
        exclude_seen=wish.exclude_seen,
        allow=None if wish.only is None else list(items.ids[wish.only]),
        deny=list(items.ids[np.concatenate(parts)]) if parts else None,
    )
    return items.encode(found.item_id), found.score.astype(np.float32)


def _ruled(snapshot: Snapshot, wish: Wish, items: Ints, scores: Floats) -> tuple[Ints, Floats]:
    rules = _rules(snapshot)
    if not rules or snapshot.known is None:
        return items, scores
    ids = snapshot.fitted.items
    users = np.array([wish.user_id or NAMELESS], dtype=object)
    recs: Recommendations = as_recommendations(users, ids, items[None], scores[None])
    done = rerank(recs, rules, known=snapshot.known, k=wish.k).recommendations
    return ids.encode(done.item_id), done.score.astype(np.float32)
