"""Past and future: how interactions are divided into what models learn from and what judges them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.split_checks import leaks, refuse_empty, sizes, usable
from recsys.data.interactions import Interactions, require_times
from recsys.data.weighting import as_float32
from recsys.errors import ConfigError, DataError

Mask = npt.NDArray[np.bool_]
Strata = Mapping[str, str]


@dataclass(frozen=True)
class SplitConfig:
    """How to split.

    Attributes:
        kind: ``time``: everything after a moment is test; rows at that very moment are train, all of them.
            ``leave-last``: each user's last ``n`` rows; users with no more than ``n`` stay in train whole.
            ``user``: a share of users is held out whole (strong generalisation): the earlier half of their rows is
            folded in once models are trained, the later half is test; users with one row stay in train.
            ``item-cold``: a share of items is held out whole.
            ``random``: a share of the rows, whenever they were; compares with papers, and learns from the future.
            ``none``: no test.
            Rows of one moment are ordered by user and item, so the same log gives the same split.
        quantile: ``time``: share of rows that are train, in (0, 1).
        n: ``leave-last``: rows a user, >= 1.
        share: ``user``, ``item-cold`` and ``random``: share held out, in (0, 1).
        stratify: ``item-cold`` and ``random``: catalogue column of whose every value the same share is held out.
        exclude_seen: Leave out of test what the user already had in train, as recommenders leave it out of
            lists. False where repeat purchases are to be recommended and counted.
        seed: Of what is drawn.

    Example:
        >>> SplitConfig(quantile=80)
        Traceback (most recent call last):
        recsys.errors.ConfigError: split.quantile must be between 0 and 1, got 80; 0.8 is usual
    """

    kind: Literal["time", "leave-last", "user", "item-cold", "random", "none"] = "time"
    quantile: float = 0.8
    n: int = 1
    share: float = 0.2
    stratify: str = ""
    exclude_seen: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name, usual in (("quantile", 0.8), ("share", 0.2)):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise ConfigError(f"split.{name} must be between 0 and 1, got {value}; {usual} is usual")
        if self.n < 1:
            raise ConfigError(f"split.n must be >= 1, got {self.n}; 1 holds out each user's last row")
        if self.stratify and self.kind not in OF_ITEMS:
            raise ConfigError(
                f"split.stratify needs kind item-cold or random, got kind {self.kind!r}; leave stratify out"
            )


@dataclass(frozen=True, eq=False)
class Split:
    """Interactions before and after.

    Attributes:
        train: What models learn from.
        test: What judges them: rows of positive weight, of users that ``known`` knows.
        fold_in: ``user`` only, else empty: what is known of held-out users when lists are made for them.
        later_items: (m,) ids of all items held out, rows that cannot judge included.
        about: Sizes, dates, what was dropped, and the checks made; plain values, for people and JSON.
    """

    train: Interactions
    test: Interactions
    fold_in: Interactions
    later_items: npt.NDArray[Any]
    about: dict[str, Any]

    @cached_property
    def known(self) -> Interactions:
        """Train and what is folded in, in order: what is known when lists are made."""
        if not len(self.fold_in):
            return self.train
        return _with(self.train, _in_order(pd.concat([self.train.frame, self.fold_in.frame])))


def split(interactions: Interactions, config: SplitConfig, *, strata: Strata | None = None) -> Split:
    """Split as configured.

    Args:
        interactions: The log.
        config: How.
        strata: Item id (``user``: user id) → stratum; the same share of every stratum is drawn.

    Raises:
        ConfigError: ``strata`` for a kind that draws nothing, or missing where ``stratify`` asks for them.
        DataError: Timestamps are needed and missing, an id has no stratum, or a side is left empty.

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
    _check_strata(config, strata)
    frame = _in_order(interactions.frame)
    is_test, is_fold_in = KINDS[config.kind](frame, config, strata)
    return _divided(interactions, frame, is_test, is_fold_in, config)


