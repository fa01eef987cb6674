"""The sample store's products and customers, before anything is drawn or sold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.sample.clicks import ClickModel
from evaluation.sample.draw import CATEGORIES
from evaluation.sample.palettes import STYLES
from recsys.files import safe_name

START = np.datetime64("2024-01-01T00:00:00", "s")
DAYS = 182
AWKWARD = ("0001e5", "NA", "000000")
"""Legal ids that careless readers turn into a number, a gap or nothing."""
TASTES = [f"taste_{s}" for s in STYLES]
LIKINGS = [f"likes_{c}" for c in CATEGORIES]


def make_items(n: int, clicks: ClickModel, rng: np.random.Generator) -> pd.DataFrame:
    """The catalogue and its truth.

    Args:
        n: Number of products, >= 20.
        clicks: Gives the spread of appeals.
        rng: Everything random.

    Returns:
        item_id, title, category, price, image, launched, main_style, one share per style (summing
        to 1), appeal, traffic (relative popularity in the slates).

    Example:
        >>> make_items(20, ClickModel(), np.random.default_rng(0))["item_id"].iloc[:2].tolist()
        ['0001e5', 'NA']
    """
    ids = [
        *AWKWARD,
        *(f"{i:06d}" for i in rng.choice(np.arange(100, 99_999), n - len(AWKWARD), replace=False)),
    ]
    shares = np.array([c.share for c in CATEGORIES.values()])
    counts = np.floor(shares / shares.sum() * n + 1e-9).astype(int)
    spare = np.argsort(-(shares / shares.sum() * n - counts), kind="stable")[: n - counts.sum()]
    counts[spare] += 1
    kinds = rng.permutation(np.repeat(np.array(list(CATEGORIES)), counts))
    main = rng.permutation(np.arange(n) % len(STYLES))
    appeal = rng.normal(0, clicks.appeal, n)
    number = pd.Series(kinds).groupby(kinds).cumcount().to_numpy() + 1
    price = np.array([CATEGORIES[k].price for k in kinds]) * rng.lognormal(0, 0.35, n)
    frame = {
        "item_id": np.array(ids, dtype=object),
        "title": [f"{CATEGORIES[k].title} No. {i}" for k, i in zip(kinds, number, strict=True)],
        "category": kinds.astype(object),
        "price": np.round(price, 0) - 0.05,
        "image": [f"{safe_name(i)}.jpg" for i in ids],
        "launched": START + _launch_days(n, rng).astype("timedelta64[D]"),
        "main_style": np.array(STYLES, dtype=object)[main],
        **dict(zip(STYLES, _mixtures(main, rng).T, strict=True)),
        "appeal": appeal,
        "traffic": np.exp(0.7 * appeal / max(clicks.appeal, 1e-9) + rng.normal(0, 0.7, n)),
    }
    return pd.DataFrame(frame)


def _mixtures(main: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    share = rng.beta(14, 2, len(main))
    rest = rng.dirichlet(np.ones(len(STYLES) - 1), len(main)) * (1 - share)[:, None]
    mixture = np.zeros((len(main), len(STYLES)))
    for style in range(len(STYLES)):
        rows = main == style
        mixture[rows, style] = share[rows]
        mixture[np.ix_(rows, np.arange(len(STYLES)) != style)] = rest[rows]
    return mixture


def _launch_days(n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Most products are there from the start, some arrive in between, a new season comes at the end."""
    kind = np.repeat([0, 1, 2], [n - n // 5 - n * 23 // 100, n // 5, n * 23 // 100])
    kind = np.concatenate([kind[: len(AWKWARD)], rng.permutation(kind[len(AWKWARD) :])])
    low, high = np.array([0, 7, 142])[kind], np.array([1, 135, 166])[kind]
    days = rng.integers(low, high)
    return np.asarray(days, np.int64)


def make_users(n: int, clicks: ClickModel, rng: np.random.Generator) -> pd.DataFrame:
    """The customers and their truth.

    Returns:
        user_id, one taste per style (summing to 1), one liking per category (log-odds), sessions (how many
        over the whole time), joined (day).
    """
    taste = rng.dirichlet(np.full(len(STYLES), 0.35), n)
    liking = rng.normal(0, clicks.category, (n, len(CATEGORIES)))
    return pd.DataFrame(
        {
            "user_id": np.array([f"{i:05d}" for i in rng.permutation(n) + 1], dtype=object),
            **dict(zip(TASTES, taste.T, strict=True)),
            **dict(zip(LIKINGS, liking.T, strict=True)),
            "sessions": np.maximum(np.round(rng.lognormal(np.log(17), 0.5, n)), 3).astype(np.int64),
            "joined": np.where(rng.random(n) < 0.7, 0, rng.integers(0, 120, n)),
        }
    )
