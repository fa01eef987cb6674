"""L-BFGS for a batch of independent problems: each has its own history and its own step, all are evaluated at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

HISTORY = 10
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
    pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=HISTORY)
    length = torch.full((len(x), 1), first_step, dtype=x.dtype, device=x.device)
    fresh = torch.ones(len(x), 1, dtype=torch.bool, device=x.device)
    failed, move = torch.zeros(len(x), 1, dtype=torch.int64, device=x.device), torch.zeros_like(x)
    for _ in range(steps):
        direction = -_two_loop(gradient, pairs)
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
        pairs.append((move, change, torch.where(useful, 1 / torch.where(useful, curvature, 1.0), 0.0)))
        failed = torch.where(better, 0, failed + 1)
        lost = failed == TRIES
        for k, (s, y, rho) in enumerate(pairs if bool(lost.any()) else ()):
            pairs[k] = (s, y, torch.where(lost, 0.0, rho))
        length = torch.where(lost, length * SHRINK**TRIES, length)
        failed, fresh = torch.where(lost, 0, failed), lost | (fresh & ~useful)
        x = torch.where(better, new, x)
        gradient = torch.where(better, new_gradient, gradient)
        loss = torch.where(better[:, 0], new_loss, loss)
        done()
    return x


def _two_loop(gradient: Tensor, pairs: deque[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """(n, d) the inverse Hessian's estimate times the gradient; a pair with ρ = 0 is none."""
    q, alphas = gradient, list[Tensor]()
    for s, y, rho in reversed(pairs):
        alpha = rho * (s * q).sum(dim=1, keepdim=True)
        q = q - alpha * y
        alphas.append(alpha)
    scale = torch.ones_like(gradient[:, :1])
    for _, y, rho in pairs:  # the latest pair of each problem
        latest = 1 / (rho * y.square().sum(dim=1, keepdim=True)).clamp(min=1e-30)
        scale = torch.where(rho > 0, latest, scale)
    r = q * scale
    for (s, y, rho), alpha in zip(pairs, reversed(alphas), strict=True):
        r = r + s * (alpha - rho * (y * r).sum(dim=1, keepdim=True))
    return r
