"""Oracles: the score written out, tastes that are known, torch's AdaGrad, dense arithmetic for sparse."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from model_contract import COLD_ITEMS, FeatureContract, ModelContract, shop

from recsys.data.features import FeatureBlock, FeatureTable
from recsys.errors import ConfigError, DataError
from recsys.models.hybrid import HybridModel
from recsys.models.training import AdaGrad, Features

QUICK = {"factors": 8, "epochs": 4, "batch_size": 64, "negatives": 16}


class TestWarp(FeatureContract, ModelContract):
    model = HybridModel(**QUICK, seed=2)


class TestBprWithoutHistory(FeatureContract, ModelContract):
    model = HybridModel(**QUICK, loss="bpr", history=False)


class TestSoftmax(FeatureContract, ModelContract):
    model = HybridModel(**QUICK, loss="softmax", id_dropout=0.0, weights={"look": 2.0})


class TestIdsOnly(ModelContract):
    model = HybridModel(**QUICK, blocks=())


@pytest.fixture(scope="module")
def data():
    return shop()


def test_another_seed_is_another_model(data):
    a, b = (HybridModel(**QUICK, seed=s).fit(data) for s in (0, 1))
    assert not np.array_equal(a.item_vectors, b.item_vectors)


def test_nothing_global_is_seeded(data):
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    HybridModel(**QUICK).fit(data)
    assert torch.equal(torch.rand(1), expected)


def test_item_and_user_vectors_are_the_stated_sums(data):
    fitted = HybridModel(**QUICK).fit(data)
    content = np.zeros((34, 8))
    for transform, weight in zip(fitted.transforms, fitted.weights, strict=True):
        x = transform.apply(data.item_features[transform.name])
        content += (x.toarray() if sp.issparse(x) else x) @ weight
    np.testing.assert_allclose(fitted.item_vectors, fitted.id_vectors + content, atol=1e-5)
    assert (fitted.id_vectors[COLD_ITEMS] == 0).all()
    assert (fitted.item_bias[COLD_ITEMS] == 0).all()
    scores = fitted.user_vectors @ fitted.item_vectors.T + fitted.item_bias
    np.testing.assert_allclose(fitted.scores(data.users.ids), scores, atol=1e-5)
    np.testing.assert_allclose(fitted.user_vectors[11], fitted.user_vectors[:11].mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("loss", ["warp", "bpr", "softmax"])
def test_learns_taste_and_carries_it_to_cold_items(loss):
    data = shop(n_users=60)
    fitted = HybridModel(loss=loss, factors=16, epochs=20, batch_size=64, negatives=32).fit(data)
    scores = fitted.scores(data.users.ids[:59])
    taste = np.arange(59)[:, None] % 2 == np.arange(34)[None, :] % 2
    for items in (slice(0, 30), COLD_ITEMS):  # warm, cold
        mine, other = (np.where(t[:, items], scores[:, items], np.nan) for t in (taste, ~taste))
        assert (np.nanmin(mine, axis=1) > np.nanmax(other, axis=1)).mean() > 0.9


def test_ids_alone_know_nothing_of_cold_items():
    fitted = HybridModel(**QUICK, blocks=()).fit(shop())
    assert (fitted.scores(["user 0"])[:, COLD_ITEMS] == 0).all()
    assert len(fitted.similar_items(["item 30"], k=3)) == 0


def test_loss_falls_and_early_stop_ends_where_it_no_longer_does(data):
    long = HybridModel(**QUICK | {"epochs": 60}).fit(data)
    assert long.losses[-1] < 0.7 * long.losses[0]
    short = HybridModel(**QUICK | {"epochs": 60}, early_stop=0.05).fit(data)
    n = len(short.losses)
    assert 1 < n < 60
    np.testing.assert_array_equal(short.losses, long.losses[:n])
    assert short.losses[-1] > 0.95 * short.losses[-2]


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


def test_sparse_blocks_equal_their_dense_form():
    rng = np.random.default_rng(0)
    dense = (rng.random((9, 5)) * (rng.random((9, 5)) < 0.4)).astype(np.float32)
    weight = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    rows = torch.tensor([8, 0, 0, 3])
    sparse = Features.of([sp.csr_array(dense)]).project(rows, [weight])
    full = Features.of([dense]).project(rows, [weight])
    torch.testing.assert_close(sparse, full)
    gradients = [torch.autograd.grad((x**2).sum(), weight)[0] for x in (sparse, full)]
    torch.testing.assert_close(*gradients)


def test_adagrad_on_rows_equals_torch():
    ours, theirs = (torch.arange(12.0).reshape(4, 3) for _ in range(2))
    peer = torch.optim.Adagrad([theirs.requires_grad_()], lr=0.1, eps=1e-6, weight_decay=0.0)
    optimiser, rows = AdaGrad(), torch.tensor([0, 2])
    for step in range(5):
        gradient = torch.zeros(4, 3)
        gradient[rows] = torch.sin(torch.arange(6.0) + step).reshape(2, 3)
        theirs.grad = gradient
        peer.step()
        optimiser.step(ours, rows, gradient[rows], rate=0.1)
    torch.testing.assert_close(ours, theirs.detach())


def test_features_of_wide_sparse_and_zero_variance_blocks_do_not_break_it(data):
    table = FeatureTable(
        data.items,
        (
            FeatureBlock("constant", np.ones((34, 4), np.float32)),
            FeatureBlock("tags", sp.csr_array(sp.random_array((34, 5000), density=0.01, rng=1, dtype=np.float32))),
        ),
    )
    fitted = HybridModel(**QUICK).fit(dataclasses.replace(data, item_features=table))
    assert fitted.weights[1].shape == (5000, 8)
    assert np.isfinite(fitted.scores(data.users.ids)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "warb"}, "loss must be one of warp, bpr, softmax, got 'warb'"),
        ({"factors": 0}, "factors must be >= 1"),
        ({"epochs": 0}, "epochs must be >= 1"),
        ({"learning_rate": float("nan")}, "learning_rate must be > 0"),
        ({"l2": -1.0}, "l2 must be >= 0"),
        ({"id_dropout": 1.5}, r"id_dropout must be in \[0, 1\]"),
        ({"early_stop": 1.0}, "early_stop must be in"),
        ({"weights": {"look": -1.0}}, "weight of block 'look' must be > 0"),
    ],
)
def test_refuses_impossible_options(options, message):
    with pytest.raises(ConfigError, match=message):
        HybridModel(**options)
