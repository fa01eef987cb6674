"""Oracle: cosines written out."""

import dataclasses

import numpy as np
import pytest
from model_contract import FeatureContract, ModelContract, shop
from sklearn.metrics.pairwise import cosine_similarity
from small_shop import later_shop

from recsys.data.features import FeatureBlock, FeatureTable
from recsys.errors import ConfigError, DataError
from recsys.models.content import Content


class TestContent(FeatureContract, ModelContract):
    model = Content(weights={"category": 0.5})


def test_score_is_the_weighted_mean_cosine_to_the_history():
    data = shop()
    fitted = Content(blocks=("look", "category"), weights={"category": 0.5}, max_dims=12, whitening=0.0).fit(data)
    # Without whitening or loss of dimensions, the rotation keeps cosines of centred rows.
    look = data.item_features["look"].values
    look = look - look.mean(axis=0)
    look = look / np.linalg.norm(look, axis=1, keepdims=True)
    category = data.item_features["category"].values.toarray()
    history = data.matrix.toarray()[:11]
    expected = (cosine_similarity(history @ look, look) + 0.5 * cosine_similarity(history @ category, category)) / 1.5
    np.testing.assert_allclose(fitted.scores(data.users.ids[:11]), expected, atol=1e-5)


def test_a_user_without_history_is_the_average_direction():
    data = shop()
    fitted = Content().fit(data)
    for block in fitted.user_blocks:
        dense = block.toarray() if hasattr(block, "toarray") else block
        mean = dense[:11].mean(axis=0)
        np.testing.assert_allclose(dense[11], mean / np.linalg.norm(mean), atol=1e-6)


def test_similar_items_are_those_of_the_same_look():
    data = shop()
    recs = Content(blocks=("look",)).fit(data).similar_items(data.items.ids[:10], k=5)
    query, found = data.items.encode(recs.user_id), data.items.encode(recs.item_id)
    np.testing.assert_array_equal(query % 2, found % 2)  # parity is the taste: far apart in every direction


def test_needs_features():
    data = shop()
    bare = dataclasses.replace(data, item_features=FeatureTable(data.items))
    with pytest.raises(ConfigError, match="content needs item features"):
        Content().fit(bare)


def test_an_item_of_which_nothing_is_known_scores_zero_and_is_like_nothing():
    data = shop()
    labels = ["bag", "shoe"] * 17
    labels[0] = ""
    table = FeatureTable(data.items, (FeatureBlock.one_hot("category", labels),))
    fitted = Content().fit(dataclasses.replace(data, item_features=table))
    assert (fitted.scores(data.users.ids)[:, 0] == 0).all()
    assert len(fitted.similar_items([data.items.ids[0]], k=3)) == 0


def test_a_later_dataset_is_looked_at_with_the_normalisation_learned():
    data, later = shop(), later_shop()
    fitted = Content(blocks=("look",), max_dims=12, whitening=0.0).fit(data)
    grown = fitted.partial_fit(later)
    assert grown.transforms is fitted.transforms
    look = later.item_features["look"].values - data.item_features["look"].values.mean(axis=0)
    look = look / np.linalg.norm(look, axis=1, keepdims=True)
    active = np.flatnonzero(later.matrix.sum(axis=1) > 0)
    expected = cosine_similarity(later.matrix.toarray()[active] @ look, look)
    np.testing.assert_allclose(grown.scores(later.users.decode(active)), expected, atol=1e-5)


def test_similar_users_have_like_profiles():
    data = shop()
    fitted = Content(blocks=("look",)).fit(data)
    recs = fitted.similar_users(["user 0"], k=40)
    rows = fitted.user_blocks[0]
    np.testing.assert_allclose(recs.score, (rows @ rows[0])[data.users.encode(recs.item_id)], atol=1e-6)


def test_a_later_dataset_without_a_block_is_refused():
    later = later_shop()
    bare = dataclasses.replace(later, item_features=FeatureTable(later.items))
    with pytest.raises(DataError, match="unknown feature block 'look'"):
        Content().fit(shop()).partial_fit(bare)


@pytest.mark.parametrize(
    "options",
    [{"weights": {"look": 0.0}}, {"max_dims": 0}, {"whitening": 1.5}, {"weights": {"look": float("nan")}}],
)
def test_refuses_impossible_options(options):
    with pytest.raises(ConfigError, match=r"weight|max_dims"):
        Content(**options)
