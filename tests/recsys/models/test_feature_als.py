"""Oracles: the objective over all cells, its gradient by autograd, `implicit`, known tastes, normal equations."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from growth_contract import reordered
from implicit.cpu.als import AlternatingLeastSquares
from model_contract import FeatureContract, ModelContract
from small_shop import COLD_ITEMS, later_shop, shop
from threadpoolctl import threadpool_limits

from recsys.data.dataset import Dataset
from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.errors import ConfigError, DataError
from recsys.models.feature_als import FeatureALS

QUICK = {"factors": 8, "iterations": 4}


class TestFeatureALS(FeatureContract, ModelContract):
    model = FeatureALS(**QUICK, seed=2)


class TestUnscaled(FeatureContract, ModelContract):
    model = FeatureALS(
        **QUICK,
        frequency_scaling=0.0,
        regularization=0.5,
        confidence="linear",
        weights={"look": 2.0},
    )


class TestStepsForAll(FeatureContract, ModelContract):
    model = FeatureALS(**QUICK, cg_steps=2)

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def few(cls):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("recsys.models.als_solver.FEW", 0)
            yield


class TestIdsOnly(ModelContract):
    model = FeatureALS(**QUICK, blocks=())


def with_people(data: Dataset) -> Dataset:
    """Users who wear their taste on their sleeve, and two tags."""
    rng = np.random.default_rng(3)
    taste = np.where(np.arange(len(data.users)) % 2 == 0, 1.0, -1.0)
    look = taste[:, None] + 0.3 * rng.normal(size=(len(data.users), 5))
    blocks = (
        FeatureBlock("club", look.astype(np.float32)),
        FeatureBlock.one_hot("shop", [("north", "south", "")[u % 3] for u in range(len(data.users))]),
    )
    return dataclasses.replace(data, user_features=FeatureTable(data.users, blocks))


class TestUserFeatures(ModelContract):
    model = FeatureALS(**QUICK)

    @pytest.fixture(scope="class")
    @classmethod
    def data(cls):
        return with_people(shop())

    @pytest.fixture(scope="class")
    @classmethod
    def later(cls):
        return with_people(later_shop())

    def test_partial_fit_finds_everything_by_its_id(self, data, fitted):
        turned = reordered(data)
        turned = dataclasses.replace(turned, user_features=data.user_features.align(turned.users))
        again = fitted.partial_fit(turned)
        np.testing.assert_allclose(
            again.scores(data.users.ids, data.items.ids), fitted.scores(data.users.ids), rtol=1e-4, atol=1e-5
        )

    # Whoever has no history differs by their features here, and strangers have none.
    test_new_users_get_their_taste_and_nobody_the_average = None
    test_strangers_are_served_by_their_history = None

    def test_strangers_of_whom_nothing_is_known_are_the_intercept(self, fitted):
        recs = fitted.recommend_for({"x": []}, k=34).to_frame().set_index("item_id")["score"]
        expected = fitted.item_factors @ fitted.user_regression.intercept
        np.testing.assert_allclose(recs.loc[list(fitted.items.ids)], expected, atol=1e-6)

    def test_a_dataset_without_the_users_features_is_refused(self, fitted):
        with pytest.raises(DataError, match="unknown feature block 'club'"):
            fitted.partial_fit(later_shop())


@pytest.fixture(scope="module")
def data():
    return with_people(shop())


def dense(transform, table):
    x = transform.apply(table[transform.name])
    return torch.from_numpy(x.toarray() if sp.issparse(x) else x).double()


def written_out(fitted, data, parameters):
    """The objective of the module's docstring, cell by cell in float64."""
    c, (p, q, user_b, item_b) = fitted.config, parameters
    w = data.matrix.toarray().astype(np.float64)
    w = np.log1p(w) if c.confidence == "log" else w
    active, warm = w.any(axis=1), w.any(axis=0)
    w = torch.from_numpy(w[active][:, warm] / w[w > 0].mean())
    a, total = c.unobserved_weight, 0.0
    scores = p @ q.T
    total = (w * (1 - scores) ** 2 + a * scores**2).sum()
    sides = (
        (p, user_b, fitted.user_regression, data.user_features, active, w.sum(1), w.shape[1]),
        (q, item_b, fitted.item_regression, data.item_features, warm, w.sum(0), w.shape[0]),
    )
    for factors, b, regression, table, rows, mass, n_others in sides:
        penalty = c.regularization * (mass + a * n_others) ** c.frequency_scaling
        features = [dense(t, table)[torch.from_numpy(rows)] for t in regression.transforms]
        prior = b[0] + torch.cat(features, dim=1) @ b[1:] if features else torch.zeros_like(factors)
        total = total + (penalty[:, None] * (factors - prior) ** 2).sum()
        total = total + c.feature_l2 * penalty.mean() * (b[1:] ** 2).sum()
    return total


