"""Oracle: the `implicit` package itself."""

import numpy as np
import pytest
import scipy.sparse as sp
from implicit.cpu.bpr import BayesianPersonalizedRanking
from model_contract import COLD_ITEMS, ModelContract, shop
from small_shop import later_shop

from recsys.errors import ConfigError, DataError
from recsys.models.bpr import BPR
from recsys.models.fitted import evidence


class TestBPR(ModelContract):
    model = BPR(factors=8, epochs=60, learning_rate=0.05)


def test_equals_implicit():
    data = shop()
    peer = BayesianPersonalizedRanking(
        factors=6, learning_rate=0.03, regularization=0.02, iterations=7, num_threads=1, random_state=5
    )
    peer.fit(sp.csr_matrix(evidence(data.matrix)), show_progress=False)
    ours = BPR(factors=6, learning_rate=0.03, regularization=0.02, epochs=7, seed=5).fit(data)
    np.testing.assert_allclose(
        ours.scores(data.users.ids[:11]), peer.user_factors[:11] @ peer.item_factors.T, rtol=1e-5, atol=1e-6
    )


def test_cold_items_score_zero_and_a_user_without_history_is_average():
    data = shop()
    scores = BPR(factors=8, epochs=20).fit(data).scores(data.users.ids)
    assert (scores[:, COLD_ITEMS] == 0).all()
    np.testing.assert_allclose(scores[11], scores[:11].mean(axis=0), rtol=1e-4, atol=1e-6)


def test_known_users_and_items_keep_their_vectors():
    data, later = shop(), later_shop()
    fitted = BPR(factors=8, epochs=20).fit(data)
    grown = fitted.partial_fit(later)
    for users in (later.users.ids[:10], ["user 0"]):
        np.testing.assert_array_equal(
            grown.user_vectors[later.users.encode(users)], fitted.user_vectors[data.users.encode(users)]
        )
    stayed = [i for i in later.items if i in data.items and i not in data.items.ids[COLD_ITEMS]]
    np.testing.assert_array_equal(grown.scores(["user 4"], stayed), fitted.scores(["user 4"], stayed))
    assert (grown.item_vectors[later.items.encode(["new item 34"])] != 0).any()
    assert (grown.item_vectors[later.items.encode(["new item 35"])] == 0).all()


def test_divergence_is_an_error():
    with pytest.raises(DataError, match="non-finite"):
        BPR(learning_rate=1e20, epochs=3).fit(shop())


@pytest.mark.parametrize(
    "options",
    [{"factors": 0}, {"epochs": 0}, {"regularization": -1.0}, {"learning_rate": 0.0}, {"learning_rate": float("nan")}],
)
def test_refuses_impossible_options(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        BPR(**options)
