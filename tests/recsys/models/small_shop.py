"""The small shop models are tested on, and what it has become a season later."""

from __future__ import annotations

import numpy as np

from recsys.data.dataset import Dataset
from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.models.fitted import FittedModel

COLD_ITEMS = [30, 31, 32, 33]
COLD_USER = "user 11"
"""Known, but with one interaction of weight 0: no evidence of anything."""


def feature_table(items: IdMap, seed: int = 1) -> FeatureTable:
    """An embedding of two tastes, a one-hot category and a numeric column."""
    rng = np.random.default_rng(seed)
    taste = np.arange(len(items)) % 2
    look = rng.normal(size=(len(items), 12)) * 0.3 + np.where(taste[:, None] == 0, 1, -1)
    return FeatureTable(
        items,
        (
            FeatureBlock("look", look.astype(np.float32)),
            FeatureBlock.one_hot("category", [("bag", "shoe", "")[i % 3] for i in range(len(items))]),
            FeatureBlock("price", rng.gamma(2, 10, (len(items), 1)).astype(np.float32), columns=("price",)),
        ),
    )


def shop(n_users: int = 12, n_items: int = 34, seed: int = 0) -> Dataset:
    """Users of two tastes who buy items of theirs; some items cold, one user without evidence."""
    rng = np.random.default_rng(seed)
    users = IdMap.of([f"user {u}" for u in range(n_users)])
    items = IdMap.of(["../../x", "👗", "0108775015", *(f"item {i}" for i in range(3, n_items))])
    pairs = [
        (u, i) for u in range(n_users - 1) for i in range(min(30, n_items)) if i % 2 == u % 2 and rng.random() < 0.6
    ]
    pairs += pairs[::7]  # bought again
    user_idx, item_idx = np.array([*pairs, (n_users - 1, min(5, n_items - 1))], dtype=np.int64).T
    weight = np.ones(len(user_idx), np.float32)
    weight[-1] = 0
    days = rng.integers(0, 100, len(user_idx)).astype("timedelta64[D]")
    timestamp = np.datetime64("2020-01-01", "ns") + days
    return Dataset(users, items, user_idx, item_idx, weight, timestamp, feature_table(items), FeatureTable(users))


def arrays_equal(a: FittedModel, b: FittedModel) -> bool:
    """Bit for bit."""
    left, right = a.arrays(), b.arrays()
    return left.keys() == right.keys() and all(np.array_equal(left[k], right[k]) for k in left)


def later_shop() -> Dataset:
    """The shop with two users and two items gone, two of each new, all in another order, and one more purchase.

    ``new fan`` has the even items below 12 and ``new item 34``, ``new nobody`` only an interaction of weight 0.
    ``user 0`` bought one more thing; all other histories are what they were.
    """
    before = shop()
    users = IdMap.of([*(f"user {u}" for u in range(11, 1, -1)), "new fan", "user 0", "new nobody"])
    items = IdMap.of(
        [i for i in (*before.items.ids[::-1], "new item 34", "new item 35") if i not in ("item 7", "item 31")]
    )
    log = [
        (before.users.ids[u], before.items.ids[i], w)
        for u, i, w in zip(before.user_idx, before.item_idx, before.weight, strict=True)
    ]
    log += [("new fan", before.items.ids[i], 1) for i in range(0, 12, 2)] + [("new fan", "new item 34", 1)]
    log += [("new nobody", "item 4", 0), ("user 0", one_more(before), 1)]
    log = [entry for entry in log if entry[0] in users and entry[1] in items]
    every = IdMap.of([*before.items.ids, "new item 34", "new item 35"])
    return Dataset(
        users,
        items,
        users.encode([u for u, _, _ in log]),
        items.encode([i for _, i, _ in log]),
        np.array([w for *_, w in log], np.float32),
        np.full(len(log), np.datetime64("2020-05-01", "ns")),
        feature_table(every).align(items),
        FeatureTable(users),
    )


def one_more(before: Dataset) -> str:
    """An even item ``user 0`` does not have yet."""
    has = before.matrix.toarray()[0] > 0
    return str(before.items.ids[next(i for i in range(8, 30, 2) if not has[i])])


def histories(data: Dataset) -> dict[str, list[str]]:
    """What users have, each item as often as bought."""
    counts = data.matrix.toarray().astype(int)
    return {str(u): [str(i) for i in np.repeat(data.items.ids, row)] for u, row in zip(data.users, counts, strict=True)}
