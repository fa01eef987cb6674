import numpy as np
import pytest
from drawn_shirt import photo

from recsys.errors import ConfigError
from style.creatives import CUT_OFF, FORMATS, creative, format_named
from style.guard import DOUBTFUL
from style.images import decode
from style.look import builtin_looks, look_from_mapping
from style.mask import Cutout, cut_out

PHOTO, TRUTH = photo((30, 60, 160), noise=0.0, gradient=0.0)
CUT = cut_out(PHOTO[None])
PLAIN = look_from_mapping("plain", {"backdrop": {"kinds": ["two-tone"], "palettes": [["#f2d24b", "#e8542f"]]}}, ".")


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_the_product_is_whole_and_inside_the_safe_area(kind):
    how = FORMATS[kind]
    made = creative(PHOTO, CUT, PLAIN, how, "a")
    assert made.reason == ""
    pixels = decode(made.data).pixels.astype(int)
    assert pixels.shape == (how.height, how.width, 3)
    blue = (pixels[..., 2] > pixels[..., 0] + 40) & (pixels[..., 2] > 100)  # no backdrop of these colours is blue
    rows, columns = np.flatnonzero(blue.any(axis=1)), np.flatnonzero(blue.any(axis=0))
    left, top, right, bottom = how.safe()
    assert rows[0] >= top
    assert rows[-1] < bottom
    assert columns[0] >= left
    assert columns[-1] < right
    # All of the drawn shirt is there: its area grows by the square of the enlargement.
    assert blue.sum() == pytest.approx(TRUTH.sum() * made.enlarged**2, rel=0.03)
    box = np.array(made.box)
    assert np.abs(box - [columns[0], rows[0], columns[-1], rows[-1]]).max() <= 3 * made.enlarged


def test_the_colours_of_the_product_stay():
    made = creative(PHOTO, CUT, PLAIN, FORMATS["1:1"], "a")
    middle = decode(made.data).pixels[500:580, 500:580].reshape(-1, 3).mean(axis=0)
    assert np.abs(middle - PHOTO[CUT.alpha[0] == 1].mean(axis=0)).max() < 5


def test_no_text_unless_a_title_is_asked_for_and_that_inside_the_safe_area():
    how = FORMATS["9:16"]
    bare, titled = (
        decode(creative(PHOTO, CUT, PLAIN, how, "a", title=t).data).pixels.astype(int) for t in ("", "Sale " * 30)
    )
    assert (decode(creative(PHOTO, CUT, PLAIN, how, "a").data).pixels == bare).all()
    left, top, right, bottom = how.safe()
    above = np.zeros(bare.shape[:2], bool)
    above[: top + round(0.16 * (bottom - top))] = True
    dark = (titled.max(axis=-1) < 90) & above
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    assert dark.sum() > 100
    assert rows[0] >= top
    assert columns[0] >= left
    assert columns[-1] < right


def test_what_cannot_be_shown_whole_is_refused():
    cut = CUT.alpha.copy()
    cut[:, -1] = 1
    touching = Cutout(cut, CUT.confidence, CUT.background)
    assert creative(PHOTO, touching, PLAIN, FORMATS["1:1"], "a").reason == CUT_OFF
    doubtful = Cutout(CUT.alpha, np.float32([0.2]), CUT.background)
    made = creative(PHOTO, doubtful, PLAIN, FORMATS["1:1"], "a")
    assert (made.reason, made.data) == (DOUBTFUL, b"")


def test_an_item_keeps_its_palette_in_all_formats():
    look = builtin_looks()["fashion"]
    corner = [
        decode(creative(PHOTO, CUT, look, FORMATS[k], "a").data).pixels[-20:, :20].mean(axis=(0, 1)) for k in FORMATS
    ]
    assert np.abs(corner[0] - corner[1]).max() < 40


def test_an_unknown_format_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"did you mean '4:5'"):
        format_named("4:6")
