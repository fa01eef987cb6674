"""Multinomial and one-vs-rest logistic regression with an L2 penalty, for several weightings of the rows at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, log_expit

Rows = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]
Link = Literal["softmax", "sigmoid"]
Losses = Callable[[Values, Rows], tuple[Values, Values]]

RANK = 1e-5
"""Principal directions with less than this share of the largest deviation are left out: the penalty decides there."""
CURVATURE = 0.1
"""A typical p (1 - p): what the second derivative of the loss is made of."""
STEPS = 300


@dataclass(frozen=True, eq=False)
class Principal:
    """Rows in their own principal directions: at most as many as there are rows, and Hessians nearly diagonal.

    Attributes:
        rows: (n, r) centred and turned.
        mean: (d,).
        directions: (d, r), orthonormal.
        variance: (r,).
    """

    rows: Rows
    mean: Rows
    directions: Rows
    variance: Values

    @classmethod
    def of(cls, x: Rows) -> Principal:
        """Of (n, d) finite rows, by the smaller of x xᵀ and xᵀ x."""
        mean = x.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = x - mean
        wide = len(x) < x.shape[1]
        square = centred @ centred.T if wide else centred.T @ centred
        values, vectors = np.linalg.eigh(square.astype(np.float64))
        keep = np.flatnonzero(values > max(values[-1], 0) * RANK**2 + 1e-30)[::-1]
        values, vectors = values[keep], vectors[:, keep].astype(np.float32)
        if not wide:
            return cls(centred @ vectors, mean, vectors, values / len(x))
        length = np.sqrt(values).astype(np.float32)
        return cls(vectors * length, mean, centred.T @ (vectors / length), values / len(x))

    def back(self, weight: Values, bias: Values) -> tuple[Values, Values]:
        """Weights (r, k) and biases (k,) for rows as they were given."""
        given = self.directions.astype(np.float64) @ weight
        return given, bias - self.mean.astype(np.float64) @ given


def fit_path(
    x: Principal,
    targets: Rows,
    weights: Rows,
    penalties: Sequence[float],
    *,
    link: Link = "softmax",
    tolerance: float = 1e-5,
) -> list[tuple[Values, Values]]:
    """Minimise the weighted mean loss + penalty / 2 |W|² for every penalty and every column of ``weights``.

    All columns of ``weights`` (folds, say) are solved together, each penalty from the solution of the one before:
    L-BFGS, each coordinate scaled by its curvature bound (Böhning 1992). Biases bear no penalty.

    Args:
        x: The rows.
        targets: (n, k) in 0 … 1; for ``softmax`` rows sum to 1, soft ones are allowed.
        weights: (n, f) >= 0, no column all 0.
        penalties: In the order they are solved; strong ones first is quickest.
        link: ``softmax``: one of k classes; ``sigmoid``: k yes-or-no questions.
        tolerance: On the largest gradient, in scaled coordinates.

    Returns:
        For each penalty W (f, r, k) in principal coordinates, and b (f, k).

    Example:
        >>> rows = Principal.of(np.array([[-1], [-1], [1], [1]], np.float32))
        >>> targets = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
        >>> [(w, b)] = fit_path(rows, targets, np.ones((4, 1), np.float32), [0.1])
        >>> bool(np.isclose(abs(w[0, 0, 1]), expit(-2 * abs(w[0, 0, 1])) / 0.1, atol=1e-3))  # the gradient is 0
        True
    """
    n_fits, (r, k) = weights.shape[1], (x.rows.shape[1], targets.shape[1])
    share = (weights / weights.sum(axis=0)).astype(np.float64).T
    losses, solutions = LINKS[link], []
    start = np.zeros((n_fits, r + 1, k))
    for penalty in penalties:
        scale = np.append(1 / np.sqrt(CURVATURE * x.variance + penalty), 1.0)[:, None]

        def value(flat: Values, penalty: float = penalty, scale: Values = scale) -> tuple[float, Values]:
            w = flat.reshape(n_fits, r + 1, k) * scale
            wide = np.ascontiguousarray(w[:, :r].transpose(1, 0, 2), np.float32).reshape(r, n_fits * k)
            logits = (x.rows @ wide).reshape(len(x.rows), n_fits, k).transpose(1, 0, 2) + w[:, None, r]
            each, slope = losses(logits, targets)
            slope *= share[:, :, None]
            gradient = np.empty_like(w)
            stacked = np.ascontiguousarray(slope.transpose(1, 0, 2), np.float32).reshape(len(x.rows), n_fits * k)
            gradient[:, :r] = (x.rows.T @ stacked).reshape(r, n_fits, k).transpose(1, 0, 2) + penalty * w[:, :r]
            gradient[:, r] = slope.sum(axis=1)
            loss = float((each * share).sum() + penalty / 2 * np.square(w[:, :r]).sum())
            return loss, (gradient * scale).ravel()

        options: Any = {"maxiter": STEPS, "gtol": tolerance, "ftol": tolerance * 1e-4, "maxcor": 12}
        objective: Any = value
        found = minimize(objective, (start / scale).ravel(), jac=True, method="L-BFGS-B", options=options)
        start = found.x.reshape(start.shape) * scale
        solutions.append((start[:, :r].copy(), start[:, r].copy()))
    return solutions


def _softmax_losses(logits: Values, targets: Rows) -> tuple[Values, Values]:
    """Cross-entropies (f, n), and their slopes (f, n, k) in the logits."""
    shifted = logits - logits.max(axis=2, keepdims=True)
    chances = np.exp(shifted)
    total = chances.sum(axis=2, keepdims=True)
    each = np.log(total[..., 0]) * targets.sum(axis=1) - (shifted * targets).sum(axis=2)
    chances /= total
    return each, chances * targets.sum(axis=1)[:, None] - targets


def _sigmoid_losses(logits: Values, targets: Rows) -> tuple[Values, Values]:
    """As `_softmax_losses`, the sum over k questions."""
    each = -(targets * log_expit(logits) + (1 - targets) * log_expit(-logits)).sum(axis=2)
    return each, expit(logits) - targets


LINKS: dict[str, Losses] = {"softmax": _softmax_losses, "sigmoid": _sigmoid_losses}
