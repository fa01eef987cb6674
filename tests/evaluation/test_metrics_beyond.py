"""Oracles: pairs and sums written out, scipy, scikit-learn, closed forms, RecTools' documentation, the re-ranker."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.spatial.distance import pdist
from scipy.stats import entropy as scipy_entropy
from sklearn.metrics.pairwise import cosine_distances, cosine_similarity

from evaluation import metrics
from evaluation.metrics import description, diversity
from recsys.data import FeatureBlock
from recsys.errors import ConfigError, DataError
from recsys.rerank.calibration import calibrated

N_ITEMS = 12
EMPTY = np.full((1, 4), -1)


@pytest.fixture(scope="module")
def lists() -> np.ndarray:
    """20 lists of 0 to 4 of 12 items."""
    rng = np.random.default_rng(3)
    items = np.array([rng.permutation(N_ITEMS)[:4] for _ in range(20)])
    items[np.arange(4)[None] >= rng.integers(0, 5, (20, 1))] = -1
    items[0], items[1] = [0, 1, 2, 3], [-1] * 4
    return items


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    found = np.random.default_rng(4).standard_normal((N_ITEMS, 5))
    found[7] = 0  # an item without features
    return found


@pytest.fixture(scope="module")
def history() -> sp.csr_array:
    dense = np.random.default_rng(5).integers(0, 3, (20, N_ITEMS)) * (np.arange(N_ITEMS) % 2)
    dense[4] = 0  # a user without a past
    return sp.csr_array(dense.astype(float))


def real(row: np.ndarray) -> list[int]:
    return [i for i in row.tolist() if i >= 0]


# Reach, concentration and groups.


def test_coverage() -> None:
    assert metrics.coverage(np.array([[0, 1, 2], [2, 3, -1]]), 8) == 0.5  # 4 of 8
    assert metrics.coverage(np.array([[-1, -1]]), 8) == 0.0
    assert metrics.coverage(np.empty((0, 3), dtype=np.int64), 0) == 0.0


def test_exposure_counts_ranks_by_weight(lists: np.ndarray) -> None:
    weight = np.array([1.0, 0.5, 0.25, 0.1])
    expected = [sum(float(weight[r]) for row in lists for r, i in enumerate(row) if i == j) for j in range(N_ITEMS)]
    np.testing.assert_allclose(metrics.exposure(lists, N_ITEMS, weight), expected)
    assert metrics.exposure(lists, N_ITEMS).sum() == (lists >= 0).sum()
    with pytest.raises(DataError, match=r"\[0, 5\) or -1, got 11"):
        metrics.exposure(np.array([[11]]), 5)


def test_gini_is_the_mean_difference() -> None:
    x = np.random.default_rng(0).pareto(1.5, 40)
    # Σ |x_i - x_j| / (2 n² mean), times n / (n - 1)
    expected = np.abs(x[:, None] - x).sum() / (2 * 40**2 * x.mean()) * 40 / 39
    assert metrics.gini(x) == pytest.approx(expected, rel=1e-12)
    assert metrics.gini(x[::-1] * 7) == pytest.approx(expected, rel=1e-12)
    assert metrics.gini([0, 0, 0, 1]) == 1.0
    assert np.isnan(metrics.gini([0, 0]))
    assert np.isnan(metrics.gini([3]))


def test_entropy_is_scipys() -> None:
    x = np.array([5.0, 0.0, 2.0, 1.0])
    assert metrics.entropy(x) == pytest.approx(scipy_entropy(x, base=2), rel=1e-12)
    assert metrics.entropy([4.0, 0.0]) == 0.0
    assert np.isnan(metrics.entropy([0.0]))


def test_groups_that_get_less_than_their_due() -> None:
    group = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]])
    shown = metrics.group_shares([6.0, 2.0, 2.0, 90.0], group)
    due = metrics.group_shares(np.ones(4), sp.csr_array(group))
    np.testing.assert_allclose(shown, [0.8, 0.2, 0])
    np.testing.assert_allclose(due, [2 / 3, 1 / 3, 0])
    assert metrics.disparity(shown, due) == pytest.approx(0.8 - 2 / 3)
    assert metrics.disparity([1, 0], [0, 1]) == 1.0
    assert np.isnan(metrics.group_shares([0.0, 0.0, 0.0, 1.0], group)).all()


def test_the_mix_of_presentations() -> None:
    assert metrics.presentation_mix(np.array(["retro", "original", "retro", "retro"], dtype=object)) == {
        "original": 0.25,
        "retro": 0.75,
    }
    assert metrics.presentation_mix(np.empty(0, dtype=object)) == {}


# Popularity and novelty.


def test_novelty_of_rectools_documentation() -> None:
    # RecTools, MeanInvUserFreq: past 1: {1, 2}, 2: {1}, 3: {1}; lists 1: [3], 2: [2, 3], 3: [1, 2].
    past = sp.csr_array(np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0]]))
    items, had = np.array([[2, -1], [1, 2], [0, 1]]), metrics.popularity(past)
    expected = [1.5849625, 1.5849625, 0.0], [1.5849625, 1.5849625, 0.79248125]
    np.testing.assert_allclose(metrics.novelty(items[:, :1], had, 3), expected[0], atol=5e-9)
    np.testing.assert_allclose(metrics.novelty(items, had, 3), expected[1], atol=5e-9)


def test_popularity_of_lists_and_of_the_past(lists: np.ndarray, history: sp.csr_array) -> None:
    dense = history.toarray()
    popular = metrics.popularity(history)
    np.testing.assert_array_equal(popular, (dense > 0).sum(axis=0))
    listed, had = metrics.average_popularity(lists, popular), metrics.history_popularity(history, popular)
    for u in range(len(lists)):
        own, past = real(lists[u]), np.flatnonzero(dense[u])
        np.testing.assert_allclose(listed[u], popular[own].mean() if own else np.nan)
        np.testing.assert_allclose(had[u], popular[past].mean() if len(past) else np.nan)
    both = [u for u in range(20) if real(lists[u]) and dense[u].any()]
    assert len(both) < 20
    assert metrics.popularity_lift(listed, had) == pytest.approx(listed[both].mean() / had[both].mean() - 1)
    assert metrics.popularity_lift([3.0, 9.0], [3.0, np.nan]) == 0.0
    assert np.isnan(metrics.popularity_lift([np.nan], [1.0]))


# Diversity in a space of features.


def distances(vectors: np.ndarray) -> np.ndarray:
    """scikit-learn's, but for its 0 of an item to itself: of two items without features it is 1."""
    return cosine_distances(vectors) + np.diag((vectors == 0).all(axis=1) * 1.0)


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("block", [1, 30, 2**24])
def test_intra_list_distance_is_scipys_pdist(
    lists: np.ndarray, vectors: np.ndarray, kind: type, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diversity, "BLOCK_CELLS", block)
    known = np.where(np.isin(lists, 7), -1, lists)  # pdist has no answer for a zero vector
    found = metrics.intra_list_distance(known, kind(vectors))
    for row, value in zip(known, found, strict=True):
        own = real(row)
        expected = pdist(vectors[own], "cosine").mean() if len(own) > 1 else np.nan
        np.testing.assert_allclose(value, expected, rtol=1e-9)


