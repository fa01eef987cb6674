"""One side of a hybrid model, users or items, while it is trained: id vectors and feature weights.

A row's vector has ``factors + 1`` entries, the last its bias: LightFM's sum over what is known of a row,

    vector = id vector + Σ over blocks of features @ weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import scipy.sparse as sp
import torch
from torch import Tensor

from recsys.data.features import FeatureTable
from recsys.models.bags import Bag
from recsys.models.blocks import BlockTransform
from recsys.models.crew import Crew, spans
from recsys.topk import Ints

PART = 512
"""Rows of features multiplied by one thread at a time, at least."""
MOST_PARTS = 32
"""Each has a sum of its own until they are added up."""


@dataclass(frozen=True, eq=False)
class Source:
    """Where a side's features come from.

    Attributes:
        transforms: The blocks' normalisation.
        table: Holds the blocks.
        rows: Which rows of it; None: all.
    """

    transforms: tuple[BlockTransform, ...]
    table: FeatureTable
    rows: Ints | None = None

    def dense(self, n: int, precision: torch.dtype) -> Tensor | None:
        """(n, d) the dense blocks side by side; beside it only a part is in memory at a time."""
        chosen = [t for t in self.transforms if not t.is_sparse]
        if not chosen:
            return None
        out, at = torch.empty(n, sum(t.n_out for t in chosen), dtype=precision), 0
        for transform in chosen:
            for part, values in transform.parts(self.table[transform.name], self.rows):
                out[part, at : at + transform.n_out] = torch.from_numpy(values)
            at += transform.n_out
        return out

    def sparse(self) -> sp.csr_array | None:
        """(n, s) the sparse blocks side by side."""
        found: list[Any] = [t.apply(self.table[t.name], self.rows) for t in self.transforms if t.is_sparse]
        return sp.csr_array(sp.hstack(found, format="csr")) if found else None


@dataclass(frozen=True, eq=False)
class Tower:
    """Parameters of one side, and its features.

    Attributes:
        ids: (n, factors + 1) id vectors.
        dense: (n, d) all dense blocks side by side, or None; products with them are in their precision.
        dense_weight: (d, factors + 1).
        sparse: The (n, s) sparse blocks side by side, or None.
        sparse_weight: (s, factors + 1).
        id_mask: (1, factors + 1) 0 where id vectors stay 0.
        weight_mask: (1, factors + 1) 0 where feature weights stay 0.
    """

    ids: Tensor
    dense: Tensor | None
    dense_weight: Tensor
    sparse: Bag | None
    sparse_weight: Tensor
    id_mask: Tensor
    weight_mask: Tensor

    @classmethod
    def of(cls, ids: Tensor, source: Source, rng: torch.Generator, precision: torch.dtype = torch.float32) -> Tower:
        """With small random feature weights; their biases start at 0. Dense blocks are kept in ``precision``."""
        width, device = ids.shape[1], ids.device
        joined, found = source.dense(len(ids), precision), source.sparse()
        joined = None if joined is None else joined.to(device)
        bag = None if found is None else Bag.of(found, device)
        n_dense, n_sparse = 0 if joined is None else joined.shape[1], 0 if bag is None else bag.n_columns
        weights = [_initial_weights(n, width, rng).to(device) for n in (n_dense, n_sparse)]
        free = torch.ones(1, width, device=device)
        return cls(ids, joined, weights[0], bag, weights[1], free, free)

    def masked(self, ids: Tensor, weights: Tensor) -> Tower:
        """A tower whose ids and weights are 0, and stay so, where these (1, factors + 1) masks are."""
        device = self.ids.device
        ids, weights = ids.to(device), weights.to(device)
        return replace(
            self,
            ids=self.ids * ids,
            dense_weight=self.dense_weight * weights,
            sparse_weight=self.sparse_weight * weights,
            id_mask=ids,
            weight_mask=weights,
        )

    @property
    def has_features(self) -> bool:
        """Whether there is more than ids."""
        return self.dense is not None or self.sparse is not None

    @cached_property
    def _sparse_transposed(self) -> Bag | None:
        return None if self.sparse is None else self.sparse.transposed()

    def content(self, rows: Tensor | None, crew: Crew) -> Tensor:
        """(len(rows), factors + 1): what features say of the rows (None: of all)."""
        n = len(self.ids) if rows is None else len(rows)
        out = (self.ids.new_zeros if self.dense is None else self.ids.new_empty)(n, self.ids.shape[1])
        if self.dense is not None:
            weight = self.dense_weight.to(self.dense.dtype)
            crew.map(lambda part: out[part].copy_(_pick(self.dense, rows, part) @ weight), _parts(n))
        if self.sparse is not None:
            out += (self.sparse if rows is None else self.sparse.rows(rows)).sums(self.sparse_weight)
        return out

    def weight_gradients(self, rows: Tensor | None, gradient: Tensor, crew: Crew) -> list[tuple[Tensor, Tensor]]:
        """(weights, their gradient) from the gradient of `content`."""
        found = []
        if self.dense is not None:
            kind = self.dense.dtype
            sums = crew.map(
                lambda part: (_pick(self.dense, rows, part).T @ gradient[part].to(kind)).float(), _parts(len(gradient))
            )
            total = torch.stack(sums).sum(dim=0) if len(sums) > 1 else sums[0]
            found.append((self.dense_weight, total.mul_(self.weight_mask)))
        if self.sparse is not None:
            back = self._sparse_transposed if rows is None else self.sparse.rows(rows).transposed()
            assert back is not None
            found.append((self.sparse_weight, back.sums(gradient).mul_(self.weight_mask)))
        return found

    def block_weights(self, transforms: Sequence[BlockTransform]) -> tuple[Tensor, ...]:
        """The weights cut into those of each block, in the order of ``transforms``."""
        at, found = {True: 0, False: 0}, []
        for transform in transforms:
            start = at[transform.is_sparse]
            at[transform.is_sparse] = end = start + transform.n_out
            found.append((self.sparse_weight if transform.is_sparse else self.dense_weight)[start:end])
        return tuple(found)


def _parts(n: int) -> list[slice]:
    return spans(n, max(PART, -(-n // MOST_PARTS)))


def _pick(matrix: Tensor | None, rows: Tensor | None, part: slice) -> Tensor:
    assert matrix is not None
    return matrix[part] if rows is None else matrix[rows[part]]


def _initial_weights(n: int, width: int, rng: torch.Generator) -> Tensor:
    weights = torch.randn(n, width, generator=rng) / math.sqrt(width - 1)
    weights[:, -1] = 0
    return weights
