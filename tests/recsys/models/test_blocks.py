"""Oracles: scikit-learn's PCA, and moments."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.decomposition import PCA

from recsys.data.features import FeatureBlock
from recsys.models.blocks import CHUNK, fit_transform, pack_transforms, unpack_transforms


def embedding(n=300, d=20, seed=0):
    rng = np.random.default_rng(seed)
    return FeatureBlock("e", (rng.normal(size=(n, d)) * np.geomspace(10, 0.1, d) + 5).astype(np.float32))


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("whitening", [0.0, 1.0])
def test_embedding_is_pca_with_unit_rows(whitening):
    block = embedding()
    ours = fit_transform(block, max_dims=6, whitening=whitening).apply(block)
    peer = unit(PCA(6, whiten=bool(whitening), svd_solver="full").fit_transform(block.values.astype(np.float64)))
    signs = np.sign((ours * peer).sum(axis=0))
    np.testing.assert_allclose(ours * signs, peer, atol=2e-4)  # the float32 covariance


def test_whitening_spreads_what_few_directions_held():
    block = embedding()
    rows = {w: fit_transform(block, max_dims=20, whitening=w).apply(block) for w in (0.0, 0.5, 1.0)}
    share = {w: x.var(axis=0).max() / x.var(axis=0).sum() for w, x in rows.items()}
    assert share[0.0] > 1.5 * share[0.5] > 1.5 * 1.5 * share[1.0]


def test_weight_is_the_length_of_a_row():
    block = embedding()
    np.testing.assert_allclose(np.linalg.norm(fit_transform(block, weight=0.3).apply(block), axis=1), 0.3, rtol=1e-5)


def test_chunks_do_not_change_the_result():
    block = embedding(n=CHUNK + 100, d=3)
    half = block.rows(np.arange(CHUNK, CHUNK + 100))
    transform = fit_transform(block)
    np.testing.assert_allclose(transform.apply(block)[CHUNK:], transform.apply(half), atol=1e-6)


def test_constant_directions_are_left_out():
    values = embedding(d=4).values.copy()
    values[:, 3] = 7
    transform = fit_transform(FeatureBlock("e", values), whitening=1.0)
    assert transform.n_out == 3
    constant = fit_transform(FeatureBlock("e", np.ones((5, 4), np.float32)))
    assert constant.n_out == 0
    assert constant.apply(FeatureBlock("e", np.ones((2, 4), np.float32))).shape == (2, 0)


def test_named_columns_are_standardised():
    rng = np.random.default_rng(0)
    values = np.c_[rng.normal(30, 4, 500), rng.normal(0, 0.01, 500), np.full(500, 9)].astype(np.float32)
    block = FeatureBlock("n", values, columns=("price", "margin", "constant"))
    out = fit_transform(block).apply(block)
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(out.std(axis=0), [np.sqrt(0.5), np.sqrt(0.5), 0], atol=1e-4)
    np.testing.assert_allclose((out**2).sum(axis=1).mean(), 1, rtol=1e-3)  # a typical row has length 1


def test_sparse_rows_have_length_one_and_empty_ones_stay_empty():
    dense = np.array([[3.0, 0, 4], [0, 0, 0], [0, 2, 0]], np.float32)
    block = FeatureBlock("s", sp.csr_array(dense))
    out = fit_transform(block, weight=2.0).apply(block)
    np.testing.assert_allclose(out.toarray(), [[1.2, 0, 1.6], [0, 0, 0], [0, 2, 0]], rtol=1e-6)
    np.testing.assert_array_equal(block.values.toarray(), dense)


def test_packing_is_lossless():
    blocks = [embedding(), FeatureBlock("n", np.eye(3, 2, dtype=np.float32), columns=("a", "👗"))]
    blocks.append(FeatureBlock.one_hot("c", ["x", "y"]))
    transforms = tuple(fit_transform(b, weight=0.1 + i) for i, b in enumerate(blocks))
    for before, after in zip(transforms, unpack_transforms(pack_transforms(transforms)), strict=True):
        for name in ("name", "kind", "columns", "n_dims", "weight"):
            assert getattr(before, name) == getattr(after, name)
        np.testing.assert_array_equal(before.mean, after.mean)
        np.testing.assert_array_equal(before.rotation, after.rotation)
