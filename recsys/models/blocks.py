"""How a feature block becomes model input: fitted on one table, stored, applied to any other of its columns.

An embedding (dense, nameless columns) is centred, rotated to its principal directions, partly whitened and
given rows of length 1, so that no few directions drown the rest. Dense named columns (a price, an age) are
standardised. A sparse block (one-hot, tags) gets rows of length 1. Whatever the kind, a typical row has
length 1: blocks weigh alike until `weight` says otherwise. A raw block is taken as it is, times its weight.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.data.features import FeatureBlock, FeatureTable, Matrix
from recsys.errors import ConfigError, DataError, unknown_name

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Kind = Literal["embedding", "columns", "sparse", "raw", "raw sparse"]

CHUNK = 8192
"""Rows of a (memory-mapped) block that are held at a time."""


@dataclass(frozen=True, eq=False)
class BlockTransform:
    """The fitted normalisation of one block: ``(x - mean) @ rotation``, or ``(x - mean) * rotation``.

    Attributes:
        name: The block's.
        kind: ``embedding``, ``columns``, ``sparse``, or ``raw`` or ``raw sparse``.
        columns: The block's column names.
        n_dims: Columns in.
        weight: Length of a typical row out; the factor of a raw block.
        mean: (n_dims,) float32; empty for a sparse or raw block.
        rotation: (n_dims, n_out) of an embedding, (n_dims,) scale of columns; empty for a sparse or raw block.

    Example:
        >>> block = FeatureBlock("price", np.array([[1.0], [3.0]], dtype=np.float32), columns=("price",))
        >>> fit_transform(block).apply(block).tolist()
        [[-1.0], [1.0]]
    """

    name: str
    kind: Kind
    columns: tuple[str, ...] | None
    n_dims: int
    weight: float
    mean: Floats
    rotation: Floats

    @property
    def n_out(self) -> int:
        """Columns out."""
        return int(self.rotation.shape[1]) if self.kind == "embedding" else self.n_dims

    def apply(self, block: FeatureBlock, rows: Ints | None = None) -> Matrix:
        """(n, n_out) float32, dense or CSR as the block is; of some ``rows`` where given.

        Raises:
            DataError: The block has other columns than the one this was fitted on.
        """
        self.check(block)
        if self.is_sparse:
            values = block.values if rows is None else block.values[rows]
            return (_unit_csr if self.kind == "sparse" else _scaled_csr)(values, self.weight)
        out = np.empty((block.shape[0] if rows is None else len(rows), self.n_out), np.float32)
        for part, values in self.parts(block, rows):
            out[part] = values
        return out

    def parts(self, block: FeatureBlock, rows: Ints | None = None) -> Iterator[tuple[slice, Floats]]:
        """`apply` of a dense block, some rows at a time: where they belong, and they."""
        self.check(block)
        for part, values in _chunks(block, rows):
            yield part, self._apply_dense(values)

    def product(self, block: FeatureBlock, weights: Floats) -> Floats:
        """(n, k) float32: `apply` times (n_out, k) weights, with no more of a dense block in memory than a part."""
        if self.is_sparse:
            return np.asarray(self.apply(block) @ weights)
        out = np.empty((block.shape[0], weights.shape[1]), np.float32)
        for part, values in self.parts(block):
            out[part] = values @ weights
        return out

    @property
    def is_sparse(self) -> bool:
        """Whether it makes CSR of CSR."""
        return self.kind in ("sparse", "raw sparse")

    def check(self, block: FeatureBlock) -> None:
        """Refuse a block that is not of the same columns."""
        expected = f"{self.n_dims} {'sparse' if self.is_sparse else 'dense'} columns"
        got = f"{block.shape[1]} {'sparse' if block.is_sparse else 'dense'} columns"
        if expected != got:
            raise DataError(f"block {self.name!r} has {got}, the model was fitted on {expected}; make it the same way")
        if block.columns != self.columns:
            ours, theirs = self.columns or ("unnamed",), block.columns or ("unnamed",)
            other = next(((a, b) for a, b in zip(theirs, ours, strict=False) if a != b), (theirs[0], ours[0]))
            raise DataError(
                f"block {self.name!r} has other columns than the model was fitted on, first {other[0]!r}, "
                f"expected {other[1]!r}; make it with the same columns in the same order"
            )

    def _apply_dense(self, values: Floats) -> Floats:
        if self.kind == "raw":
            return values * np.float32(self.weight)
        centred = values - self.mean
        if self.kind == "columns":
            return np.asarray(centred * self.rotation * np.float32(self.weight), np.float32)
        rotated = centred @ self.rotation
        norms = np.linalg.norm(rotated, axis=1, keepdims=True)
        return np.asarray(rotated * (self.weight / np.where(norms > 0, norms, 1)), np.float32)


def fit_transform(
    block: FeatureBlock, *, weight: float = 1.0, max_dims: int = 128, whitening: float = 0.5, raw: bool = False
) -> BlockTransform:
    """Learn a block's normalisation.

    Args:
        block: What to learn it on, at least one row.
        weight: How much the block counts beside others, > 0.
        max_dims: Principal directions kept of an embedding.
        whitening: 0 keeps an embedding's spread, 1 makes all kept directions equally wide.
        raw: Learn nothing: take the block as it is.
    """
    kind: Kind = "sparse" if block.is_sparse else "embedding" if block.columns is None else "columns"
    if raw:
        kind = "raw sparse" if block.is_sparse else "raw"
    mean, rotation = _FITS[kind](block, max_dims, whitening)
    return BlockTransform(block.name, kind, block.columns, block.shape[1], weight, mean, rotation)


def fit_transforms(
    table: FeatureTable,
    names: Iterable[str] | None,
    weights: Mapping[str, float],
    *,
    max_dims: int,
    whitening: float,
    raw: Iterable[str] = (),
) -> tuple[BlockTransform, ...]:
    """`fit_transform` of the named blocks (None: all) in order.

    Raises:
        ConfigError: A weight names no block that is used.
        DataError: A block is not in the table.
    """
    chosen = table if names is None else table.select(names)
    for name in weights:
        if name not in chosen.names:
            raise ConfigError(unknown_name("feature block in weights", name, chosen.names))
    untouched = set(raw)
    return tuple(
        fit_transform(
            b, weight=weights.get(b.name, 1.0), max_dims=max_dims, whitening=whitening, raw=b.name in untouched
        )
        for b in chosen.blocks
    )


def check_block_options(weights: Mapping[str, float], max_dims: int, whitening: float) -> None:
    """Refuse block options out of range; for the ``__post_init__`` of configurations.

    Raises:
        ConfigError: A weight is not positive and finite, ``max_dims`` < 1 or ``whitening`` outside [0, 1].
    """
    for name, weight in weights.items():
        if not 0 < weight < np.inf:
            raise ConfigError(f"the weight of block {name!r} must be > 0, got {weight}; leave the block out instead")
    if max_dims < 1 or not 0 <= whitening <= 1:
        raise ConfigError(f"max_dims must be >= 1 and whitening in [0, 1], got {max_dims} and {whitening}")


def pack_transforms(transforms: Sequence[BlockTransform]) -> dict[str, npt.NDArray[Any]]:
    """Arrays that hold the transforms, for an artifact."""
    about: list[dict[str, Any]] = [
        {"name": t.name, "kind": t.kind, "columns": t.columns, "n_dims": t.n_dims, "weight": t.weight}
        for t in transforms
    ]
    arrays: dict[str, npt.NDArray[Any]] = {"blocks": np.frombuffer(json.dumps(about).encode(), np.uint8)}
    for i, t in enumerate(transforms):
        arrays |= {f"block{i}.mean": t.mean, f"block{i}.rotation": t.rotation}
    return arrays


def unpack_transforms(arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[BlockTransform, ...]:
    """The inverse of `pack_transforms`."""
    about = json.loads(arrays["blocks"].tobytes())
    return tuple(
        BlockTransform(
            name=a["name"],
            kind=a["kind"],
            columns=None if a["columns"] is None else tuple(a["columns"]),
            n_dims=a["n_dims"],
            weight=a["weight"],
            mean=arrays[f"block{i}.mean"],
            rotation=arrays[f"block{i}.rotation"],
        )
        for i, a in enumerate(about)
    )


def _chunks(block: FeatureBlock, rows: Ints | None = None) -> Iterator[tuple[slice, Floats]]:
    for start in range(0, block.shape[0] if rows is None else len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        yield part, np.asarray(block.values[part if rows is None else rows[part]], dtype=np.float32)


def _fit_embedding(block: FeatureBlock, max_dims: int, whitening: float) -> tuple[Floats, Floats]:
    n, d = block.shape
    mean = sum((v.sum(axis=0, dtype=np.float64) for _, v in _chunks(block)), np.zeros(d)) / max(n, 1)
    covariance = np.zeros((d, d))
    for _, values in _chunks(block):
        centred = values - mean.astype(np.float32)
        covariance += centred.T @ centred
    spectrum = np.linalg.eigh(covariance / max(n, 1))
    variance, directions = np.asarray(spectrum.eigenvalues), np.asarray(spectrum.eigenvectors)
    variance, directions = variance[::-1][:max_dims], directions[:, ::-1][:, :max_dims]
    real = variance > 1e-6 * max(float(variance[0]), 1e-30)
    variance, directions = variance[real], directions[:, real]
    # An eigenvector's sign is arbitrary; fixed by its largest entry, so that it is the same everywhere.
    largest = np.abs(directions).argmax(axis=0)
    signs = np.sign(directions[largest, np.arange(directions.shape[1])])
    return mean.astype(np.float32), (directions * signs * variance ** (-whitening / 2)).astype(np.float32)


def _fit_columns(block: FeatureBlock, max_dims: int, whitening: float) -> tuple[Floats, Floats]:
    values = np.asarray(block.values, dtype=np.float64)
    deviation = values.std(axis=0)
    varies = deviation > 1e-6 * np.maximum(np.abs(values).max(axis=0, initial=0), 1e-30)
    scale = np.where(varies, 1 / np.where(varies, deviation, 1), 0) / np.sqrt(max(varies.sum(), 1))
    return values.mean(axis=0).astype(np.float32), scale.astype(np.float32)


def _fit_nothing(block: FeatureBlock, max_dims: int, whitening: float) -> tuple[Floats, Floats]:
    return np.empty(0, np.float32), np.empty(0, np.float32)


_FITS = {
    "embedding": _fit_embedding,
    "columns": _fit_columns,
    "sparse": _fit_nothing,
    "raw": _fit_nothing,
    "raw sparse": _fit_nothing,
}


def _scaled_csr(values: Any, weight: float) -> sp.csr_array:
    return sp.csr_array(values, dtype=np.float32, copy=True) * np.float32(weight)


def _unit_csr(values: Any, weight: float) -> sp.csr_array:
    csr = sp.csr_array(values, dtype=np.float32, copy=True)
    csr.sum_duplicates()
    norms = np.sqrt(np.asarray(csr.multiply(csr).sum(axis=1)).ravel())
    scale = weight / np.where(norms > 0, norms, 1)
    csr.data *= np.repeat(scale, np.diff(csr.indptr)).astype(np.float32)
    return csr
