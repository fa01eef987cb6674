"""Oracles: the optimality conditions of Steck (2019), eq. 4, and scikit-learn's ridge regression column by column."""

import numpy as np
import pytest
import scipy.sparse as sp
from model_contract import COLD_ITEMS, ModelContract, shop
from sklearn.linear_model import Ridge

from recsys.errors import ConfigError
from recsys.models.ease import EASE, _gigabytes, ease_weights


class TestEASE(ModelContract):
    model = EASE(l2=5.0)


def log(n=60, m=17, seed=0):
    return np.random.default_rng(seed).poisson(0.3, (n, m)).astype(np.float64)


def test_every_column_is_a_ridge_regression_on_the_others():
    x = log()
    b = ease_weights(sp.csr_array(x), 3.0)
    assert (b.diagonal() == 0).all()
    for j in range(17):
        others = [i for i in range(17) if i != j]
        expected = Ridge(alpha=3.0, fit_intercept=False).fit(x[:, others], x[:, j]).coef_
        np.testing.assert_allclose(b[others, j], expected, atol=1e-6)


def test_few_users_give_the_same_weights_by_their_kernel(monkeypatch):
    monkeypatch.setattr("recsys.models.ease.BLOCK", 7)
    x = log(9, 40)
    p = np.linalg.inv(x.T @ x + 3.0 * np.eye(40))
    expected = -p / p.diagonal()
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(ease_weights(sp.csr_array(x), 3.0), expected, atol=1e-6)


def test_heavy_weights_do_not_cancel():
    """Repeated rows, and one that has everything: what 64 bits keep of the users' kernel is not enough."""
    x = (np.random.default_rng(0).random((4, 10)) < 0.5) * 1e5
    x[0] = x[1] = 1e5
    p = np.linalg.inv((x.T @ x + 250.0 * np.eye(10)).astype(np.longdouble).astype(float))
    b = ease_weights(sp.csr_array(x), 250.0).astype(np.float64)
    gradient = x.T @ (x @ b - x) + 250.0 * b
    np.fill_diagonal(gradient, 0)
    assert np.abs(gradient).max() < 1e-6 * np.abs(x.T @ x).max()
    assert np.abs(p).max() > 0


def test_the_gradient_of_the_objective_vanishes_off_the_diagonal(monkeypatch):
    monkeypatch.setattr("recsys.models.ease.BLOCK", 7)  # squares in several pieces, the last of them smaller
    x, l2 = log(300, 40), 20.0
    b = ease_weights(sp.csr_array(x), l2).astype(np.float64)
    gradient = x.T @ (x @ b - x) + l2 * b
    np.fill_diagonal(gradient, 0)  # there the Lagrange multipliers of the zero diagonal are
    assert np.abs(gradient).max() < 1e-4  # float32 weights times column sums of about 100


def test_scores_are_history_times_weights_of_warm_items():
    data = shop()
    fitted = EASE(l2=5.0).fit(data)
    x = data.matrix.toarray().astype(np.float64)
    inverse = np.linalg.inv(x.T @ x + 5.0 * np.eye(34))
    b = -inverse / inverse.diagonal()
    np.fill_diagonal(b, 0)
    np.testing.assert_allclose(fitted.scores(data.users.ids), x @ b, atol=1e-5)
    assert len(fitted.warm) == data.is_warm.sum() < 30 + len(COLD_ITEMS)


def test_similarity_is_the_partial_correlation():
    data = shop()
    fitted = EASE(l2=5.0).fit(data)
    x = data.matrix.toarray().astype(np.float64)
    p = np.linalg.inv(x.T @ x + 5.0 * np.eye(34))
    expected = -p / np.sqrt(np.outer(p.diagonal(), p.diagonal()))
    recs = fitted.similar_items([data.items.ids[4]], k=40)
    np.testing.assert_allclose(recs.score, expected[4, data.items.encode(recs.item_id)], atol=1e-5)
    assert not set(recs.item_id) & set(data.items.ids[COLD_ITEMS])


def test_a_catalogue_that_does_not_fit_is_refused_with_what_it_needs():
    data = shop()
    n = int(data.is_warm.sum())
    with pytest.raises(
        ConfigError, match=rf"has {n} x {n} weights between items, which needs 0.0 GB, max_memory_gb is 1e-09"
    ):
        EASE(max_memory_gb=1e-9).fit(data)
    assert _gigabytes(10**6, 30_000) > EASE().max_memory_gb > _gigabytes(10**6, 25_000)
    assert _gigabytes(1000, 40_000) < EASE().max_memory_gb


@pytest.mark.parametrize("options", [{"l2": 0.0}, {"l2": float("nan")}, {"max_memory_gb": 0.0}])
def test_refuses_impossible_options(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        EASE(**options)
