"""One side of implicit ALS given the other: every row's ridge regression, solved exactly and in batches.

For a row (a user; for an item the sides change places) with interactions S, their weights w > 0, factors y_i of the
other side, unobserved weight a, penalty l and prior m, the solution x minimises

    Σ over S of w_i (1 - x·y_i)²  +  a xᵀGx  +  l ‖x - m‖²          G = Σ over all of y_i y_iᵀ

a small regression beside a quadratic form that all rows share. In the eigenvectors of G the latter is a diagonal,
D = a g + l, so that n interactions cost a system of min(n, factors) unknowns. With S = √w y, t = √w and b = D⁻¹ l m,
either (D + SᵀS) x = Sᵀt + D b or, by Woodbury's identity,

    x = b + D⁻¹Sᵀz      (I + S D⁻¹ Sᵀ) z = t - S b

where z = t - S x is also what is left of the targets. Rows of about as many interactions are solved together.
Sources: Hu, Koren, Volinsky (2008), Collaborative Filtering for Implicit Feedback Datasets, eq. 4; for this loss Rendle
et al. (2021), Revisiting the Performance of iALS on Item Recommendation Benchmarks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from recsys.models.crew import Crew, spans

CELLS = {"cpu": 2**18, "cuda": 2**25}
"""Gathered numbers that a part holds at a time: on the CPU they stay in a core's cache."""
WORTH = 4
"""A part of less than such a share of its cells costs more in calls than in arithmetic."""
LONG = 4096
"""Interactions of a row that are gathered at a time."""
HALVED = 32
"""Unknowns of half a system from which on it is worth while to factorise by halves."""
TALL = 4096
"""Rows that one thread multiplies at a time."""


@dataclass(frozen=True, eq=False)
class Part:
    """Rows of about as many interactions, padded to the longest.

    Attributes:
        rows: (r,) which.
        index: (r, n) int32 rows of the other side; 0 where padded.
        root: (r, n) √w; 0 where padded.
    """

    rows: Tensor
    index: Tensor
    root: Tensor


