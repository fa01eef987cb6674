"""Ranking losses of whole users: all of a user's positives against the negatives they share.

A loss takes

    scores    (r, s) of r users against s negatives; -inf where the negative is one the user has
    positive  (p,) scores of the positives
    row       (p,) whose positive each is, ascending
    weight    (p,) of each positive
    scale     how many candidates a negative stands for: candidates / s, 1 when every candidate is there

overwrites ``scores`` with its gradient, and answers the loss (p,) >= 0 and its gradient (p,) for each positive.
Gradients are written out: most of training is passes over ``scores``, and these are the fewest.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor]]


def softmax(scores: Tensor, positive: Tensor, row: Tensor, weight: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """-log of the positive's share among itself and all candidates, which the negatives stand for.

    Source: Bengio, Senécal (2008), adaptive importance sampling, with uniform draws. With all candidates it is
    the exact likelihood of choosing the positive among what the user does not have.

    Example:
        >>> one = torch.ones(1)
        >>> loss, _ = softmax(torch.zeros(1, 1), 0 * one, torch.tensor([0]), one, 3.0)
        >>> round(loss.item(), 4)  # log(1 + 3)
        1.3863
    """
    top = scores.amax(dim=1).clamp(min=-1e30)
    scores.sub_(top[:, None]).exp_()
    rivals = (scale * scores.sum(dim=1)).log() + top
    total = torch.logaddexp(positive, rivals[row])
    share = scores.new_zeros(len(scores)).index_add_(0, row, weight * (top[row] - total).exp())
    scores.mul_(scale * share[:, None])
    return weight * (total - positive), weight * torch.expm1(positive - total)


def logistic(scores: Tensor, positive: Tensor, row: Tensor, weight: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """-log σ(positive) - mean of log σ(-negative): one negative, in expectation, a positive.

    Source: Kula (2015), Metadata Embeddings, eq. 3, with the unobserved as the negative class.

    Example:
        >>> one = torch.ones(1)
        >>> loss, _ = logistic(torch.zeros(1, 2), 0 * one, torch.tensor([0]), one, 1.0)
        >>> round(loss.item(), 4)  # 2 log 2
        1.3863
    """
    share = 1 / (scores > -math.inf).sum(dim=1).clamp(min=1)
    negative = functional.softplus(scores).sum(dim=1) * share
    total = scores.new_zeros(len(scores)).index_add_(0, row, weight)
    scores.sigmoid_().mul_((total * share)[:, None])
    return weight * (functional.softplus(-positive) + negative[row]), -weight * torch.sigmoid(-positive)


def bpr(scores: Tensor, positive: Tensor, row: Tensor, weight: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Bayesian personalised ranking: mean over the negatives of -log σ(positive - negative).

    Source: Rendle et al. (2009), BPR, eq. BPR-Opt.

    Example:
        >>> one = torch.ones(1)
        >>> loss, _ = bpr(torch.zeros(1, 1), 0 * one, torch.tensor([0]), one, 1.0)
        >>> round(loss.item(), 4)  # log 2
        0.6931
    """
    share = weight / (scores > -math.inf).sum(dim=1).clamp(min=1)[row]
    gradient = torch.zeros_like(scores)
    loss, slope = torch.empty_like(positive), torch.empty_like(positive)
    step = max(1, _CELLS // scores.shape[1])
    for start in range(0, len(row), step):
        part = slice(start, start + step)
        lead = scores[row[part]] - positive[part, None]
        loss[part] = functional.softplus(lead).sum(dim=1)
        pull = lead.sigmoid_()
        slope[part] = pull.sum(dim=1)
        gradient.index_add_(0, row[part], pull.mul_(share[part, None]))
    scores.copy_(gradient)
    return share * loss, -share * slope


def warp(scores: Tensor, positive: Tensor, row: Tensor, weight: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Weighted approximate-rank pairwise loss: mean hinge over the violators × log of the estimated rank.

    Where WSABIE draws negatives until one violates the margin 1 and guesses the rank from the draws it took,
    this counts all violators among the shared negatives: rank = violators × scale. The weight
    log(1 + rank) / log(1 + candidates) lies in [0, 1] and passes no gradient. Each user's negatives are sorted
    once; a positive's violators are then a tail of them.

    Source: Weston, Bengio, Usunier (2011), WSABIE, eq. 2-4.

    Example:
        >>> one = torch.ones(1)
        >>> loss, _ = warp(torch.tensor([[0.0, -2.0]]), 0 * one, torch.tensor([0]), one, 1.0)
        >>> round(loss.item(), 4)  # log(1 + 1) / log(1 + 2)
        0.6309
    """
    s = scores.shape[1]
    ordered, order = scores.sort(dim=1)
    first = _count_at_most(ordered, row, positive - 1)
    violators = s - first
    tails = functional.pad(ordered.clamp(min=-1e30).flip(1).cumsum(1, dtype=torch.float64), (1, 0))
    hinge = tails[row, violators].to(positive.dtype) - violators * (positive - 1)
    force = weight * torch.log1p(violators * scale) / (math.log1p(s * scale) * violators.clamp(min=1))
    starts = scores.new_zeros(len(scores), s + 1)
    starts.view(-1).index_add_(0, row * (s + 1) + first, force)
    scores.scatter_(1, order, starts[:, :s].cumsum(dim=1))
    return force * hinge, -force * violators


def warp_kos(k: int, n: int, rng: torch.Generator) -> Loss:
    """WARP on the positive of ``k``-th highest score among ``n`` drawn of the same user's; see `kth_best`."""

    def loss(scores: Tensor, positive: Tensor, row: Tensor, weight: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        starts = torch.searchsorted(row, torch.arange(len(scores) + 1, device=row.device))
        chosen = kth_best(positive, starts, k, n, rng)
        cost, slope = warp(scores, positive[chosen], row, weight, scale)
        return cost, torch.zeros_like(slope).index_add_(0, chosen, slope)

    return loss


def kth_best(positive: Tensor, starts: Tensor, k: int, n: int, rng: torch.Generator) -> Tensor:
    """k-OS: for each positive, draw ``n`` of the same user's and take the one of ``k``-th highest score.

    Source: Weston, Yee, Weiss (2013), Learning to rank recommendations with the k-order statistic loss.

    Args:
        positive: (p,) scores, grouped by user.
        starts: (r + 1,) where each user's positives begin.
        k: 1 is the best of the draw: a user's most plausible positives are left alone as ``k`` grows.
        n: Draws, with replacement.
        rng: Of the draws.

    Returns:
        (p,) the positions of the chosen.
    """
    counts = starts.diff()
    begin, count = (t.repeat_interleave(counts) for t in (starts[:-1], counts))
    draws = torch.rand(len(positive), n, generator=rng).to(positive.device)
    drawn = begin[:, None] + (draws * count[:, None]).long().clamp(max=count[:, None] - 1)
    order = positive[drawn].argsort(dim=1, descending=True, stable=True)
    return drawn.gather(1, order[:, k - 1 : k]).squeeze(1)


LOSSES: dict[str, Loss] = {"softmax": softmax, "warp": warp, "bpr": bpr, "logistic": logistic}

_CELLS = 2**20


def _count_at_most(ordered: Tensor, row: Tensor, bound: Tensor) -> Tensor:
    """(p,) how many entries of each bound's ascending row are <= it.

    The rows are laid end to end, each lifted above the one before, so that one search serves them all.
    """
    r, s = ordered.shape
    finite = torch.where(ordered > -math.inf, ordered, 0.0)
    reach = torch.maximum(finite.abs().amax(), bound.abs().amax()).double() + 1
    lift = 2 * reach * torch.arange(r, dtype=torch.float64, device=ordered.device)
    keys = ordered.double().clamp(min=-reach) + lift[:, None]
    found = torch.searchsorted(keys.view(-1), bound.double() + lift[row], right=True)
    return found - row * s
