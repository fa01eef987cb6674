import numpy as np
import pytest
from skimage.color import lab2rgb, rgb2lab

from style.base import StyleCode, Stylizer
from style.stylizers.colour import GRID, MklColour, apply_table, lab_to_rgb, linear_map


def _pictures(n: int = 2, size: tuple[int, int] = (40, 30), seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    base = rng.normal(130, 25, (n, *size, 1)) + rng.normal(0, 18, (n, *size, 3))
    return np.clip(base, 0, 255).astype(np.uint8)


def test_it_is_a_stylizer() -> None:
    assert isinstance(MklColour(), Stylizer)


def test_the_map_carries_one_covariance_to_the_other() -> None:
    rng = np.random.default_rng(0)
    a, b = (m @ m.T + np.eye(3) for m in rng.normal(size=(2, 3, 3)))
    t = linear_map(a, b, gain=1e6)
    np.testing.assert_allclose(t @ a @ t.T, b, atol=1e-8)
    np.testing.assert_allclose(t, t.T, atol=1e-10)  # the map that moves least is symmetric


def test_gains_are_bounded() -> None:
    gains = np.linalg.eigvalsh(linear_map(np.diag([1e-4, 1.0, 1e4]), np.eye(3)))
    assert gains.min() >= 0.5 - 1e-9
    assert gains.max() <= 2 + 1e-9


def test_mean_and_spread_agree_with_the_style() -> None:
    stylizer, style = MklColour(), _pictures(1, seed=5) // 2 + np.array([90, 30, 10], np.uint8)
    made = stylizer.apply(_pictures(), stylizer.encode(style))
    want, got = rgb2lab(style[0]).reshape(-1, 3), rgb2lab(made[0]).reshape(-1, 3)
    assert np.abs(want.mean(0) - got.mean(0)).max() < 1.0  # 8-bit, a 33-step table and the clipped gamut
    assert np.abs(want.std(0) / got.std(0) - 1).max() < 0.12


def test_its_own_style_changes_nothing() -> None:
    stylizer, images = MklColour(), _pictures(1)
    np.testing.assert_array_equal(stylizer.apply(images, stylizer.encode(images)), images)


def test_an_identity_table_is_the_identity() -> None:
    level = np.linspace(0, 255, GRID, dtype=np.float32)
    table = np.stack(np.meshgrid(level, level, level, indexing="ij"))
    images = _pictures(1)
    np.testing.assert_array_equal(apply_table(images[0], table), images[0])


def test_lab_to_rgb_agrees_with_scikit_image() -> None:
    lab = rgb2lab(_pictures(1))[0]
    np.testing.assert_allclose(lab_to_rgb(lab.transpose(2, 0, 1)), 255 * lab2rgb(lab).transpose(2, 0, 1), atol=0.1)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5)])
def test_any_size_and_batch(size: tuple[int, int]) -> None:
    stylizer, images = MklColour(), _pictures(3, size)
    code = stylizer.encode(_pictures(1, seed=4))
    made = stylizer.apply(images, code)
    assert made.shape == images.shape
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(made[1:2], stylizer.apply(images[1:2], code))


def test_codes_mix() -> None:
    stylizer = MklColour()
    dark, light = (stylizer.encode(np.full((1, 4, 4, 3), v, np.uint8)) for v in (0, 255))
    assert StyleCode.mix({dark: 1, light: 3}).arrays["mean"][0] == pytest.approx(75, abs=0.1)
