"""Oracles: dense numpy, and the `implicit` package."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, ItemItemRecommender
from implicit.utils import ParameterWarning
from model_contract import COLD_ITEMS, ModelContract, shop

from recsys.errors import ConfigError
from recsys.models.item_knn import ItemKNN, nearest


class TestItemKNN(ModelContract):
    model = ItemKNN(k=10)


class TestItemKNNBM25(ModelContract):
    model = ItemKNN(k=12, weighting="bm25")
    cosine = False


def test_scores_are_sums_of_the_nearest_neighbours_cosines():
    data = shop()
    x = data.matrix.toarray().astype(np.float64)
    norms = np.linalg.norm(x, axis=0)
    cosine = x.T @ x / np.where(norms > 0, norms, 1)[:, None] / np.where(norms > 0, norms, 1)
    np.fill_diagonal(cosine, 0)
    fitted = ItemKNN(k=5).fit(data)
    kept = fitted.neighbours.toarray()
    assert (np.count_nonzero(kept, axis=1) == np.minimum(5, np.count_nonzero(cosine, axis=1))).all()
    for mine, full in zip(kept, cosine, strict=True):
        # Neighbours tied at the border may be any of those; their similarities are the five highest.
        np.testing.assert_allclose(np.sort(mine)[-5:], np.sort(full)[-5:], atol=1e-6)
        np.testing.assert_allclose(mine[mine > 0], full[mine > 0], atol=1e-6)
    np.testing.assert_allclose(fitted.scores(data.users.ids), x @ kept, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("weighting", "peer"), [("cosine", CosineRecommender), ("bm25", BM25Recommender), ("count", ItemItemRecommender)]
)
def test_equals_implicit(weighting, peer):
    data = shop()
    warm = np.flatnonzero(data.is_warm)  # the peer would divide by the length of a cold item
    theirs = peer(K=len(warm))  # the item itself is one of its neighbours there
    counts = sp.csr_matrix(data.matrix.toarray()[:11, warm].astype(np.float64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ParameterWarning)  # of a conversion that the peer itself makes needed
        theirs.fit(counts, show_progress=False)
    expected = theirs.similarity.toarray()
    np.fill_diagonal(expected, 0)
    ours = ItemKNN(k=34, weighting=weighting).fit(data)
    np.testing.assert_allclose(ours.neighbours.toarray()[np.ix_(warm, warm)], expected, rtol=1e-5, atol=1e-6)


def test_blocks_change_nothing():
    rng = np.random.default_rng(0)
    x = sp.csr_array(rng.poisson(0.3, (50, 30)).astype(np.float32))  # whole numbers: many ties, no rounding
    full = (x @ x.T).toarray()
    np.fill_diagonal(full, 0)
    for products in (1, 100, 10**9):
        row, column, value = nearest(x, 4, products=products)
        found = np.zeros((50, 50), np.float32)
        found[row, column] = value
        for mine, scores in zip(found, full, strict=True):
            best = [j for j in np.argsort(-scores, kind="stable")[:4] if scores[j] > 0]
            assert np.flatnonzero(mine).tolist() == sorted(best)
            np.testing.assert_array_equal(mine[best], scores[best])


def test_cold_items_have_no_neighbours_and_score_zero():
    data = shop()
    fitted = ItemKNN().fit(data)
    assert (fitted.scores(data.users.ids)[:, COLD_ITEMS] == 0).all()
    assert len(fitted.similar_items(data.items.ids[COLD_ITEMS], k=3)) == 0


def test_equal_neighbours_do_not_depend_on_the_order_of_the_catalogue():
    data = shop()
    x = data.matrix.toarray()
    x[:, 10:16] = x[:, [10]]  # six items bought by the same users
    user, item = np.nonzero(x)
    lists = []
    for ids in (data.items.ids, data.items.ids[::-1]):
        items = type(data.items).of(ids)
        place = items.encode(data.items.ids)
        again = type(data)(
            data.users,
            items,
            user,
            place[item],
            x[user, item],
            np.full(len(user), np.datetime64("NaT", "ns")),
            data.item_features.align(items),
            data.user_features,
        )
        recs = ItemKNN(k=2).fit(again).similar_items([data.items.ids[10]], k=2)
        lists.append(recs.item_id.tolist())
    assert lists[0] == lists[1]


def test_history_counts_by_weight():
    data = shop()
    once = ItemKNN(k=5).fit(data)
    item = data.items.ids[4]
    single, double = (once.recommend_for({"x": [item] * n}, k=5).score for n in (1, 2))
    np.testing.assert_allclose(double, 2 * single, rtol=1e-6)


def test_similar_items_are_the_neighbours_kept():
    data = shop()
    fitted = ItemKNN(k=3).fit(data)
    recs = fitted.similar_items([data.items.ids[4]], k=10)
    assert len(recs) == 3
    row = fitted.neighbours.toarray()[4]
    np.testing.assert_array_equal(recs.score, row[data.items.encode(recs.item_id)])


@pytest.mark.parametrize(("options", "message"), [({"k": 0}, "k must be"), ({"weighting": "tfidf"}, "weighting")])
def test_refuses_impossible_options(options, message):
    with pytest.raises(ConfigError, match=message):
        ItemKNN(**options)
