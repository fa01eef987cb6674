"""What is known of items (or users) as numbers: named blocks over one id map."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from recsys.data.ids import IdMap
from recsys.errors import ArtifactError, DataError, unknown_name
from recsys.files import atomic_write, read_json, safe_name, write_json

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_@+.-]{0,99}")

Matrix = npt.NDArray[np.float32] | sp.csr_array

LARGEST = 1e15
"""Of a feature's absolute values: sums of squares of such are still float32."""


@dataclass(frozen=True, eq=False)
class FeatureBlock:
    """A named matrix, one row an item: dense float32 (may be memory-mapped) or CSR.

    Attributes:
        name: Unique within a table.
        values: (n, d) float32 array or CSR array, finite; another sparse format becomes CSR.
        columns: d distinct names, or None where dimensions mean nothing alone.
        provenance: Where it comes from (encoder, look, parameters, hashes).

    Raises:
        DataError: Values are no numbers, not 2-d, not finite or beyond `LARGEST`, or names do not fit.

    Example:
        >>> FeatureBlock("colour", np.eye(3, dtype=np.float32)).shape
        (3, 3)
    """

    name: str
    values: Matrix
    columns: tuple[str, ...] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _matrix(self.name, self.values))
        if not self.is_sparse and not self.values.shape[1]:
            raise DataError(f"block {self.name!r} has no columns; leave it out")
        if self.columns is not None:
            object.__setattr__(self, "columns", _names(self.name, self.columns, self.values.shape[1]))
        _refuse_nonfinite(self.name, self.values)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dimensions."""
        return int(self.values.shape[0]), int(self.values.shape[1])

    @property
    def is_sparse(self) -> bool:
        """Whether ``values`` is CSR."""
        return sp.issparse(self.values)

    @classmethod
    def one_hot(cls, name: str, labels: Iterable[Any]) -> FeatureBlock:
        """A CSR block with one column per distinct label; blank and missing labels get an empty row.

        Example:
            >>> FeatureBlock.one_hot("category", ["bag", "", "shoe", "bag"]).columns
            ('bag', 'shoe')
        """
        series = pd.Series(list(labels), dtype=object).fillna("").astype(str)
        names = tuple(sorted(set(series) - {""}))
        column = pd.Index(names, dtype=object).get_indexer(pd.Index(series, dtype=object))
        rows = np.flatnonzero(column >= 0)
        ones = np.ones(len(rows), dtype=np.float32)
        values = sp.csr_array((ones, (rows, column[rows])), shape=(len(series), len(names)))
        return cls(name, values, columns=names, provenance={"kind": "one-hot"})

    def rows(self, index: npt.ArrayLike) -> FeatureBlock:
        """The same block over other rows (repeats allowed)."""
        return replace(self, values=self.values[np.asarray(index, dtype=np.int64)])

    def save(self, folder: Path) -> None:
        """Write ``<name>.npy`` (dense) or ``<name>.npz`` (CSR) with ``<name>.json`` beside it, atomically.

        A name that is no plain file name is replaced by a safe one.
        """
        stem, values = _stem(self.name), self.values
        if isinstance(values, np.ndarray):
            with atomic_write(folder / f"{stem}.npy") as file:
                np.save(file, np.ascontiguousarray(values, dtype=np.float32), allow_pickle=False)
        else:
            with atomic_write(folder / f"{stem}.npz") as file:
                np.savez(file, data=values.data, indices=values.indices, indptr=values.indptr)
        about = {"name": self.name, "shape": self.shape, "sparse": self.is_sparse}
        about |= {"columns": self.columns, "provenance": dict(self.provenance)}
        write_json(folder / f"{stem}.json", about)

    @classmethod
    def load(cls, folder: Path, name: str, *, mmap: bool = False) -> FeatureBlock:
        """Read what `save` wrote; ``mmap`` leaves a dense block on disk.

        Raises:
            ArtifactError: A file is missing, damaged or does not fit its description.
        """
        stem = _stem(name)
        about = read_json(folder / f"{stem}.json")
        try:
            shape, columns = tuple(about["shape"]), about["columns"]
            values: Any
            if about["sparse"]:
                values = _load_csr(folder / f"{stem}.npz", shape)
            else:
                values = np.load(folder / f"{stem}.npy", allow_pickle=False, mmap_mode="r" if mmap else None)
            if values.shape != shape:
                raise ValueError(f"it is {values.shape}, its description says {shape}")
            return cls(about["name"], values, None if columns is None else tuple(columns), about["provenance"])
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            what = f"feature block {name!r} in {folder} cannot be read ({error})"
            raise ArtifactError(f"{what}; make it again") from error


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """An ordered set of blocks whose rows follow one id map.

    Example:
        >>> block = FeatureBlock("x", np.ones((2, 4), dtype=np.float32))
        >>> table = FeatureTable(IdMap.of(["a", "b"]), (block,))
        >>> table["x"].shape, table.n_dims
        ((2, 4), 4)
    """

    ids: IdMap
    blocks: tuple[FeatureBlock, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.ids, IdMap):
            raise DataError(f"the ids of a table must be an IdMap, got {type(self.ids).__name__}; write IdMap.of(ids)")
        names = [b.name for b in self.blocks]
        if len(set(names)) != len(names):
            raise DataError(f"block names must be distinct, got {names}")
        for block in self.blocks:
            if block.shape[0] != len(self.ids):
                raise DataError(f"block {block.name!r} has {block.shape[0]} rows, the table has {len(self.ids)} ids")

    def __getitem__(self, name: str) -> FeatureBlock:
        for block in self.blocks:
            if block.name == name:
                return block
        raise DataError(unknown_name("feature block", name, self.names))

    @property
    def names(self) -> tuple[str, ...]:
        """Block names in order."""
        return tuple(b.name for b in self.blocks)

    @property
    def n_dims(self) -> int:
        """Dimensions of all blocks together."""
        return sum(b.shape[1] for b in self.blocks)

    def select(self, names: Iterable[str]) -> FeatureTable:
        """Only these blocks, in this order."""
        return FeatureTable(self.ids, tuple(self[name] for name in names))

    def add(self, block: FeatureBlock) -> FeatureTable:
        """The table with one more block."""
        return FeatureTable(self.ids, (*self.blocks, block))

    def align(self, ids: IdMap) -> FeatureTable:
        """The rows of ``ids`` in their order.

        Raises:
            UnknownIdError: The table lacks an id.
        """
        return (
            self if ids == self.ids else FeatureTable(ids, tuple(b.rows(self.ids.encode(ids.ids)) for b in self.blocks))
        )


def _load_csr(path: Path, shape: tuple[int, int]) -> Any:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as parts:
        values = sp.csr_array((parts["data"], parts["indices"], parts["indptr"]), shape=shape)
    values.check_format(full_check=True)  # an index out of range would be read as memory of someone else's
    return values


def _stem(name: str) -> str:
    """A file name for a block, which may be named by a column of anyone's table."""
    return name if _PLAIN.fullmatch(name) else safe_name(name)