def test_intra_list_distance_by_category_is_the_share_of_unlike_pairs() -> None:
    block = FeatureBlock.one_hot("category", ["bag", "bag", "shoe", "", ""])
    items = np.array([[0, 1, -1], [0, 1, 2], [0, 2, 3], [3, 4, -1]])
    found = metrics.intra_list_distance(items, block.values)
    np.testing.assert_allclose(found, [0, 2 / 3, 1, 1], atol=1e-7)  # float32; nothing is like what has no category


def test_float32_features_lose_no_more_than_float32(lists: np.ndarray, vectors: np.ndarray) -> None:
    exact = metrics.intra_list_distance(lists, vectors)
    np.testing.assert_allclose(metrics.intra_list_distance(lists, vectors.astype(np.float32)), exact, atol=1e-6)


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_unexpectedness_and_serendipity_pair_by_pair(
    lists: np.ndarray, vectors: np.ndarray, history: sp.csr_array, kind: type
) -> None:
    far, dense = distances(vectors), history.toarray()
    hits = np.random.default_rng(6).random(lists.shape) < 0.5
    n_relevant = np.arange(20) % 4  # some users without relevant items
    unexpected = metrics.unexpectedness(lists, history, kind(vectors))
    serendipitous = metrics.serendipity(lists, hits, n_relevant, history, kind(vectors))
    for u, row in enumerate(lists):
        past, own = np.flatnonzero(dense[u]), real(row)
        if not len(past) or not own:
            assert np.isnan([unexpected[u], serendipitous[u]]).all()
            continue
        by_item = far[np.ix_(own, past)].mean(axis=1)
        assert unexpected[u] == pytest.approx(by_item.mean(), rel=1e-9)
        expected = (by_item * hits[u, : len(own)]).mean() if n_relevant[u] else np.nan
        np.testing.assert_allclose(serendipitous[u], expected, rtol=1e-9, atol=1e-12)


