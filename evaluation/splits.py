"""Past and future: how interactions are divided into what models learn from and what judges them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from recsys.data.interactions import Interactions, require_times
from recsys.errors import ConfigError, DataError

POOL_NOTE = (
    "The candidates are the whole catalogue. If it was itself drawn from what was bought later, an item nobody had "
    "bought before the split is known to be bought after it; judge warm and cold items apart."
)


@dataclass(frozen=True)
class SplitConfig:
    """How to split.

    Attributes:
        kind: ``time`` (everything after a date is test), ``leave-last`` (each user's last ``n``), ``user`` (a share
            of users loses the later half of their rows), ``item-cold`` (a share of items is held out whole), ``none``.
        quantile: ``time``: share of rows that are train, in (0, 1).
        n: ``leave-last``: rows a user, >= 1.
        share: ``user`` and ``item-cold``: share held out, in (0, 1).
        seed: Of what is drawn.
    """

    kind: Literal["time", "leave-last", "user", "item-cold", "none"] = "time"
    quantile: float = 0.8
    n: int = 1
    share: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("quantile", "share"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"split.{name} must be between 0 and 1, got {getattr(self, name)}; 0.8 is usual")
        if self.n < 1:
            raise ConfigError(f"split.n must be >= 1, got {self.n}")


@dataclass(frozen=True, eq=False)
class Split:
    """Interactions before and after.

    Attributes:
        train: What models learn from.
        test: What came later, of users that train knows; repeats of a train pair are left out.
        about: Sizes, dates, what was dropped, and the checks that were made.
    """

    train: Interactions
    test: Interactions
    about: dict[str, Any]


def split(interactions: Interactions, config: SplitConfig) -> Split:
    """Split as configured.

    Raises:
        DataError: Timestamps are needed and missing, or a side is left empty.

    Example:
        >>> days = pd.date_range("2024-01-01", periods=5).astype(str)
        >>> log = pd.DataFrame({"user_id": "u", "item_id": list("abcde"), "timestamp": days})
        >>> parts = split(Interactions.from_frame(log), SplitConfig(quantile=0.6))
        >>> list(parts.train.frame["item_id"]), list(parts.test.frame["item_id"])
        (['a', 'b', 'c'], ['d', 'e'])
    """
    if config.kind == "none":
        raise ConfigError("split.kind = 'none' has no test side; choose time, leave-last, user or item-cold")
    if config.kind in ("time", "leave-last", "user"):
        require_times(interactions, f"split.kind = {config.kind!r}")
    frame = interactions.frame
    is_test = np.asarray(KINDS[config.kind](frame, config), dtype=bool)
    train, test = frame[~is_test], frame[is_test]
    known = test["user_id"].isin(set(train["user_id"]))
    pairs = pd.MultiIndex.from_frame(test[["user_id", "item_id"]])
    repeat = pairs.isin(pd.MultiIndex.from_frame(train[["user_id", "item_id"]]))
    kept = test[known.to_numpy() & ~repeat]
    if train.empty or kept.empty:
        side = "train" if train.empty else "test (users that train knows, items they had not had)"
        raise DataError(f"the split leaves nothing in {side}; {len(frame)} rows in all; choose another quantile, n or share")
    dropped = {"test_rows_of_unknown_users": int((~known).sum()), "test_rows_repeating_train": int((known.to_numpy() & repeat).sum())}
    about = _about(config, train, kept) | dropped
    return Split(replace(interactions, frame=train.reset_index(drop=True)), replace(interactions, frame=kept.reset_index(drop=True)), about)


def _by_time(frame: pd.DataFrame, config: SplitConfig) -> pd.Series:
    cut = frame["timestamp"].quantile(config.quantile, interpolation="lower")
    return frame["timestamp"] > cut


def _leave_last(frame: pd.DataFrame, config: SplitConfig) -> pd.Series:
    from_the_end = frame.groupby("user_id").cumcount(ascending=False)
    return (from_the_end < config.n) & (frame.groupby("user_id")["item_id"].transform("size") > config.n)


def _by_user(frame: pd.DataFrame, config: SplitConfig) -> pd.Series:
    users = np.sort(frame["user_id"].unique().astype(object))
    rng = np.random.default_rng(config.seed)
    held = rng.choice(users, size=max(1, round(config.share * len(users))), replace=False)
    position = frame.groupby("user_id").cumcount() + 1
    return frame["user_id"].isin(set(held)) & (position > frame.groupby("user_id")["item_id"].transform("size") / 2)


def _item_cold(frame: pd.DataFrame, config: SplitConfig) -> pd.Series:
    items = np.sort(frame["item_id"].unique().astype(object))
    rng = np.random.default_rng(config.seed)
    return frame["item_id"].isin(set(rng.choice(items, size=max(1, round(config.share * len(items))), replace=False)))


KINDS: dict[str, Callable[[pd.DataFrame, SplitConfig], pd.Series]] = {
    "time": _by_time,
    "leave-last": _leave_last,
    "user": _by_user,
    "item-cold": _item_cold,
}


def _about(config: SplitConfig, train: pd.DataFrame, test: pd.DataFrame) -> dict[str, Any]:
    cold = ~test["item_id"].isin(set(train["item_id"]))
    return {
        "kind": config.kind,
        "train_rows": len(train),
        "test_rows": len(test),
        "train_users": int(train["user_id"].nunique()),
        "test_users": int(test["user_id"].nunique()),
        "train_items": int(train["item_id"].nunique()),
        "test_items": int(test["item_id"].nunique()),
        "cold_share_of_test_rows": float(cold.mean()),
        "train_last": _day(train["timestamp"].max()),
        "test_first": _day(test["timestamp"].min()),
        "test_after_train": bool(test["timestamp"].min() > train["timestamp"].max()),
        "candidates": POOL_NOTE,
    }


def _day(time: Any) -> str | None:
    return None if pd.isna(time) else str(time.date())