@dataclass(frozen=True, eq=False)
class Interactions:
    """One side's interactions, cut into parts; what the parts are does not depend on the number of threads.

    Attributes:
        parts: Every row with an interaction is in one of them.
        mass: (n_rows,) float64 sum of each row's weights.
    """

    parts: tuple[Part, ...]
    mass: Tensor

    @classmethod
    def of(
        cls,
        weights: sp.csr_array,
        *,
        factors: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Interactions:
        """From a (n_rows, n_others) CSR of positive weights."""
        counts, roots = np.diff(weights.indptr), np.sqrt(weights.data)
        cells = CELLS[torch.device(device).type] // factors
        parts = []
        for rows in _alike(counts, cells):
            n = int(counts[rows[-1]])
            inside = np.arange(n) < counts[rows][:, None]
            at = np.where(inside, weights.indptr[rows][:, None] + np.arange(n), 0)
            index = torch.from_numpy(np.where(inside, weights.indices[at], 0).astype(np.int32)).to(device)
            root = torch.from_numpy(np.where(inside, roots[at], 0)).to(device, dtype)
            parts.append(Part(torch.from_numpy(rows).to(device), index, root))
        mass = np.asarray(weights.sum(axis=1, dtype=np.float64)).ravel()
        return cls(tuple(parts), torch.from_numpy(mass).to(device))


def gram(factors: Tensor, crew: Crew) -> Tensor:
    """(k, k) float64 sum of y yᵀ over the rows y."""
    sums = crew.map(lambda part: factors[part].T @ factors[part], spans(len(factors), TALL))
    return torch.stack(sums).sum(dim=0, dtype=torch.float64)


def solve(
    interactions: Interactions,
    other: Tensor,
    other_gram: Tensor,
    penalty: Tensor,
    prior: Tensor,
    *,
    unobserved: float,
    crew: Crew,
) -> tuple[Tensor, float]:
    """The exact minimiser for each row.

    Args:
        interactions: The rows'.
        other: (m, k) factors of the other side.
        other_gram: (k, k) float64 `gram` of those that count as unobserved.
        penalty: (n_rows,) l > 0 of each row.
        prior: (n_rows, k) m, towards which a row is pulled.
        unobserved: The weight a >= 0 of a pair without an interaction.
        crew: Who works.

    Returns:
        (n_rows, k) solutions, rows without interactions as ``prior`` says, and Σ z² over all interactions, the
        regression's share of the loss.
    """
    spectrum, directions = torch.linalg.eigh(other_gram)
    base = (unobserved * spectrum.clamp(min=0)).to(other.dtype)
    turn = directions.to(other.dtype)
    turned = torch.empty_like(other)
    crew.map(lambda rows: torch.mm(other[rows], turn, out=turned[rows]), spans(len(other), TALL))
    out = prior.clone()

    def work(part: Part) -> Tensor:
        pull = penalty[part.rows, None]
        diagonal = base + pull
        start = (prior[part.rows] @ turn).mul_(pull).div_(diagonal)
        form = _dual if part.index.shape[1] <= other.shape[1] else _primal
        x, left = form(part, turned, diagonal, start)
        out[part.rows] = x @ turn.T
        return left.square().sum(dtype=torch.float64)

    squares = crew.map(work, interactions.parts)
    return out, float(torch.stack(squares).sum()) if squares else 0.0


def _dual(part: Part, other: Tensor, diagonal: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Solutions and what is left of the targets, from n unknowns a row."""
    y = _gathered(other, part.index, part.root)
    scaled = y * diagonal.reciprocal()[:, None, :]
    left = part.root - (y * start[:, None, :]).sum(dim=2)
    if y.shape[1] == 1:
        z = left / (y * scaled).sum(dim=2).add_(1)
    else:
        system = scaled @ y.mT
        system.diagonal(dim1=1, dim2=2).add_(1)
        z = _spd_solve(system, left)
    return start + scaled.mul_(z[:, :, None]).sum(dim=1), z


def _primal(part: Part, other: Tensor, diagonal: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """The same from as many unknowns as there are factors, into which interactions are summed piece by piece."""
    system, right = torch.diag_embed(diagonal), diagonal * start
    pieces = spans(part.index.shape[1], LONG)
    for columns in pieces:
        y = _gathered(other, part.index[:, columns], part.root[:, columns])
        system.baddbmm_(y.mT, y)
        right += (part.root[:, None, columns] @ y).squeeze(1)
    x = _spd_solve(system, right)
    left = part.root.clone()
    for columns in pieces:
        if len(pieces) > 1:
            y = _gathered(other, part.index[:, columns], part.root[:, columns])
        left[:, columns] -= (y @ x[:, :, None]).squeeze(2)
    return x, left


def _gathered(other: Tensor, index: Tensor, root: Tensor) -> Tensor:
    """(r, n, k) rows of the other side times √w."""
    return other.index_select(0, index.reshape(-1)).view(*index.shape, -1).mul_(root[:, :, None])


def _spd_solve(systems: Tensor, right: Tensor) -> Tensor:
    """(r, n) solutions of (r, n, n) positive definite systems, which are overwritten."""
    return torch.cholesky_solve(right[:, :, None], _cholesky(systems)).squeeze(2)


def _cholesky(systems: Tensor) -> Tensor:
    """Lower triangles, halves first where that leaves the greater part of the work to matrix products."""
    half = systems.shape[1] // 2
    if half < HALVED:
        triangle: Tensor = torch.linalg.cholesky_ex(systems)[0]
        return triangle
    out = torch.zeros_like(systems)
    out[:, :half, :half] = top = _cholesky(systems[:, :half, :half])
    out[:, half:, :half] = side = torch.linalg.solve_triangular(
        top.mT, systems[:, half:, :half], upper=True, left=False
    )
    out[:, half:, half:] = _cholesky(torch.baddbmm(systems[:, half:, half:], side, side.mT, alpha=-1))
    return out


def _alike(counts: npt.NDArray[np.integer], cells: int) -> Iterator[npt.NDArray[np.int64]]:
    """Rows with interactions, fewest first, in parts of at most ``cells`` padded interactions.

    A part ends where more than an eighth of its longest row would be padding, but not before it is worth a call.
    """
    order = np.argsort(counts, kind="stable")
    order = order[counts[order] > 0]
    n = counts[order]
    ends = np.flatnonzero(np.diff(n, append=0))  # the last row of each count
    start = 0
    for end, following in zip(ends + 1, np.append(ends[1:] + 1, [0] * bool(len(ends))), strict=True):
        longer = int(n[following - 1]) if following else 0
        held = (end - start) * longer
        if longer and held <= cells and (held * WORTH <= cells or longer * 8 <= int(n[start]) * 9):
            continue
        group, size = order[start:end], max(1, cells // min(int(n[end - 1]), LONG))
        yield from (group[rows] for rows in spans(len(group), size))
        start = int(end)
