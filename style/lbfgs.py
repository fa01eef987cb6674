"""L-BFGS for a batch of independent problems: each has its own history and its own step, all are evaluated at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

HISTORY = 6
SHRINK = 0.5
TRIES = 4
"""Ever shorter steps along a direction, after which a problem begins anew with the steepest one."""
Evaluate = Callable[[Tensor], tuple[Tensor, Tensor]]


def minimise(
    evaluate: Evaluate,
    start: Tensor,
    steps: int,
    *,
    first_step: float,
    project: Callable[[Tensor], Tensor] = lambda x: x,
    done: Callable[[], None] = lambda: None,
) -> Tensor:
    """Go down ``steps`` times.

    A step that does not lower a problem's loss is taken back and half of it is tried, up to four times; then the
    problem forgets its history. So losses never rise, and a problem's path does not depend on its neighbours.

    Source: Nocedal, Wright (2006), Numerical Optimization, algorithms 7.4 and 7.5.

    Args:
        evaluate: (n, d) points → losses (n,) and gradients (n, d).
        start: (n, d).
        steps: Evaluations after the first.
        first_step: Length of the first step in the largest coordinate, and of the first without history.
        project: Brings points back to where they may be.
        done: Called after each step.

    Returns:
        (n, d) the best points.

    Example:
        >>> bowl = lambda x: ((x * torch.tensor([1.0, 100.0]) * x).sum(1), 2 * x * torch.tensor([1.0, 100.0]))
        >>> minimise(bowl, torch.ones(1, 2), 30, first_step=0.1).abs().max().item() < 1e-3
        True
    """
    x = start
    loss, gradient = evaluate(x)
    history = History.of(x)
    length = torch.full((len(x), 1), first_step, dtype=x.dtype, device=x.device)
    fresh = torch.ones(len(x), 1, dtype=torch.bool, device=x.device)
    failed, move = torch.zeros(len(x), 1, dtype=torch.int64, device=x.device), torch.zeros_like(x)
    for _ in range(steps):
        direction = history.direction(gradient)
        steepest = -gradient * (length / gradient.abs().amax(dim=1, keepdim=True).clamp(min=1e-30))
        uphill = (direction * gradient).sum(dim=1, keepdim=True) >= 0
        move = torch.where(failed > 0, move * SHRINK, torch.where(fresh | uphill, steepest, direction))
        new = project(x + move)
        move = new - x
        new_loss, new_gradient = evaluate(new)
        better = (new_loss < loss)[:, None]
        change = new_gradient - gradient
        curvature = (move * change).sum(dim=1, keepdim=True)
        useful = better & (curvature > 1e-10 * change.square().sum(dim=1, keepdim=True))
        history.append(move, change, torch.where(useful, 1 / torch.where(useful, curvature, 1.0), 0.0))
        failed = torch.where(better, 0, failed + 1)
        lost = failed == TRIES
        history.forget(lost)
        length = torch.where(lost, length * SHRINK**TRIES, length)
        failed, fresh = torch.where(lost, 0, failed), lost | (fresh & ~useful)
        x = torch.where(better, new, x)
        gradient = torch.where(better, new_gradient, gradient)
        loss = torch.where(better[:, 0], new_loss, loss)
        done()
    return x


@dataclass(eq=False)
class History:
    """Moves s and changes of gradient y of each problem, with all their inner products.

    A direction is a sum of s, y and the gradient, so the two loops need only products: coefficients are found among
    numbers, and long vectors are read twice a step, not twice a pair.

    Source: Chen, Wang, Zhou (2014), Large-scale L-BFGS using MapReduce, algorithm 3.

    Attributes:
        vectors: (n, 2 HISTORY, d): s, then y, in the order of their slots.
        products: (n, 2 HISTORY, 2 HISTORY) of ``vectors``.
        rho: (n, HISTORY) 1 / s·y; 0 where there is no pair.
        order: Slots in use, oldest first.
    """

    vectors: Tensor
    products: Tensor
    rho: Tensor
    order: deque[int]

    @classmethod
    def of(cls, points: Tensor) -> History:
        """Of no pairs yet, for problems like (n, d) points."""
        n, d = points.shape
        products = points.new_zeros(n, 2 * HISTORY, 2 * HISTORY)
        return cls(points.new_zeros(n, 2 * HISTORY, d), products, points.new_zeros(n, HISTORY), deque())

    def append(self, s: Tensor, y: Tensor, rho: Tensor) -> None:
        """Keep a pair of each problem, ρ (n, 1), in place of the oldest."""
        slot = len(self.order) if len(self.order) < HISTORY else self.order.popleft()
        self.order.append(slot)
        self.vectors[:, slot], self.vectors[:, HISTORY + slot], self.rho[:, slot] = s, y, rho[:, 0]
        both = torch.stack([s, y], dim=1) @ self.vectors.transpose(1, 2)
        rows = [slot, HISTORY + slot]
        self.products[:, rows], self.products[:, :, rows] = both, both.transpose(1, 2)

    def forget(self, lost: Tensor) -> None:
        """Drop all pairs of the problems where ``lost`` (n, 1) holds."""
        self.rho.masked_fill_(lost, 0)

    def direction(self, gradient: Tensor) -> Tensor:
        """(n, d) minus the inverse Hessian's estimate times the gradient (n, d)."""
        if not self.order:
            return -gradient
        along, products = self._times(gradient), self.products
        weight, alphas = torch.zeros_like(along), list[Tensor]()
        for i in reversed(self.order):
            alpha = self.rho[:, i] * (along[:, i] + (weight * products[:, i]).sum(dim=1))
            weight[:, HISTORY + i] -= alpha
            alphas.append(alpha)
        scale = self._scale()
        weight = weight * scale
        for i, alpha in zip(self.order, reversed(alphas), strict=True):
            j = HISTORY + i
            beta = self.rho[:, i] * (scale[:, 0] * along[:, j] + (weight * products[:, j]).sum(dim=1))
            weight[:, i] += alpha - beta
        return -torch.baddbmm(gradient[:, None] * scale[:, None], weight[:, None], self.vectors)[:, 0]

    def _times(self, vector: Tensor) -> Tensor:
        """(n, 2 HISTORY) products with (n, d)."""
        return (vector[:, None] @ self.vectors.transpose(1, 2))[:, 0]  # the other way round MKL takes 7 times as long

    def _scale(self) -> Tensor:
        """(n, 1) s·y / y·y of the latest pair of each problem; 1 without."""
        scale = torch.ones_like(self.rho[:, 0])
        for i in self.order:
            square = self.products[:, HISTORY + i, HISTORY + i]
            scale = torch.where(self.rho[:, i] > 0, 1 / (self.rho[:, i] * square).clamp(min=1e-30), scale)
        return scale[:, None]
