import numpy as np
import pytest

from recsys.errors import ConfigError
from style.scene import BACKDROPS, Backdrop, Grade, Shadow, cast_shadow, colours, film_grain, tone, vignette

PALETTE = ("#f3e4c4", "#ecd3a1", "#e3a63f", "#d2732f")
WHITE = np.array([95, 0, 0], np.float32)


@pytest.mark.parametrize("kind", sorted(BACKDROPS))
@pytest.mark.parametrize("shape", [(176, 117), (224, 224), (60, 200)])
def test_backdrops_fill_the_picture_within_their_palette(kind: str, shape: tuple[int, int]) -> None:
    picture = Backdrop((kind,), (PALETTE,)).draw(shape, WHITE, np.random.default_rng(0))
    assert picture.shape == (3, *shape)
    assert picture.dtype == np.float32
    assert picture.min() >= 0
    assert picture.max() <= 268  # light may brighten a colour by 4 %, the composition clips
    assert len(np.unique(picture.reshape(3, -1), axis=1).T) > 8  # a drawing, not a flat fill


@pytest.mark.parametrize("kind", sorted(BACKDROPS))
def test_a_larger_photo_shows_the_same_scene(kind: str) -> None:
    small, large = (
        Backdrop((kind,), (PALETTE,)).draw(s, WHITE, np.random.default_rng(3)) for s in ((88, 58), (352, 232))
    )
    reduced = large.reshape(3, 88, 4, 58, 4).mean(axis=(2, 4))
    assert np.abs(reduced - small).mean() < 6  # edges are a pixel wide in either


def test_the_palette_stands_out_from_the_product() -> None:
    backdrop = Backdrop(("studio",), (("#ffffff", "#ffffff"), ("#202020", "#202020")))
    assert backdrop.draw((50, 50), WHITE, np.random.default_rng(0)).mean() < 60
    assert backdrop.draw((50, 50), np.array([5, 0, 0], np.float32), np.random.default_rng(0)).mean() > 200


def test_a_shadow_falls_beside_the_product_only() -> None:
    alpha = np.zeros((100, 100), np.float32)
    alpha[40:60, 40:60] = 1
    light = cast_shadow(alpha, Shadow(strength=0.5, blur=0.02, right=0.1, down=0.2))
    np.testing.assert_allclose(light[70, 60], 0.5, atol=1e-3)  # the middle of the moved square: 1 - 0.5
    assert light[5, 5] == 1
    np.testing.assert_array_equal(cast_shadow(alpha, Shadow(strength=0.0)), 1)


def test_grades() -> None:
    grey = np.full((3, 4, 4), 128, np.float32)
    warm = tone(grey, Grade(warmth=1.0))
    assert warm[0, 0, 0] > 128 > warm[2, 0, 0]
    faded = tone(np.zeros((3, 4, 4), np.float32), Grade(fade=0.5))
    assert faded.min() > 10  # black is lifted
    np.testing.assert_array_equal(tone(grey, Grade()), grey)
    corner = vignette((100, 100), 0.4)
    assert corner[0, 0] == pytest.approx(0.6)
    assert corner[50, 50] == pytest.approx(1, abs=1e-3)


def test_grain_has_the_stated_deviation() -> None:
    grain = film_grain((400, 400), 5.0, np.random.default_rng(0))
    # 0.7 fine + 1.5 of a 3 x 3 mean: sqrt(0.7² + 2·0.7·1.5/9 + 1.5²/9) = 0.986 of sigma
    assert grain.std() == pytest.approx(5 * 0.986, rel=0.02)
    assert abs(grain.mean()) < 0.1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Backdrop(("sunbrust",), (PALETTE,)), "did you mean 'sunburst'"),
        (lambda: Backdrop((), (PALETTE,)), "at least one kind"),
        (lambda: Backdrop(("studio",), (("#ffffff",),)), "two colours"),
        (lambda: colours(("white",)), "#rrggbb"),
        (lambda: Shadow(strength=2), "shadow.strength"),
        (lambda: Shadow(blur=2), "shadow.blur"),
        (lambda: Grade(grain=-1), "grade.grain"),
    ],
)
def test_bad_settings_are_told(make: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()  # type: ignore[operator]
