"""The pictures: style is in them for a simple eye, products stand whole, outlines are what geometry says."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from evaluation.sample import CATEGORIES, STYLES, draw_item
from evaluation.sample.canvas import Canvas
from evaluation.sample.geometry import curve, ellipse, mirrored, rounded, tapered
from evaluation.sample.patterns import PATTERNS
from evaluation.sample.stuff import Cloth, Relief
from recsys.errors import ConfigError


def area(points):
    x, y = points.T
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def eye(pixels):
    """Colour histogram of the middle of the picture and simple edge statistics."""
    small = pixels[40:280:2, 30:210:2].astype(np.float64) / 255
    colours = np.minimum((small * 4).astype(int), 3) @ [16, 4, 1]
    grey = small.mean(axis=2)
    gy, gx = np.gradient(grey)
    product = grey < 0.9
    edges = [
        np.abs(gx).mean(),
        np.abs(gy).mean(),
        (np.hypot(gx, gy) > 0.08).mean(),
        grey[product].std(),
        product.mean(),
    ]
    return np.r_[np.sqrt(np.bincount(colours.ravel(), minlength=64) / colours.size), edges]


def test_style_is_visible_across_categories():
    # oracle: chance is 1/4; a linear model that has never seen the category must still recognise the style
    features, style, group = [], [], []
    for g, category in enumerate(CATEGORIES):
        for s in range(len(STYLES)):
            for k in range(2):
                features.append(eye(draw_item(category, np.eye(len(STYLES))[s], seed=[11, g, s, k])))
                style.append(s)
                group.append(g)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    score = cross_val_score(model, np.array(features), style, groups=group, cv=GroupKFold(5))
    assert score.mean() > 0.7


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("style", range(len(STYLES)))
def test_product_stands_whole_on_a_light_studio_ground(category, style):
    pixels = draw_item(category, np.eye(len(STYLES))[style], seed=[5, style])
    border = np.concatenate([pixels[:2].reshape(-1, 3), pixels[:, :2].reshape(-1, 3), pixels[:, -2:].reshape(-1, 3)])
    assert border.min() > 150  # nothing but backdrop and shadow at the border: no product is cut off
    assert np.median(border) > 195  # light grey
    away = np.abs(pixels.astype(int) - np.median(border, axis=0)).max(axis=2) > 12
    assert 0.05 < away.mean() < 0.75


def test_same_seed_same_pixels_and_other_seed_other_product():
    mixture = np.array([0.7, 0.1, 0.1, 0.1])
    first, again, other = (draw_item("coat", mixture, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.1


def test_unknown_category_suggests():
    with pytest.raises(ConfigError, match="did you mean 'sofa'"):
        draw_item("sofas", np.eye(4)[0], seed=0)


@pytest.mark.parametrize("pattern", [p for table in PATTERNS.values() for p, _ in table], ids=lambda p: p.__name__)
def test_every_pattern_is_a_colour_in_range(pattern):
    from evaluation.sample.palettes import draw_palette

    style = next(s for s, table in PATTERNS.items() if pattern in [p for p, _ in table])
    rng = np.random.default_rng(4)
    cloth = pattern(rng, draw_palette(style, rng), 0.9)
    assert cloth.texture.shape == (320, 240, 3)
    assert cloth.texture.dtype == np.float32
    assert cloth.texture.min() >= 0
    assert cloth.texture.max() <= 1


def test_curve_passes_through_its_anchors_and_keeps_corners():
    anchors = [(0, 0, 1), (10, -3), (20, 0, 1), (20, 10, 1), (0, 10, 1)]
    points = curve(anchors)
    for anchor in anchors:
        assert np.linalg.norm(points - anchor[:2], axis=1).min() < 1e-9
    straight = points[(points[:, 0] > 19.999) & (points[:, 1] > 0)]
    assert np.allclose(straight[:, 0], 20)  # between two corners: a straight line


def test_smooth_ring_of_anchors_is_nearly_a_circle():
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    points = curve([(float(np.cos(a)), float(np.sin(a))) for a in angle])
    # centripetal Catmull-Rom through 12 points of a circle stays within 0.2 % of it
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=2e-3)


def test_areas():
    # closed forms: ellipse pi a b (48-gon: 0.3 % less), rounded rectangle w h - (4 - pi) r^2
    assert area(ellipse(3, 4, 5, 2)) == pytest.approx(np.pi * 10, rel=4e-3)
    assert area(rounded(0, 0, 20, 10, 3)) == pytest.approx(200 - (4 - np.pi) * 9, rel=2e-3)
    assert 0.5 * 40 < area(tapered(np.stack([np.linspace(0, 10, 40), np.zeros(40)], axis=1), 4)) < 40


def test_mirrored_outline_is_symmetric():
    points = curve(mirrored([(0, 0), (8, 2), (10, 12, 1), (0, 15)]))
    assert points[:, 0].max() == pytest.approx(-points[:, 0].min())


def test_part_covers_its_area_smoothly():
    # oracle: coverage sums to the outline's area; an anti-aliased border has coverages between 0 and 1
    canvas = Canvas(np.random.default_rng(0), wobble=0.0)
    canvas.part(ellipse(0, 160, 50, 40, n=200), Cloth.plain((0.5, 0.2, 0.2)), Relief())
    assert canvas.alpha.sum() == pytest.approx(np.pi * 2000, rel=0.012)  # Pillow paints border pixels whole: + 1/8 px
    between = (canvas.alpha > 0.05) & (canvas.alpha < 0.95)
    assert between.sum() > 200


def test_light_comes_from_the_upper_left():
    canvas = Canvas(np.random.default_rng(0), wobble=0.0)
    canvas.part(ellipse(0, 160, 50, n=200), Cloth.plain((0.5, 0.5, 0.5), grain=0.0), Relief(puff=12, height=1.2))
    brightness = canvas.rgb.mean(axis=2)
    assert brightness[132, 92] > brightness[160, 120] > brightness[188, 148]
