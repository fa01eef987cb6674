"""Oracles: SciPy's L-BFGS, and problems solved alone."""

import itertools

import numpy as np
import torch
from scipy.optimize import minimize, rosen, rosen_der

from style.lbfgs import minimise


def rosenbrock(points):
    x = points.numpy().astype(np.float64)
    losses, gradients = [rosen(row) for row in x], [rosen_der(row) for row in x]
    return torch.tensor(np.array(losses)), torch.from_numpy(np.stack(gradients))


def test_it_goes_where_scipy_goes():
    start = torch.tensor([[-1.2, 1.0, -0.5, 0.8]], dtype=torch.float64)
    found = minimise(rosenbrock, start, 150, first_step=0.1)
    peer = minimize(rosen, start[0].numpy(), jac=rosen_der, method="L-BFGS-B")
    np.testing.assert_allclose(found[0], peer.x, atol=1e-3)


def test_a_batch_is_its_problems_alone():
    start = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 3)))
    together = minimise(rosenbrock, start, 40, first_step=0.1)
    alone = torch.cat([minimise(rosenbrock, start[i : i + 1], 40, first_step=0.1) for i in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-9)


def test_the_loss_never_rises():
    start = torch.from_numpy(np.random.default_rng(1).normal(size=(5, 4)) * 2)
    losses = [rosenbrock(minimise(rosenbrock, start, n, first_step=1.0))[0] for n in range(0, 30, 3)]
    assert all((after <= before).all() for before, after in itertools.pairwise(losses))


def test_steps_that_overflow_are_taken_back():
    def cliff(x):
        return torch.where(x.abs().amax(1) > 1.5, torch.nan, x.square().sum(1)), 2 * x

    assert minimise(cliff, torch.full((1, 2), 1.4), 40, first_step=50.0).abs().max() < 1e-3
