"""From features to factors: the ridge regression that FeatureALS pulls its factors to.

With rows x of features and an intercept, factors q, penalties l and ridge r, the weights B minimise

    Σ l_i ‖q_i - Bᵀx_i‖² + r ‖B without the intercept‖²

The normal matrix never changes while factors do: it is factorised once (Cholesky). Where features are so many that
it would not fit (tags, words), conjugate gradients start from the last weights and only ever multiply by features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from recsys.data.features import FeatureTable, Matrix
from recsys.explain.contributions import COMMON, Terms
from recsys.explain.terms import feature_terms
from recsys.models.als_solver import TALL
from recsys.models.bags import Bag
from recsys.models.base import Scores
from recsys.models.blocks import BlockTransform, pack_transforms, unpack_transforms
from recsys.models.crew import Crew, spans
from recsys.models.fitted import Arrays

WIDE = 2048
"""Features from which on the normal matrix is not formed."""
CG_STEPS, CG_TOLERANCE = 50, 1e-5


@dataclass(frozen=True, eq=False)
class Regression:
    """A learned map from feature tables to factors; without blocks it is zero.

    Attributes:
        transforms: The blocks' normalisation.
        weights: One (d, factors) B a block.
        intercept: (factors,) the factors of a row whose features are all 0.
    """

    transforms: tuple[BlockTransform, ...]
    weights: tuple[Scores, ...]
    intercept: Scores

    def of(self, table: FeatureTable) -> Scores:
        """(n, factors) float32 what features say of each row.

        Raises:
            DataError: A block is missing or has other columns.
        """
        total = np.tile(self.intercept, (len(table.ids), 1))
        for transform, weight in zip(self.transforms, self.weights, strict=True):
            total += transform.product(table[transform.name], weight)
        return total

    def terms(self, table: FeatureTable, row: int) -> Terms:
        """What `of` adds up for one row: what is said of every row, and its features."""
        if not self.transforms:
            return Terms.of((), np.empty((0, len(self.intercept))))
        weights = [np.pad(w, ((0, 0), (0, 1))) for w in self.weights]
        return Terms.of((COMMON,), self.intercept[None]) + feature_terms(self.transforms, weights, table, row)

    def arrays(self, side: str) -> Arrays:
        """For an artifact, names starting with ``side``."""
        own: Arrays = {"intercept": self.intercept, **pack_transforms(self.transforms)}
        own |= {f"weight{i}": w for i, w in enumerate(self.weights)}
        return {f"{side}.{name}": array for name, array in own.items()}

    @classmethod
    def from_arrays(cls, side: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Regression:
        """The inverse of `arrays`."""
        own = {n.removeprefix(f"{side}."): a for n, a in arrays.items() if n.startswith(f"{side}.")}
        transforms = unpack_transforms(own)
        return cls(transforms, tuple(own[f"weight{i}"] for i in range(len(transforms))), own["intercept"])


@dataclass(frozen=True, eq=False)
class Design:
    """Features of one side, ready to be multiplied: an intercept and dense blocks, then sparse blocks.

    Attributes:
        dense: (n, 1 + d) the intercept's ones, or zeros where there is none, and the dense blocks.
        sparse: (n, s) the sparse blocks as a bag, or None.
    """

    dense: Tensor
    sparse: Bag | None

    @classmethod
    def of(
        cls, blocks: Sequence[Matrix], n: int, device: torch.device | str = "cpu", *, intercept: bool = True
    ) -> Design:
        """From blocks of n rows."""
        dense = [np.full((n, 1), intercept, np.float32), *(b for b in blocks if isinstance(b, np.ndarray))]
        sparse = [b for b in blocks if not isinstance(b, np.ndarray)]
        bag = Bag.of(sp.csr_array(sp.hstack(sparse, format="csr")), device) if sparse else None
        return cls(torch.from_numpy(np.hstack(dense)).to(device), bag)

    @property
    def width(self) -> int:
        """Columns."""
        return self.dense.shape[1] + (0 if self.sparse is None else self.sparse.n_columns)

    @cached_property
    def _turned(self) -> Bag | None:
        return None if self.sparse is None else self.sparse.transposed()

    def times(self, weights: Tensor, crew: Crew) -> Tensor:
        """(n, k) X B."""
        n, d = self.dense.shape
        out = weights.new_empty(n, weights.shape[1])
        crew.map(lambda rows: torch.mm(self.dense[rows], weights[:d], out=out[rows]), spans(n, TALL))
        if self.sparse is not None:
            out += self.sparse.sums(weights[d:])
        return out

    def transposed_times(self, values: Tensor, crew: Crew) -> Tensor:
        """(width, k) Xᵀ V."""
        sums = crew.map(lambda rows: self.dense[rows].T @ values[rows], spans(len(values), TALL))
        top = torch.stack(sums).sum(dim=0)
        return top if self._turned is None else torch.cat([top, self._turned.sums(values)])

    def normal(self, row_weight: Tensor, crew: Crew) -> Tensor:
        """(width, width) float64 Xᵀ diag(row_weight) X."""
        left = self.transposed_times(self.dense * row_weight[:, None], crew).double()
        if self.sparse is None:
            return left
        bag = self.sparse
        csr = sp.csr_array(
            tuple(a.cpu().numpy() for a in (bag.value, bag.column, bag.starts)), shape=(bag.n_rows, bag.n_columns)
        )
        corner = (csr.T @ csr.multiply(row_weight.cpu().numpy()[:, None])).toarray()
        right = torch.cat([left[self.dense.shape[1] :].T, torch.from_numpy(corner).to(left)])
        return torch.cat([left, right], dim=1)

    def split(self, weights: Tensor, blocks: Sequence[Matrix]) -> tuple[Scores, tuple[Scores, ...]]:
        """(intercept, weights of each block in the order of ``blocks``)."""
        table = weights.cpu().numpy()
        at, found = {True: 1, False: self.dense.shape[1]}, []
        for block in blocks:
            is_dense = isinstance(block, np.ndarray)
            found.append(table[at[is_dense] : at[is_dense] + block.shape[1]].copy())
            at[is_dense] += block.shape[1]
        return table[0].copy(), tuple(found)


class Ridge:
    """Solves the regression above again and again for other factors.

    Args:
        design: The features X.
        row_weight: (n,) l > 0.
        ridge: r > 0.
        crew: Who works.
    """

    def __init__(self, design: Design, row_weight: Tensor, ridge: float, crew: Crew) -> None:
        self.design, self.row_weight, self.crew = design, row_weight, crew
        self.ridge = design.dense.new_full((design.width, 1), ridge)
        # shrinking the mean would make all that is unknown alike nothing; a column of zeros is kept at 0
        self.ridge[0] *= not design.dense[:1, 0].any()
        self.factor: Tensor | None = None
        if design.width <= WIDE:
            normal = design.normal(row_weight, crew)
            normal.diagonal().add_(self.ridge[:, 0])
            self.factor = torch.linalg.cholesky(normal)

    def solve(self, factors: Tensor, start: Tensor) -> Tensor:
        """(width, k) weights B for (n, k) factors; ``start`` is where conjugate gradients begin."""
        right = self.design.transposed_times(factors * self.row_weight[:, None], self.crew)
        if self.factor is not None:
            return torch.cholesky_solve(right.double(), self.factor).to(factors.dtype)
        return self._conjugate_gradients(right, start)

    def _apply(self, weights: Tensor) -> Tensor:
        product = self.design.times(weights, self.crew).mul_(self.row_weight[:, None])
        return self.design.transposed_times(product, self.crew) + self.ridge * weights

    @cached_property
    def _diagonal(self) -> Tensor:
        d, weight = self.design, self.row_weight[:, None]
        squares = (d.dense.square() * weight).sum(dim=0)
        if d.sparse is not None:
            bag = Bag(d.sparse.starts, d.sparse.column, d.sparse.value.square(), d.sparse.n_columns)
            squares = torch.cat([squares, bag.transposed().sums(weight).squeeze(1)])
        return squares[:, None] + self.ridge

    def _conjugate_gradients(self, right: Tensor, x: Tensor) -> Tensor:
        """Jacobi-preconditioned, one system a column; ends when every column's residual is small."""
        residual = right - self._apply(x)
        enough = CG_TOLERANCE * right.norm(dim=0)
        direction = scaled = residual / self._diagonal
        energy = (residual * scaled).sum(dim=0)
        for _ in range(CG_STEPS):
            if bool((residual.norm(dim=0) <= enough).all()):
                break
            image = self._apply(direction)
            curvature = (direction * image).sum(dim=0)
            step = torch.where(curvature > 0, energy / curvature, 0.0)
            x, residual = x + step * direction, residual - step * image
            scaled = residual / self._diagonal
            before, energy = energy, (residual * scaled).sum(dim=0)
            direction = scaled + torch.where(before > 0, energy / before, 0.0) * direction
        return x
