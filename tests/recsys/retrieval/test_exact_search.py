"""Oracle: `recsys.topk.top_k` of the whole masked score matrix, itself tested against a full sort."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

from recsys.errors import ConfigError, DataError
from recsys.retrieval import exact
from recsys.retrieval.exact import top_k_factors
from recsys.retrieval.factors import Factors
from recsys.topk import top_k


def whole(n_rows=1100, n_columns=2037, d=6, *, biased=True, integers=False, seed=0):
    """With ``integers`` all sums are exact and many scores are equal."""
    rng = np.random.default_rng(seed)
    draw = (lambda *s: rng.integers(-2, 3, s)) if integers else (lambda *s: rng.normal(size=s))
    return Factors(draw(n_rows, d), draw(n_columns, d), draw(n_columns) if biased else None)


def masked(factors, rows, seen=None, allowed=None):
    scores = factors.block(rows)
    if seen is not None:
        scores[seen[rows].toarray() != 0] = -np.inf
    if allowed is not None:
        scores[:, ~allowed] = -np.inf
    return scores


def filters(factors, seed=1, density=0.05, share=0.6):
    rng = np.random.default_rng(seed)
    shape = (len(factors.queries), len(factors.columns))
    return sp.csr_array(sp.random_array(shape, density=density, rng=rng, format="csr")), rng.random(shape[1]) < share


@pytest.mark.parametrize("k", [1, 7, 30])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("n_rows", [1100, 40, 5])  # several blocks, one block, whole rows
def test_equals_the_masked_matrix_with_ties_by_index(k, biased, n_rows):
    factors = whole(biased=biased, integers=True)
    seen, allowed = filters(factors)
    rows = np.random.default_rng(2).integers(0, 1100, n_rows)
    for filtered in ({}, {"seen": seen}, {"allowed": allowed}, {"seen": seen, "allowed": allowed}):
        found, best = top_k_factors(factors, rows, k, **filtered)
        expected, scores = top_k(masked(factors, rows, **filtered), k)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(best, scores)


@pytest.mark.parametrize("block_bytes", [1, 2**20, 2**26])
def test_lists_do_not_depend_on_the_size_of_panels(block_bytes):
    factors = whole(200, 9000, 16)
    seen, allowed = filters(factors)
    found, best = top_k_factors(factors, np.arange(200), 10, seen=seen, allowed=allowed, block_bytes=block_bytes)
    expected, scores = top_k(masked(factors, np.arange(200), seen, allowed), 10)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(best, scores, rtol=1e-5)  # float32 sums in another blocking


@pytest.mark.parametrize("cores", [1, 2, 8])
def test_lists_do_not_depend_on_the_number_of_threads(monkeypatch, cores):
    monkeypatch.setattr(exact, "_cores", lambda: cores)
    factors = whole(integers=True)
    found, _ = top_k_factors(factors, np.arange(1100), 5)
    np.testing.assert_array_equal(found, top_k(factors.block(np.arange(1100)), 5)[0])


def test_where_all_scores_are_equal_the_first_columns_are_best():
    factors = Factors(np.zeros((600, 3)), np.ones((5000, 3)))
    seen = sp.csr_array((np.ones(2), ([7, 7], [0, 2])), shape=(600, 5000))
    found, _ = top_k_factors(factors, np.arange(600), 3, seen=seen)
    assert found[7].tolist() == [1, 3, 4]
    assert (np.delete(found, 7, axis=0) == [0, 1, 2]).all()


def test_short_lists_are_padded():
    factors = whole(100, 5000)
    allowed = np.zeros(5000, bool)
    allowed[[4000, 12]] = True
    seen = sp.csr_array((np.ones(1), ([3], [12])), shape=(100, 5000))
    found, best = top_k_factors(factors, np.arange(100), 4, seen=seen, allowed=allowed)
    assert found[3].tolist() == [4000, -1, -1, -1]
    assert sorted(found[5].tolist()) == [-1, -1, 12, 4000]
    assert (best[found < 0] == -np.inf).all()


def test_a_row_that_has_seen_nearly_everything_keeps_what_is_left():
    factors = whole(60, 5000)
    everything = np.setdiff1d(np.arange(5000), [17, 4999])
    seen = sp.csr_array((np.ones(4998), (np.full(4998, 9), everything)), shape=(60, 5000))
    found, _ = top_k_factors(factors, np.arange(60), 3, seen=seen)
    assert sorted(found[9].tolist()) == [-1, 17, 4999]


@pytest.mark.parametrize("allowed", [None, np.zeros(4000, bool)])
def test_no_rows_or_nothing_allowed(allowed):
    factors = whole(50, 4000)
    assert top_k_factors(factors, np.arange(0), 3, allowed=allowed)[0].shape == (0, 3)
    if allowed is not None:
        assert (top_k_factors(factors, np.arange(50), 3, allowed=allowed)[0] == -1).all()


@pytest.mark.parametrize("n_rows", [3, 200])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_scores_that_are_not_numbers(n_rows, value):
    bias = np.zeros(3000)
    bias[2999] = value
    factors = Factors(np.ones((200, 2)), np.ones((3000, 2)), bias)
    with pytest.raises(DataError, match="NaN or infinity"):
        top_k_factors(factors, np.arange(n_rows), 3)


def test_refuses_k_below_one():
    with pytest.raises(ConfigError, match="k must be >= 1, got 0"):
        top_k_factors(whole(2, 3), np.arange(2), 0)


def test_memory_is_bounded_whatever_the_size():
    factors, rows = whole(2000, 20_000, 4), np.arange(2000)  # 160 MB of scores
    tracemalloc.start()
    try:
        top_k_factors(factors, rows, 10, block_bytes=8 * 2**20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * 8 * 2**20  # the panels, and the maxima of their groups