def parameters(fitted, data):
    w = data.matrix.toarray() > 0
    weights = [
        np.concatenate([r.intercept[None], *r.weights]) for r in (fitted.user_regression, fitted.item_regression)
    ]
    arrays = (fitted.user_factors[w.any(axis=1)], fitted.item_factors[w.any(axis=0)], *weights)
    return [torch.from_numpy(a).double().requires_grad_() for a in arrays]


@pytest.mark.parametrize(
    "options",
    [{}, {"frequency_scaling": 0.0, "confidence": "linear"}, {"unobserved_weight": 1.0}, {"intercept": False}],
)
def test_the_last_loss_is_the_stated_objective(data, options):
    fitted = FeatureALS(**QUICK, **options).fit(data)
    expected = float(written_out(fitted, data, parameters(fitted, data)).detach())
    assert fitted.losses[-1] == pytest.approx(expected, rel=1e-5)  # float32 factors


@pytest.mark.parametrize(
    "options",
    [{}, {"frequency_scaling": 0.5}, {"unobserved_weight": 0.0, "feature_l2": 0.1}, {"intercept": False}],
)
def test_the_objective_never_rises(data, options):
    losses = FeatureALS(factors=8, iterations=40, regularization=0.05, **options).fit(data).losses
    assert losses[-1] < 0.9 * losses[0]
    assert (np.diff(losses) < 1e-5 * losses[0]).all()  # float32


def test_without_an_intercept_what_is_like_nothing_is_pulled_to_nothing(data):
    """Of the objective the gradient of all but the intercepts is zero, and they are."""
    fitted = FeatureALS(factors=6, iterations=800, regularization=0.1, intercept=False).fit(data)
    values = parameters(fitted, data)
    users, items, of_users, of_items = torch.autograd.grad(written_out(fitted, data, values), values)
    largest = max(float(v.detach().abs().max()) for v in values)
    for gradient in (users, items, of_users[1:], of_items[1:]):
        assert float(gradient.abs().max()) < 2e-3 * largest  # float32
    assert not fitted.user_regression.intercept.any()
    assert not fitted.item_regression.intercept.any()


def test_at_the_end_every_gradient_is_zero(data):
    fitted = FeatureALS(factors=6, iterations=800, regularization=0.1).fit(data)
    values = parameters(fitted, data)
    gradients = torch.autograd.grad(written_out(fitted, data, values), values)
    # The users were solved last: to float32. The others have come as near as 800 alternations bring them.
    scale = float(max(v.detach().abs().max() for v in values))
    assert gradients[0].abs().max() < 1e-4 * scale
    assert all(g.abs().max() < 1e-2 * scale for g in gradients[1:])
    before = torch.autograd.grad(written_out(fitted, data, [v * 1.1 for v in values]), values)
    assert before[1].abs().max() > 10 * gradients[1].abs().max()  # the measure is not blind


def test_without_features_it_is_the_optimum_of_implicit():
    """Where all weights are 1, (1 + a) times our scores minimise Hu's loss with confidence 1 + 1 / a."""
    data, a, pull = shop(), 0.5, 0.7
    pairs = sp.csr_matrix((data.matrix > 0).astype(np.float32))
    with threadpool_limits(1):
        peer = AlternatingLeastSquares(
            factors=3, regularization=pull * (1 + a) / a, alpha=1 + 1 / a, iterations=300, random_state=5
        )
        peer.fit(pairs, show_progress=False)
    user_idx, item_idx = pairs.nonzero()
    when = data.timestamp[: pairs.nnz]
    same = dataclasses.replace(data, user_idx=user_idx, item_idx=item_idx, weight=pairs.data, timestamp=when)
    ours = FeatureALS(
        factors=3, regularization=pull, unobserved_weight=a, frequency_scaling=0.0, blocks=(), iterations=300
    ).fit(same)
    theirs = peer.user_factors[:11] @ peer.item_factors[data.is_warm].T
    scores = ours.scores(data.users.ids[:11])[:, data.is_warm]
    np.testing.assert_allclose((1 + a) * scores, theirs, atol=1e-3)  # theirs are sums of float32 and 3 steps a turn
    assert theirs.max() > 0.5


