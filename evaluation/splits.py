"""Past and future: how interactions are divided into what models learn from and what judges them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data.interactions import Interactions, require_times
from recsys.errors import ConfigError, DataError

POOL_NOTE = (
    "The candidates are the whole catalogue. If it was itself drawn from what was bought later, an item "
    "that nobody had bought before the split is known to be bought after it, which gives the answer away; "
    "judge warm and cold items apart."
)
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SplitConfig:
    """How to split.

    Attributes:
        kind: ``time``: everything after a moment is test; rows at that very moment are train, all of them.
            ``leave-last``: each user's last ``n`` rows; users with no more than ``n`` stay in train whole.
            ``user``: a share of users loses the later half of their rows.
            ``item-cold``: a share of items is held out whole.
            ``none``: no test.
            Rows of one moment are ordered by user and item, so the same log gives the same split.
        quantile: ``time``: share of rows that are train, in (0, 1).
        n: ``leave-last``: rows a user, >= 1.
        share: ``user`` and ``item-cold``: share held out, in (0, 1).
        exclude_seen: Leave out of test what the user already had in train, as recommenders leave it out of
            lists. False where repeat purchases are to be recommended and counted.
        seed: Of what is drawn.

    Example:
        >>> SplitConfig(quantile=80)
        Traceback (most recent call last):
        recsys.errors.ConfigError: split.quantile must be between 0 and 1, got 80; 0.8 is usual
    """

    kind: Literal["time", "leave-last", "user", "item-cold", "none"] = "time"
    quantile: float = 0.8
    n: int = 1
    share: float = 0.2
    exclude_seen: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name, usual in (("quantile", 0.8), ("share", 0.2)):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise ConfigError(f"split.{name} must be between 0 and 1, got {value}; {usual} is usual")
        if self.n < 1:
            raise ConfigError(f"split.n must be >= 1, got {self.n}; 1 holds out each user's last row")


@dataclass(frozen=True, eq=False)
class Split:
    """Interactions before and after.

    Attributes:
        train: What models learn from.
        test: What judges them: rows of positive weight, of users that train knows.
        about: Sizes, dates, what was dropped, and the checks made; plain values, for people and JSON.
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
        >>> parts.about["test_after_train"], parts.about["cold_share_of_test_rows"]
        (True, 1.0)
    """
    if config.kind in NEED_TIMES:
        require_times(interactions, f"split.kind = {config.kind!r}")
    frame = _in_order(interactions.frame)
    is_test = np.asarray(KINDS[config.kind](frame, config), dtype=bool)
    train, held = frame[~is_test], frame[is_test]
    kept, dropped = _usable(train, held, config)
    if config.kind != "none":
        _refuse_empty(train, held, kept, dropped)
    about = _sizes(config, train, kept) | dropped | _checks(train, kept) | {"candidates": POOL_NOTE}
    return Split(_with(interactions, train), _with(interactions, kept), about)


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """As `Interactions` promises; frames made by hand may differ."""
    times = frame["timestamp"]
    if times.is_monotonic_increasing or times.isna().any():
        return frame
    return frame.sort_values(["timestamp", "user_id", "item_id"], kind="stable")


def _by_time(frame: pd.DataFrame, config: SplitConfig) -> Mask:
    last = frame["timestamp"].quantile(config.quantile, interpolation="lower")
    return np.asarray(frame["timestamp"] > last)


def _leave_last(frame: pd.DataFrame, config: SplitConfig) -> Mask:
    from_the_end, size = _from_the_end(frame)
    return (from_the_end < config.n) & (size > config.n)


def _by_user(frame: pd.DataFrame, config: SplitConfig) -> Mask:
    from_the_end, size = _from_the_end(frame)
    return _drawn(frame["user_id"], config) & (from_the_end < size // 2)


def _item_cold(frame: pd.DataFrame, config: SplitConfig) -> Mask:
    return _drawn(frame["item_id"], config)


def _nothing(frame: pd.DataFrame, config: SplitConfig) -> Mask:
    return np.zeros(len(frame), dtype=bool)


KINDS: dict[str, Callable[[pd.DataFrame, SplitConfig], Mask]] = {
    "time": _by_time,
    "leave-last": _leave_last,
    "user": _by_user,
    "item-cold": _item_cold,
    "none": _nothing,
}
NEED_TIMES = ("time", "leave-last", "user")


def _from_the_end(frame: pd.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """How many rows of the same user follow each row, and how many the user has."""
    rows = frame.groupby("user_id", sort=False)["item_id"]
    following, size = rows.cumcount(ascending=False), rows.transform("size")
    return np.asarray(following, dtype=np.int64), np.asarray(size, dtype=np.int64)


def _drawn(ids: pd.Series, config: SplitConfig) -> Mask:
    """Rows of the ids that are drawn; which ones depends on the seed and the set of ids alone."""
    known = np.sort(ids.unique().astype(object))
    size = max(1, round(config.share * len(known)))
    chosen = np.random.default_rng(config.seed).choice(known, size=size, replace=False)
    return np.asarray(ids.isin(set(chosen)))


def _usable(train: pd.DataFrame, held: pd.DataFrame, config: SplitConfig) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Test rows that can judge a recommender, and how many cannot, each counted under the first reason."""
    keys = _pair_keys(pd.concat([train, held]))
    repeats = np.isin(keys[len(train) :], keys[: len(train)][np.asarray(train["weight"] > 0)])
    reasons = {
        "test_rows_of_zero_weight": np.asarray(held["weight"] <= 0),
        "test_rows_of_unknown_users": ~np.asarray(held["user_id"].isin(set(train["user_id"]))),
        "test_rows_repeating_train": repeats if config.exclude_seen else np.zeros(len(held), dtype=bool),
    }
    bad, dropped = np.zeros(len(held), dtype=bool), {}
    for name, rows in reasons.items():
        dropped[name] = int((rows & ~bad).sum())
        bad |= rows
    kept = held[~bad]
    lost = set(held["user_id"]) - set(kept["user_id"])
    return kept, {
        **dropped,
        "test_users_dropped": len(lost),
        "test_items_dropped": len(set(held["item_id"]) - set(kept["item_id"])),
        "repeats_are_relevant": not config.exclude_seen,
    }


