import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import DataError
from recsys.retrieval.factors import Factors, augmented, augmented_queries


def some(seed=0, biased=True):
    rng = np.random.default_rng(seed)
    return Factors(rng.normal(size=(6, 4)), rng.normal(size=(9, 4)), rng.normal(size=9) if biased else None)


@pytest.mark.parametrize("biased", [True, False])
def test_every_form_gives_the_same_scores(biased):
    factors = some(biased=biased)
    rows, columns = np.array([5, 0, 5]), np.array([[1, 8], [0, 0], [3, 2]])
    # closed form: queries · columns + bias
    expected = (factors.queries @ factors.columns.T)[rows] + (factors.bias if biased else 0)
    np.testing.assert_allclose(factors.block(rows), expected, rtol=1e-5, atol=1e-6)  # float32 sums
    np.testing.assert_allclose(
        factors.pairs(rows, columns), np.take_along_axis(expected, columns, axis=1), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        factors.of_columns(np.array([7, 1])).block(rows), expected[:, [7, 1]], rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(factors.query_points(rows) @ factors.item_points().T, expected, rtol=1e-5, atol=1e-6)


# Bachrach et al. 2014, theorem 1: the order by inner product is the order by distance and by angle.
@given(st.integers(0, 1000))
def test_nearest_augmented_point_has_the_highest_inner_product(seed):
    rng = np.random.default_rng(seed)
    points = (rng.normal(size=(40, 5)) * rng.gamma(1, 1, (40, 1))).astype(np.float32)
    query = rng.normal(size=(1, 5)).astype(np.float32)
    spheric, lifted = augmented(points).astype(np.float64), augmented_queries(query).astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(spheric, axis=1), np.linalg.norm(points, axis=1).max(), rtol=1e-5)
    inner = (points.astype(np.float64) @ query[0]).argmax()
    assert np.linalg.norm(spheric - lifted, axis=1).argmin() == inner
    assert (spheric @ lifted[0]).argmax() == inner


def test_refuses_shapes_that_do_not_fit():
    with pytest.raises(DataError, match="equally many factors"):
        Factors(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(DataError, match=r"bias must have shape \(2,\), got \(3,\)"):
        Factors(np.ones((2, 3)), np.ones((2, 3)), np.ones(3))
