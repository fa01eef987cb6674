"""Oracles: each loss written out pair by pair, and autograd of that for the gradients."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from recsys.models.losses import LOSSES, kth_best

ROW = torch.tensor([0, 0, 1, 3, 3, 3])
SCALE = 3.0


def example(seed=0, users=4, s=9):
    """Positives, negatives of which some are known, weights."""
    g = torch.Generator().manual_seed(seed)
    positive = torch.randn(len(ROW), generator=g, dtype=torch.float64)
    scores = torch.randn(users, s, generator=g, dtype=torch.float64)
    known = torch.rand(users, s, generator=g) < 0.3
    return positive, scores, known, 0.5 + torch.rand(len(ROW), generator=g, dtype=torch.float64)


def run(name, positive, scores, known, weight):
    """(loss, gradient of the positives, gradient of the scores)."""
    matrix = scores.masked_fill(known, -math.inf)
    loss, slope = LOSSES[name](matrix, positive, ROW, weight, SCALE)
    return loss, slope, matrix


def softmax_pair(p, negatives, n_all):
    return torch.log(p.exp() + SCALE * negatives.exp().sum()) - p


def logistic_pair(p, negatives, n_all):
    return functional.softplus(-p) + functional.softplus(negatives).mean()


def bpr_pair(p, negatives, n_all):
    return functional.softplus(negatives - p).mean()


def warp_pair(p, negatives, n_all):
    violators = negatives[negatives.detach() > p.detach() - 1]
    rank_weight = math.log1p(len(violators) * SCALE) / math.log1p(n_all * SCALE)
    return rank_weight * (1 - p + violators).sum() / max(len(violators), 1)


WRITTEN_OUT = {"softmax": softmax_pair, "logistic": logistic_pair, "bpr": bpr_pair, "warp": warp_pair}


@pytest.mark.parametrize("name", WRITTEN_OUT)
@pytest.mark.parametrize("seed", range(3))
def test_loss_and_gradients_equal_the_pairwise_form_and_autograd(name, seed):
    positive, scores, known, weight = example(seed)
    p, s = positive.clone().requires_grad_(), scores.clone().requires_grad_()
    expected = torch.stack(
        [
            w * WRITTEN_OUT[name](p[i], s[r][~known[r]], s.shape[1])
            for i, (r, w) in enumerate(zip(ROW, weight, strict=True))
        ]
    )
    d_positive, d_scores = torch.autograd.grad(expected.sum(), (p, s))
    loss, slope, gradient = run(name, positive, scores, known, weight)
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(slope, d_positive)
    torch.testing.assert_close(gradient, d_scores)  # 0 where known, and for user 2, who has no pair


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_a_user_who_has_every_negative_costs_nothing_but_what_there_is(name):
    positive, scores, known, weight = example()
    loss, slope, gradient = run(name, positive, scores, torch.ones_like(known), weight)
    own = functional.softplus(-positive) * weight if name == "logistic" else torch.zeros_like(loss)
    torch.testing.assert_close(loss, own)
    assert (gradient == 0).all()
    assert name == "logistic" or (slope == 0).all()


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_a_better_positive_costs_less(name):
    positive, scores, known, weight = example()
    costs = torch.stack([run(name, positive + step, scores, known, weight)[0].sum() for step in (0, 1, 2, 50)])
    assert (costs.diff() < 0).all()


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_extreme_scores_stay_finite(name):
    positive, scores, known, weight = example()
    for size in (1e4, -1e4):
        for answer in run(name, positive.float() * size, scores.float() * size, known, weight.float()):
            assert torch.isfinite(answer).all()


def test_the_kth_best_of_all_draws_is_the_kth_of_the_user():
    positive = torch.tensor([3.0, 9.0, 1.0, 5.0, 7.0])
    starts, rng = torch.tensor([0, 3, 5]), torch.Generator().manual_seed(0)
    best = kth_best(positive, starts, 1, 200, rng)  # 200 draws of 3: all are there
    assert positive[best].tolist() == [9, 9, 9, 7, 7]
    worst = kth_best(positive, starts, 200, 200, rng)
    assert positive[worst].tolist() == [1, 1, 1, 5, 5]


def test_with_one_draw_every_positive_is_as_likely():
    starts = torch.tensor([0, 4])
    rng = torch.Generator().manual_seed(0)
    chosen = torch.cat([kth_best(torch.arange(4.0), starts, 1, 1, rng) for _ in range(5000)])
    share = np.bincount(chosen.numpy(), minlength=4) / len(chosen)
    np.testing.assert_allclose(share, 0.25, atol=4 * math.sqrt(0.25 * 0.75 / 20000))  # 4 standard errors
