"""Oracle throughout: a full stable argsort by (-score, index)."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recsys.errors import ConfigError, DataError
from recsys.topk import top_k, top_k_blocked


def oracle(scores, k):
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, order, axis=1)
    width = k - order.shape[1]
    index = np.pad(np.where(best > -np.inf, order, -1), ((0, 0), (0, width)), constant_values=-1)
    return index, np.pad(best, ((0, 0), (0, width)), constant_values=-np.inf)


# Few distinct values, so that ties at the border are the rule.
tied = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
    elements=st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 0.5, 2.0]),
)


@given(tied, st.integers(1, 15))
def test_equals_a_full_sort_with_ties_by_index(scores, k):
    index, best = top_k(scores, k)
    expected_index, expected = oracle(scores, k)
    np.testing.assert_array_equal(index, expected_index)
    np.testing.assert_array_equal(best, expected)


def test_equals_a_full_sort_on_a_large_matrix():
    scores = np.random.default_rng(0).integers(0, 50, (40, 3000)).astype(np.float32)
    np.testing.assert_array_equal(top_k(scores, 100)[0], oracle(scores, 100)[0])


# Wide rows are searched by groups of columns: 1,000 columns of few values tie at the border of many rows and of none.
@given(st.integers(0, 10_000), st.sampled_from([3, 200, 100_000]), st.integers(1, 8), st.integers(300, 1000))
@settings(max_examples=40)
def test_wide_rows_equal_a_full_sort(seed, distinct, k, width):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, distinct, (7, width)).astype(np.float32)
    scores[rng.random(scores.shape) < rng.choice([0, 0.5, 0.999])] = -np.inf
    index, best = top_k(scores, k)
    expected_index, expected = oracle(scores, k)
    np.testing.assert_array_equal(index, expected_index)
    np.testing.assert_array_equal(best, expected)


@pytest.mark.parametrize("column", [0, 500, 998, 999])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_wide_rows_refuse_what_is_no_number_in_any_column(column, value):
    scores = np.zeros((3, 1000), np.float32)
    scores[1, column] = value
    with pytest.raises(DataError, match="NaN or infinity"):
        top_k(scores, 2)


@pytest.mark.parametrize("block_bytes", [1, 4 * 30 * 3, 2**20])
def test_blocks_and_filters_equal_one_masked_sort(block_bytes):
    rng = np.random.default_rng(1)
    table = rng.integers(0, 6, (20, 30)).astype(np.float32)
    seen = sp.csr_array(sp.random_array((20, 30), density=0.3, rng=rng))
    allowed = rng.random(30) < 0.6
    rows = np.array([3, 19, 3, 0, 7])
    found, best = top_k_blocked(
        lambda r: table[r], rows, 9, n_columns=30, seen=seen, allowed=allowed, block_bytes=block_bytes
    )
    masked = np.where((seen.toarray() != 0) | ~allowed, -np.inf, table)[rows]
    expected, scores = oracle(masked, 9)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(best, scores)


def test_memory_is_bounded_by_the_block():
    sizes = []

    def score(rows):
        sizes.append(len(rows))
        return np.zeros((len(rows), 1000), np.float32)

    top_k_blocked(score, np.arange(95), 3, n_columns=1000, block_bytes=40_000)
    assert sizes == [10] * 9 + [5]  # 40,000 B / (1000 columns x 4 B)


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0, 0)])
def test_empty_input_gives_empty_lists(shape):
    index, best = top_k(np.zeros(shape, np.float32), 2)
    assert index.tolist() == [[-1, -1]] * shape[0]
    assert (best == -np.inf).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_scores_that_are_not_numbers(value):
    scores = np.zeros((2, 50), np.float32)
    scores[1, 17] = value
    with pytest.raises(DataError, match="NaN or infinity"):
        top_k(scores, 3)


def test_refuses_k_below_one():
    with pytest.raises(ConfigError, match="k must be >= 1, got 0"):
        top_k(np.zeros((1, 1), np.float32), 0)
