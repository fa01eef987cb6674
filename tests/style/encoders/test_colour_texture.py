"""Palette, histogram and texture against colours and gratings whose right answer is known."""

import numpy as np
import pytest
from skimage.color import rgb2lab
from sklearn.cluster import KMeans

from recsys.errors import ConfigError
from style.base import Images
from style.encoders.colour import ColourHistogram, Palette, count, palette
from style.encoders.texture import ORIENTATIONS, SCALES, Texture, gabor_filters

RNG = np.random.default_rng(0)


def patches(*colours: tuple[tuple[int, int, int], int]) -> Images:
    """White ground, and side by side in the middle so many columns of each colour."""
    photo, at = np.full((1, 64, 64, 3), 255, np.uint8), 16
    for colour, width in colours:
        photo[:, 16:48, at : at + width] = colour
        at += width
    return photo


def test_a_palette_is_the_ground_then_the_colours_by_share() -> None:
    photo = patches(((200, 30, 30), 8), ((20, 60, 160), 24))
    row = Palette(colours=3).encode(photo).reshape(4, 4)
    assert np.allclose(row[:, 0], [1 - 32 * 32 / 64**2, 0.75, 0.25, 0], atol=1e-6)  # 24 and 8 of 32 columns
    lab = row[:3, 1:] * 100 / np.sqrt(row[:3, :1])
    wanted = rgb2lab(np.array([[255, 255, 255], [20, 60, 160], [200, 30, 30]], np.uint8)[None])[0]
    assert np.allclose(lab, wanted, atol=0.3)  # float32 and another library's white point
    assert (row[3] == 0).all()


def test_colours_of_one_share_stand_the_darker_first() -> None:
    for pair in (((220, 200, 40), 16), ((20, 20, 90), 16)), (((20, 20, 90), 16), ((220, 200, 40), 16)):
        lab = Palette(colours=2).encode(patches(*pair)).reshape(3, 4)[1:]
        assert lab[0, 0] == lab[1, 0] == 0.5
        assert lab[0, 1] < lab[1, 1]


def test_a_palette_is_as_tight_as_k_means() -> None:
    centres = RNG.integers(30, 220, (4, 3))
    pixels = np.clip(centres[RNG.integers(0, 4, 64 * 64)] + RNG.normal(0, 6, (64 * 64, 3)), 0, 255).astype(np.uint8)
    share, lab = palette(count(pixels.reshape(1, 64, 64, 3)), 4)
    colours = rgb2lab(pixels[None])[0]
    ours = ((colours[:, None] - lab[0]) ** 2).sum(axis=2).min(axis=1).mean()
    theirs = KMeans(4, n_init=10, random_state=0).fit(colours).inertia_ / len(colours)
    assert ours < 1.02 * theirs  # ours clusters cells of Lab, theirs single pixels from ten starts
    assert share.sum() == pytest.approx(1)


def test_a_histogram_row_has_length_one_and_knows_the_ground() -> None:
    photo = patches(((200, 30, 30), 32))
    row = ColourHistogram().encode(photo)
    assert np.linalg.norm(row) == pytest.approx(1, abs=1e-5)
    plain = np.full((1, 64, 64, 3), (200, 30, 30), np.uint8)  # nothing stands before a ground: all of it counts
    assert (row * ColourHistogram().encode(plain)).sum() == pytest.approx(1, abs=1e-5)
    other = ColourHistogram().encode(patches(((30, 30, 200), 32)))
    assert (row * other).sum() < 0.05  # Bhattacharyya coefficient of red and blue


def test_a_colour_between_nodes_is_shared_out_between_them() -> None:
    dark, mid, light = (ColourHistogram().encode(np.full((1, 64, 64, 3), v, np.uint8))[0] ** 2 for v in (94, 119, 144))
    assert np.count_nonzero(mid > 1e-3) <= 8
    assert dark @ mid > dark @ light  # nearer colours overlap more


def test_pictures_of_a_batch_do_not_touch_each_other() -> None:
    images = RNG.integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    for encoder in (Palette(), ColourHistogram()):
        single = np.concatenate([encoder.encode(image[None]) for image in images])
        assert np.allclose(encoder.encode(images), single, atol=1e-6)


def test_palettes_have_one_to_sixteen_colours() -> None:
    with pytest.raises(ConfigError, match=r"palette.colours must be within 1..16, got 0"):
        Palette(colours=0)


def grating(direction: int, wavelength: float) -> Images:
    """Stripes whose normal runs in one of the eight directions."""
    angle = direction * np.pi / ORIENTATIONS
    y, x = np.mgrid[0:128, 0:128]
    wave = np.sin(2 * np.pi / wavelength * (x * np.cos(angle) + y * np.sin(angle)))
    return np.repeat((128 + 100 * wave).astype(np.uint8)[None, ..., None], 3, axis=3)


def means(row: np.ndarray) -> np.ndarray:
    """(scale, direction) of the mean energies."""
    return row.reshape(SCALES, -1)[:, :ORIENTATIONS]


@pytest.mark.parametrize("direction", range(ORIENTATIONS))
def test_stripes_are_found_in_their_direction_and_scale(direction: int) -> None:
    texture = Texture(device="cpu")
    for scale in range(3):
        seen = means(texture.encode(grating(direction, 4.0 * 2**scale))[0])
        assert np.unravel_index(seen.argmax(), seen.shape) == (scale, direction)


def test_texture_sees_neither_colour_nor_place() -> None:
    texture, stripes = Texture(device="cpu"), grating(2, 8)
    luma = np.array([0.299, 0.587, 0.114])
    red = np.zeros_like(stripes)
    red[..., 0] = np.clip(stripes[..., 0] * 0.6, 0, 255)
    grey = np.repeat((red @ luma)[..., None], 3, axis=3).astype(np.uint8)
    assert np.abs(texture.encode(red) - texture.encode(grey)).max() < 0.05  # grey is rounded to whole levels
    noise = RNG.integers(0, 256, (1, 128, 128, 3), dtype=np.uint8)  # its seam is noise, too
    images = noise, np.roll(noise, (48, 16), (1, 2)), stripes
    here, moved, other = (texture.encode(x).reshape(SCALES, -1)[:2] for x in images)  # coarser ones are mostly border
    assert np.linalg.norm(here - moved) < 0.05 * np.linalg.norm(here - other)


def test_filters_answer_nothing_to_an_even_ground() -> None:
    filters = gabor_filters()
    assert filters.sum(dim=(1, 2, 3)).abs().max() < 1e-5
    rows = means(Texture(device="cpu").encode(np.full((1, 128, 128, 3), 77, np.uint8))[0])
    assert np.abs(rows).max() < 1e-3
