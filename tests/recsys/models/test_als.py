"""Oracles: the `implicit` package itself, and the normal equations of Hu, Koren, Volinsky (2008), eq. 4."""

import numpy as np
import pytest
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from model_contract import COLD_ITEMS, ModelContract, shop
from threadpoolctl import threadpool_limits

from recsys.errors import ConfigError
from recsys.models.als import ALS


class TestALS(ModelContract):
    model = ALS(factors=8, iterations=5, seed=3)


def test_equals_implicit():
    data = shop()
    with threadpool_limits(1):
        peer = AlternatingLeastSquares(factors=6, regularization=0.1, alpha=4.0, iterations=7, random_state=5)
        peer.fit(sp.csr_matrix(data.matrix), show_progress=False)
    ours = ALS(factors=6, regularization=0.1, alpha=4.0, iterations=7, seed=5).fit(data)
    np.testing.assert_array_equal(ours.item_factors, peer.item_factors)
    np.testing.assert_array_equal(ours.user_factors[:11], peer.user_factors[:11])


def test_converges_to_the_normal_equations():
    data = shop()
    fitted = ALS(factors=4, regularization=0.5, alpha=3.0, iterations=60).fit(data)
    y, r = fitted.item_factors.astype(np.float64), data.matrix.toarray()
    for user in range(3):
        weight = np.where(r[user] > 0, 3.0 * r[user], 1.0)
        left = (y.T * weight) @ y + 0.5 * np.eye(4)
        expected = np.linalg.solve(left, (y.T * weight) @ (r[user] > 0))
        # The solver stops conjugate gradients after 3 steps; 60 alternations leave about 1e-3.
        np.testing.assert_allclose(fitted.user_factors[user], expected, atol=5e-3)


def test_cold_items_score_zero_and_a_user_without_history_is_average():
    data = shop()
    fitted = ALS(factors=8).fit(data)
    assert (fitted.scores(data.users.ids)[:, COLD_ITEMS] == 0).all()
    scores = fitted.scores(data.users.ids)
    np.testing.assert_allclose(scores[11], scores[:11].mean(axis=0), rtol=1e-4, atol=1e-6)


def test_nothing_is_similar_to_a_cold_item():
    data = shop()
    fitted = ALS(factors=8).fit(data)
    assert len(fitted.similar_items([data.items.ids[30]], k=5)) == 0
    assert not set(fitted.similar_items([data.items.ids[3]], k=40).item_id) & set(data.items.ids[COLD_ITEMS])


@pytest.mark.parametrize(
    "options",
    [{"factors": 0}, {"iterations": 0}, {"regularization": -1.0}, {"alpha": 0.0}, {"alpha": float("nan")}],
)
def test_refuses_impossible_options(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        ALS(**options)