def test_a_history_of_other_users_is_refused(lists: np.ndarray, vectors: np.ndarray, history: sp.csr_array) -> None:
    with pytest.raises(DataError, match=r"history must be \(19, 12\), a row a list, got \(20, 12\)"):
        metrics.unexpectedness(lists[1:], history, vectors)


def test_personalisation_pair_by_pair(lists: np.ndarray) -> None:
    member = np.array([[i in real(row) for i in range(N_ITEMS)] for row in lists], dtype=float)
    member = member[member.any(axis=1)]
    alike = cosine_similarity(member)
    expected = 1 - np.mean([alike[a, b] for a, b in combinations(range(len(member)), 2)])
    assert metrics.personalisation(lists, N_ITEMS) == pytest.approx(expected, rel=1e-12)
    assert metrics.personalisation(np.array([[2, 1], [1, 2]]), 3) == pytest.approx(0, abs=1e-12)
    assert metrics.personalisation(np.array([[0, 1], [2, 3]]), 4) == 1.0
    assert np.isnan(metrics.personalisation(np.array([[0, 1], [-1, -1]]), 4))


# Calibration.


def test_calibration_is_scipys_divergence() -> None:
    rng = np.random.default_rng(7)
    target, shown = rng.dirichlet(np.ones(4), 30), rng.dirichlet(np.ones(4), 30)
    target[:, 2], shown[:5, 1] = 0, 0
    target, shown = (m / m.sum(axis=1, keepdims=True) for m in (target, shown))
    expected = [scipy_entropy(p, 0.99 * q + 0.01 * p) for p, q in zip(target, shown, strict=True)]
    np.testing.assert_allclose(metrics.calibration(target, shown), expected, rtol=1e-9)


def test_calibration_at_its_ends() -> None:
    both = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    shown = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    found = metrics.calibration(both, shown)
    np.testing.assert_allclose(found, [0, -math.log(0.01), np.nan, np.nan], atol=1e-12)


def test_shares_of_lists_and_of_the_past(lists: np.ndarray, history: sp.csr_array) -> None:
    block = FeatureBlock.one_hot("style", ["a", "b", "", "c"] * 3)
    names, code = "abc", [("a", "b", "", "c")[i % 4] for i in range(N_ITEMS)]
    shown, had = metrics.list_shares(lists, block.values), metrics.history_shares(history, block.values)
    dense = history.toarray()
    for u, row in enumerate(lists):
        counts = np.array([sum(code[i] == n for i in real(row)) for n in names], float)
        past = np.array([sum(dense[u, i] for i in range(N_ITEMS) if code[i] == n) for n in names])
        np.testing.assert_allclose(shown[u], counts / max(counts.sum(), 1), atol=1e-7)
        np.testing.assert_allclose(had[u], past / max(past.sum(), 1), atol=1e-7)
    np.testing.assert_allclose(
        metrics.list_shares(np.array([[0, 1]]), np.array([[0.9, 0.1], [0.5, 0.5]])), [[0.7, 0.3]]
    )


def test_calibrated_lists_are_called_calibrated() -> None:
    # The re-ranker minimises this very divergence greedily: with trade 0 it must not leave it higher than it was.
    rng = np.random.default_rng(8)
    group, target = rng.integers(0, 3, (40, 12)), rng.dirichlet(np.ones(3), 40)
    value = -np.sort(-rng.random((40, 12)), axis=1)
    place = calibrated(value, group, target, 6, trade=0.0)
    one_hot = np.eye(3)

    def divergence(chosen: np.ndarray) -> np.ndarray:
        shares = one_hot[np.take_along_axis(group, chosen, axis=1)].mean(axis=1)
        return metrics.calibration(target, shares)

    after, before = divergence(place), divergence(np.tile(np.arange(6), (40, 1)))
    assert after.mean() < 0.5 * before.mean()


# All of them at once.


