"""Oracles: hand-computed lists, and a plain loop over users. Other libraries: test_metrics_oracles.py."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.metrics import BEYOND, FURTHER, METRICS, RANKING, SHARES, check_k, check_lists, hit_matrix, list_ranks
from evaluation.metrics import lists as lists_module
from recsys.errors import ConfigError, DataError


def one(name: str, hits: list[int], n_relevant: int, k: int) -> float:
    return float(RANKING[name].function(np.array([hits], dtype=bool), np.array([n_relevant]), k)[0])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("recall", 2 / 3),  # 2 of 3 relevant
        ("precision", 2 / 4),  # 2 of 4 ranks
        ("ndcg", (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3) + 1 / math.log2(4))),
        ("map", (1 / 2 + 2 / 4) / 3),
        ("mrr", 1 / 2),
        ("hit_rate", 1.0),
        ("ndcg_full_k", (1 / math.log2(3) + 1 / math.log2(5)) / sum(1 / math.log2(r + 1) for r in (1, 2, 3, 4))),
        ("map_all", (1 / 2 + 2 / 4) / 3),
        ("r_precision", 1 / 3),  # 1 of the first 3
        ("rbp", 0.2 * (0.8 + 0.8**3)),
        ("pauc", (3 + 2 + 2) / (4 * 3)),  # irrelevant above each of the 3: 1, 2, 2 of the 4 highest
        ("pap", (3 + 2 + 2) / (4 * 3)),
    ],
)
def test_by_hand(name: str, expected: float) -> None:
    assert one(name, [0, 1, 0, 1, 1], n_relevant=3, k=4) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *[("recall", 2 / 10), ("precision", 1.0), ("ndcg", 1.0), ("map", 1.0), ("mrr", 1.0), ("hit_rate", 1.0)],
        *[("ndcg_full_k", 1.0), ("map_all", 2 / 10), ("r_precision", 2 / 10), ("rbp", 1 - 0.8**2)],
        *[("pauc", 2 * 2 / (2 * 10)), ("pap", 2 * 2 / (2 * 2))],
    ],
)
def test_denominator_with_more_relevant_items_than_ranks(name: str, expected: float) -> None:
    # Those that divide by all relevant items keep counting what no list of 2 could hold.
    assert one(name, [1, 1], n_relevant=10, k=2) == pytest.approx(expected, rel=1e-12)


def plain(name: str, hits: list[bool], n_relevant: int, k: int) -> float:
    """Each definition as one would write it for a single list."""
    top = hits[:k]
    ranks = [i + 1 for i, hit in enumerate(top) if hit]
    best = min(k, n_relevant)
    return {
        "recall": len(ranks) / n_relevant,
        "precision": len(ranks) / k,
        "ndcg": sum(1 / math.log2(r + 1) for r in ranks) / sum(1 / math.log2(r + 1) for r in range(1, best + 1)),
        "map": sum((j + 1) / r for j, r in enumerate(ranks)) / best,
        "mrr": 1 / ranks[0] if ranks else 0.0,
        "hit_rate": float(bool(ranks)),
        "ndcg_full_k": sum(1 / math.log2(r + 1) for r in ranks) / sum(1 / math.log2(r + 1) for r in range(1, k + 1)),
        "map_all": sum((j + 1) / r for j, r in enumerate(ranks)) / n_relevant,
        "r_precision": sum(r <= n_relevant for r in ranks) / n_relevant,
        "rbp": 0.2 * sum(0.8 ** (r - 1) for r in ranks),
        "pauc": pairs_in_order(hits, len(hits), k) / (k * n_relevant),
        "pap": pairs_in_order(hits, best, k) / (k * best),
    }[name]


def pairs_in_order(hits: list[bool], n_positive: int, k: int) -> int:
    """Of the first hits and the first k misses (the list goes on with misses): how many pairs have the hit above."""
    longer = [*hits, *[False] * k]
    positive = [r for r, hit in enumerate(longer) if hit][:n_positive]
    negative = [r for r, hit in enumerate(longer) if not hit][:k]
    return sum(p < n for p in positive for n in negative)


LISTS = st.lists(st.booleans(), min_size=1, max_size=12)


@pytest.mark.parametrize("name", RANKING)
@settings(max_examples=50, deadline=None)
@given(rows=st.lists(LISTS, min_size=1, max_size=5), further=st.integers(0, 5), k=st.integers(1, 15))
def test_whole_arrays_agree_with_a_loop(name: str, rows: list[list[bool]], further: int, k: int) -> None:
    width = max(map(len, rows))
    hits = np.array([row + [False] * (width - len(row)) for row in rows])
    relevant = hits.sum(axis=1) + further
    found = RANKING[name].function(hits, relevant, k)
    for row, n, value in zip(hits, relevant, found, strict=True):
        if n:
            assert value == pytest.approx(plain(name, list(row), int(n), k), rel=1e-12)
            assert RANKING[name].range[0] <= value <= RANKING[name].range[1] + 1e-12
        else:
            assert np.isnan(value)


@pytest.mark.parametrize("name", RANKING)
@settings(max_examples=50, deadline=None)
@given(row=LISTS, further=st.integers(1, 5), k=st.integers(1, 12), place=st.integers(0, 10))
def test_moving_a_hit_up_never_hurts(name: str, row: list[bool], further: int, k: int, place: int) -> None:
    lower = place % len(row)
    better = row.copy()
    if lower and row[lower] and not row[lower - 1]:
        better[lower - 1], better[lower] = True, False
    n = sum(row) + further
    assert one(name, better, n, k) >= one(name, row, n, k) - 1e-12


@pytest.mark.parametrize("name", RANKING)
@settings(max_examples=50, deadline=None)
@given(row=LISTS, further=st.integers(1, 5), k=st.integers(1, 15), empty=st.integers(1, 9))
def test_a_short_list_counts_as_filled_with_misses(
    name: str, row: list[bool], further: int, k: int, empty: int
) -> None:
    n = sum(row) + further
    assert one(name, row, n, k) == pytest.approx(one(name, row + [False] * empty, n, k), rel=1e-12)


@pytest.mark.parametrize("name", RANKING)
def test_lists_of_no_rank_at_all(name: str) -> None:
    values = RANKING[name].function(np.zeros((2, 0), dtype=bool), np.array([3, 0]), 5)
    np.testing.assert_array_equal(values, [0.0, np.nan])


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_hits_by_sorted_search_are_set_membership(data: st.DataObject) -> None:
    n_users, n_items, k = (data.draw(st.integers(1, 6)) for _ in range(3))
    relevant = data.draw(st.lists(st.sets(st.integers(0, n_items - 1)), min_size=n_users, max_size=n_users))
    lists = np.full((n_users, k), -1, dtype=np.int64)
    for row in lists:
        drawn = data.draw(st.lists(st.integers(0, n_items - 1), unique=True, max_size=k))
        row[: len(drawn)] = drawn
    pairs = [(u, i) for u, items in enumerate(relevant) for i in items]
    user, item = (np.array([p[j] for p in pairs], dtype=np.int64) for j in (0, 1))
    expected = [[i in relevant[u] for i in row] for u, row in enumerate(lists.tolist())]
    np.testing.assert_array_equal(hit_matrix(lists, user, item, n_items), expected)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_blocks_order_and_repeats_of_pairs_change_nothing(data: st.DataObject) -> None:
    n_users, n_items = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 5))
    lists = np.array([data.draw(st.permutations(range(n_items))) for _ in range(n_users)], dtype=np.int64)
    pairs = data.draw(st.lists(st.tuples(st.integers(0, n_users - 1), st.integers(0, n_items - 1))))
    user, item = (np.array([p[j] for p in pairs], dtype=np.int64) for j in (0, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists_module, "MIN_ROWS", data.draw(st.integers(1, 3)))
        patch.setattr(lists_module, "TABLE_CELLS", 1)
        found, ranks = hit_matrix(lists, user, item, n_items), list_ranks(lists, user, item, n_items)
    np.testing.assert_array_equal(found, [[(u, i) in pairs for i in row] for u, row in enumerate(lists.tolist())])
    assert ranks.tolist() == [lists[u].tolist().index(i) + 1 for u, i in pairs]


def test_ranks_of_pairs_that_are_not_listed() -> None:
    lists, user, item = np.array([[4, 2], [1, -1]]), np.array([1, 0, 0, 1]), np.array([4, 2, 1, 1])
    assert list_ranks(lists, user, item, 5).tolist() == [0, 2, 0, 1]
    assert list_ranks(lists, np.array([1]), np.array([0]), 5).tolist() == [0]


@pytest.mark.parametrize(
    ("user", "item", "message"),
    [
        ([0, 2], [1, 1], r"the row index of 1 of 2 relevant pairs lies outside \[0, 2\)"),
        ([0, 1], [-1, 5], r"the item index of 2 of 2 relevant pairs lies outside \[0, 5\)"),
        ([0], [1, 1], "equally long"),
    ],
)
def test_relevant_pairs_that_are_not_there(user: list[int], item: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        hit_matrix(np.array([[0], [1]]), np.array(user), np.array(item), 5)


def test_scores_that_nobody_may_give() -> None:
    lists = np.array([[1, 2, -1], [3, 0, 1]])
    check_lists(lists, 5, np.array([[2.0, 2.0, np.nan], [0.0, -1.0, -np.inf]]))  # past the end anything may stand
    with pytest.raises(DataError, match="row 1 lists an item with a NaN score"):
        check_lists(lists, 5, np.array([[2.0, 1.0, 0.0], [3.0, np.nan, 1.0]]))
    with pytest.raises(DataError, match="row 1 is not sorted by score"):
        check_lists(lists, 5, np.array([[2.0, 1.0, 5.0], [1.0, 0.0, 0.5]]))
    with pytest.raises(DataError, match="shape of the lists"):
        check_lists(lists, 5, np.zeros((2, 2)))
    with pytest.raises(DataError, match="row 0 has an empty rank before a filled one"):
        check_lists(np.array([[-1, 2]]), 5)


def test_lists_that_nobody_may_give() -> None:
    with pytest.raises(DataError, match="row 1 recommends item index 3 more than once"):
        check_lists(np.array([[3, -1, -1], [3, 1, 3]]), 5)
    for wrong in (5, -2):
        with pytest.raises(DataError, match=r"item indices in \[0, 5\) or -1"):
            check_lists(np.array([[0, wrong]]), 5)


@pytest.mark.parametrize("ks", [(), (0,), (10, -1)])
def test_list_lengths_below_one_are_refused(ks: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="k must be >= 1"):
        check_k(ks)


def test_every_number_says_how_to_read_it() -> None:
    for measure in (*RANKING.values(), *SHARES.values(), *BEYOND.values(), *FURTHER.values()):
        assert all((measure.definition, measure.denominator, measure.empty)), measure.name
        assert measure.range[0] < measure.range[1], measure.name
    assert len({m.function for m in RANKING.values()}) == len(RANKING)
    assert list(METRICS) == list(RANKING)[: len(METRICS)]
