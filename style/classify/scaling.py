"""Feature blocks side by side, each on one scale: what every classifier reads."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.data.features import FeatureBlock, FeatureTable
from recsys.errors import DataError
from style.classify.logistic import Rows

CHUNK = 4096
DEAD = 0.5
"""Share of columns that never vary above which a block is warned of; activations and histograms have many such."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """Columns centred and divided by their deviation; then each block's row has length 1/√blocks.

    Rows of length 1 make one loud photo no louder than the others, and a penalty means the same for all widths.

    Attributes:
        blocks: Names of the blocks, in order.
        dims: Their widths.
        mean: (d,).
        scale: (d,) 1 / deviation; 0 for a column that never varies.

    Example:
        >>> from recsys.data.ids import IdMap
        >>> table = FeatureTable(IdMap.of("ab"), (FeatureBlock("x", np.array([[1, 2], [3, 6]], np.float32)),))
        >>> np.square(Scaling.fit(table).apply(table)).round(3).tolist()
        [[0.5, 0.5], [0.5, 0.5]]
    """

    blocks: tuple[str, ...]
    dims: tuple[int, ...]
    mean: Rows
    scale: Rows

    @classmethod
    def fit(cls, table: FeatureTable) -> Scaling:
        """By all rows of ``table``.

        Raises:
            DataError: No blocks, fewer than two rows, or a block that never varies; it is named.

        Warns:
            UserWarning: More than `DEAD` of a block's columns never vary; they are left out of account.
        """
        if not table.blocks or len(table.ids) < 2:
            raise DataError(f"scaling needs 2 rows and a block, got {len(table.ids)} rows, {len(table.blocks)} blocks")
        moments = [_moments(block) for block in table.blocks]
        for block, (_, scale) in zip(table.blocks, moments, strict=True):
            dead = int((scale == 0).sum())
            if dead == len(scale):
                raise DataError(
                    f"block {block.name!r} is constant: all {len(table.ids)} items have the same row; drop it"
                )
            if dead > DEAD * len(scale):
                warnings.warn(
                    f"block {block.name!r}: {dead} of {len(scale)} columns never vary and are ignored", stacklevel=3
                )
        mean, scale = (np.concatenate(parts) for parts in zip(*moments, strict=True))
        return cls(table.names, tuple(b.shape[1] for b in table.blocks), mean, scale)

    def apply(self, table: FeatureTable) -> Rows:
        """(n, d) float32; the table may hold other blocks beside.

        Raises:
            DataError: A block is missing or has another width.
        """
        parts = list(self.chunks(table))
        return np.concatenate(parts) if parts else np.empty((0, len(self.mean)), np.float32)

    def chunks(self, table: FeatureTable) -> Iterator[Rows]:
        """`apply`, some thousands of rows at a time."""
        blocks = table.select(self.blocks).blocks
        for block, width in zip(blocks, self.dims, strict=True):
            if block.shape[1] != width:
                raise DataError(f"block {block.name!r} has {block.shape[1]} columns, the classifier knows {width}")
        ends = np.cumsum(self.dims)
        for start in range(0, len(table.ids), CHUNK):
            out = np.empty((min(CHUNK, len(table.ids) - start), len(self.mean)), np.float32)
            for block, end, width in zip(blocks, ends, self.dims, strict=True):
                span = slice(end - width, end)
                part = (_dense(block.values[start : start + CHUNK]) - self.mean[span]) * self.scale[span]
                length = np.linalg.norm(part, axis=1, keepdims=True) * np.sqrt(len(blocks))
                out[:, span] = part / np.maximum(length, 1e-12)
            yield out


def _moments(block: FeatureBlock) -> tuple[Rows, Rows]:
    """Means and 1 / deviation of the columns, in float64, in chunks."""
    n, total = block.shape[0], np.zeros(block.shape[1])
    for start in range(0, n, CHUNK):
        total += _dense(block.values[start : start + CHUNK]).sum(axis=0, dtype=np.float64)
    mean, square = total / n, np.zeros(block.shape[1])
    for start in range(0, n, CHUNK):
        square += np.square(_dense(block.values[start : start + CHUNK]) - mean).sum(axis=0)
    deviation = np.sqrt(square / n)
    varies = deviation > 1e-6 * np.abs(mean)  # float32 rounds a constant no better
    return mean.astype(np.float32), np.where(varies, 1 / np.where(varies, deviation, 1), 0).astype(np.float32)


def _dense(values: npt.NDArray[np.float32] | sp.csr_array) -> Rows:
    return np.asarray(values.toarray() if sp.issparse(values) else values, np.float32)
