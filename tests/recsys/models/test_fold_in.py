"""Oracle: scipy's minimiser of the written-out objective."""

import numpy as np
import scipy.sparse as sp
from scipy.optimize import minimize

from recsys.models.fold_in import fold_in


def objective(p, bought, weight, items, start, l2):
    """Softmax loss of each bought item among itself and what was not bought, plus the pull to the start."""
    scores = items[:, :-1] @ p + items[:, -1]
    rivals = np.logaddexp.reduce(np.delete(scores, bought))
    loss = sum(w * (np.logaddexp(rivals, scores[i]) - scores[i]) for i, w in zip(bought, weight, strict=True))
    return loss + l2 / 2 * len(bought) * ((p - start) ** 2).sum()


def test_a_stranger_s_vector_minimises_the_objective():
    rng = np.random.default_rng(0)
    items, start = rng.normal(size=(40, 5)), rng.normal(size=5) * 0.1
    bought, weight = [[3, 7, 20], [5]], [[1.0, 2.0, 0.5], [1.0]]
    history = sp.csr_array((np.concatenate(weight), np.concatenate(bought), [0, 3, 4, 4]), shape=(3, 40))
    found = fold_in(history, items.astype(np.float32), start.astype(np.float32), 0.5)
    for row in range(2):
        arguments = (bought[row], weight[row], items, start[:-1], 0.5)
        best = minimize(objective, start[:-1], args=arguments, tol=1e-10)
        assert objective(found[row, :-1], *arguments) < best.fun + 1e-3 * abs(best.fun)
        np.testing.assert_allclose(found[row, :-1], best.x, atol=0.05)  # AdaGrad's last steps are small, not nil
    np.testing.assert_allclose(found[2], start, rtol=1e-6)  # without items
    np.testing.assert_allclose(found[:, -1], start[-1], rtol=1e-6)
