"""Oracles: scikit-learn's ridge regression, and dense arrays."""

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import Ridge

from recsys.data.ids import IdMap
from recsys.models.folding import RIDGE, carried, changed_rows, fold_in, place, pooled


def test_fold_in_is_ridge_regression_with_intercept():
    rng = np.random.default_rng(0)
    x, y, new = (rng.normal(size=s).astype(np.float32) for s in ((40, 5), (40, 3), (7, 5)))
    penalty = RIDGE * np.trace(np.cov(x.T, bias=True)) * 40 / 5  # the mean variance, summed over rows
    expected = Ridge(alpha=penalty).fit(x.astype(np.float64), y).predict(new)
    np.testing.assert_allclose(fold_in(x, y, new), expected, atol=1e-5)


def test_without_anyone_known_vectors_are_zero():
    assert (fold_in(np.empty((0, 5), np.float32), np.empty((0, 3), np.float32), np.ones((2, 5), np.float32)) == 0).all()


def test_pooled_is_the_mean_of_what_has_a_vector():
    vectors = np.array([[2, 0], [0, 4], [0, 0]], np.float32)
    history = sp.csr_array(np.array([[3, 1, 7], [0, 0, 1], [0, 0, 0]], np.float32))
    mean, rests = pooled(history, vectors)
    assert mean.tolist() == [[1, 2], [0, 0], [0, 0]]  # the third item has no vector and is not counted
    assert rests.tolist() == [True, False, False]


def test_who_has_nothing_is_placed_at_the_mean_of_those_who_have():
    rng = np.random.default_rng(1)
    items, users = rng.normal(size=(6, 2)).astype(np.float32), rng.normal(size=(4, 2)).astype(np.float32)
    history = sp.csr_array((np.arange(24).reshape(4, 6) % 5 < 2).astype(np.float32))
    nothing = sp.csr_array((1, 6), dtype=np.float32)
    np.testing.assert_allclose(place(history, items, users, nothing, items), users.mean(axis=0)[None], atol=1e-6)


def test_carried_moves_entries_by_id():
    old_users, new_users = IdMap.of(["u", "v", "w"]), IdMap.of(["new", "w", "u"])
    old_items, new_items = IdMap.of(["a", "b", "c"]), IdMap.of(["c", "d", "a"])
    history = sp.csr_array(np.array([[1, 2, 3], [4, 5, 6], [7, 0, 0]], np.float32))
    moved = carried(history, (old_users, new_users), (old_items, new_items))
    assert moved.toarray().tolist() == [[0, 0, 0], [0, 0, 7], [3, 0, 1]]


def test_changed_rows_are_those_beyond_rounding():
    old = np.array([[1, 2], [1, 0], [0, 0], [0.1, 0.3]], np.float32)
    new = old.copy()
    new[0, 0], new[1, 1] = 2, 1e-3
    new[3] = new[3] * (1 + 2e-7)
    assert changed_rows(sp.csr_array(old), sp.csr_array(new)).tolist() == [True, True, False, False]
