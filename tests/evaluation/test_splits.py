"""Oracles: logs small enough to split by eye, and what must hold of any split of any log."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evaluation.splits import KINDS, SplitConfig, split
from recsys.data import Interactions
from recsys.errors import ConfigError, DataError

Row = tuple[str, str, int]


def log(rows: Iterable[Row], weight: Iterable[float] | None = None) -> Interactions:
    frame = pd.DataFrame(list(rows), columns=["user_id", "item_id", "day"])
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta(frame.pop("day"), unit="D")
    frame = frame.assign(timestamp=times)
    return Interactions.from_frame(frame if weight is None else frame.assign(weight=list(weight)))


def rows_of(interactions: Interactions) -> list[tuple[str, str]]:
    return list(interactions.frame[["user_id", "item_id"]].itertuples(index=False, name=None))


def test_time_puts_test_strictly_after_train_and_a_tied_moment_whole_into_train() -> None:
    rows = [("u", "a", 1), ("v", "a", 1), ("u", "b", 2), ("v", "c", 2), ("w", "a", 2), ("u", "d", 3), ("v", "d", 4)]
    for quantile in (0.4, 0.5, 0.6):  # all within day 2
        parts = split(log(rows), SplitConfig(quantile=quantile))
        assert rows_of(parts.train) == [("u", "a"), ("v", "a"), ("u", "b"), ("v", "c"), ("w", "a")]
        assert rows_of(parts.test) == [("u", "d"), ("v", "d")]
        assert parts.about["test_after_train"] is True
        assert (parts.about["train_last"], parts.about["test_first"]) == ("2024-01-03", "2024-01-04")


def test_leave_last_takes_n_rows_of_those_who_have_more() -> None:
    rows = [("u", "a", 1), ("u", "b", 2), ("u", "c", 3), ("v", "a", 1), ("v", "b", 9), ("w", "a", 5)]
    parts = split(log(rows), SplitConfig(kind="leave-last", n=2))
    assert rows_of(parts.test) == [("u", "b"), ("u", "c")]  # v has only two, w one: both stay whole
    assert sorted(rows_of(parts.train)) == [("u", "a"), ("v", "a"), ("v", "b"), ("w", "a")]
    assert parts.about["test_after_train"] is False  # v bought after u's test began
    assert parts.about["users_whose_test_starts_before_their_train_ends"] == 0


def test_leave_last_orders_a_tied_moment_the_same_way_whatever_the_input_order() -> None:
    rows = [("u", item, 1) for item in "dbca"]
    for order in (rows, rows[::-1], sorted(rows)):
        parts = split(log(order), SplitConfig(kind="leave-last"))
        assert rows_of(parts.test) == [("u", "d")]
        assert parts.about["users_whose_test_starts_as_their_train_ends"] == 1


def test_user_takes_the_later_half_of_a_share_of_users() -> None:
    rows = [(f"u{u}", f"i{i}", i) for u in range(10) for i in range(5)]
    parts = split(log(rows), SplitConfig(kind="user", share=0.3, seed=1))
    assert parts.test.frame["user_id"].nunique() == 3
    for _, mine in parts.test.frame.groupby("user_id"):
        assert mine["item_id"].tolist() == ["i3", "i4"]  # 5 // 2 rows; every user keeps a past
    assert parts.about["train_users"] == 10


def test_item_cold_holds_items_out_whole() -> None:
    rows = [(f"u{i % 7}", f"i{i % 10}", i) for i in range(200)]
    parts = split(log(rows), SplitConfig(kind="item-cold", share=0.3, seed=3))
    held = set(parts.test.frame["item_id"])
    assert len(held) == 3
    assert not held & set(parts.train.frame["item_id"])
    assert parts.about["cold_share_of_test_rows"] == 1.0
    assert parts.about["items_only_in_test"] == 3
    assert parts.about["test_after_train"] is False


def test_item_cold_needs_no_times() -> None:
    timeless = Interactions.from_frame(pd.DataFrame({"user_id": "u", "item_id": list("abcde")}))
    parts = split(timeless, SplitConfig(kind="item-cold"))
    assert len(parts.test) == 1
    assert parts.about["train_first"] is None


def test_none_keeps_everything_in_train() -> None:
    interactions = log([("u", "a", 1), ("v", "b", 2)])
    parts = split(interactions, SplitConfig(kind="none"))
    assert rows_of(parts.train) == rows_of(interactions)
    assert len(parts.test) == 0
    assert (parts.about["kind"], parts.about["test_rows"]) == ("none", 0)


def test_repeat_purchases_are_no_test_unless_they_are_wanted() -> None:
    rows = [("u", "a", 1), ("v", "a", 1), ("u", "b", 2), ("v", "b", 2), ("u", "a", 8), ("u", "c", 9), ("v", "b", 9)]
    parts = split(log(rows), SplitConfig(quantile=0.5))
    assert rows_of(parts.test) == [("u", "c")]
    assert parts.about["test_rows_repeating_train"] == 2
    assert parts.about["test_users_dropped"] == 1  # v only bought again
    again = split(log(rows), SplitConfig(quantile=0.5, exclude_seen=False))
    assert rows_of(again.test) == [("u", "a"), ("u", "c"), ("v", "b")]
    assert again.about["test_rows_repeating_train"] == 0
    assert again.about["repeats_are_relevant"] is True


def test_rows_of_zero_weight_are_no_evidence_on_either_side() -> None:
    rows = [("u", "a", 1), ("u", "b", 2), ("u", "a", 8), ("u", "c", 9)]
    parts = split(log(rows, weight=[0, 1, 1, 0]), SplitConfig(quantile=0.5))
    assert rows_of(parts.test) == [("u", "a")]  # a weightless view in train does not make it seen
    assert parts.about["test_rows_of_zero_weight"] == 1


def test_users_without_a_past_are_dropped_and_counted() -> None:
    rows = [("u", "a", 1), ("u", "b", 2), ("u", "c", 8), ("new", "a", 9), ("new", "z", 9)]
    parts = split(log(rows), SplitConfig(quantile=0.4))
    assert rows_of(parts.test) == [("u", "c")]
    assert parts.about["test_rows_of_unknown_users"] == 2
    assert parts.about["test_users_dropped"] == 1
    assert parts.about["test_items_dropped"] == 2


def test_a_row_with_two_faults_is_counted_once() -> None:
    rows = [("u", "a", 1), ("u", "b", 2), ("u", "c", 8), ("new", "a", 9)]
    about = split(log(rows, weight=[1, 1, 1, 0]), SplitConfig(quantile=0.4)).about
    assert (about["test_rows_of_zero_weight"], about["test_rows_of_unknown_users"]) == (1, 0)


def test_frames_made_by_hand_are_put_in_order() -> None:
    interactions = log([("u", item, day) for day, item in enumerate("abcde")])
    shuffled = Interactions(interactions.frame.sample(frac=1, random_state=0), interactions.rejected)
    parts = split(shuffled, SplitConfig(kind="leave-last"))
    assert rows_of(parts.test) == [("u", "e")]


ROWS = st.lists(
    st.tuples(st.sampled_from("uvwx"), st.sampled_from("abcdef"), st.integers(0, 6)), min_size=4, max_size=30
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 3))
def test_any_split_of_any_log(kind: str, rows: list[Row], seed: int) -> None:
    interactions = log(rows)
    config = SplitConfig(kind=kind, quantile=0.6, share=0.4, seed=seed)  # type: ignore[arg-type]
    try:
        parts = split(interactions, config)
    except DataError:
        assume(False)
    about = parts.about
    dropped = sum(about[f"test_rows_{why}"] for why in ("of_zero_weight", "of_unknown_users", "repeating_train"))
    assert len(parts.train) + len(parts.test) + dropped == len(interactions)  # nothing is lost uncounted
    assert not set(rows_of(parts.train)) & set(rows_of(parts.test))
    assert set(parts.test.frame["user_id"]) <= set(parts.train.frame["user_id"])
    assert len(parts.train.frame.merge(interactions.frame)) >= len(parts.train)
    if kind == "time":
        assert about["test_after_train"]
        assert parts.test.frame["timestamp"].min() > parts.train.frame["timestamp"].max()
    json.dumps(about, allow_nan=False)
    again = split(log(rows[::-1]), config)
    pd.testing.assert_frame_equal(again.test.frame, parts.test.frame)


@pytest.mark.realdata
def test_real_purchases_by_day(data_dir: Path) -> None:
    file = data_dir / "hm_fashion" / "transactions.csv.gz"
    columns = {"user_id": "user", "item_id": "article_id", "timestamp": "t_dat"}
    purchases = Interactions.read(file, columns=columns)
    parts = split(purchases, SplitConfig(quantile=0.8))
    raw = pd.read_csv(file, dtype=str).drop_duplicates()  # the oracle: the same split by pandas alone
    cut = raw["t_dat"].sort_values().iloc[int(0.8 * (len(raw) - 1))]
    train, test = raw[raw["t_dat"] <= cut], raw[raw["t_dat"] > cut]
    assert (parts.about["train_last"], len(parts.train)) == (cut, len(train))
    known = test[test["user"].isin(set(train["user"]))]
    assert parts.about["test_rows_of_unknown_users"] == len(test) - len(known)
    had = set(zip(train["user"], train["article_id"], strict=True))
    new = [pair for pair in zip(known["user"], known["article_id"], strict=True) if pair not in had]
    assert len(parts.test) == len(new)
    assert parts.about["test_rows_repeating_train"] == len(known) - len(new) > 0
    assert set(parts.test.frame["item_id"].str.len()) == {10}  # leading zeros survive


def test_splits_that_leave_nothing_say_why() -> None:
    with pytest.raises(DataError, match="leaves nothing in test of 1 rows"):
        split(log([("u", "a", 1)]), SplitConfig())
    with pytest.raises(DataError, match="leaves nothing in train of 2 rows"):
        split(log([("u", "a", 1), ("v", "a", 2)]), SplitConfig(kind="item-cold", share=0.9))
    with pytest.raises(DataError, match=r"none of the 1 test rows .* \(1 of unknown users, 1 test users dropped"):
        split(log([("u", "a", 1), ("v", "b", 2)]), SplitConfig(quantile=0.5))


@pytest.mark.parametrize("kind", ["time", "leave-last", "user"])
def test_times_are_needed_where_order_is(kind: str) -> None:
    timeless = Interactions.from_frame(pd.DataFrame({"user_id": ["u"], "item_id": ["a"]}))
    with pytest.raises(DataError, match=rf"split.kind = '{kind}' needs timestamps"):
        split(timeless, SplitConfig(kind=kind))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"quantile": 1.0}, "split.quantile must be between 0 and 1, got 1.0"),
        ({"share": 0}, "split.share must be between 0 and 1, got 0"),
        ({"share": np.nan}, "split.share must be between 0 and 1, got nan"),
        ({"n": 0}, "split.n must be >= 1, got 0"),
    ],
)
def test_settings_out_of_range(setting: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SplitConfig(**setting)  # type: ignore[arg-type]
