"""Oracles: the `lightfm` package itself, and the floors its own tests state for MovieLens 100K."""

import gzip

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from model_contract import COLD_ITEMS, FeatureContract, ModelContract, shop
from scipy.stats import rankdata
from small_shop import later_shop

import recsys.extras
from recsys.data.dataset import Dataset
from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.errors import ConfigError, DataError, MissingExtraError
from recsys.models.lightfm import LightFM

lightfm = pytest.importorskip("lightfm")


class TestLightFM(FeatureContract, ModelContract):
    model = LightFM(factors=8, epochs=10)


class TestLightFMWithIdsOnly(ModelContract):
    model = LightFM(factors=8, epochs=30, blocks=(), loss="warp-kos", kos_k=2, kos_n=4)


def with_ages(data):
    ages = FeatureBlock("age", (np.arange(len(data.users), dtype=np.float32) % 5)[:, None], columns=("age",))
    return Dataset(
        **{f: getattr(data, f) for f in data.__dataclass_fields__}
        | {"user_features": FeatureTable(data.users, (ages,))}
    )


@pytest.mark.parametrize("loss", ["warp", "warp-kos", "bpr"])
def test_equals_the_package(loss):
    data = with_ages(shop())
    x = data.matrix.toarray()[:, :30]  # items nobody has take no part
    warm = np.flatnonzero(x.sum(axis=0))
    look = data.item_features["look"].values.astype(np.float64)
    look = look - look.mean(axis=0)
    ages = data.user_features["age"].values.astype(np.float64)
    ages = (ages - ages.mean()) / ages.std()
    # One direction, so that nothing of the block's rotation but a sign is open: taste, normalised to length 1.
    direction = np.linalg.svd(look, full_matrices=False)[2][0]
    direction *= np.sign(direction[np.abs(direction).argmax()])
    taste = np.sign(look @ direction)[warm, None]
    row, column = np.nonzero(x[:, warm])
    pairs = sp.coo_matrix((np.ones(len(row), np.float32), (row.astype(np.int32), column.astype(np.int32))))
    pairs.resize(12, len(warm))
    weight = (
        None if loss == "warp-kos" else sp.coo_matrix((x[:, warm][row, column], (pairs.row, pairs.col)), pairs.shape)
    )
    peer = lightfm.LightFM(6, loss=loss, learning_rate=0.03, item_alpha=1e-4, user_alpha=1e-3, random_state=5)
    users = sp.csr_matrix(np.hstack([np.eye(12), ages]).astype(np.float32))
    items = sp.csr_matrix(np.hstack([np.eye(len(warm)), taste]).astype(np.float32))
    peer.fit(pairs, user_features=users, item_features=items, sample_weight=weight, epochs=4)
    config = LightFM(
        factors=6,
        loss=loss,
        learning_rate=0.03,
        item_l2=1e-4,
        user_l2=1e-3,
        epochs=4,
        blocks=("look",),
        max_dims=1,
        seed=5,
    )
    ours = config.fit(data).scores(data.users.ids[:11], data.items.ids[warm])
    for user in range(11):
        expected = peer.predict(user, np.arange(len(warm)), user_features=users, item_features=items)
        np.testing.assert_allclose(ours[user], expected, rtol=1e-4, atol=1e-5)


def test_a_score_is_the_sum_of_embeddings():
    data = with_ages(shop())
    fitted = LightFM(factors=8, epochs=3).fit(data)
    for side, table in ((fitted.item_side, data.item_features), (fitted.user_side, data.user_features)):
        dense = [t.apply(table[t.name]) for t in side.transforms]
        dense = np.hstack([b if isinstance(b, np.ndarray) else b.toarray() for b in dense])
        np.testing.assert_allclose(side.total, side.ids + dense @ side.weights, atol=1e-6)
    u, i = fitted.user_side.total, fitted.item_side.total
    expected = u[:, :8] @ i[:, :8].T + i[:, 8] + u[:, [8]]
    np.testing.assert_allclose(fitted.scores(data.users.ids), expected, atol=1e-6)
    found, best = fitted.top_items(np.arange(12), k=34, exclude_seen=False)
    np.testing.assert_allclose(best, np.take_along_axis(expected, found, axis=1), atol=1e-6)


def test_a_cold_item_is_its_features_alone():
    data = shop()
    fitted = LightFM(factors=8, epochs=5).fit(data)
    assert (fitted.item_side.ids[COLD_ITEMS] == 0).all()
    assert (fitted.item_side.total[COLD_ITEMS] != 0).any(axis=1).all()
    bare = LightFM(factors=8, epochs=5, blocks=()).fit(data)
    assert (bare.item_side.total[COLD_ITEMS] == 0).all()


def test_logistic_ranks_what_was_bought_above_what_was_not():
    data = shop()
    scores = LightFM(factors=8, epochs=30, loss="logistic", blocks=()).fit(data).scores(data.users.ids[:11])
    bought = data.matrix.toarray()[:11] > 0
    others = ~bought & data.is_warm
    assert scores[bought].mean() > 0 > scores[others].mean()  # the sign is the side of an even chance


def test_interaction_weights_count_unless_the_loss_knows_none():
    data = shop()
    heavy = Dataset(**{f: getattr(data, f) for f in data.__dataclass_fields__} | {"weight": data.weight * 3})
    for loss, same in (("warp", False), ("bpr", False), ("logistic", False), ("warp-kos", True)):
        model = LightFM(factors=4, epochs=2, loss=loss)
        a, b = (model.fit(d).scores(data.users.ids) for d in (data, heavy))
        assert np.array_equal(a, b) is same


