import numpy as np
import pytest

from style.paint import chance, fractal, line, mix, noise, pixel, shapes, soft, turned, window
from style.scene import _field


def test_noise_passes_through_its_lattice_and_stays_within_it() -> None:
    u, v = (a.astype(np.float32) for a in np.meshgrid(np.linspace(0, 20, 401), np.linspace(0, 20, 401)))
    values = noise(u, v)
    knots = values[::20, ::20]
    # Between four knots every value is a weighted mean of them.
    low = np.minimum.reduce([knots[:-1, :-1], knots[1:, :-1], knots[:-1, 1:], knots[1:, 1:]])
    high = np.maximum.reduce([knots[:-1, :-1], knots[1:, :-1], knots[:-1, 1:], knots[1:, 1:]])
    cells = values[:400, :400].reshape(20, 20, 20, 20)
    assert (cells >= low[:, None, :, None] - 1e-5).all()
    assert (cells <= high[:, None, :, None] + 1e-5).all()
    assert np.std(knots) == pytest.approx(1 / np.sqrt(3), rel=0.1)  # uniform in -1..1


@pytest.mark.parametrize("scale", [2.0, 5.0, 10.0])
def test_fractal_noise_of_a_larger_picture_is_the_same_after_reduction(scale: float) -> None:
    (x, y), (big_x, big_y) = _field(60, 60), _field(480, 480)
    small = fractal(x * scale, y * scale, scale * pixel(y))
    large = fractal(big_x * scale, big_y * scale, scale * pixel(big_y)).reshape(60, 8, 60, 8).mean(axis=(1, 3))
    assert np.abs(small - large).mean() < 0.1 * large.std()  # coarsest cells of 30, 12 and 6 pixels


def test_noise_finer_than_a_pixel_is_left_out() -> None:
    x, y = _field(60, 60)
    assert not fractal(x * 61, y * 61, 61 * pixel(y)).any()


def test_a_line_covers_its_width_even_below_a_pixel() -> None:
    x, y = _field(200, 200)
    for half in (0.0005, 0.002, 0.02):
        assert line(x - 0.01, half, y).sum(axis=1) == pytest.approx(2 * half * 200, rel=0.03)


def test_soft_is_a_half_at_zero_and_point_symmetric() -> None:
    t = np.linspace(-1, 1, 41).astype(np.float32)
    np.testing.assert_allclose(soft(t, 1.5) + soft(-t, 1.5), 1, atol=1e-6)


def test_mix_and_turned() -> None:
    share = np.full((2, 2), 0.25, np.float32)
    assert mix(np.zeros(3, np.float32), np.full(3, 100, np.float32), share).tolist() == [[[25.0] * 2] * 2] * 3
    along, across = turned(np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32), np.pi / 2)
    np.testing.assert_allclose([along.item(), across.item()], [0, -1], atol=1e-6)


def test_shapes_leave_no_quarter_bare() -> None:
    x, y = _field(176, 117)
    points = shapes(40, np.random.default_rng(0), x, y)
    assert np.abs(points[:, 0]).max() <= x.max()
    assert np.abs(points[:, 1]).max() <= y.max()
    quarters = np.bincount((points[:, 0] > 0) + 2 * (points[:, 1] > 0), minlength=4)
    assert quarters.min() >= 7  # 10 each, but for the cells that stay empty


def test_a_window_holds_the_disc_around_its_point() -> None:
    x, y = _field(100, 80)
    rows, columns = window(x, y, (0.1, -0.2), 0.15)
    inside = np.hypot(x - 0.1, y + 0.2) < 0.15
    assert inside.sum() == inside[rows, columns].sum() > 0


def test_jitter_decides_chance() -> None:
    jitter = np.linspace(-1, 1, 6).astype(np.float32)
    assert chance(jitter).uniform() == chance(jitter.copy()).uniform() != chance(0 * jitter).uniform()