def test_learns_taste_and_carries_it_to_cold_items_and_users():
    data = with_people(shop(n_users=60))
    fitted = FeatureALS(factors=4, regularization=0.05).fit(data)
    scores = fitted.scores(data.users.ids)
    taste = np.arange(60)[:, None] % 2 == np.arange(34)[None, :] % 2
    for items in (slice(0, 30), COLD_ITEMS):  # warm, cold
        mine, other = (np.where(t[:, items], scores[:, items], np.nan) for t in (taste, ~taste))
        assert (np.nanmin(mine, axis=1) > np.nanmax(other, axis=1)).mean() > 0.9
    assert (np.diff(scores[59].reshape(17, 2)[:15], axis=1) > 0).all()  # of user 59 only features are known


def test_cold_rows_are_exactly_what_their_features_say(data):
    fitted = FeatureALS(**QUICK).fit(data)
    for regression, table, factors, row in (
        (fitted.item_regression, data.item_features, fitted.item_factors, 30),
        (fitted.user_regression, data.user_features, fitted.user_factors, 11),
    ):
        says = regression.intercept + sum(
            dense(t, table)[row].numpy() @ w for t, w in zip(regression.transforms, regression.weights, strict=True)
        )
        np.testing.assert_allclose(factors[row], says, atol=1e-5)


def test_without_features_a_cold_item_is_nothing_and_a_cold_user_average():
    fitted = FeatureALS(**QUICK, blocks=()).fit(shop())
    assert (fitted.scores(["user 0"])[:, COLD_ITEMS] == 0).all()
    assert len(fitted.similar_items(["item 30"], k=3)) == 0
    np.testing.assert_allclose(fitted.user_factors[11], fitted.user_factors[:11].mean(axis=0), atol=1e-6)


def test_wide_sparse_blocks_are_solved_by_conjugate_gradients_to_the_same_weights(data, monkeypatch):
    closed = FeatureALS(**QUICK).fit(data)
    monkeypatch.setattr("recsys.models.als_regression.WIDE", 4)
    steps = FeatureALS(**QUICK).fit(data)
    for a, b in zip(closed.item_regression.weights, steps.item_regression.weights, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4 * np.abs(a).max() + 1e-6)  # 1e-5 of the residual is left
    np.testing.assert_allclose(closed.losses, steps.losses, rtol=1e-4)


def test_early_stop_ends_where_the_objective_is_flat(data):
    long = FeatureALS(factors=4, iterations=60).fit(data)
    short = FeatureALS(factors=4, iterations=60, early_stop=0.01).fit(data)
    n = len(short.losses) - 1
    assert 2 <= n < 60
    np.testing.assert_array_equal(short.losses[:n], long.losses[:n])
    assert short.losses[n - 1] > 0.99 * short.losses[n - 2]


def grown(data: Dataset) -> Dataset:
    """The shop a day later: a new user, a new item that sold, a new item that did not; other order."""
    users = IdMap.of(["newcomer", *data.users.ids])
    items = IdMap.of([*data.items.ids[::-1], "sold", "unsold"])
    here, there = (m.encode(["newcomer", "newcomer", "user 0"]) for m in (users,)), items
    rows = (*here, there.encode([data.items.ids[4], "sold", "sold"]))
    user_idx = np.concatenate([users.encode(data.users.ids[data.user_idx]), rows[0]])
    item_idx = np.concatenate([items.encode(data.items.ids[data.item_idx]), rows[1]])
    blocks = data.item_features.blocks
    old = np.r_[np.arange(33, -1, -1), 4, 5]  # the new items look like items 4 and 5
    table = FeatureTable(items, tuple(b.rows(old) for b in blocks))
    return Dataset(
        users,
        items,
        user_idx,
        item_idx,
        np.concatenate([data.weight, np.ones(3, np.float32)]),
        np.concatenate([data.timestamp, np.full(3, data.timestamp.max())]),
        table,
        FeatureTable(users),
    )