def test_known_ids_keep_what_was_learned_of_them():
    data, later = shop(), later_shop()
    fitted = LightFM(factors=8, epochs=5).fit(data)
    grown = fitted.partial_fit(later)
    users = [u for u in later.users if u in data.users]
    items = [i for i in later.items if i in data.items]
    for name, ids in (("user", users), ("item", items)):
        now, then = (getattr(m, f"{name}_side").ids for m in (grown, fitted))
        np.testing.assert_array_equal(
            now[getattr(later, f"{name}s").encode(ids)], then[getattr(data, f"{name}s").encode(ids)]
        )
    assert (grown.item_side.ids[later.items.encode(["new item 34"])] != 0).any()
    assert (grown.item_side.ids[later.items.encode(["new item 35"])] == 0).all()  # features alone


def test_divergence_is_an_error():
    with pytest.raises(DataError, match="LightFM diverged after 0 epochs; lower learning_rate"):
        LightFM(learning_rate=1e30).fit(shop())


def test_a_missing_package_is_answered_with_the_extra(monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(recsys.extras.importlib, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"pip install 'stylerec\[lightfm\]'"):
        LightFM().fit(shop())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "softmax"}, "unknown loss 'softmax'"),
        ({"factors": 0}, "factors"),
        ({"epochs": 0}, "epochs"),
        ({"kos_k": 6, "kos_n": 5}, "kos_k must be <= kos_n"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"item_l2": -1.0}, "item_l2"),
        ({"user_l2": float("nan")}, "user_l2"),
        ({"max_sampled": 0}, "max_sampled"),
    ],
)
def test_refuses_impossible_options(options, message):
    with pytest.raises(ConfigError, match=message):
        LightFM(**options)


@pytest.fixture(scope="module")
def movielens(data_dir):
    """(train dataset of ratings >= 4, (n_users, n_items) bool of those among 10 random ratings of every user)."""
    with gzip.open(data_dir / "ml100k" / "ml-100k.inter.gz", "rt") as file:
        log = pd.read_csv(file, sep="\t", dtype=str)
    log.columns = [c.split(":")[0] for c in log.columns]
    users, items = (IdMap.of(sorted(log[c].unique())) for c in ("user_id", "item_id"))
    user, item = users.encode(log["user_id"].to_numpy(object)), items.encode(log["item_id"].to_numpy(object))
    liked = log["rating"].astype(float).to_numpy() >= 4
    shuffled = np.random.default_rng(0).permutation(len(log))
    held = np.zeros(len(log), bool)
    held[shuffled] = pd.Series(user[shuffled]).groupby(user[shuffled]).cumcount() < 10
    rows = np.flatnonzero(liked & ~held)
    nothing = np.full(len(rows), np.datetime64("NaT", "ns"))
    ones = np.ones(len(rows), np.float32)
    data = Dataset(users, items, user[rows], item[rows], ones, nothing, FeatureTable(items), FeatureTable(users))
    later = np.zeros((len(users), len(items)), bool)
    later[user[liked & held], item[liked & held]] = True
    return data, later


def area_and_precision(scores, hits):
    """Mean over users of the area under the curve and of precision at 10, over all items, those of train too."""
    ranks, n = rankdata(scores, axis=1), hits.sum(axis=1)
    area = ((ranks * hits).sum(axis=1) - n * (n + 1) / 2) / (n * (hits.shape[1] - n))
    top = np.argsort(-scores, axis=1)[:, :10]
    return area.mean(), np.take_along_axis(hits, top, axis=1).mean()


@pytest.mark.realdata
def test_warp_reaches_the_floors_that_the_package_states(movielens):
    """Its test_movielens.py: area > .90 and precision at 10 > .07, where 10 ratings of every user are held out, too."""
    data, later = movielens
    active = np.flatnonzero(later.any(axis=1))
    fitted = LightFM(factors=10, epochs=10, learning_rate=0.05, seed=10).fit(data)
    area, precision = area_and_precision(fitted.scores(data.users.decode(active)), later[active])
    assert area > 0.90
    assert precision > 0.07


@pytest.mark.realdata
def test_bpr_is_as_good_as_the_package(movielens):
    """The package states .87 for BPR with dislikes in train; from likes alone, as here, it reaches .84 itself."""
    data, later = movielens
    active = np.flatnonzero(later.any(axis=1))
    fitted = LightFM(loss="bpr", factors=10, epochs=10, learning_rate=0.05, seed=10).fit(data)
    pairs = sp.coo_matrix((data.weight, (data.user_idx.astype(np.int32), data.item_idx.astype(np.int32))))
    pairs.resize(later.shape)
    peer = lightfm.LightFM(10, loss="bpr", learning_rate=0.05, random_state=10).fit(pairs, epochs=10)
    bias, vectors = peer.get_item_representations()
    theirs = area_and_precision(peer.get_user_representations()[1][active] @ vectors.T + bias, later[active])
    ours = area_and_precision(fitted.scores(data.users.decode(active)), later[active])
    # Two seeds of the package differ by .005; cold items are 0 here and the random start there.
    np.testing.assert_allclose(ours, theirs, atol=0.015)
    assert ours[0] > 0.82
