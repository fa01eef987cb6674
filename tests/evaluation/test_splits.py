"""Oracles: logs small enough to split by eye, and what must hold of any split of any log."""

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evaluation.split_checks import Fit, fit_leaks, fit_notes
from evaluation.splits import KINDS, SplitConfig, rolling, split, thinned
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


def test_user_holds_users_out_whole_and_folds_their_earlier_half_in() -> None:
    rows = [(f"u{u}", f"i{i}", i) for u in range(10) for i in range(5)] + [("single", "i0", 9)]
    parts = split(log(rows), SplitConfig(kind="user", share=0.3, seed=1))
    held = set(parts.test.frame["user_id"])
    assert len(held - {"single"}) >= 2
    assert not held & set(parts.train.frame["user_id"])  # strong generalisation: nothing of them is learned from
    assert "single" in set(parts.train.frame["user_id"])  # one row cannot be halved
    for side, items in ((parts.fold_in, ["i0", "i1", "i2"]), (parts.test, ["i3", "i4"])):  # 5 // 2 rows
        mine = side.frame.groupby("user_id")["item_id"].apply(list)
        assert mine.to_dict() == dict.fromkeys(held, items)
    assert len(parts.known) == len(parts.train) + len(parts.fold_in)
    assert parts.known.frame["timestamp"].is_monotonic_increasing
    assert parts.about["fold_in_rows"] == 3 * len(held)
    assert parts.about["users_whose_test_starts_before_their_train_ends"] == 0


def test_random_takes_a_share_of_the_rows_and_warns() -> None:
    rows = [(f"u{i % 7}", f"i{i % 10}", i) for i in range(200)]
    parts = split(log(rows), SplitConfig(kind="random", share=0.25, seed=3, exclude_seen=False))
    assert (len(parts.train), len(parts.test)) == (150, 50)
    past, future = (set(p.frame["timestamp"]) for p in (parts.train, parts.test))
    assert not past & future
    share = (parts.test.frame["timestamp"] <= parts.train.frame["timestamp"].max()).mean()
    assert parts.about["share_of_test_rows_not_after_train"] == share > 0.9
    assert "learn from other customers' future" in parts.about["warnings"][0]
    assert parts.about["warnings"][1].startswith("7 of 7 test users have train rows later than their first test row")
    other = split(log(rows), SplitConfig(kind="random", share=0.25, seed=4, exclude_seen=False))
    assert set(other.test.frame["timestamp"]) != future


def test_time_warns_of_nothing() -> None:
    rows = [(f"u{i % 7}", f"i{i}", i) for i in range(200)]
    assert split(log(rows), SplitConfig()).about["warnings"] == []


@pytest.mark.parametrize("kind", ["item-cold", "random"])
def test_strata_lose_the_same_share(kind: str) -> None:
    strata = {f"i{i:03d}": "few" if i < 10 else "many" for i in range(100)}
    rows = [(f"u{i % 7}", f"i{i % 100:03d}", i) for i in range(400)]
    config = SplitConfig(kind=kind, share=0.2, stratify="size", exclude_seen=False, seed=5)  # type: ignore[arg-type]
    held = split(log(rows), config, strata=strata).test.frame["item_id"]
    units = pd.Series(held.unique() if kind == "item-cold" else held).map(strata).value_counts()
    each = 1 if kind == "item-cold" else 4  # rows an item
    assert units.to_dict() == {"many": 18 * each, "few": 2 * each}
    unstratified = [
        (split(log(rows), SplitConfig(kind="item-cold", seed=s)).test.frame["item_id"] < "i010").mean()
        for s in range(9)
    ]
    assert len(set(unstratified)) > 1  # chance alone does not


def test_users_can_be_stratified_too() -> None:
    rows = [(f"u{u:02d}", f"i{i}", i) for u in range(40) for i in range(4)]
    strata = {f"u{u:02d}": "new" if u < 10 else "old" for u in range(40)}
    held = split(log(rows), SplitConfig(kind="user", share=0.2), strata=strata).test.frame["user_id"]
    assert pd.Series(held.unique()).map(strata).value_counts().to_dict() == {"old": 6, "new": 2}


