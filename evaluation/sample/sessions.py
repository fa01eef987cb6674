"""Half a year of the sample store: slates, clicks and purchases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.sample.clicks import ClickModel
from evaluation.sample.draw import CATEGORIES
from evaluation.sample.palettes import STYLES
from evaluation.sample.people import DAYS, LIKINGS, START, TASTES

BLOCK = 2_000
"""Sessions handled at once: memory is BLOCK × items."""
BROWSING = 0.5
"""How strongly customers browse to the categories they like: exponent of the liking in slate weights."""
NEW_DAYS, NEW_BOOST = 21, 3.0
"""New products are shown more often, by this factor for this many days."""


@dataclass(frozen=True, eq=False)
class Log:
    """What happened.

    Attributes:
        impressions: user_id, session, timestamp, item_id, position (from 1), click (0/1), propensity: the
            probability that the shop drew this product for this position, given those above it
            (Plackett-Luce); multiplied over a slate, the slate's propensity.
        interactions: user_id, item_id, timestamp, weight (click 1, purchase 3), event; by time.
    """

    impressions: pd.DataFrame
    interactions: pd.DataFrame


def log_odds(items: pd.DataFrame, users: pd.DataFrame, clicks: ClickModel) -> npt.NDArray[np.float64]:
    """True attraction of every item for every user, (n_users, n_items) log-odds."""
    match = users[TASTES].to_numpy() @ items[list(STYLES)].to_numpy().T
    return clicks.log_odds(items["appeal"].to_numpy()[None], match, _liking(items, users), n_styles=len(STYLES))


def simulate_log(items: pd.DataFrame, users: pd.DataFrame, clicks: ClickModel, rng: np.random.Generator) -> Log:
    """Draw every session of every user.

    Args:
        items: From `make_items`; at least ``clicks.slate`` of them launched on the first day.
        users: From `make_users`.
        clicks: The click model.
        rng: Everything random.
    """
    user, day, second = _visits(users, rng)
    order = np.lexsort((second, day))
    user, day, second = user[order], day[order], second[order]
    attraction, liking = log_odds(items, users, clicks), _liking(items, users)
    age = day[:, None] - (items["launched"].to_numpy() - START).astype("timedelta64[D]").astype(int)[None]
    shown, propensity = [], []
    for start in range(0, len(user), BLOCK):
        rows = slice(start, start + BLOCK)
        boost = np.where(age[rows] < NEW_DAYS, NEW_BOOST, 1.0) * (age[rows] >= 0)
        boost[:, (age >= 0).all(axis=0)] = 1.0  # what was there on the first day is not new
        weight = items["traffic"].to_numpy()[None] * np.exp(BROWSING * liking[user[rows]]) * boost
        slate, chance = draw_slates(weight, clicks.slate, rng)
        shown.append(slate)
        propensity.append(chance)
    item = np.concatenate(shown)
    rank = np.arange(1, clicks.slate + 1)[None]
    odds = attraction[user[:, None], item]
    clicked = rng.random(item.shape) < clicks.clicks(odds, rank)
    bought = clicked & (rng.random(item.shape) < clicks.purchases(odds))
    when = START + (day * 86_400 + second).astype("timedelta64[s]")
    grid = _Sessions(users["user_id"].to_numpy()[user], items["item_id"].to_numpy()[item], when)
    return Log(_impressions(grid, clicked, np.concatenate(propensity)), _interactions(grid, clicked, bought, rng))


def draw_slates(
    weight: npt.NDArray[np.float64], size: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Draw a slate per row without replacement, proportionally to weight (Gumbel top-k; Kool et al. 2019).

    Args:
        weight: (n, n_items) >= 0; 0 is never drawn.
        size: Products per slate.
        rng: Source of the draws.

    Returns:
        (n, size) item positions and the probability of each draw given those before it.

    Example:
        >>> slate, chance = draw_slates(np.array([[1.0, 3.0, 0.0]]), 2, np.random.default_rng(0))
        >>> sorted(slate[0].tolist()), round(float(chance[0, 1]), 6)
        ([0, 1], 1.0)
    """
    with np.errstate(divide="ignore"):
        key = np.log(weight) + rng.gumbel(size=weight.shape)
    slate = np.argsort(-key, axis=1, kind="stable")[:, :size]
    drawn = np.take_along_axis(weight, slate, axis=1)
    left = weight.sum(axis=1, keepdims=True) - np.cumsum(drawn, axis=1) + drawn
    return slate, np.minimum(drawn / left, 1.0)


@dataclass(frozen=True, eq=False)
class _Sessions:
    """user (s,), item (s, slate) ids and the time (s,) of each session, in order of time."""

    user: npt.NDArray[np.object_]
    item: npt.NDArray[np.object_]
    when: npt.NDArray[np.datetime64]


def _liking(items: pd.DataFrame, users: pd.DataFrame) -> npt.NDArray[np.float64]:
    kind = pd.Categorical(items["category"], categories=list(CATEGORIES)).codes
    return np.asarray(users[LIKINGS].to_numpy()[:, kind])


def _visits(users: pd.DataFrame, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], ...]:
    """User, day and second of the day of every session; visits come by day, mostly in the evening."""
    user = np.repeat(np.arange(len(users)), users["sessions"].to_numpy())
    joined = users["joined"].to_numpy()[user]
    day = joined + np.floor(rng.random(len(user)) * (DAYS - joined)).astype(np.int64)
    second = np.clip(rng.normal(18.5, 3.5, len(user)), 6, 23.7) * 3600
    return user, day, second.astype(np.int64)


def _impressions(s: _Sessions, clicked: npt.NDArray[np.bool_], chance: npt.NDArray[np.float64]) -> pd.DataFrame:
    n, slate = s.item.shape
    return pd.DataFrame(
        {
            "user_id": np.repeat(s.user, slate),
            "session": np.repeat(np.arange(n), slate),
            "timestamp": np.repeat(s.when, slate),
            "item_id": s.item.ravel(),
            "position": np.tile(np.arange(1, slate + 1), n),
            "click": clicked.ravel().astype(np.int64),
            "propensity": np.maximum(np.round(chance.ravel(), 8), 1e-8),
        }
    )


def _interactions(
    s: _Sessions, clicked: npt.NDArray[np.bool_], bought: npt.NDArray[np.bool_], rng: np.random.Generator
) -> pd.DataFrame:
    """Clicks a few seconds down the page, purchases minutes later; nobody buys the same product twice."""
    n, slate = s.item.shape
    delay = 4 + 11 * np.arange(slate)[None] + rng.integers(0, 8, (n, slate))
    later = delay + rng.integers(60, 1500, (n, slate))
    frames = []
    for event, weight, rows, wait in (("click", 1, clicked, delay), ("purchase", 3, bought, later)):
        session, place = np.nonzero(rows)
        at = s.when[session] + wait[session, place].astype("timedelta64[s]")
        frames.append(
            pd.DataFrame(
                {
                    "user_id": s.user[session],
                    "item_id": s.item[session, place],
                    "timestamp": at,
                    "weight": weight,
                    "event": event,
                }
            )
        )
    frames[1] = frames[1].drop_duplicates(["user_id", "item_id"])
    log = pd.concat(frames, ignore_index=True)
    return log.sort_values(["timestamp", "user_id", "item_id"], kind="stable").reset_index(drop=True)
