import numpy as np
import pandas as pd
import pytest
from drawn_shirt import photo
from scipy import ndimage
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import structural_similarity

from recsys.data.presentation import Presentation, Presentations
from recsys.errors import ConfigError, DataError
from style.guard import DOUBTFUL, GuardConfig, add_cosine, judge, pixel_scores, ssim_map
from style.look import builtin_looks


def test_ssim_agrees_with_scikit_image() -> None:
    rng = np.random.default_rng(0)
    first = ndimage.gaussian_filter(rng.uniform(0, 255, (60, 80)), 2)
    second = first + rng.normal(0, 9, first.shape)
    mine = ssim_map(first.astype(np.float32), second.astype(np.float32))[4:-4, 4:-4]
    _, theirs = structural_similarity(first, second, data_range=255, win_size=7, full=True)
    np.testing.assert_allclose(mine, theirs[4:-4, 4:-4], atol=2e-3)


def test_product_delta_e_is_the_median_inside_the_mask() -> None:
    image, truth = photo((200, 170, 120))
    styled = np.clip(image * np.array([0.8, 1.0, 1.1]), 0, 255).astype(np.uint8)
    styled[truth < 0.5] = (0, 0, 255)  # the background does not count
    scores = pixel_scores(image[None], styled[None], truth[None])
    inside = truth > 0.995
    expected = np.median(deltaE_ciede2000(rgb2lab(image[inside]), rgb2lab(styled[inside])))
    assert scores["product_delta_e"][0] == pytest.approx(expected, abs=0.02)


def test_a_new_backdrop_alone_costs_nothing() -> None:
    image, truth = photo()
    styled = np.where(truth[..., None] == 1, image, np.array([20, 60, 190], np.uint8)).astype(np.uint8)
    scores = pixel_scores(image[None], styled[None], truth[None])
    assert scores["ssim"][0] == scores["edge"][0] == 1
    assert scores["product_delta_e"][0] == 0
    assert scores["ssim_whole"][0] < 0.9


def test_painting_over_a_beige_dress_is_refused() -> None:
    # What a painterly style at full strength does: another hue, another texture.
    image, truth = photo((205, 180, 145))
    rng = np.random.default_rng(0)
    strokes = ndimage.gaussian_filter(rng.normal(0, 1, image.shape), (3, 1, 0)) * 160
    painted = np.clip(np.array([120, 30, 40]) + strokes, 0, 255).astype(np.uint8)
    scores = pixel_scores(image[None], painted[None], truth[None])
    accepted, reasons = judge(scores, GuardConfig())
    assert not accepted[0]
    assert reasons == ["product colour changed"]
    lenient = GuardConfig(max_product_delta_e=100)
    assert judge(scores, lenient)[1] == ["product structure changed"]


def test_flat_products_are_not_judged_by_their_noise() -> None:
    rng = np.random.default_rng(0)
    image, truth = (np.full((80, 60, 3), 25, np.uint8), np.ones((80, 60), np.float32))
    noisy = (image + rng.integers(0, 3, (80, 60, 1))).astype(np.uint8)
    scores = pixel_scores(image[None], noisy[None], truth[None])
    assert judge(scores, GuardConfig())[0][0]


def test_judge_tells_the_first_reason_and_nan_is_no_pass() -> None:
    scores = {"mask": [0.9, 0.2, 0.9], "ssim": [0.95, 0.1, np.nan], "product_delta_e": [1, 50, 1]}
    accepted, reasons = judge(scores, GuardConfig())
    assert accepted.tolist() == [True, False, False]
    assert reasons == ["", DOUBTFUL, "product structure changed"]


def test_an_empty_mask_has_no_scores() -> None:
    image, truth = photo()
    assert all(np.isnan(v[0]) for v in pixel_scores(image[None], image[None], truth[None] * 0).values())


def test_cosine_has_the_last_word() -> None:
    rows = [Presentation(i, "retro", f"{i}.jpg", {"ssim": 1.0}, i != "c", "" if i != "c" else DOUBTFUL) for i in "abcd"]
    given = {"retro": {"a": 0.9, "b": 0.1, "c": 0.05}}
    frame = add_cosine(Presentations.of(rows), given, [builtin_looks()["retro"]]).frame.set_index("item_id")
    assert frame["accepted"].tolist() == [True, False, False, True]
    assert frame["reason"].tolist() == ["", "no longer recognised", DOUBTFUL, ""]
    assert pd.isna(frame.loc["d", "score_cosine"])


@pytest.mark.parametrize("bad", [{"min_ssim": 2}, {"max_product_delta_e": -1}, {"min_mask": float("nan")}])
def test_impossible_bounds(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="guard"):
        GuardConfig(**bad)


def test_shapes_must_match() -> None:
    image, truth = photo()
    with pytest.raises(DataError, match="must match"):
        pixel_scores(image[None], image[None, 1:], truth[None])
