"""Weighted sums of rows: the one sparse operation of training, forward and transposed.

A bag says which rows of a matrix are summed into which outputs: a sparse feature block is a bag a row of
items, a history is a bag a user. It is a CSR matrix as torch tensors, multiplied in by `embedding_bag`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, eq=False)
class Bag:
    """A CSR matrix of (n_rows, n_columns).

    Attributes:
        starts: (n_rows + 1,) int64, where each row's entries begin; the last is their number.
        column: (nnz,) int64.
        value: (nnz,) float32.
        n_columns: Width.

    Example:
        >>> bag = Bag.of(sp.csr_array(np.array([[0, 2.0], [1, 0]])))
        >>> bag.sums(torch.tensor([[1.0, 1.0], [0.0, 5.0]])).tolist()
        [[0.0, 10.0], [1.0, 1.0]]
    """

    starts: Tensor
    column: Tensor
    value: Tensor
    n_columns: int

    @classmethod
    def of(cls, matrix: sp.csr_array, device: torch.device | str = "cpu") -> Bag:
        """From a CSR matrix."""
        starts, column = (torch.from_numpy(a.astype(np.int64)).to(device) for a in (matrix.indptr, matrix.indices))
        value = torch.from_numpy(matrix.data.astype(np.float32)).to(device)
        return cls(starts, column, value, int(matrix.shape[1]))

    @classmethod
    def sorted(cls, row: Tensor, column: Tensor, value: Tensor, shape: tuple[int, int]) -> Bag:
        """From entries sorted by row."""
        counts = torch.bincount(row, minlength=shape[0])
        return cls(functional.pad(counts.cumsum(0), (1, 0)), column, value, shape[1])

    @property
    def n_rows(self) -> int:
        """Height."""
        return len(self.starts) - 1

    @property
    def row(self) -> Tensor:
        """(nnz,) the row of each entry."""
        rows = torch.arange(self.n_rows, device=self.column.device)
        return rows.repeat_interleave(self.starts.diff(), output_size=len(self.column))

    def sums(self, matrix: Tensor) -> Tensor:
        """(n_rows, d): this times a (n_columns, d) matrix."""
        if not len(self.column):
            return matrix.new_zeros(self.n_rows, matrix.shape[1])
        return functional.embedding_bag(
            self.column, matrix, self.starts, mode="sum", per_sample_weights=self.value, include_last_offset=True
        )

    def transposed(self) -> Bag:
        """The (n_columns, n_rows) matrix."""
        order = torch.argsort(self.column, stable=True)
        return Bag.sorted(self.column[order], self.row[order], self.value[order], (self.n_columns, self.n_rows))

    def rows(self, index: Tensor) -> Bag:
        """Some rows, repeats allowed."""
        counts = self.starts[index + 1] - self.starts[index]
        starts = functional.pad(counts.cumsum(0), (1, 0))
        shift = (self.starts[index] - starts[:-1]).repeat_interleave(counts)
        where = torch.arange(len(shift), device=shift.device) + shift
        return Bag(starts, self.column[where], self.value[where], self.n_columns)


def masses(bag: Bag) -> Tensor:
    """(n_rows,) sums of the values."""
    sums = functional.pad(bag.value.cumsum(0, dtype=torch.float64), (1, 0))
    return (sums[bag.starts[1:]] - sums[bag.starts[:-1]]).float()
