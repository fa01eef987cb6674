from pathlib import Path

import numpy as np
import pytest
from drawn_shirt import photo
from PIL import Image

from recsys.errors import ConfigError
from style.backoff import settle
from style.catalogue import restyle
from style.guard import GuardConfig, judge, pixel_scores
from style.images import decode, encode_jpeg
from style.look import STEPS, Look, look_from_mapping
from style.mask import cut_out

COLOURS = [(170, 40, 60), (20, 20, 22), (60, 90, 150), (200, 170, 120)]
PHOTOS = np.stack([photo(c, seed=i)[0] for i, c in enumerate(COLOURS)])
IDS = ["a", "b", "c", "d"]
STORE = {item: encode_jpeg(image) for item, image in zip(IDS, PHOTOS, strict=True)}
WARM = {"grade": {"warmth": 1.0, "fade": 0.6, "grain": 0.0, "product": 1.0}}


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    y, x = np.mgrid[0:64, 0:64]
    Image.fromarray(np.stack([40 + 3 * y, 200 - 2 * x, 90 + x], -1).astype(np.uint8)).save(tmp_path / "painting.png")
    return tmp_path


def _look(folder: Path, kind: str, **more: object) -> Look:
    """A look that goes too far: by its stylizer, or by its grade."""
    if kind == "grade":
        return look_from_mapping("retro", WARM | more, folder)
    table = {"stylizer": "colour.mkl", "image": "painting.png", "region": "product", "strength": 0.9}
    return look_from_mapping("mine", table | more, folder)


@pytest.mark.parametrize("kind", ["grade", "stylizer"])
def test_bisection_finds_the_largest_strength_that_a_scan_finds(painting: Path, kind: str) -> None:
    look, cut = _look(painting, kind), cut_out(PHOTOS)
    draft = look.draft(PHOTOS, IDS, 3, cutout=cut)
    grid = np.arange(1, 33) / 32
    passes = []
    for share in grid:
        shown = np.stack([decode(encode_jpeg(p)).pixels for p in draft.at(range(4), [share] * 4)])
        passes.append(judge(pixel_scores(PHOTOS, shown, cut.alpha), look.guard)[0])
    passes = np.array(passes)
    assert (np.diff(passes.astype(int), axis=0) <= 0).all()  # so that bisection has one answer
    largest = np.where(passes.any(axis=0), passes.sum(axis=0) / 32, 1 / 32)
    settled = settle(draft, PHOTOS, cut.alpha, look.guard, steps=5)
    assert [s.share for s in settled] == largest.tolist()
    assert [s.passed for s in settled] == passes.any(axis=0).tolist()
    assert sum(s.passed and s.share < 1 for s in settled) >= 3  # it had something to do


@pytest.mark.parametrize("kind", ["grade", "stylizer"])
def test_the_full_strength_is_the_look_itself_and_a_draft_repeats_itself(painting: Path, kind: str) -> None:
    look = _look(painting, kind)
    draft = look.draft(PHOTOS, IDS, 3)
    for _ in range(2):
        np.testing.assert_array_equal(np.stack(draft.at(range(4), [1.0] * 4)), look.make(PHOTOS, IDS, 3))
    weak, cut = np.stack(draft.at(range(4), [1 / 1024] * 4)), cut_out(PHOTOS)
    assert np.abs(weak.astype(int) - PHOTOS)[cut.alpha == 1].max() <= 1


def test_what_passes_keeps_its_strength_and_its_bytes(painting: Path) -> None:
    lenient = {"max_product_delta_e": 100.0, "min_ssim": -1.0, "min_edge": -1.0}
    look = _look(painting, "stylizer", guard=lenient)
    draft, alpha = look.draft(PHOTOS, IDS), cut_out(PHOTOS).alpha
    assert settle(draft, PHOTOS, alpha, look.guard, steps=5) == settle(draft, PHOTOS, alpha, look.guard)


def test_where_nothing_passes_the_weakest_is_refused(painting: Path) -> None:
    look = _look(painting, "stylizer")
    impossible = GuardConfig(min_ssim=1.0, max_product_delta_e=0.0)
    settled = settle(look.draft(PHOTOS, IDS), PHOTOS, cut_out(PHOTOS).alpha, impossible, steps=3)
    assert [(s.share, s.passed) for s in settled] == [(1 / 8, False)] * 4


def test_a_look_that_leaves_the_product_alone_is_not_bisected(painting: Path) -> None:
    look = _look(painting, "stylizer", region="background")
    impossible = GuardConfig(min_ssim=1.0, max_product_delta_e=0.0, min_edge=1.0)
    settled = settle(look.draft(PHOTOS, IDS), PHOTOS, cut_out(PHOTOS).alpha * 0.9999, impossible, steps=3)
    assert [s.share for s in settled] == [1.0] * 4


def test_the_table_tells_the_strength_that_was_used(painting: Path) -> None:
    plain = restyle(IDS, STORE.__getitem__, [_look(painting, "stylizer")], painting / "plain").frame
    assert plain["strength"].tolist() == pytest.approx([0.9] * 4)
    assert not plain["accepted"].any()
    look = _look(painting, "stylizer", back_off=True)
    frame = restyle(IDS, STORE.__getitem__, [look], painting / "backed").frame
    assert frame["accepted"].all()
    assert frame["strength"].between(0.9 / 32, 0.9, inclusive="left").all()
    assert (frame["score_product_delta_e"] <= 3).all()
    alone = restyle(IDS[1:2], STORE.__getitem__, [look], painting / "alone", batch=1).frame
    assert alone["strength"].item() == frame["strength"][1]  # the batch changes nothing
    again = restyle(IDS, STORE.__getitem__, [look], painting / "backed").frame  # from the journal
    assert again.equals(frame)


def test_a_photo_without_a_safe_mask_has_no_strength(painting: Path) -> None:
    store = STORE | {"white": encode_jpeg(np.full((176, 117, 3), 244, np.uint8))}
    frame = restyle(["a", "white"], store.__getitem__, [_look(painting, "grade", back_off=2)], painting).frame
    assert frame["strength"].notna().tolist() == [True, False]
    assert frame["image"].tolist() == ["images/retro/a.jpg", ""]


def test_bounds_decide_pixels_only_where_the_strength_backs_off(painting: Path) -> None:
    bounds: dict[str, object] = {"guard": {"max_product_delta_e": 2.0}}
    for back_off in (False, True):
        first, second = (_look(painting, "grade", back_off=back_off, **g) for g in ({}, bounds))
        assert (first.recipe == second.recipe) is not back_off
    assert _look(painting, "grade", back_off=True).steps == STEPS
    assert _look(painting, "grade", back_off=3).steps == 3


@pytest.mark.parametrize("wrong", [-1, 11, 2.5, "yes"])
def test_impossible_back_off_is_told(painting: Path, wrong: object) -> None:
    with pytest.raises(ConfigError, match="back_off"):
        _look(painting, "grade", back_off=wrong)
