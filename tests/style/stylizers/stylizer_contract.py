"""What every stylizer promises, whatever it does."""

import numpy as np
import pytest

from recsys.errors import ConfigError, DataError
from style.base import StyleCode, Stylizer


def pictures(n=3, size=(24, 20), seed=0):
    """Photos of soft patches: something to see for networks."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, 4, 4, 3)).astype(np.float64)
    rows, columns = np.linspace(0, 3.99, size[0]).astype(int), np.linspace(0, 3.99, size[1]).astype(int)
    soft = coarse[:, rows][:, :, columns] + rng.normal(0, 8, (n, *size, 3))
    return np.clip(soft, 0, 255).astype(np.uint8)


class StylizerContract:
    """Subclasses give a fixture ``stylizer`` and may give ``style`` and ``tolerance`` (of 255, batch against alone)."""

    tolerance = 0

    @pytest.fixture(scope="class")
    @classmethod
    def style(cls):
        return pictures(1, (40, 40), seed=9)

    @pytest.fixture(scope="class")
    @classmethod
    def code(cls, stylizer, style):
        return stylizer.encode(style)

    def test_it_is_a_stylizer(self, stylizer, code):
        assert isinstance(stylizer, Stylizer)
        assert code.stylizer == stylizer.spec.name
        assert all(a.dtype == np.float32 and np.isfinite(a).all() for a in code.arrays.values())

    def test_the_same_style_has_the_same_code(self, stylizer, style, code):
        assert stylizer.encode(style) == code

    def test_a_batch_is_its_pictures_alone(self, stylizer, code):
        images = pictures()
        together = stylizer.apply(images, code)
        alone = np.concatenate([stylizer.apply(images[i : i + 1], code) for i in range(len(images))])
        assert (together.shape, together.dtype) == (images.shape, np.uint8)
        assert np.abs(together.astype(int) - alone).max() <= self.tolerance

    def test_the_same_seed_gives_the_same_pixels(self, stylizer, code):
        images = pictures(2)
        np.testing.assert_array_equal(stylizer.apply(images, code, seed=3), stylizer.apply(images, code, seed=3))

    @pytest.mark.parametrize("size", [(16, 16), (17, 31), (50, 16)])
    def test_any_size(self, stylizer, code, size):
        images = pictures(1, size)
        before = images.copy()
        assert stylizer.apply(images, code).shape == images.shape
        np.testing.assert_array_equal(images, before)  # what is given stays as it is

    @pytest.mark.parametrize("value", [0, 255, (200, 30, 60), 128])
    def test_pictures_of_one_colour(self, stylizer, code, value):
        image = np.empty((1, 20, 20, 3), np.uint8)
        image[:] = value
        assert stylizer.apply(image, code).shape == image.shape

    def test_no_pictures(self, stylizer, code):
        assert stylizer.apply(np.empty((0, 20, 20, 3), np.uint8), code).shape == (0, 20, 20, 3)

    def test_codes_that_cannot_be_its_own_are_refused(self, stylizer, code):
        other = StyleCode("another", code.arrays)
        with pytest.raises(ConfigError, match="the code is of another; encode the style with"):
            stylizer.apply(pictures(1), other)
        with pytest.raises(ConfigError, match="of one stylizer"):
            StyleCode.mix({code: 1.0, other: 1.0})
        if code.arrays:
            holed = StyleCode(code.stylizer, {k: np.full_like(a, np.nan) for k, a in code.arrays.items()})
            with pytest.raises(DataError, match="not finite"):
                stylizer.apply(pictures(1), holed)

    def test_codes_mix(self, stylizer, style, code):
        assert StyleCode.mix({code: 3.0}) == code
        other = stylizer.encode(style[:, ::-1].copy())
        mixed = StyleCode.mix({code: 0.5, other: 0.5}) if other != code else code
        assert stylizer.apply(pictures(1), mixed).shape == pictures(1).shape