def _pair_keys(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    """One integer for each distinct (user, item)."""
    user, _ = pd.factorize(frame["user_id"])
    item, items = pd.factorize(frame["item_id"])
    return np.asarray(user, np.int64) * len(items) + item


def _refuse_empty(train: pd.DataFrame, held: pd.DataFrame, kept: pd.DataFrame, dropped: dict[str, Any]) -> None:
    rows = len(train) + len(held)
    cure = "choose another quantile, n or share, or bring more data"
    if train.empty or held.empty:
        side = "train" if train.empty else "test"
        raise DataError(f"the split leaves nothing in {side} of {rows} rows; {cure}")
    if kept.empty:
        why = ", ".join(f"{v} {k.removeprefix('test_rows_').replace('_', ' ')}" for k, v in dropped.items() if v)
        raise DataError(f"none of the {len(held)} test rows can judge a recommender ({why}); {cure}")


def _sizes(config: SplitConfig, train: pd.DataFrame, test: pd.DataFrame) -> dict[str, Any]:
    return {
        "kind": config.kind,
        "train_rows": len(train),
        "test_rows": len(test),
        "train_users": int(train["user_id"].nunique()),
        "test_users": int(test["user_id"].nunique()),
        "train_items": int(train["item_id"].nunique()),
        "test_items": int(test["item_id"].nunique()),
        "train_first": _day(train["timestamp"].min()),
        "train_last": _day(train["timestamp"].max()),
        "test_first": _day(test["timestamp"].min()),
        "test_last": _day(test["timestamp"].max()),
    }


def _checks(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, Any]:
    """What could give the answer away: time running backwards, and items known only from the future."""
    if test.empty:
        return {}
    cold = ~test["item_id"].isin(set(train["item_id"]))
    first = test.groupby("user_id")["timestamp"].min()
    last = train.groupby("user_id")["timestamp"].max().reindex(first.index)
    return {
        "test_after_train": bool(test["timestamp"].min() > train["timestamp"].max()),
        "users_whose_test_starts_before_their_train_ends": int((first < last).sum()),
        "users_whose_test_starts_as_their_train_ends": int((first == last).sum()),
        "cold_share_of_test_rows": float(cold.mean()),
        "items_only_in_test": int(test.loc[cold, "item_id"].nunique()),
    }


def _with(interactions: Interactions, frame: pd.DataFrame) -> Interactions:
    return replace(interactions, frame=frame.reset_index(drop=True))


def _day(time: Any) -> str | None:
    return None if pd.isna(time) else str(time.date())