def rolling(interactions: Interactions, config: SplitConfig, folds: int) -> tuple[Split, ...]:
    """Time folds that follow each other: each trains on everything before its window and is judged by the window.

    What comes after ``config.quantile`` of the rows is divided into ``folds`` windows of equally many rows (rows of
    one moment stay together). Numbers that differ from fold to fold say what the luck of one period does.

    Args:
        interactions: The log.
        config: Of kind ``time``.
        folds: How many, >= 1.

    Raises:
        ConfigError: Another kind, or ``folds`` is below 1.
        DataError: A fold is left empty.

    Example:
        >>> days = pd.date_range("2024-01-01", periods=6).astype(str)
        >>> log = pd.DataFrame({"user_id": "u", "item_id": list("abcdef"), "timestamp": days})
        >>> parts = rolling(Interactions.from_frame(log), SplitConfig(quantile=0.3), 2)
        >>> [(list(p.train.frame["item_id"]), list(p.test.frame["item_id"])) for p in parts]
        [(['a', 'b'], ['c', 'd']), (['a', 'b', 'c', 'd'], ['e', 'f'])]
    """
    if config.kind != "time" or folds < 1:
        raise ConfigError(f"rolling folds need split.kind time and folds >= 1, got {config.kind!r} and {folds}")
    require_times(interactions, "rolling folds")
    frame = _in_order(interactions.frame)
    shares = np.linspace(config.quantile, 1, folds + 1)
    cuts = [frame["timestamp"].quantile(share, interpolation="lower") for share in shares]
    found = []
    for number, (start, end) in enumerate(pairwise(cuts), 1):
        part = frame[frame["timestamp"] <= end]
        try:
            fold = _divided(interactions, part, np.asarray(part["timestamp"] > start), None, config)
        except DataError as error:
            raise DataError(f"fold {number} of {folds}: {error}; take fewer folds") from error
        found.append(replace(fold, about=fold.about | {"fold": number, "folds": folds}))
    return tuple(found)


def thinned(interactions: Interactions, fraction: float, *, seed: int) -> Interactions:
    """A random share of the rows as evidence; the others keep their place with weight 0, so ids stay the same.

    With one seed, smaller shares are part of larger ones: steps of a learning curve.

    Args:
        interactions: What models would learn from.
        fraction: In (0, 1].
        seed: Of the draw.

    Raises:
        ConfigError: ``fraction`` lies outside.
    """
    if not 0 < fraction <= 1:
        raise ConfigError(f"a training fraction must be in (0, 1], got {fraction}")
    frame = _in_order(interactions.frame)
    rank = np.random.default_rng(seed).permutation(len(frame))
    weight = frame["weight"].to_numpy(dtype=np.float64) * (rank < round(fraction * len(frame)))
    return _with(interactions, frame.assign(weight=as_float32(weight)))


def _divided(
    interactions: Interactions, frame: pd.DataFrame, is_test: Mask, is_fold_in: Mask | None, config: SplitConfig
) -> Split:
    fold = np.zeros(len(frame), dtype=bool) if is_fold_in is None else is_fold_in
    train, fold_in, held = frame[~is_test & ~fold], frame[fold], frame[is_test]
    known = frame[~is_test]
    kept, dropped = usable(known, held, exclude_seen=config.exclude_seen)
    if config.kind != "none":
        refuse_empty(train, held, kept, dropped)
    about = {"kind": config.kind} | sizes(train, fold_in, kept) | dropped | leaks(train, known, kept)
    later = np.asarray(held["item_id"].unique(), dtype=object)
    train_side, test_side, fold_in_side = (_with(interactions, part) for part in (train, kept, fold_in))
    return Split(train_side, test_side, fold_in_side, later, about)


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """As `Interactions` promises; frames made by hand may differ."""
    times = frame["timestamp"]
    if times.is_monotonic_increasing or times.isna().any():
        return frame
    return frame.sort_values(["timestamp", "user_id", "item_id"], kind="stable")


Sides = tuple[Mask, Mask | None]
"""Which rows are test, and which are folded in."""