class TestFoldingIn:
    @pytest.fixture(scope="class")
    @classmethod
    def data(cls):
        return shop()

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, data):
        return FeatureALS(**QUICK).fit(data)

    def test_the_dataset_fitted_on_changes_nothing(self, data, fitted):
        again = fitted.partial_fit(data)
        np.testing.assert_allclose(again.user_factors, fitted.user_factors, atol=1e-6)
        np.testing.assert_array_equal(again.item_factors, fitted.item_factors)

    def test_new_rows_solve_their_normal_equations(self, data, fitted):
        later = grown(data)
        again = fitted.partial_fit(later)
        assert again.users == later.users
        assert again.items == later.items
        c, w = fitted.config, later.matrix.toarray().astype(np.float64)
        w = np.log1p(w) / fitted.unit
        active, counting = w.any(axis=1), w.any(axis=0)
        says = fitted.item_regression.of(later.item_features)
        at = later.items.encode(data.items.ids)
        np.testing.assert_allclose(again.item_factors[at], fitted.item_factors, atol=1e-6)  # learned or cold: kept
        np.testing.assert_allclose(again.item_factors[-1], says[-1], atol=1e-6)  # unsold
        for row in (0, 1):  # the newcomer, and user 0 who bought more
            mine, q = w[row, counting], again.item_factors[counting].astype(np.float64)
            cost = c.unobserved_weight + mine
            penalty = c.regularization * (mine.sum() + c.unobserved_weight * counting.sum())
            left = (q.T * cost) @ q + penalty * np.eye(8)
            expected = np.linalg.solve(left, q.T @ mine)
            np.testing.assert_allclose(again.user_factors[row], expected, rtol=1e-3, atol=1e-5)
        assert np.abs(again.item_residuals[-2]).max() > 1e-4  # sold: no longer what features say alone
        assert again.learned.sum() == fitted.learned.sum() + 1
        assert active.sum() == 12

    def test_an_item_that_sold_is_solved_for_the_users_who_bought_it(self, data, fitted):
        """Without features its pull is to 0, and only its buyers matter."""
        bare = FeatureALS(**QUICK, blocks=()).fit(data)
        again = bare.partial_fit(grown(data))
        scores = again.scores(["newcomer", "user 0", "user 1"], ["sold"]).ravel()
        assert scores[:2].min() > max(scores[2], 0.1)

    def test_it_can_be_saved_and_looks_can_change_after(self, data, fitted, tmp_path):
        again = fitted.partial_fit(grown(data))
        again.save(tmp_path / "m")
        loaded = type(fitted).load(tmp_path / "m")
        table = grown(data).item_features
        np.testing.assert_array_equal(
            loaded.with_item_features(table).item_factors, again.with_item_features(table).item_factors
        )
        np.testing.assert_allclose(again.with_item_features(table).item_factors, again.item_factors, atol=1e-6)


def test_nothing_to_learn_from_is_an_error(data):
    empty = dataclasses.replace(data, weight=np.zeros_like(data.weight))
    with pytest.raises(DataError, match="no interaction has a positive weight"):
        FeatureALS(**QUICK).fit(empty)


def test_weights_count_and_vanish_with_0(data):
    """The objective is continuous in the weights: of nearly 0 is of nearly none."""
    one = (data.user_idx == 0) & (data.item_idx == data.item_idx[data.user_idx == 0][0])
    found = []
    for weight in (0.0, 1e-30, 0.01, 3.0):
        changed = dataclasses.replace(data, weight=np.where(one, np.float32(weight), data.weight))
        fitted = FeatureALS(**QUICK, regularization=0.1, confidence="linear").fit(changed)
        found.append(fitted.scores(["user 0"])[0, data.item_idx[one][0]])
    assert found[0] == pytest.approx(found[1], rel=1e-2)  # one of 130 more in the mean that is made 1
    assert found[1] < found[2] < found[3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factors": 0}, "factors must be >= 1"),
        ({"iterations": 0}, "iterations must be >= 1"),
        ({"cg_steps": -1}, "cg_steps must be >= 0"),
        ({"regularization": 0.0}, "regularization must be > 0"),
        ({"feature_l2": float("inf")}, "feature_l2 must be > 0"),
        ({"unobserved_weight": -1.0}, "unobserved_weight must be >= 0"),
        ({"frequency_scaling": float("nan")}, "frequency_scaling must be >= 0"),
        ({"early_stop": 1.0}, "early_stop must be in"),
        ({"device": "gpu"}, "device must be one of auto, cpu, cuda, got 'gpu'"),
        ({"weights": {"look": -1.0}}, "weight of block 'look' must be > 0"),
    ],
)
def test_refuses_impossible_options(options, message):
    with pytest.raises(ConfigError, match=message):
        FeatureALS(**options)
