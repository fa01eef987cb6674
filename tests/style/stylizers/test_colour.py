import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import lab2rgb, rgb2lab

from style.base import StyleCode, Stylizer
from style.distance import quantiles, sliced_wasserstein
from style.images import decode, encode_jpeg
from style.lab import lab_to_rgb
from style.stylizers.colour import (
    STEEP,
    ColourTransfer,
    HistogramColour,
    MklColour,
    OptimalTransportColour,
    ReinhardColour,
    linear_map,
    matched,
)
from style.stylizers.table import GRID, apply_table


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


@pytest.mark.parametrize("method", [ReinhardColour, MklColour, HistogramColour, OptimalTransportColour])
class TestEveryMethod:
    def photo(self) -> np.ndarray:
        """A soft shape on plain white, of which most pixels are: numpy's own quantiles take minutes on such."""
        photo = np.full((1, 120, 90, 3), 255, np.uint8)
        photo[0, 40:80, 20:70] = _pictures(1, (40, 50))[0]
        return photo

    def test_colours_come_nearer_to_the_style(self, method: type[ColourTransfer]) -> None:
        """Measured on H&M photos and paintings: the distance falls to .59, .55, .41 and .38 in the median."""
        style = _pictures(1, (60, 60), seed=5) // 2 + np.array([90, 30, 10], np.uint8)
        made = method().apply(self.photo(), method().encode(style))
        before, after = (sliced_wasserstein(p[0], style[0]) for p in (self.photo(), made))
        assert after < 0.8 * before

    def test_its_own_style_changes_nothing(self, method: type[ColourTransfer]) -> None:
        np.testing.assert_array_equal(method().apply(self.photo(), method().encode(self.photo())), self.photo())

    def test_a_batch_is_its_pictures_alone(self, method: type[ColourTransfer]) -> None:
        images, code = _pictures(3, (16, 21)), method().encode(_pictures(1, seed=4))
        made = method().apply(images, code)
        assert (made.shape, made.dtype) == (images.shape, np.uint8)
        np.testing.assert_array_equal(made[1:2], method().apply(images[1:2], code))

    @pytest.mark.parametrize("value", [0, 128, 255])
    def test_pictures_of_one_colour(self, method: type[ColourTransfer], value: int) -> None:
        flat = np.full((1, 16, 16, 3), value, np.uint8)
        assert method().apply(flat, method().encode(_pictures(1))).shape == flat.shape


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 5))
def test_quantiles_are_numpys(n: int, levels: int, seed: int) -> None:
    points, level = np.random.default_rng(seed).normal(size=(2, n)), np.linspace(0, 1, levels)
    np.testing.assert_allclose(quantiles(points, level), np.quantile(points, level, axis=1), atol=1e-12)


def _shop_photo() -> np.ndarray:
    """(1, 160, 160, 3): a blue disc with a pattern on white, as JPEG leaves it."""
    y, x = np.mgrid[:160, :160] - 80.0
    photo = np.full((160, 160, 3), 255, np.uint8)
    inside = x**2 + y**2 < 45**2
    photo[inside] = (40, 70, 150)
    photo[inside & ((x // 6 + y // 6) % 2 == 0)] = (90, 120, 190)
    return decode(encode_jpeg(photo, 75)).pixels[None]


@given(st.lists(st.floats(0, 100), min_size=2, max_size=40), st.lists(st.floats(0, 100), min_size=40, max_size=40))
def test_matching_keeps_the_order_and_never_stretches_more_than_it_may(own: list[float], other: list[float]) -> None:
    before, after = np.sort(own), np.sort(other[: len(own)])
    values = np.linspace(-20, 120, 400)
    slopes = np.diff(matched(values, before, after)) / np.diff(values)
    assert slopes.min() >= -1e-9
    assert slopes.max() <= STEEP + 1e-9


def test_a_flat_ground_goes_to_the_mean_of_what_it_covers() -> None:
    before, after = np.array([20.0, 40.0, 100.0, 100.0, 100.0]), np.array([10.0, 20.0, 30.0, 50.0, 70.0])
    assert matched(np.array([100.0]), before, after) == pytest.approx(50)


@pytest.mark.parametrize("stylizer", [HistogramColour(), OptimalTransportColour()], ids=lambda s: s.spec.name)
def test_no_rings_appear_around_a_product_on_white(stylizer: ColourTransfer) -> None:
    photo, style = _shop_photo(), _pictures(1, (64, 64), seed=3) // 2 + np.array([60, 40, 0], np.uint8)
    made = stylizer.apply(photo, stylizer.encode(style))
    y, x = np.mgrid[:160, :160] - 80.0
    beside = (x**2 + y**2 > 49**2) & (x**2 + y**2 < 60**2)
    before, after = (rgb2lab(p[0])[beside].std(axis=0).max() for p in (photo, made))
    assert before > 0.2  # JPEG did leave some
    assert after < 2.5 * before


def test_on_a_shop_photo_transport_comes_closest_to_a_style_whose_axes_go_together() -> None:
    rng = np.random.default_rng(1)
    share, noise = rng.beta(0.5, 0.5, (64, 64, 1)), rng.normal(0, 8, (64, 64, 3))
    style = np.clip(share * (230, 150, 40) + (1 - share) * (20, 70, 110) + noise, 0, 255).astype(np.uint8)[None]
    photo = _shop_photo()
    distances = {
        s.spec.name: sliced_wasserstein(s.apply(photo, s.encode(style))[0], style[0])
        for s in (ReinhardColour(), MklColour(), HistogramColour(), OptimalTransportColour())
    }
    assert min(distances, key=lambda name: distances[name]) == "colour.ot", distances
    assert max(distances.values()) < sliced_wasserstein(photo[0], style[0])