def _by_time(frame: pd.DataFrame, config: SplitConfig, strata: Strata | None) -> Sides:
    last = frame["timestamp"].quantile(config.quantile, interpolation="lower")
    return np.asarray(frame["timestamp"] > last), None


def _leave_last(frame: pd.DataFrame, config: SplitConfig, strata: Strata | None) -> Sides:
    from_the_end, size = _from_the_end(frame)
    return (from_the_end < config.n) & (size > config.n), None


def _by_user(frame: pd.DataFrame, config: SplitConfig, strata: Strata | None) -> Sides:
    from_the_end, size = _from_the_end(frame)
    held = _drawn(frame["user_id"], config, strata) & (size > 1)
    later = from_the_end < size // 2
    return held & later, held & ~later


def _item_cold(frame: pd.DataFrame, config: SplitConfig, strata: Strata | None) -> Sides:
    return _drawn(frame["item_id"], config, strata), None


def _at_random(frame: pd.DataFrame, config: SplitConfig, strata: Strata | None) -> Sides:
    label = None if strata is None else _labels(frame["item_id"].to_numpy(dtype=object), strata)
    return _share_of_each(len(frame), label, config), None


def _nothing(frame: pd.DataFrame, config: SplitConfig, strata: Strata | None) -> Sides:
    return np.zeros(len(frame), dtype=bool), None


KINDS: dict[str, Callable[[pd.DataFrame, SplitConfig, Strata | None], Sides]] = {
    "time": _by_time,
    "leave-last": _leave_last,
    "user": _by_user,
    "item-cold": _item_cold,
    "random": _at_random,
    "none": _nothing,
}
NEED_TIMES = ("time", "leave-last", "user")
OF_ITEMS = ("item-cold", "random")
DRAWN = ("user", *OF_ITEMS)


def _check_strata(config: SplitConfig, strata: Strata | None) -> None:
    if strata is not None and config.kind not in DRAWN:
        raise ConfigError(f"split.kind = {config.kind!r} draws nothing; strata belong to {', '.join(DRAWN)}")
    if strata is None and config.stratify:
        raise ConfigError(f"split.stratify = {config.stratify!r} needs the strata of the items; pass strata=")


def _from_the_end(frame: pd.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """How many rows of the same user follow each row, and how many the user has."""
    rows = frame.groupby("user_id", sort=False)["item_id"]
    following, size = rows.cumcount(ascending=False), rows.transform("size")
    return np.asarray(following, dtype=np.int64), np.asarray(size, dtype=np.int64)


def _drawn(ids: pd.Series, config: SplitConfig, strata: Strata | None) -> Mask:
    """Rows of the ids that are drawn; which ones depends on the seed, the set of ids and their strata alone."""
    known = np.sort(ids.unique().astype(object))
    chosen = _share_of_each(len(known), None if strata is None else _labels(known, strata), config)
    return np.asarray(ids.isin(set(known[chosen])))


def _labels(ids: npt.NDArray[Any], strata: Strata) -> npt.NDArray[Any]:
    labels = pd.Series(ids).map(strata)
    if labels.isna().any():
        raise DataError(f"{int(labels.isna().sum())} ids have no stratum, first {ids[int(labels.isna().argmax())]!r}")
    return np.asarray(labels.astype(str), dtype=object)


def _share_of_each(n: int, label: npt.NDArray[Any] | None, config: SplitConfig) -> Mask:
    """A share of n, of each label alike; without labels at least one."""
    shuffled = np.random.default_rng(config.seed).permutation(n)
    chosen = np.zeros(n, dtype=bool)
    if label is None:
        chosen[shuffled[: max(1, round(config.share * n))]] = True
        return chosen
    group = pd.Series(label[shuffled])
    rank, size = group.groupby(group).cumcount().to_numpy(), group.groupby(group).transform("size").to_numpy()
    chosen[shuffled[rank < np.rint(config.share * size)]] = True
    return chosen


def _with(interactions: Interactions, frame: pd.DataFrame) -> Interactions:
    return replace(interactions, frame=frame.reset_index(drop=True))
