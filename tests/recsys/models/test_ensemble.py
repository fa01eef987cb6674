"""Oracles: blends written out, a truth that only one member knows, held-out shares of cold items."""

import dataclasses

import numpy as np
import pytest
from model_contract import ModelContract
from scipy.stats import rankdata
from small_shop import shop

from recsys.errors import ConfigError
from recsys.models.blending import reciprocal_ranks, simplex, standardised, tuned_weights
from recsys.models.calibration import expected_cold_share
from recsys.models.content import Content
from recsys.models.ensemble import Ensemble, Member
from recsys.models.popularity import Popularity
from recsys.models.validation import Holdout

CONTENT, POPULARITY = Member("content"), Member("popularity")


class TestTuned(ModelContract):
    model = Ensemble(members=(POPULARITY, CONTENT), weights=(1.0, 3.0), validation=0.3)


class TestReciprocalRanksGivenWeights(ModelContract):
    model = Ensemble(
        members=(Member("als", {"factors": 4}), CONTENT), blend="reciprocal-rank", weights=(1.0, 3.0), validation=0.0
    )


@pytest.fixture(scope="module")
def data():
    return shop(n_users=60)


@pytest.mark.parametrize("blend", ["weighted", "reciprocal-rank"])
def test_scores_are_the_weighted_blend_of_each_half(data, blend):
    fitted = Ensemble(members=(POPULARITY, CONTENT), blend=blend, weights=(1.0, 3.0), validation=0.0).fit(data)
    members = [model.fit(data).scores(data.users.ids) for model in (Popularity(), Content())]
    got, warm = fitted.scores(data.users.ids), data.is_warm
    for half in (warm, ~warm):
        expected = 0
        for scores, weight in zip(members, (0.25, 0.75), strict=True):
            s = scores[:, half].astype(np.float64)
            if blend == "weighted":
                spread = s.std(axis=1, keepdims=True)
                z = np.divide(s - s.mean(axis=1, keepdims=True), spread, where=spread > 1e-9, out=np.zeros_like(s))
            else:
                z = 1 / (60 + rankdata(-scores[:, half], axis=1))
            expected = expected + weight * z
        np.testing.assert_allclose(got[:, half], expected, rtol=1e-3, atol=1e-4)


def test_tuning_finds_the_member_that_knows(data):
    held = Holdout.of(data, 0.3)
    truth = np.zeros((60, 34), np.float32)
    truth[held.users[held.owner], held.item] = 1
    noise = np.random.default_rng(0).normal(size=(60, 34)).astype(np.float32)
    weights = tuned_weights([lambda u: noise[u], lambda u: truth[u]], held, standardised)
    assert weights[1, 1] > 0.5  # warm items were chosen
    np.testing.assert_array_equal(weights[0], 0.5)  # cold ones were not: nothing to go by


def test_new_items_are_listed_as_often_as_they_will_be_bought():
    data = shop(n_users=200, n_items=200)
    rng = np.random.default_rng(0)
    late = data.timestamp >= np.sort(data.timestamp)[int(len(data.timestamp) * 0.7)]
    item = np.where(late & (rng.random(len(late)) < 0.5), rng.integers(30, 150, len(late)), data.item_idx)
    data = dataclasses.replace(data, item_idx=item)  # the last 50 items are new
    shares = []
    for days in (5.0, 60.0):
        fitted = Ensemble(members=(POPULARITY, CONTENT), validation=0.3, horizon_days=days).fit(data)
        lists, _ = fitted.top_items(np.flatnonzero(np.diff(data.matrix.indptr)), k=20)
        shares.append((~data.is_warm[lists[lists >= 0]]).mean())
        assert shares[-1] == pytest.approx(expected_cold_share(data, days, recent=0.3), abs=0.02)
    assert shares[0] < shares[1]


def test_members_may_look_at_other_pictures(data):
    fitted = Ensemble(members=(POPULARITY, CONTENT), validation=0.3).fit(data)
    again = fitted.with_item_features(data.item_features)
    np.testing.assert_allclose(again.scores(data.users.ids), fitted.scores(data.users.ids), atol=1e-5)


def test_it_needs_what_its_neediest_member_needs():
    assert Ensemble(members=(POPULARITY,)).uses_features == "no"
    assert Ensemble(members=(POPULARITY, Member("hybrid"))).uses_features == "optional"
    assert Ensemble(members=(CONTENT, POPULARITY)).uses_features == "required"


def test_weights_cover_the_simplex():
    for n in range(1, 6):
        grid = simplex(n)
        np.testing.assert_allclose(grid.sum(axis=1), 1, rtol=1e-5)
        assert (grid >= 0).all()
        assert len(np.unique(grid, axis=0)) == len(grid)
        assert all((grid == corner).all(axis=1).any() for corner in np.eye(n))


def test_ranks_are_those_of_scipy():
    scores = np.random.default_rng(0).integers(0, 5, (4, 9)).astype(np.float32)
    np.testing.assert_allclose(reciprocal_ranks(scores), 1 / (60 + rankdata(-scores, axis=1)), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"members": ()}, "at least one member"),
        ({"blend": "borda"}, "blend must be one of weighted, reciprocal-rank"),
        ({"weights": (1.0,)}, r"one a member \(2\), got 1"),
        ({"weights": (0.0, 0.0)}, "not all 0"),
        ({"validation": 0.0}, "nothing to tune weights on"),
        ({"members": (Member("ensemble"),)}, "cannot be a member"),
        ({"members": (Member("hybrit"),)}, "unknown model 'hybrit'; did you mean 'hybrid'"),
        ({"members": (Member("hybrid", {"factor": 3}),)}, "members.hybrid.*'factor'; did you mean 'factors'"),
    ],
)
def test_refuses_impossible_options(options, message):
    with pytest.raises(ConfigError, match=message):
        Ensemble(**options)
