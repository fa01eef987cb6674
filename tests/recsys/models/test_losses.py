"""Oracles: closed forms, a loop over pairs, and gradients by finite differences."""

import math

import numpy as np
import pytest
import torch

from recsys.models.losses import LOSSES, bpr, softmax, warp


def example(seed=0, n=6, s=9):
    g = torch.Generator().manual_seed(seed)
    positive = torch.randn(n, generator=g, dtype=torch.float64)
    negative = torch.randn(n, s, generator=g, dtype=torch.float64)
    return positive, negative, torch.rand(n, s, generator=g) < 0.3


def test_warp_equals_a_loop():
    positive, negative, known = example()
    expected = []
    for p, row, k in zip(positive.tolist(), negative.tolist(), known.tolist(), strict=True):
        margins = [1 - p + x for x, has in zip(row, k, strict=True) if not has]
        violators = [m for m in margins if m > 0]
        weight = math.log(1 + len(violators) / len(margins) * 500) / math.log(501)
        expected.append(weight * sum(violators) / max(len(violators), 1))
    np.testing.assert_allclose(warp(positive, negative, known, 500), expected, rtol=1e-6)


def test_bpr_and_softmax_equal_numpy():
    positive, negative, known = example()
    p, x, ok = positive.numpy(), negative.numpy(), ~known.numpy()
    pairs = np.where(ok, np.log1p(np.exp(x - p[:, None])), 0)
    np.testing.assert_allclose(bpr(positive, negative, known, 5), pairs.sum(1) / ok.sum(1), rtol=1e-6)
    share = np.exp(p) / (np.exp(p) + np.where(ok, np.exp(x), 0).sum(1))
    np.testing.assert_allclose(softmax(positive, negative, known, 5), -np.log(share), rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_negative_the_user_has_is_no_negative(name):
    positive, negative, known = example()
    moved = torch.where(known, negative + 50, negative)
    torch.testing.assert_close(LOSSES[name](positive, negative, known, 9), LOSSES[name](positive, moved, known, 9))
    everything = torch.ones_like(known)
    torch.testing.assert_close(LOSSES[name](positive, negative, everything, 9), torch.zeros(6, dtype=torch.float64))


@pytest.mark.parametrize("name", LOSSES)
def test_a_better_positive_costs_less(name):
    positive, negative, known = example()
    costs = torch.stack([LOSSES[name](positive + step, negative, known, 9) for step in (0, 1, 2, 50)])
    assert (costs.diff(dim=0) <= 0).all()
    assert costs[0].sum() > costs[1].sum() > costs[2].sum()
    assert costs[3].max() < 1e-9


@pytest.mark.parametrize("name", ["bpr", "softmax"])
def test_gradient_equals_finite_differences(name):
    positive, negative, known = example()
    assert torch.autograd.gradcheck(
        lambda p, n: LOSSES[name](p, n, known, 9), (positive.requires_grad_(), negative.requires_grad_())
    )


def test_warp_pushes_violators_only_and_the_rank_weight_passes_no_gradient():
    positive = torch.tensor([0.0], dtype=torch.float64, requires_grad=True)
    negative = torch.tensor([[0.5, -0.5, -3.0, -4.0]], dtype=torch.float64, requires_grad=True)
    warp(positive, negative, torch.zeros(1, 4, dtype=torch.bool), 99).sum().backward()
    weight = math.log(1 + 99 / 2) / math.log(100)  # 2 of 4 violate
    np.testing.assert_allclose(negative.grad, [[weight / 2, weight / 2, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(positive.grad, [-weight], rtol=1e-6)
