"""Dense and CSR matrices alike: rows of length 1, and arrays of an artifact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.data.features import Matrix
from recsys.errors import DataError
from recsys.topk import ScoreBlock

Arrays = dict[str, npt.NDArray[Any]]


def norms(values: Matrix) -> npt.NDArray[np.float32]:
    """(n,) Euclidean length of every row."""
    if isinstance(values, np.ndarray):
        return np.asarray(np.linalg.norm(values, axis=1))
    return np.sqrt(np.asarray(values.multiply(values).sum(axis=1)).ravel())


def unit(values: Matrix) -> Matrix:
    """Rows divided by their length; zero rows stay zero.

    Example:
        >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)).round(2).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    length = norms(values)
    scale = np.where(length > 0, length, 1)
    if isinstance(values, np.ndarray):
        return np.asarray(values / scale[:, None], np.float32)
    data = values.data / np.repeat(scale, np.diff(values.indptr)).astype(np.float32)
    return sp.csr_array((data, values.indices, values.indptr), shape=values.shape)


def dense(values: Any) -> npt.NDArray[np.float32]:
    """Whatever a product of matrices gave, as an array."""
    return np.asarray(values if isinstance(values, np.ndarray) else values.toarray(), dtype=np.float32)


def history_cosine(history: sp.csr_array) -> ScoreBlock:
    """How to score rows of users against all users by the cosine of what they have."""
    rows_of = sp.csr_array(unit(history))
    columns = sp.csr_array(rows_of.T)
    return lambda rows: dense(rows_of[rows] @ columns)


def for_cython(values: sp.csr_array) -> sp.csr_matrix:
    """The same as the old kind of matrix with 32-bit indices, which the compiled packages want.

    Raises:
        DataError: There are too many entries for 32 bits.
    """
    if values.nnz > np.iinfo(np.int32).max:
        raise DataError(f"at most {np.iinfo(np.int32).max} distinct interactions can be trained on, got {values.nnz}")
    parts = (values.data.astype(np.float32), values.indices.astype(np.int32), values.indptr.astype(np.int32))
    return sp.csr_matrix(parts, shape=values.shape)


def pack_matrix(name: str, values: Matrix) -> Arrays:
    """Arrays that hold the matrix, for an artifact."""
    if isinstance(values, np.ndarray):
        return {name: values}
    return {f"{name}.data": values.data, f"{name}.indices": values.indices, f"{name}.indptr": values.indptr}


def unpack_matrix(name: str, arrays: Mapping[str, npt.NDArray[Any]], n_columns: int) -> Matrix:
    """The inverse of `pack_matrix`.

    Raises:
        DataError: The parts do not make a matrix.
    """
    if name in arrays:
        return arrays[name]
    parts = tuple(arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
    if len(parts[2]) < 1:
        raise DataError(f"{name} has no row pointers")
    matrix = sp.csr_array(parts, shape=(len(parts[2]) - 1, n_columns))
    matrix.check_format(full_check=True)  # an index out of range would be followed out of memory
    return matrix
