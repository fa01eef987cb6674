"""Oracles: the normal equations written out row by row in float64, and the loss summed over all cells."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from recsys.models import als_solver
from recsys.models.als_solver import Interactions, Problem, gram, solve
from recsys.models.crew import Crew, crew

ALONE = Crew(None)


def problem(n=40, m=60, k=6, seed=0):
    """Rows of 0, 1, … interactions, a row with everything, weights of several sizes."""
    rng = np.random.default_rng(seed)
    dense = np.zeros((n, m))
    for row in range(n - 1):
        dense[row, rng.choice(m, size=row, replace=False)] = rng.gamma(1, 2, row) + 0.1
    dense[-1] = 1
    other = rng.normal(size=(m, k)) * np.linspace(0.1, 2, k)
    penalty, prior = rng.gamma(2, 1, n) + 0.05, rng.normal(size=(n, k))
    return dense, other, penalty, prior


def written_out(dense, other, penalty, prior, a):
    """eq. 4 of the paper with confidence a + w, preference w / (a + w) and a prior, one row after the other."""
    rows = []
    for w, pull, m in zip(dense, penalty, prior, strict=True):
        cost = a + w
        left = (other.T * cost) @ other + pull * np.eye(other.shape[1])
        rows.append(np.linalg.solve(left, other.T @ w + pull * m))
    return np.array(rows)


def solved(dense, other, penalty, prior, a, *, workers=ALONE, dtype=torch.float64, **options):
    rows = Interactions.of(sp.csr_array(dense), factors=other.shape[1], dtype=dtype)
    tensors = [torch.from_numpy(x).to(dtype) for x in (other, penalty, prior)]
    problem = Problem(tensors[0], gram(tensors[0], workers), *tensors[1:], unobserved=a)
    x, squares = solve(rows, problem, workers, **options)
    return x.numpy(), squares


@pytest.mark.parametrize("a", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("k", [1, 6, 24, 80])  # from all primal to all dual
def test_every_row_solves_its_normal_equations(a, k):
    dense, *rest = problem(k=k)
    x, _ = solved(dense, *rest, a)
    expected = written_out(dense, *rest, a)
    np.testing.assert_allclose(x[1:], expected[1:], rtol=1e-7, atol=1e-9)  # float64; the Gram's eigenvectors cost some
    np.testing.assert_array_equal(x[0], rest[2][0])  # without interactions: what the prior says


def test_single_precision_is_close_enough():
    dense, *rest = problem(k=24)
    x, _ = solved(dense, *rest, 0.3, dtype=torch.float32)
    expected = written_out(dense, *rest, 0.3)
    assert np.abs(x - expected)[1:].max() < 1e-4 * np.abs(expected).max()  # condition numbers here are about 1e3


def test_long_rows_are_summed_piece_by_piece(monkeypatch):
    monkeypatch.setattr(als_solver, "LONG", 7)
    dense, *rest = problem()
    x, squares = solved(dense, *rest, 0.3)
    np.testing.assert_allclose(x[1:], written_out(dense, *rest, 0.3)[1:], rtol=1e-7, atol=1e-9)
    monkeypatch.undo()
    assert squares == pytest.approx(solved(dense, *rest, 0.3)[1], rel=1e-9)


def loss(dense, other, penalty, prior, a, x):
    scores = x @ other.T
    pull = (penalty[:, None] * (x - prior) ** 2).sum(axis=1)
    return (dense * (1 - scores) ** 2 + a * scores**2).sum(axis=1) + pull


def test_conjugate_gradients_lower_every_rows_loss_until_it_is_the_least(monkeypatch):
    monkeypatch.setattr(als_solver, "FEW", 0)
    dense, *rest = problem(k=24)
    last = torch.from_numpy(np.random.default_rng(1).normal(size=(40, 24)))
    found = [solved(dense, *rest, 0.3, last=last, steps=n)[0] for n in (1, 2, 4, 8, 24)]
    losses = np.array([loss(dense, *rest, 0.3, x)[1:] for x in (last.numpy(), *found)])
    assert (np.diff(losses, axis=0) <= 1e-9 * losses[:-1]).all()
    np.testing.assert_allclose(found[-1][1:], written_out(dense, *rest, 0.3)[1:], rtol=1e-6, atol=1e-8)
    # One interaction leaves two distinct eigenvalues, which two steps are enough for.
    np.testing.assert_allclose(found[1][1], written_out(dense, *rest, 0.3)[1], rtol=1e-6, atol=1e-8)


def test_steps_leave_what_is_left_of_the_targets(monkeypatch):
    monkeypatch.setattr(als_solver, "FEW", 0)
    dense, *rest = problem(k=24)
    x, squares = solved(dense, *rest, 0.3, last=torch.zeros(40, 24, dtype=torch.float64), steps=2)
    assert squares == pytest.approx((dense * (1 - x @ rest[0].T) ** 2).sum(), rel=1e-9)


def test_rows_of_few_interactions_are_solved_directly_whatever_the_steps():
    dense, *rest = problem(k=24)
    dense = np.where(np.arange(40)[:, None] <= als_solver.FEW, dense, 0)
    last = torch.ones(40, 24, dtype=torch.float64)
    np.testing.assert_array_equal(solved(dense, *rest, 0.3, last=last, steps=1)[0], solved(dense, *rest, 0.3)[0])


def test_squares_are_the_observed_share_of_the_loss():
    dense, other, penalty, prior = problem()
    x, squares = solved(dense, other, penalty, prior, 0.3)
    assert squares == pytest.approx((dense * (1 - x @ other.T) ** 2).sum(), rel=1e-9)


def test_parts_hold_every_interaction_once_and_little_else(monkeypatch):
    monkeypatch.setitem(als_solver.CELLS, "cpu", 512)  # 128 interactions of 4 factors
    dense, *_ = problem(n=90, m=200)
    rows = Interactions.of(sp.csr_array(dense), factors=4)
    assert sorted(int(r) for part in rows.parts for r in part.rows) == list(range(1, 90))
    again = np.zeros_like(dense)
    for part in rows.parts:
        n, longest = part.index.shape
        assert n == 1 or n * longest <= 128
        inside = part.root > 0
        shortest = int(inside.sum(dim=1).min())
        assert longest <= max(shortest * 9 / 8, 128 / als_solver.WORTH)
        again[part.rows[:, None].expand_as(part.index)[inside], part.index[inside]] = part.root[inside] ** 2
    np.testing.assert_allclose(again, dense, rtol=1e-6)


def test_threads_change_no_bit(monkeypatch):
    monkeypatch.setitem(als_solver.CELLS, "cpu", 512)
    dense, *rest = problem(n=60, m=200, k=24)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            with crew() as workers:
                found.append(solved(dense, *rest, 0.5, workers=workers, dtype=torch.float32))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


@pytest.mark.parametrize("n", [63, 64, 65, 150])
def test_factorising_by_halves_is_factorising(n):
    x = torch.randn(3, n, 2 * n, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
    systems = x @ x.mT / n
    torch.testing.assert_close(als_solver._cholesky(systems), torch.linalg.cholesky(systems), rtol=1e-10, atol=1e-12)
