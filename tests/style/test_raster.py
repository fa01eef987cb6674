import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from style.raster import box_mean, grow, local_maximum, shrink, steepness

SIZES = st.tuples(st.integers(1, 23), st.integers(1, 23))


@settings(deadline=None, max_examples=40)
@given(SIZES, st.integers(0, 9), st.integers(0, 99))
def test_windows_agree_with_scipy(size: tuple[int, int], radius: int, seed: int) -> None:
    plane = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    window = 2 * radius + 1
    np.testing.assert_allclose(
        box_mean(plane, radius), ndimage.uniform_filter(plane, window, mode="nearest"), atol=1e-5
    )
    np.testing.assert_array_equal(local_maximum(plane, radius), ndimage.maximum_filter(plane, window, mode="nearest"))


@settings(deadline=None, max_examples=30)
@given(SIZES, st.integers(0, 4), st.integers(0, 99))
def test_morphology_agrees_with_scipy(size: tuple[int, int], steps: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random(size) < 0.6
    if steps == 0:
        np.testing.assert_array_equal(grow(mask, 0), mask)
        return
    np.testing.assert_array_equal(grow(mask, steps), ndimage.binary_dilation(mask, iterations=steps))
    np.testing.assert_array_equal(shrink(mask, steps), ndimage.binary_erosion(mask, iterations=steps, border_value=1))


@pytest.mark.parametrize("radius", [0, 1, 3])
def test_steepness_of_a_ramp(radius: int) -> None:
    y, x = np.mgrid[0:20, 0:30]
    slope = steepness((3 * x + 4 * y).astype(np.float32), radius)
    inner = slice(radius + 1, -radius - 1)
    np.testing.assert_allclose(slope[inner, inner], 5, atol=1e-3)  # 3-4-5


def test_stacks_are_planes_of_their_own() -> None:
    planes = np.random.default_rng(0).normal(size=(3, 9, 7)).astype(np.float32)
    np.testing.assert_array_equal(box_mean(planes, 2)[1], box_mean(planes[1], 2))
