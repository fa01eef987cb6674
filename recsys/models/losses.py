"""Ranking losses over negatives that a batch shares.

Each takes the positives' scores (b,), the negatives' scores (b, s), a (b, s) mask of negatives that the user
has bought after all (they are left out) and the number of candidate items. Each answers a loss a pair,
(b,) >= 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor, Tensor, int], Tensor]


def warp(positive: Tensor, negative: Tensor, known: Tensor, n_candidates: int) -> Tensor:
    """Weighted approximate-rank pairwise loss: mean hinge over the violators × log of the estimated rank.

    Where WSABIE draws negatives until one violates the margin 1 and guesses the rank from the draws it took,
    this counts the violators among shared draws: rank ≈ share of violators × candidates. The weight
    log(1 + rank) / log(1 + candidates) lies in [0, 1] and passes no gradient.

    Source: Weston, Bengio, Usunier (2011), WSABIE, eq. 2–4.

    Example:
        >>> nothing_known = torch.zeros(1, 2, dtype=torch.bool)
        >>> loss = warp(torch.tensor([0.0]), torch.tensor([[0.0, -2.0]]), nothing_known, 3)
        >>> round(loss.item(), 4)  # log(1 + 3 / 2) / log(1 + 3)
        0.661
    """
    margin = (1 - positive[:, None] + negative).clamp(min=0).masked_fill(known, 0.0)
    violators = (margin.detach() > 0).sum(dim=1)
    rank = violators * (n_candidates / (~known).sum(dim=1).clamp(min=1))
    weight = torch.log1p(rank) / math.log1p(n_candidates)
    return weight * margin.sum(dim=1) / violators.clamp(min=1)


def bpr(positive: Tensor, negative: Tensor, known: Tensor, n_candidates: int) -> Tensor:
    """Bayesian personalised ranking: mean of -log σ(positive - negative).

    Source: Rendle et al. (2009), BPR, eq. BPR-Opt.

    Example:
        >>> bpr(torch.tensor([0.0]), torch.tensor([[0.0]]), torch.tensor([[False]]), 1)  # log 2
        tensor([0.6931])
    """
    pairs = functional.softplus(negative - positive[:, None]).masked_fill(known, 0.0)
    return pairs.sum(dim=1) / (~known).sum(dim=1).clamp(min=1)


def softmax(positive: Tensor, negative: Tensor, known: Tensor, n_candidates: int) -> Tensor:
    """Sampled softmax: -log of the positive's share among itself and the negatives.

    Source: Bengio, Senécal (2008), adaptive importance sampling; uniform draws need no correction term.

    Example:
        >>> softmax(torch.tensor([0.0]), torch.tensor([[0.0]]), torch.tensor([[False]]), 1)  # log 2
        tensor([0.6931])
    """
    rivals = negative.masked_fill(known, -math.inf)
    return torch.logsumexp(torch.cat([positive[:, None], rivals], dim=1), dim=1) - positive


LOSSES: dict[str, Loss] = {"warp": warp, "bpr": bpr, "softmax": softmax}
