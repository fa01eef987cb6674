"""Oracle: scipy's products."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from recsys.models.bags import Bag


@pytest.fixture
def matrix():
    dense = np.random.default_rng(0).random((6, 4)).astype(np.float32)
    dense[dense < 0.5] = 0
    dense[3] = 0  # a row without entries
    return sp.csr_array(dense)


@pytest.fixture
def factors():
    return np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)


def test_sums_are_the_product(matrix, factors):
    np.testing.assert_allclose(Bag.of(matrix).sums(torch.from_numpy(factors[:4])), matrix @ factors[:4], rtol=1e-5)


def test_transposed_sums_are_the_product_with_the_transpose(matrix, factors):
    bag = Bag.of(matrix).transposed()
    assert (bag.n_rows, bag.n_columns) == (4, 6)
    np.testing.assert_allclose(bag.sums(torch.from_numpy(factors)), matrix.T @ factors, rtol=1e-5)


def test_rows_are_those_rows(matrix, factors):
    index = [5, 3, 0, 0]
    got = Bag.of(matrix).rows(torch.tensor(index)).sums(torch.from_numpy(factors[:4]))
    np.testing.assert_allclose(got, matrix[index] @ factors[:4], rtol=1e-5)


def test_row_of_each_entry(matrix):
    np.testing.assert_array_equal(Bag.of(matrix).row, matrix.tocoo().coords[0])


def test_from_sorted_entries(matrix, factors):
    coo = matrix.tocoo()
    row, column = (torch.from_numpy(c.astype(np.int64)) for c in coo.coords)
    bag = Bag.sorted(row, column, torch.from_numpy(coo.data), matrix.shape)
    np.testing.assert_allclose(bag.sums(torch.from_numpy(factors[:4])), matrix @ factors[:4], rtol=1e-5)


def test_an_empty_bag_sums_to_zero():
    bag = Bag.of(sp.csr_array((3, 2), dtype=np.float32))
    assert bag.sums(torch.ones(2, 5)).tolist() == [[0.0] * 5] * 3
    assert bag.transposed().sums(torch.ones(3, 5)).shape == (2, 5)
