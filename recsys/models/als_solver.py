"""One side of implicit ALS given the other: every row's ridge regression, solved in batches of like rows.

For a row (a user; for an item the sides change places) with interactions S, their weights w > 0, factors y_i of the
other side, unobserved weight a, penalty l and prior m, the solution x minimises

    Σ over S of w_i (1 - x·y_i)²  +  a xᵀGx  +  l ‖x - m‖²          G = Σ over all of y_i y_iᵀ

a small regression beside a quadratic form that all rows share. In the eigenvectors of G the latter is a diagonal,
D = a g + l. With v = √D x, rows √(w / D) y of S, targets t = √w and b = l m / √D the row's problem is

    (I + SᵀS) v = Sᵀt + b

which n interactions make one of min(n, factors) unknowns: where they are fewer, v = b + Sᵀz with (I + S Sᵀ) z = t - S b
(Woodbury), and z = t - S v is also what is left of the targets. Conjugate gradients, started from the last solution,
need a few products with S: the hard part of the problem, what all rows share, is already solved.
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

CELLS = {"cpu": 2**20, "cuda": 2**25}
"""Gathered numbers that a part holds at a time: as few as make up for the calls, so that caches help."""
WORTH = 4
"""A part of less than such a share of its cells costs more in calls than in arithmetic."""
FEW = 16
"""Interactions up to which a direct solution costs no more than a few steps."""
TINY = 1e-30
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


@dataclass(frozen=True, eq=False)
class Problem:
    """What the rows have in common.

    Attributes:
        other: (m, k) factors of the other side.
        gram: (k, k) float64 `gram` of those that count as unobserved.
        penalty: (n_rows,) l > 0 of each row.
        prior: (n_rows, k) m, towards which a row is pulled.
        unobserved: The weight a >= 0 of a pair without an interaction.
    """

    other: Tensor
    gram: Tensor
    penalty: Tensor
    prior: Tensor
    unobserved: float


def solve(
    rows: Interactions, problem: Problem, crew: Crew, *, last: Tensor | None = None, steps: int | None = None
) -> tuple[Tensor, float]:
    """The minimiser for each row.

    Args:
        rows: Their interactions.
        problem: The rest.
        crew: Who works.
        last: (n_rows, k) where conjugate gradients start.
        steps: Conjugate gradient steps for rows with more than `FEW` interactions; None: all are solved directly.

    Returns:
        (n_rows, k) solutions, rows without interactions as the prior says, and Σ z² over all interactions, the
        regression's share of the loss.
    """
    other = problem.other
    spectrum, directions = torch.linalg.eigh(problem.gram)
    base = (problem.unobserved * spectrum.clamp(min=0)).to(other.dtype)
    turn = directions.to(other.dtype)
    turned = torch.empty_like(other)
    crew.map(lambda part: torch.mm(other[part], turn, out=turned[part]), spans(len(other), TALL))
    out = problem.prior.clone()

    def work(part: Part) -> Tensor:
        pull, n = problem.penalty[part.rows, None], part.index.shape[1]
        scale = (base + pull).rsqrt_()
        start = (problem.prior[part.rows] @ turn).mul_(pull).mul_(scale)
        if steps is not None and last is not None and FEW < n <= LONG:
            v, left = _stepped(part, turned, scale, start, (last[part.rows] @ turn).div_(scale), steps)
        else:
            v, left = (_dual if n <= other.shape[1] else _primal)(part, turned, scale, start)
        out[part.rows] = v.mul_(scale) @ turn.T
        return left.square().sum(dtype=torch.float64)

    squares = crew.map(work, rows.parts)
    return out, float(torch.stack(squares).sum()) if squares else 0.0


def _dual(part: Part, other: Tensor, scale: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """The v and z of each row, from as many unknowns as there are interactions."""
    y = _gathered(other, part.index, part.root, scale)
    left = part.root - _products(y, start)
    if y.shape[1] == 1:
        z = left / y.square().sum(dim=2).add_(1)
    else:
        system = y @ y.mT
        system.diagonal(dim1=1, dim2=2).add_(1)
        z = _spd_solve(system, left)
    return start + _sums(z, y), z


def _primal(part: Part, other: Tensor, scale: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """The same from as many unknowns as there are factors, into which interactions are summed piece by piece."""
    system, right = torch.diag_embed(torch.ones_like(scale)), start.clone()
    pieces = spans(part.index.shape[1], LONG)
    for columns in pieces:
        y = _gathered(other, part.index[:, columns], part.root[:, columns], scale)
        system.baddbmm_(y.mT, y)
        right += _sums(part.root[:, columns], y)
    v = _spd_solve(system, right)
    left = part.root.clone()
    for columns in pieces:
        if len(pieces) > 1:
            y = _gathered(other, part.index[:, columns], part.root[:, columns], scale)
        left[:, columns] -= _products(y, v)
    return v, left


def _stepped(part: Part, other: Tensor, scale: Tensor, start: Tensor, v: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """The same by conjugate gradients from ``v``; every step lowers the loss.

    Time goes into reading the gathered factors, so S is not formed: √w and 1 / √D are put on the short vectors beside.
    """
    y = other.index_select(0, part.index.reshape(-1)).view(*part.index.shape, -1)
    z = part.root - _products(y, scale * v).mul_(part.root)
    direction = residual = _sums(part.root * z, y).mul_(scale).add_(start).sub_(v)
    energy = residual.square().sum(dim=1, keepdim=True)
    for left in reversed(range(steps)):
        image = _products(y, scale * direction).mul_(part.root)
        curvature = direction.square().sum(dim=1, keepdim=True) + image.square().sum(dim=1, keepdim=True)
        step = energy / curvature.clamp_(min=TINY)
        v, z = v + step * direction, z - step * image
        if left:
            residual = residual - step * _sums(part.root * image, y).mul_(scale).add_(direction)
            before, energy = energy, residual.square().sum(dim=1, keepdim=True)
            direction = residual + energy / before.clamp(min=TINY) * direction
    return v, z


def _gathered(other: Tensor, index: Tensor, root: Tensor, scale: Tensor) -> Tensor:
    """(r, n, k) S of each row."""
    y = other.index_select(0, index.reshape(-1)).view(*index.shape, -1)
    return y.mul_(root[:, :, None]).mul_(scale[:, None, :])


def _products(y: Tensor, v: Tensor) -> Tensor:
    """(r, n) S v; the transposed form is the one that BLAS is fast at."""
    return (v[:, None, :] @ y.mT).squeeze(1)


def _sums(z: Tensor, y: Tensor) -> Tensor:
    """(r, k) Sᵀz."""
    return (z[:, None, :] @ y).squeeze(1)


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
