"""Oracles: the `implicit` package itself, and the normal equations of Hu, Koren, Volinsky (2008), eq. 4."""

import numpy as np
import pytest
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from model_contract import COLD_ITEMS, ModelContract, shop
from small_shop import histories, later_shop
from threadpoolctl import threadpool_limits

from recsys.errors import ConfigError, DataError
from recsys.models.als import ALS
from recsys.models.fitted import evidence


class TestALS(ModelContract):
    model = ALS(factors=8, iterations=5, seed=3)


def test_equals_implicit():
    data = shop()
    bought = sp.csr_matrix(evidence(data.matrix))  # weight 0 is no evidence, not even against the item
    with threadpool_limits(1):
        peer = AlternatingLeastSquares(factors=6, regularization=0.1, alpha=4.0, iterations=7, random_state=5)
        peer.fit(bought, show_progress=False)
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


@pytest.fixture(scope="module")
def grown():
    """A model, the shop a season later, and the model beside it."""
    fitted, later = ALS(factors=4, regularization=0.5, alpha=3.0, iterations=20).fit(shop()), later_shop()
    return fitted, later, fitted.partial_fit(later)


def solved(other, weights):
    """The normal equations of one row against the other side's factors, in float64."""
    other, c = other.astype(np.float64), np.where(weights > 0, 3.0 * weights, 1.0)
    return np.linalg.solve((other.T * c) @ other + 0.5 * np.eye(4), (other.T * c) @ (weights > 0))


def test_unchanged_users_and_known_items_keep_their_factors_to_the_last_bit(grown):
    fitted, later, now = grown
    users = [f"user {u}" for u in range(2, 11)]
    np.testing.assert_array_equal(
        now.user_factors[later.users.encode(users)], fitted.user_factors[fitted.users.encode(users)]
    )
    items = [i for i in later.items if i in fitted.items]
    np.testing.assert_array_equal(
        now.item_factors[later.items.encode(items)], fitted.item_factors[fitted.items.encode(items)]
    )


@pytest.mark.parametrize("user", ["user 0", "new fan"])
def test_changed_and_new_users_are_solved_exactly_against_the_known_items(grown, user):
    fitted, later, now = grown
    known = np.array([i in fitted.items for i in later.items])
    row = later.users.encode([user])[0]
    expected = solved(now.item_factors * known[:, None], later.matrix.toarray()[row])
    np.testing.assert_allclose(now.user_factors[row], expected, atol=1e-5)


def test_new_items_are_solved_exactly_against_all_users_with_evidence(grown):
    _, later, now = grown
    column = later.items.encode(["new item 34"])[0]
    evidence = later.matrix.toarray().sum(axis=1) > 0
    expected = solved(now.user_factors * evidence[:, None], later.matrix.toarray()[:, column])
    np.testing.assert_allclose(now.item_factors[column], expected, atol=1e-5)
    assert (now.item_factors[later.items.encode(["new item 35"])] == 0).all()  # nobody has it yet


def test_a_stranger_is_solved_exactly():
    data = shop()
    fitted = ALS(factors=4, regularization=0.5, alpha=3.0, iterations=5).fit(data)
    history = histories(data)["user 3"]
    recs = fitted.recommend_for({"x": history}, k=34, exclude_seen=False)
    factors = solved(fitted.item_factors, data.matrix.toarray()[3])
    np.testing.assert_allclose(
        recs.score, fitted.item_factors[data.items.encode(recs.item_id)] @ factors, rtol=1e-4, atol=1e-5
    )


def test_a_user_of_new_items_only_is_the_average_user():
    data, later = shop(), later_shop()
    fitted = ALS(factors=4).fit(data)
    later.item_idx[later.user_idx == later.users.encode(["new fan"])[0]] = later.items.encode(["new item 35"])[0]
    now = fitted.partial_fit(type(later)(**{f: getattr(later, f) for f in later.__dataclass_fields__}))
    row, nobody = later.users.encode(["new fan", "new nobody"])
    np.testing.assert_array_equal(now.user_factors[row], now.user_factors[nobody])
    np.testing.assert_allclose(now.user_factors[row], fitted.user_factors[:11].mean(axis=0), rtol=1e-6)


def test_weights_that_all_changed_change_every_user():
    data = shop()
    fitted = ALS(factors=4).fit(data)
    data.weight[:] = data.weight * 2
    now = fitted.partial_fit(type(data)(**{f: getattr(data, f) for f in data.__dataclass_fields__}))
    moved = (now.user_factors != fitted.user_factors).any(axis=1)
    assert moved.tolist() == [True] * 11 + [False]  # but not who has nothing


def test_divergence_is_an_error():
    with pytest.raises(DataError, match="non-finite factors; raise regularization or lower alpha"):
        ALS(factors=4, alpha=1e38).fit(shop())


@pytest.mark.parametrize(
    "options",
    [{"factors": 0}, {"iterations": 0}, {"regularization": -1.0}, {"alpha": 0.0}, {"alpha": float("nan")}],
)
def test_refuses_impossible_options(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        ALS(**options)
