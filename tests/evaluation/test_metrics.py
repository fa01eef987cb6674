"""Oracles: hand-computed lists, ranx's README, scikit-learn, and a plain loop over users."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from evaluation import metrics
from evaluation.metrics import METRICS, SHARES, check_k, check_lists, coverage, hit_matrix
from recsys.errors import ConfigError, DataError


def one(name: str, hits: list[int], n_relevant: int, k: int) -> float:
    return float(METRICS[name].function(np.array([hits], dtype=bool), np.array([n_relevant]), k)[0])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("recall", 2 / 3),  # 2 of 3 relevant
        ("precision", 2 / 4),  # 2 of 4 ranks
        ("ndcg", (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3) + 1 / math.log2(4))),
        ("map", (1 / 2 + 2 / 4) / 3),
        ("mrr", 1 / 2),
        ("hit_rate", 1.0),
    ],
)
def test_by_hand(name: str, expected: float) -> None:
    assert one(name, [0, 1, 0, 1, 1], n_relevant=3, k=4) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("recall", 2 / 10), ("precision", 1.0), ("ndcg", 1.0), ("map", 1.0), ("mrr", 1.0), ("hit_rate", 1.0)],
)
def test_denominator_with_more_relevant_items_than_ranks(name: str, expected: float) -> None:
    # Only recall keeps counting what no list of 2 could hold.
    assert one(name, [1, 1], n_relevant=10, k=2) == pytest.approx(expected, rel=1e-12)


def test_ranx_readme() -> None:
    # ranx 0.3 README, "Quick start": qrels q_1 {d_12, d_25}, q_2 {d_11, d_22}; runs as ranked there.
    hits = np.array([[1, 0, 1, 0, 0, 0], [0, 1, 0, 0, 1, 0]], dtype=bool)
    relevant = np.array([2, 2])
    assert metrics.average_precision(hits, relevant, 5).mean() == pytest.approx(0.6416667, abs=5e-8)
    assert metrics.reciprocal_rank(hits, relevant, 6).mean() == pytest.approx(0.75)


def test_ndcg_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((50, 30)) < 0.15
    truth[:, 0] = True  # scikit-learn gives 0 where nothing is relevant; that case is ours to define
    scores = rng.permuted(np.tile(np.arange(30.0), (50, 1)), axis=1)
    hits = np.take_along_axis(truth, np.argsort(-scores, axis=1), axis=1)
    for k in (1, 5, 30):
        expected = ndcg_score(truth, scores, k=k)
        assert metrics.ndcg(hits, truth.sum(axis=1), k).mean() == pytest.approx(expected, rel=1e-12)


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
    }[name]


LISTS = st.lists(st.booleans(), min_size=1, max_size=12)


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=50, deadline=None)
@given(rows=st.lists(LISTS, min_size=1, max_size=5), further=st.integers(0, 5), k=st.integers(1, 15))
def test_whole_arrays_agree_with_a_loop(name: str, rows: list[list[bool]], further: int, k: int) -> None:
    width = max(map(len, rows))
    hits = np.array([row + [False] * (width - len(row)) for row in rows])
    relevant = hits.sum(axis=1) + further
    found = METRICS[name].function(hits, relevant, k)
    for row, n, value in zip(hits, relevant, found, strict=True):
        if n:
            assert value == pytest.approx(plain(name, list(row), int(n), k), rel=1e-12)
            assert METRICS[name].range[0] <= value <= METRICS[name].range[1] + 1e-12
        else:
            assert np.isnan(value)


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=50, deadline=None)
@given(row=LISTS, further=st.integers(1, 5), k=st.integers(1, 12), place=st.integers(0, 10))
def test_moving_a_hit_up_never_hurts(name: str, row: list[bool], further: int, k: int, place: int) -> None:
    lower = place % len(row)
    better = row.copy()
    if lower and row[lower] and not row[lower - 1]:
        better[lower - 1], better[lower] = True, False
    n = sum(row) + further
    assert one(name, better, n, k) >= one(name, row, n, k) - 1e-12


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=50, deadline=None)
@given(row=LISTS, further=st.integers(1, 5), k=st.integers(1, 15), empty=st.integers(1, 9))
def test_a_short_list_counts_as_filled_with_misses(
    name: str, row: list[bool], further: int, k: int, empty: int
) -> None:
    n = sum(row) + further
    assert one(name, row, n, k) == pytest.approx(one(name, row + [False] * empty, n, k), rel=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_lists_of_no_rank_at_all(name: str) -> None:
    values = METRICS[name].function(np.zeros((2, 0), dtype=bool), np.array([3, 0]), 5)
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


def test_coverage() -> None:
    assert coverage(np.array([[0, 1, 2], [2, 3, -1]]), 8) == 0.5  # 4 of 8
    assert coverage(np.array([[-1, -1]]), 8) == 0.0
    assert coverage(np.empty((0, 3), dtype=np.int64), 0) == 0.0


def test_every_number_says_how_to_read_it() -> None:
    for measure in (*METRICS.values(), *SHARES.values()):
        assert all((measure.definition, measure.denominator, measure.empty)), measure.name
    assert {m.function for m in METRICS.values()} >= {metrics.recall, metrics.ndcg}
    assert len({m.function for m in METRICS.values()}) == len(METRICS)
