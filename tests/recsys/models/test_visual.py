"""Oracles: the equations of the two papers, written out from the learned parameters."""

import dataclasses

import numpy as np
import pytest
from model_contract import FeatureContract, ModelContract
from small_shop import COLD_ITEMS, shop

from recsys.data.features import FeatureTable
from recsys.errors import ConfigError, DataError
from recsys.models.visual import VBPR, DeepStyle

QUICK = {"epochs": 6, "batch_size": 4, "negatives": 16, "factors": 6}


class TestVBPR(FeatureContract, ModelContract):
    model = VBPR(**QUICK, visual_factors=5)


class TestDeepStyle(FeatureContract, ModelContract):
    model = DeepStyle(**QUICK)


@pytest.fixture(scope="module")
def data():
    return shop(n_users=40)


def features_of(fitted, data):
    """(n, d) all normalised blocks side by side, and their (d, f + 1) weights."""
    blocks = [t.apply(data.item_features[t.name]) for t in fitted.item_transforms]
    dense = [b if isinstance(b, np.ndarray) else b.toarray() for b in blocks]
    return np.hstack(dense), np.vstack(fitted.item_weights)


def test_vbpr_scores_by_its_equation(data):
    fitted = VBPR(**QUICK, visual_factors=5).fit(data)
    x, w = features_of(fitted, data)
    assert (w[:, :6] == 0).all()  # pictures have no say in the factors of ids
    assert (fitted.item_ids[:, 6:-1] == 0).all()  # and ids none in those of pictures
    assert np.abs(w[:, 6:]).min() > 0
    gamma_u, theta_u = fitted.user_ids[:, :6], fitted.user_ids[:, 6:-1]
    scores = fitted.item_ids[:, -1] + gamma_u @ fitted.item_ids[:, :6].T + theta_u @ (x @ w[:, 6:-1]).T + x @ w[:, -1]
    known = np.diff(fitted.seen.indptr) > 0
    np.testing.assert_allclose(fitted.scores(data.users.ids)[known], scores[known], rtol=1e-4, atol=1e-5)


def test_deepstyle_takes_one_vector_a_category_out(data):
    fitted = DeepStyle(**QUICK).fit(data)
    names = [t.name for t in fitted.item_transforms]
    category = names.index("category")
    assert fitted.item_transforms[category].kind == "raw sparse"
    x, w = features_of(fitted, data)
    style = x @ w + fitted.item_ids
    np.testing.assert_allclose(fitted.items_made, style, rtol=1e-4, atol=1e-5)
    without = [i for i in range(34) if i % 3 == 2]  # of no category: nothing is taken out
    assert (data.item_features["category"].values[without].toarray() == 0).all()


@pytest.mark.parametrize("model", [VBPR(**QUICK | {"epochs": 30}), DeepStyle(**QUICK | {"epochs": 30})])
def test_pictures_carry_taste_to_cold_items(data, model):
    scores = model.fit(data).scores(data.users.ids[:39])[:, COLD_ITEMS]
    own = np.arange(39)[:, None] % 2 == np.array(COLD_ITEMS)[None] % 2
    right = np.where(own, scores, np.inf).min(axis=1) > np.where(own, -np.inf, scores).max(axis=1)
    assert right.mean() > 0.8  # by chance 1 / 6


def test_refuses_what_it_cannot_use(data):
    bare = dataclasses.replace(data, item_features=FeatureTable(data.items))
    for model in (VBPR(), DeepStyle()):
        with pytest.raises(ConfigError, match="needs item features"):
            model.fit(bare)
    with pytest.raises(DataError, match="unknown feature block 'kind'"):
        DeepStyle(category="kind").fit(data)
    with pytest.raises(ConfigError, match="must be one-hot"):
        DeepStyle(category="look").fit(data)
    with pytest.raises(ConfigError, match="visual_factors must be >= 1"):
        VBPR(visual_factors=0)
    with pytest.raises(ConfigError, match="epochs must be >= 1"):
        VBPR(epochs=0)
