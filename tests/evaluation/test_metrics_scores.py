"""Oracles: the functions of `evaluation.metrics.ranking` one user at a time, and hand-counted users."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.metrics import METRICS, RANKING, MetricAt, rbp, score_lists, scores
from evaluation.metrics.measures import Metric
from recsys.errors import ConfigError, DataError

LISTS = np.array([[0, 2, 1], [1, -1, -1], [3, 1, 0], [-1, -1, -1]])
PAIRS = np.array([[1, 1], [0, 2], [0, 3], [3, 0], [0, 2]])  # by (row, item); user 2 has none, one pair is there twice


def table(**options: object) -> scores.ListScores:
    return score_lists(LISTS, PAIRS[:, 0], PAIRS[:, 1], n_items=4, **options)  # type: ignore[arg-type]


def test_users_without_relevant_items_are_counted_not_averaged() -> None:
    found = table(metrics=["recall", "mrr"], ks=(1, 3))
    # user 0 finds 2 at rank 2 of {2, 3}, user 1 finds its only one on top, user 2 has none, user 3 was given no list
    assert found.means() == {"recall@1": 1 / 3, "mrr@1": 1 / 3, "recall@3": 1.5 / 3, "mrr@3": 1.5 / 3}
    assert (found.n_averaged, found.n_without, found.n_empty) == (3, 1, 1)
    np.testing.assert_array_equal(found.column("recall@3"), [0.5, 1.0, np.nan, 0.0])


def test_the_table_names_k_and_denominator() -> None:
    frame = table(metrics=["map", "map_all"], ks=(2,)).to_frame()
    assert frame["metric"].tolist() == ["map", "map_all"]
    assert frame["k"].tolist() == [2, 2]
    assert frame["denominator"].tolist() == ["min(k, the user's relevant items)", "the user's relevant items"]
    assert frame[["n_users", "n_without", "n_empty"]].to_numpy().tolist() == [[3, 1, 1]] * 2


def test_a_metric_of_ones_own_with_its_own_k() -> None:
    hasty = Metric("rbp.50", "d", "n", "e", function=partial(rbp, persistence=0.5))
    found = table(metrics=["recall", MetricAt(hasty, 2)], ks=(1,))
    assert list(found.means()) == ["recall@1", "rbp.50@2"]
    np.testing.assert_allclose(found.column("rbp.50@2"), [0.25, 0.5, np.nan, 0.0])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_one_pass_in_blocks_is_one_user_at_a_time(data: st.DataObject) -> None:
    n_users, n_items = data.draw(st.integers(1, 7)), data.draw(st.integers(3, 8))
    lists = np.array([data.draw(st.permutations(range(n_items))) for _ in range(n_users)])
    pair = st.tuples(st.integers(0, n_users - 1), st.integers(0, n_items - 1))
    pairs = np.array(data.draw(st.lists(pair, min_size=1)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "BLOCK_USERS", data.draw(st.integers(1, 3)))
        found = score_lists(lists, pairs[:, 0], pairs[:, 1], n_items=n_items, metrics=list(RANKING), ks=(1, 3))
    for metric in found.metrics:
        for u in range(n_users):
            relevant = set(pairs[pairs[:, 0] == u, 1].tolist())
            hits = np.array([[i in relevant for i in lists[u].tolist()]])
            expected = metric(hits, np.array([len(relevant)]))[0]
            np.testing.assert_allclose(found.column(metric.name)[u], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ks": (0,)}, ConfigError, "k must be >= 1"),
        ({"ks": (5,)}, ConfigError, "k must be <= 4, the items in the catalogue, got 5"),
        ({"metrics": ["recal"]}, ConfigError, "did you mean 'recall'"),
        ({"metrics": []}, ConfigError, "no metrics were given"),
        ({"ks": (4,)}, ConfigError, "recall@4 reads 4 ranks, the lists have 3; recommend with k=4"),
        ({"metrics": ["pap"], "ks": (2,)}, ConfigError, "pap@2 reads 4 ranks, the lists have 3"),
        ({"metrics": ["pauc"], "ks": (2,)}, ConfigError, "pauc@2 reads 4 ranks, the lists have 3"),
    ],
)
def test_what_cannot_be_scored(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        table(**options)


def test_what_is_no_evidence_or_no_list() -> None:
    none = np.empty(0, dtype=np.int64)
    with pytest.raises(DataError, match="no relevant pair"):
        score_lists(LISTS, none, none, n_items=4, ks=(1,))
    with pytest.raises(DataError, match="the item index of 1 of 1 relevant pairs"):
        score_lists(LISTS, np.array([0]), np.array([4]), n_items=4, ks=(1,))
    with pytest.raises(DataError, match="more than once"):
        score_lists(np.array([[1, 1]]), np.array([0]), np.array([1]), n_items=4, ks=(1,))
    with pytest.raises(ConfigError, match=r"unknown metric 'recall@9'.*'recall@1'"):
        table(ks=(1,)).column("recall@9")


def test_the_default_metrics_are_those_of_every_comparison() -> None:
    assert list(table(ks=(2,)).means()) == [f"{name}@2" for name in METRICS]
