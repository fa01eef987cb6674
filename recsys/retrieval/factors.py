"""Scores that are inner products of known vectors, and how maximum inner product becomes nearest neighbour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.errors import DataError
from recsys.topk import Floats, Ints


@dataclass(frozen=True, eq=False)
class Factors:
    """score(row, column) = queries[row] · columns[column] + bias[column].

    A model of this form is searched exactly on all cores, in reused memory, among allowed columns only
    (`recsys.retrieval.exact`), or approximately (`recsys.retrieval.search`).

    Attributes:
        queries: (n_rows, d) float32, the users' vectors.
        columns: (n_columns, d) float32, the items' vectors.
        bias: (n_columns,) float32, or None for none.

    Raises:
        DataError: Shapes do not fit.

    Example:
        >>> factors = Factors(np.eye(2, dtype=np.float32), np.array([[1, 2], [3, 4], [0, 9]], dtype=np.float32))
        >>> factors.block(np.array([1])).tolist()
        [[2.0, 4.0, 9.0]]
    """

    queries: Floats
    columns: Floats
    bias: Floats | None = None

    def __post_init__(self) -> None:
        q, c = np.shape(self.queries), np.shape(self.columns)
        if len(q) != 2 or len(c) != 2 or q[1] != c[1]:
            raise DataError(f"queries and columns must be 2-d with equally many factors, got shapes {q} and {c}")
        if self.bias is not None and np.shape(self.bias) != c[:1]:
            raise DataError(f"bias must have shape {c[:1]}, got {np.shape(self.bias)}; one number a column")
        for name in ("queries", "columns", "bias"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float32))

    def block(self, rows: Ints) -> Floats:
        """Fresh (n, n_columns) scores of ``rows``: a `recsys.topk.ScoreBlock`."""
        scores: Floats = self.queries[rows] @ self.columns.T
        if self.bias is not None:
            scores += self.bias
        return scores

    def pairs(self, rows: Ints, columns: Ints) -> Floats:
        """(n, c) scores of each row with (n, c) columns of its own."""
        scores: Floats = np.matmul(self.columns[columns], self.queries[rows][:, :, None])[:, :, 0]
        return scores if self.bias is None else scores + self.bias[columns]

    def of_columns(self, columns: Ints) -> Factors:
        """The same rows before fewer columns."""
        return Factors(self.queries, self.columns[columns], None if self.bias is None else self.bias[columns])

    def item_points(self) -> Floats:
        """(n_columns, d [+ 1]) vectors whose inner products with `query_points` are scores: a bias is a dimension."""
        return self.columns if self.bias is None else np.column_stack([self.columns, self.bias])

    def query_points(self, rows: Ints) -> Floats:
        """(n, d [+ 1]) the vectors of ``rows``, 1 in the dimension of the bias."""
        queries = self.queries[rows]
        return queries if self.bias is None else np.column_stack([queries, np.ones(len(queries), np.float32)])


def augmented(points: Floats) -> Floats:
    """(n, d + 1) points of one length M = max |x|: x becomes (x, sqrt(M² - |x|²)).

    A query q becomes (q, 0). Then |q' - x'|² = |q|² + M² - 2 q·x, and the cosine is q·x / (|q| M): the nearest point,
    by Euclidean distance or by angle, is the one of maximum inner product.

    Source: Bachrach et al. (2014), Speeding Up the Xbox Recommender System Using a Euclidean Transformation for
    Inner-Product Spaces, theorem 1.

    Example:
        >>> np.linalg.norm(augmented(np.array([[3, 4], [1, 0]], dtype=np.float32)), axis=1).tolist()
        [5.0, 5.0]
    """
    square = np.einsum("ij,ij->i", points, points, dtype=np.float64)
    last = np.sqrt(np.maximum(square.max(initial=0.0) - square, 0.0))
    return np.column_stack([points, last]).astype(np.float32)


def augmented_queries(queries: Floats) -> npt.NDArray[np.float32]:
    """(n, d + 1) queries for `augmented` points."""
    return np.column_stack([queries, np.zeros(len(queries), np.float32)]).astype(np.float32)
