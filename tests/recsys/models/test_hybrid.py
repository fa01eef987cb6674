"""Oracles: the score written out, a trained LightFM, tastes that are known."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from model_contract import COLD_ITEMS, FeatureContract, ModelContract, shop

from recsys.data.features import FeatureBlock, FeatureTable
from recsys.errors import ConfigError, DataError
from recsys.models.blocks import fit_transform
from recsys.models.fitted_hybrid import fitted_hybrid
from recsys.models.hybrid import HybridModel

QUICK = {"factors": 8, "epochs": 4, "batch_size": 4, "negatives": 16}


class TestSoftmax(FeatureContract, ModelContract):
    model = HybridModel(**QUICK, seed=2)


class TestBprWithoutHistory(FeatureContract, ModelContract):
    model = HybridModel(**QUICK, loss="bpr", history=False)


class TestWarpOverAllItems(FeatureContract, ModelContract):
    model = HybridModel(**QUICK | {"negatives": 10**6}, loss="warp", id_dropout=0.0, weights={"look": 2.0})


class TestKosWithoutUserIds(FeatureContract, ModelContract):
    model = HybridModel(**QUICK, loss="warp-kos", optimiser="adam", user_id=False, raw=("category",))


class TestBfloat16(FeatureContract, ModelContract):
    model = HybridModel(**QUICK, precision="bfloat16")


class TestLogistic(FeatureContract, ModelContract):
    model = HybridModel(**QUICK, loss="logistic")


class TestIdsOnly(ModelContract):
    model = HybridModel(**QUICK | {"epochs": 20}, l2=0.01, blocks=())  # trained enough to place a stranger


@pytest.fixture(scope="module")
def data():
    return shop()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(data):
    with pytest.raises(ConfigError, match="torch sees no GPU"):
        HybridModel(**QUICK, device="cuda").fit(data)


def test_a_raw_block_that_does_not_exist_is_refused(data):
    with pytest.raises(ConfigError, match="raw 'lok'; did you mean 'look'"):
        HybridModel(**QUICK, raw=("lok",)).fit(data)


def test_another_seed_is_another_model(data):
    a, b = (HybridModel(**QUICK, seed=s).fit(data) for s in (0, 1))
    assert not np.array_equal(a.item_vectors, b.item_vectors)


def test_nothing_global_is_seeded(data):
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    HybridModel(**QUICK).fit(data)
    assert torch.equal(torch.rand(1), expected)


def contents(transforms, weights, table):
    """Σ over blocks of features @ weights."""
    total = np.zeros((), np.float32)
    for transform, weight in zip(transforms, weights, strict=True):
        x = transform.apply(table[transform.name])
        total = total + (x.toarray() if sp.issparse(x) else x) @ weight
    return total


def test_item_and_user_vectors_are_the_stated_sums(data):
    age = FeatureBlock("age", np.random.default_rng(0).normal(size=(12, 1)).astype(np.float32), columns=("age",))
    data = dataclasses.replace(data, user_features=FeatureTable(data.users, (age,)))
    fitted = HybridModel(**QUICK).fit(data)
    items = contents(fitted.item_transforms, fitted.item_weights, data.item_features)
    np.testing.assert_allclose(fitted.items_made, fitted.item_ids + items, atol=1e-5)
    assert (fitted.item_ids[COLD_ITEMS] == fitted.unknown).all()
    users = fitted.user_ids + contents(fitted.user_transforms, fitted.user_weights, data.user_features)
    history = np.log1p(data.matrix.toarray())
    mass = history.sum(axis=1, keepdims=True)
    users[:, :-1] += np.divide(history @ items[:, :-1], mass, where=mass > 0, out=np.zeros((12, 8)))
    np.testing.assert_allclose(fitted.users_made, users, atol=1e-5)
    scores = fitted.user_vectors @ fitted.item_vectors.T + fitted.item_bias + fitted.users_made[:, -1:]
    np.testing.assert_allclose(fitted.scores(data.users.ids), scores, atol=1e-5)


def test_a_user_of_whom_nothing_is_known_is_the_average_user(data):
    fitted = HybridModel(**QUICK).fit(data)
    np.testing.assert_allclose(fitted.users_made[11], fitted.users_made[:11].mean(axis=0), atol=1e-6)


def test_a_trained_lightfm_gives_the_same_scores_here(data):
    lightfm = pytest.importorskip("lightfm", reason="extra lightfm is not installed")
    look, age = data.item_features["look"], np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
    data = dataclasses.replace(
        data,
        item_features=FeatureTable(data.items, (look,)),
        user_features=FeatureTable(data.users, (FeatureBlock("age", age),)),
    )
    sides = [sp.csr_matrix(np.hstack([np.eye(len(f)), f]), dtype=np.float32) for f in (age, look.values)]
    pairs = data.user_idx.astype(np.int32), data.item_idx.astype(np.int32)
    train = sp.coo_matrix((np.ones(len(pairs[0]), np.float32), pairs), shape=(12, 34))
    peer = lightfm.LightFM(no_components=8, loss="warp", random_state=0)
    peer.fit(train, user_features=sides[0], item_features=sides[1], epochs=5)
    users, items = (
        np.hstack([vectors, bias[:, None]])
        for vectors, bias in ((peer.user_embeddings, peer.user_biases), (peer.item_embeddings, peer.item_biases))
    )
    ours = fitted_hybrid(
        HybridModel(factors=8, history=False, raw=("look", "age")),
        data,
        user_ids=users[:12],
        item_ids=items[:34],
        unknown=np.zeros(9, np.float32),
        user_transforms=(fit_transform(data.user_features["age"], raw=True),),
        item_transforms=(fit_transform(look, raw=True),),
        user_weights=(users[12:],),
        item_weights=(items[34:],),
        losses=np.zeros(1, np.float32),
    )
    user, item = np.repeat(np.arange(12), 34), np.tile(np.arange(34), 12)
    theirs = peer.predict(user, item.astype(np.int32), user_features=sides[0], item_features=sides[1])
    np.testing.assert_allclose(ours.scores(data.users.ids).ravel(), theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("negatives", [10**6, 16])
@pytest.mark.parametrize("loss", ["softmax", "warp", "warp-kos", "bpr", "logistic"])
def test_learns_taste_and_carries_it_to_cold_items(loss, negatives):
    data = shop(n_users=60)
    fitted = HybridModel(loss=loss, factors=16, epochs=20, batch_size=16, negatives=negatives).fit(data)
    scores = fitted.scores(data.users.ids[:59])
    taste = np.arange(59)[:, None] % 2 == np.arange(34)[None, :] % 2
    for items, share in ((slice(0, 30), 0.7), (COLD_ITEMS, 0.7)):  # warm, cold; by chance both are under .01
        mine, other = (np.where(t[:, items], scores[:, items], np.nan) for t in (taste, ~taste))
        assert (np.nanmin(mine, axis=1) > np.nanmax(other, axis=1)).mean() > share


def test_user_features_alone_tell_a_stranger_s_taste(data):
    data = shop(n_users=60)
    taste = FeatureBlock.one_hot("taste", ["ab"[u % 2] for u in range(60)])
    data = dataclasses.replace(data, user_features=FeatureTable(data.users, (taste,)))
    fitted = HybridModel(factors=16, epochs=30, batch_size=16, user_id=False, history=False).fit(data)
    stranger = fitted.scores([data.users.ids[59]])[0]  # of taste b, without history
    assert stranger[1:30:2].min() > stranger[0:30:2].max()


def test_ids_alone_know_nothing_of_cold_items():
    fitted = HybridModel(**QUICK, blocks=()).fit(shop())
    assert (fitted.scores(["user 0"])[:, COLD_ITEMS] == fitted.users_made[0, -1]).all()
    assert len(fitted.similar_items(["item 30"], k=3)) == 0


def test_loss_falls(data):
    losses = HybridModel(**QUICK | {"epochs": 60}).fit(data).losses
    assert len(losses) == 60
    assert losses[-1] < 0.7 * losses[0]


def test_a_rehearsal_finds_the_epochs_and_the_fit_is_then_on_everything(data):
    options = QUICK | {"epochs": 40, "validation": 0.3, "patience": 2}
    rehearsed = HybridModel(**options).fit(data)
    n = len(rehearsed.losses)
    assert 1 <= n < 40
    plain = HybridModel(**options | {"validation": 0.0, "epochs": n}).fit(data)
    np.testing.assert_array_equal(rehearsed.losses, plain.losses)
    np.testing.assert_array_equal(rehearsed.users_made, plain.users_made)
    offset = rehearsed.items_made - plain.items_made
    assert (offset[:30] == 0).all()  # warm items are as they were
    assert (offset[COLD_ITEMS, :-1] == 0).all()
    np.testing.assert_allclose(offset[COLD_ITEMS, -1], rehearsed.unknown[-1] - plain.unknown[-1], atol=1e-5)


def test_a_diverged_loss_is_an_error_that_says_what_to_do(data):
    with pytest.raises(DataError, match=r"the loss is (nan|inf) in epoch \d+; lower learning_rate \(1e\+30\)"):
        HybridModel(**QUICK, learning_rate=1e30, bias_learning_rate=1e30).fit(data)


def test_nothing_to_learn_from_is_an_error(data):
    empty = dataclasses.replace(data, weight=np.zeros_like(data.weight))
    with pytest.raises(DataError, match="no interaction has a positive weight"):
        HybridModel(**QUICK).fit(empty)


def test_a_user_who_has_everything_is_no_obstacle():
    data = shop(n_users=3, n_items=4)
    everything = dataclasses.replace(
        data,
        user_idx=np.zeros(4, np.int64),
        item_idx=np.arange(4),
        weight=np.ones(4, np.float32),
        timestamp=data.timestamp[:4],
    )
    fitted = HybridModel(**QUICK).fit(everything)
    assert np.isfinite(fitted.scores(data.users.ids)).all()
    assert len(fitted.recommend([data.users.ids[0]], k=3)) == 0


def test_sparse_blocks_equal_their_dense_form(data):
    tags = sp.random_array((34, 9), density=0.3, rng=1, dtype=np.float32)
    options = QUICK | {"raw": ("tags",), "seed": 3}
    fits = []
    for values in (sp.csr_array(tags), tags.toarray()):
        table = FeatureTable(data.items, (FeatureBlock("tags", values),))
        fits.append(HybridModel(**options).fit(dataclasses.replace(data, item_features=table)))
    np.testing.assert_allclose(*(f.scores(data.users.ids) for f in fits), rtol=1e-3, atol=1e-4)


def test_features_of_wide_sparse_and_zero_variance_blocks_do_not_break_it(data):
    table = FeatureTable(
        data.items,
        (
            FeatureBlock("constant", np.ones((34, 4), np.float32)),
            FeatureBlock("tags", sp.csr_array(sp.random_array((34, 5000), density=0.01, rng=1, dtype=np.float32))),
        ),
    )
    fitted = HybridModel(**QUICK).fit(dataclasses.replace(data, item_features=table))
    assert fitted.item_weights[1].shape == (5000, 9)
    assert np.isfinite(fitted.scores(data.users.ids)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "warb"}, "loss must be one of softmax, warp, bpr, logistic, warp-kos, got 'warb'"),
        ({"optimiser": "sgd"}, "optimiser must be one of adagrad, adam"),
        ({"folds": 1}, "folds must be >= 2"),
        ({"negatives": 0}, "negatives must be >= 1"),
        ({"kos_k": 4}, r"kos_n must be >= kos_k \(4\), got 3"),
        ({"factors": 0}, "factors must be >= 1"),
        ({"epochs": 0}, "epochs must be >= 1"),
        ({"learning_rate": float("nan")}, "learning_rate must be > 0"),
        ({"l2": -1.0}, "l2 must be >= 0"),
        ({"id_dropout": 1.5}, r"id_dropout must be in \[0, 1\]"),
        ({"validation": 1.0}, "validation must be in"),
        ({"weights": {"look": -1.0}}, "weight of block 'look' must be > 0"),
    ],
)
def test_refuses_impossible_options(options, message):
    with pytest.raises(ConfigError, match=message):
        HybridModel(**options)


def test_bfloat16_learns_what_float32_learns():
    """Eight significant bits: vectors differ by about 2^-8 of their length after a few steps, lists hardly."""
    data = shop()
    wide, narrow = (HybridModel(**QUICK, precision=p).fit(data) for p in ("float32", "bfloat16"))
    scores = [m.scores(data.users.ids) for m in (wide, narrow)]
    assert not np.array_equal(*scores)
    assert np.abs(scores[0] - scores[1]).max() < 0.02 * scores[0].std()