def test_strata_where_they_do_not_belong() -> None:
    rows = log([("u", "a", 1), ("u", "b", 2)])
    with pytest.raises(ConfigError, match="stratify needs kind item-cold or random, got kind 'time'"):
        SplitConfig(stratify="category")
    with pytest.raises(ConfigError, match="'time' draws nothing"):
        split(rows, SplitConfig(), strata={"a": "x", "b": "x"})
    with pytest.raises(ConfigError, match="needs the strata of the items"):
        split(rows, SplitConfig(kind="random", stratify="category"))
    with pytest.raises(DataError, match="1 ids have no stratum, first 'b'"):
        split(rows, SplitConfig(kind="random", stratify="category"), strata={"a": "x"})


def test_rolling_folds_follow_each_other() -> None:
    rows = [(f"u{i % 5}", f"i{i}", i // 2) for i in range(100)]  # two rows a moment
    folds = rolling(log(rows), SplitConfig(quantile=0.4), 3)
    assert [p.about["fold"] for p in folds] == [1, 2, 3]
    ends = [0.4, 0.6, 0.8, 1.0]  # of 50 moments, the last row of a share's lower neighbour included
    for part, start, end in zip(folds, ends[:-1], ends[1:], strict=True):
        days = part.test.frame["timestamp"]
        assert part.train.frame["timestamp"].max() < days.min()
        assert len(part.train) == pytest.approx(100 * start, abs=2)
        assert len(part.test) == pytest.approx(100 * (end - start), abs=4)
    for before, after in pairwise(folds):  # nothing is skipped between a window and the next train side
        assert len(before.train) + len(before.test) == len(after.train)
    with pytest.raises(ConfigError, match=r"need split\.kind time and folds >= 1"):
        rolling(log(rows), SplitConfig(kind="leave-last"), 2)
    with pytest.raises(DataError, match=r"fold 2 of 60: the split leaves nothing in test .*; take fewer folds"):
        rolling(log(rows), SplitConfig(quantile=0.4), 60)


def test_one_rolling_fold_is_the_time_split() -> None:
    rows = [(f"u{i % 5}", f"i{i}", i) for i in range(50)]
    (fold,) = rolling(log(rows), SplitConfig(quantile=0.7), 1)
    whole = split(log(rows), SplitConfig(quantile=0.7))
    assert rows_of(fold.train) == rows_of(whole.train)
    assert rows_of(fold.test) == rows_of(whole.test)


def test_thinned_rows_lose_their_weight_and_keep_their_place() -> None:
    whole = log([(f"u{i % 5}", f"i{i}", i) for i in range(40)])
    half, quarter = (thinned(whole, f, seed=2).frame["weight"].to_numpy() for f in (0.5, 0.25))
    assert (half.sum(), quarter.sum()) == (20, 10)
    assert (half >= quarter).all()  # nested
    assert rows_of(thinned(whole, 0.5, seed=2)) == rows_of(whole)
    assert rows_of(thinned(whole, 1.0, seed=2)) == rows_of(whole)
    with pytest.raises(ConfigError, match=r"training fraction must be in \(0, 1\], got 0"):
        thinned(whole, 0, seed=2)


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
    assert len(parts.known) + len(parts.test) + dropped == len(interactions)  # nothing is lost uncounted
    assert not set(rows_of(parts.train)) & set(rows_of(parts.test))
    assert set(parts.test.frame["user_id"]) <= set(parts.known.frame["user_id"])
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


def test_what_was_fitted_beside_the_models_is_held_against_the_split() -> None:
    only_later = np.array([False, False, True, True])
    fits = [
        Fit("whitening of train", ~only_later, "2024-01-31"),
        Fit("whitening of all", np.ones(4, bool)),
        Fit("weights", ~only_later, "2024-02-01"),
        Fit("embedding", None),
    ]
    rows = fit_leaks(fits, only_later, "2024-01-31")
    assert [row["verdict"] for row in rows] == ["clean", "items", "choices", "not stated"]
    assert [row["items_only_in_test"] for row in rows] == [0, 2, 0, None]
    notes = fit_notes(rows)
    assert notes[1].startswith("whitening of all (2 of 4 items) saw features of items that are only in the test")
    assert notes[2] == "Leak: weights (0 of 2 items) was told of choices later than the end of train."
    assert fit_notes([]) == []
    with pytest.raises(DataError, match="whitening speaks of 3 items, there are 4"):
        fit_leaks([Fit("whitening", np.ones(3, bool))], only_later, None)