@pytest.mark.parametrize("block", [1, 10, 2**22])
def test_the_description_is_each_measure_alone(
    lists: np.ndarray, vectors: np.ndarray, history: sp.csr_array, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(description, "BLOCK_CELLS", block)
    style = FeatureBlock.one_hot("style", ["a", "b", "", "c"] * 3).values
    user, item = np.array([0, 0, 3]), np.array([1, 5, 2])
    frame = metrics.describe_lists(
        lists,
        history,
        spaces={"gram": vectors},
        groups={"style": style},
        ks=(2, 4),
        relevant=(user, item),
        labels={"style": tuple("abc")},
        looks=np.array(["retro", "original"] * 6),
    ).set_index(["measure", "of", "k"])
    top, popular = lists[:, :2], metrics.popularity(history)
    hits = metrics.hit_matrix(top, user, item, N_ITEMS)
    target, shown = metrics.history_shares(history, style), metrics.list_shares(top, style)
    exposed = metrics.exposure(top, N_ITEMS)
    of_users = {
        ("novelty", "", 2): metrics.novelty(top, popular, 20),
        ("arp", "", 2): metrics.average_popularity(top, popular),
        ("intra_list_distance", "gram", 2): metrics.intra_list_distance(top, vectors),
        ("unexpectedness", "gram", 2): metrics.unexpectedness(top, history, vectors),
        ("serendipity", "gram", 2): metrics.serendipity(top, hits, np.bincount(user, minlength=20), history, vectors),
        ("calibration", "style", 2): metrics.calibration(target, shown),
    }
    of_all = {
        ("coverage", "", 2): metrics.coverage(top, N_ITEMS),
        ("gini", "", 2): metrics.gini(exposed),
        ("entropy", "", 2): metrics.entropy(exposed),
        ("personalisation", "", 2): metrics.personalisation(top, N_ITEMS),
        ("popularity_lift", "", 2): metrics.popularity_lift(
            metrics.average_popularity(top, popular), metrics.history_popularity(history, popular)
        ),
        ("disparity", "style", 2): metrics.disparity(
            metrics.group_shares(exposed, style), metrics.group_shares(np.ones(N_ITEMS), style)
        ),
    }
    shares = metrics.group_shares(exposed, style)
    of_all |= {("exposure_share", f"style: {label}", 2): shares[j] for j, label in enumerate("abc")}
    mix = metrics.presentation_mix(np.array(["retro", "original"] * 6)[top[top >= 0]])
    of_all |= {("presentation_mix", look, 2): share for look, share in mix.items()}
    assert set(frame.index) == {(m, of, k) for m, of, _ in {*of_users, *of_all} for k in (2, 4)}
    for key, values in of_users.items():
        assert frame.loc[key, "value"] == pytest.approx(np.nanmean(values), rel=1e-12), key
        assert frame.loc[key, "n_users"] == (~np.isnan(values)).sum(), key
        assert frame.loc[key, "n_without"] == np.isnan(values).sum(), key
    n_lists = sum(bool(real(row)) for row in top)
    for key, value in of_all.items():
        assert frame.loc[key, "value"] == pytest.approx(value, rel=1e-12), key
        assert (frame.loc[key, "n_users"], frame.loc[key, "n_without"]) == (n_lists, 20 - n_lists), key
    assert set(metrics.BEYOND) | {"coverage"} == set(frame.index.get_level_values("measure"))


def test_a_description_needs_lists_as_long_as_k_and_a_row_of_history_each(
    lists: np.ndarray, history: sp.csr_array
) -> None:
    with pytest.raises(ConfigError, match="k must be <= 4, the ranks of the lists, got 5"):
        metrics.describe_lists(lists, history, ks=(2, 5))
    with pytest.raises(DataError, match=r"history must have 19 rows, one a list, got 20"):
        metrics.describe_lists(lists[1:], history, ks=(2,))
    with pytest.raises(DataError, match="gram has 11 rows, history has 12 items"):
        metrics.describe_lists(lists, history, spaces={"gram": np.ones((11, 2))}, ks=(2,))
    with pytest.raises(DataError, match="more than once"):
        metrics.describe_lists(np.zeros((20, 2), dtype=np.int64), history, ks=(2,))


def test_empty_lists_have_no_value(vectors: np.ndarray) -> None:
    past = sp.csr_array(np.ones((1, N_ITEMS)))
    values = [
        metrics.novelty(EMPTY, np.ones(N_ITEMS, dtype=np.int64), 3),
        metrics.average_popularity(EMPTY, np.ones(N_ITEMS, dtype=np.int64)),
        metrics.intra_list_distance(EMPTY, vectors),
        metrics.unexpectedness(EMPTY, past, vectors),
    ]
    assert np.isnan(np.concatenate(values)).all()