def _matrix(name: str, values: Any) -> Matrix:
    """The values as they are, or as CSR."""
    sparse = sp.issparse(values)
    if not sparse and not isinstance(values, np.ndarray):
        cure = "give frame.to_numpy(np.float32), or np.asarray(rows, np.float32)"
        raise DataError(f"block {name!r} must be a numpy array or a sparse matrix, got {type(values).__name__}; {cure}")
    if values.dtype.kind not in "fiub":
        raise DataError(f"block {name!r} must hold real numbers, got {values.dtype}; convert it to float32")
    if values.ndim != 2:
        raise DataError(f"block {name!r} must be 2-d (rows x dimensions), got shape {values.shape}")
    return sp.csr_array(values) if sparse and values.format != "csr" else values


def _names(block: str, columns: Any, n_columns: int) -> tuple[str, ...]:
    """As a tuple, whatever sequence they came in."""
    if isinstance(columns, str):
        raise DataError(f"block {block!r}: columns must be a list of names, got {columns!r}; write [{columns!r}]")
    names = tuple(columns)
    if len(names) != n_columns:
        raise DataError(f"block {block!r} has {n_columns} columns but {len(names)} names")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"block {block!r} has the column {twice!r} twice; rename or drop one")
    return names


def _refuse_nonfinite(name: str, values: Matrix, chunk: int = 65536) -> None:
    indptr = None if isinstance(values, np.ndarray) else values.indptr
    flat = values if indptr is None else values.data
    for start in range(0, len(flat), chunk):
        part = np.asarray(flat[start : start + chunk])
        # NaN is neither; as Python's floats, for float16 knows no 1e15.
        if not (float(part.min(initial=0)) >= -LARGEST and float(part.max(initial=0)) <= LARGEST):
            usable = np.abs(part.astype(np.float64)) <= LARGEST
            first = int(np.argmin(usable.all(axis=1) if indptr is None else usable))
            row = start + first if indptr is None else int(np.searchsorted(indptr, start + first, side="right")) - 1
            what, cure = f"values beyond {LARGEST:g}", "scale them to about 1"
            if not np.isfinite(part).all():
                what, cure = "NaN or infinite values", "mend or drop that item"
            raise DataError(f"block {name!r} has {what}, first in row {row}; {cure}")
