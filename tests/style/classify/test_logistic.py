"""The solver against scikit-learn, closed forms and its own invariances."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from style.classify.logistic import Principal, fit_path

RNG = np.random.default_rng(0)


def clouds(n: int, d: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    y = RNG.integers(0, k, n)
    return (RNG.normal(size=(k, d))[y] + RNG.normal(size=(n, d))).astype(np.float32), y


@pytest.mark.parametrize(("n", "d", "k"), [(200, 8, 3), (30, 100, 4)])  # more rows than columns, and fewer
def test_softmax_is_scikit_learns(n: int, d: int, k: int) -> None:
    x, y = clouds(n, d, k)
    penalty, weights = 0.01, RNG.uniform(0.5, 2, n).astype(np.float32)
    rows = Principal.of(x)
    [(w, b)] = fit_path(rows, np.eye(k, dtype=np.float32)[y], weights[:, None], [penalty], tolerance=1e-7)
    weight, bias = rows.back(w[0], b[0])
    # its penalty is on the sum: C = 1 / (penalty Σ weights)
    theirs = LogisticRegression(C=1 / (penalty * weights.sum()), tol=1e-9, max_iter=5000).fit(
        x, y, sample_weight=weights
    )
    expected = theirs.decision_function(x)
    ours = x @ weight + bias
    # logits are known up to a constant a row; float32 rows: 1e-3 of a logit
    assert np.abs((ours - ours.mean(1, keepdims=True)) - (expected - expected.mean(1, keepdims=True))).max() < 3e-3


def test_sigmoid_is_one_scikit_learn_fit_a_class() -> None:
    x, y = clouds(150, 6, 3)
    targets = (np.eye(3, dtype=np.float32)[y] + (RNG.random((150, 3)) < 0.2)).clip(0, 1).astype(np.float32)
    rows = Principal.of(x)
    [(w, b)] = fit_path(rows, targets, np.ones((150, 1), np.float32), [0.02], link="sigmoid", tolerance=1e-7)
    weight, bias = rows.back(w[0], b[0])
    for c in range(3):
        theirs = LogisticRegression(C=1 / (0.02 * 150), tol=1e-9, max_iter=5000).fit(x, targets[:, c])
        assert np.allclose(x @ weight[:, c] + bias[c], theirs.decision_function(x), atol=3e-3)


def test_fits_that_are_solved_together_are_the_fits_by_themselves() -> None:
    x, y = clouds(120, 4, 3)
    rows, targets = Principal.of(x), np.eye(3, dtype=np.float32)[y]
    weights = (np.arange(120)[:, None] % 4 != np.arange(4)).astype(np.float32)
    together = fit_path(rows, targets, weights, [0.1, 0.03], tolerance=1e-7)[1]
    for i in range(4):
        kept = weights[:, i] > 0
        alone = Principal.of(x[kept])
        [(w, b)] = fit_path(alone, targets[kept], np.ones((90, 1), np.float32), [0.03], tolerance=1e-7)
        weight, bias = alone.back(w[0], b[0])
        theirs = x @ weight + bias
        ours = rows.rows @ together[0][i] + together[1][i]
        assert np.abs(ours - theirs).max() < 3e-3  # gradients are float32 sums; a weak penalty would magnify them


def test_soft_targets_are_rows_that_appear_twice() -> None:
    x, _ = clouds(40, 5, 2)
    soft = RNG.dirichlet([1, 1, 1], 40).astype(np.float32)
    rows, doubled = Principal.of(x), Principal.of(np.repeat(x, 3, axis=0))
    [(w, b)] = fit_path(rows, soft, np.ones((40, 1), np.float32), [0.05], tolerance=1e-7)
    hard = np.tile(np.eye(3, dtype=np.float32), (40, 1))
    [(v, c)] = fit_path(doubled, hard, soft.reshape(-1, 1), [0.05], tolerance=1e-7)
    (w1, b1), (v1, c1) = rows.back(w[0], b[0]), doubled.back(v[0], c[0])
    assert np.abs((x @ w1 + b1) - (x @ v1 + c1)).max() < 3e-3


def test_principal_rows_keep_all_products() -> None:
    for shape in ((50, 8), (8, 50)):
        x = RNG.normal(size=shape).astype(np.float32)
        p = Principal.of(x)
        centred = x - x.mean(axis=0)
        assert np.allclose(p.rows @ p.rows.T, centred @ centred.T, atol=1e-3)
        assert np.allclose(p.directions.T @ p.directions, np.eye(p.rows.shape[1]), atol=1e-4)
