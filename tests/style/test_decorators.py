import tomllib
import tracemalloc

import numpy as np
import pytest
from drawn_shirt import photo
from PIL import Image
from turned_over import CODE, PHOTOS, Negative

from recsys.errors import ConfigError, DataError
from recsys.registry import create
from style.base import StyleCode, Stylizer
from style.decorators.base import Decorated, paint
from style.decorators.blend import KeepColour, Strength
from style.decorators.cached import Cached
from style.decorators.guarded import RECLASSIFIED, Fallback, Guard
from style.decorators.recipe import DECORATORS, Recipe, decorate
from style.decorators.region import BackgroundOnly, ProductOnly, Region, feathered, pasted
from style.decorators.tiled import Tiled
from style.guard import DOUBTFUL, pixel_scores
from style.mask import cut_out

RNG = np.random.default_rng(0)


class Stretch(Negative):
    """Looks at the whole picture: its levels are stretched to 0..255."""

    def apply(self, images, code, *, seed=0):
        low, high = images.min(axis=(1, 2, 3), keepdims=True), images.max(axis=(1, 2, 3), keepdims=True)
        return ((images - low) * (255.0 / np.maximum(high - low, 1)) + 0.5).astype(np.uint8)


def smooth_photo(height, width):
    """A slow gradient from 40 to 200 and waves: no step above 2 of 255."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    plane = 40 + 160 * (x / width + y / height) / 2 + 3 * np.sin(x / 9) * np.cos(y / 11)
    return np.repeat(plane[..., None], 3, axis=2).astype(np.uint8)[None]


def steps(image, axis):
    return np.abs(np.diff(image.astype(int), axis=axis)).max(axis=2)


def test_all_of_them_are_stylizers():
    for name in ("strength", "keep_colour", "tiled", "guard", "fallback", "background_only", "product_only"):
        assert isinstance(Recipe("colour.mkl", decorators=(name,)).make(), Stylizer)


@pytest.mark.parametrize(("share", "expected"), [(0.0, PHOTOS), (1.0, 255 - PHOTOS)])
def test_strength_is_exact_at_both_ends(share, expected):
    np.testing.assert_array_equal(decorate(Negative(), Strength(share)).apply(PHOTOS, CODE), expected)


def test_half_a_negative_is_grey():
    made = decorate(Negative(), Strength(0.5)).apply(PHOTOS, CODE)
    assert np.abs(made.astype(int) - 127.5).max() <= 1  # (v + 255 - v) / 2, rounded


def test_strengths_multiply():
    twice = paint(decorate(Negative(), Strength(0.5), Strength(0.5)), PHOTOS, CODE)
    assert twice.shares.tolist() == [0.25, 0.25]
    once = decorate(Negative(), Strength(0.25)).apply(PHOTOS, CODE)
    assert np.abs(twice.images.astype(int) - once).max() <= 1  # one more rounding


def test_keep_colour_changes_luma_alone():
    made = decorate(Negative(), KeepColour()).apply(PHOTOS, CODE)
    chroma = [np.stack([np.asarray(Image.fromarray(i).convert("YCbCr"), int) for i in b]) for b in (PHOTOS, made)]
    inside = ((made > 0) & (made < 255)).all(axis=-1)  # clipping moves chroma
    assert inside.mean() > 0.5
    assert np.abs(chroma[0] - chroma[1])[inside][:, 1:].max() <= 1
    assert np.abs(chroma[0] - chroma[1])[inside][:, 0].mean() > 20


def test_protected_pixels_come_back_bit_by_bit_and_the_seam_lies_outside(tmp_path):
    may = np.zeros((176, 117), bool)
    may[:, 60:] = True
    Image.fromarray(may).save(tmp_path / "may.png")
    made = decorate(Negative(), Region(str(tmp_path / "may.png"), feather=10)).apply(PHOTOS, CODE)
    np.testing.assert_array_equal(made[:, ~may], PHOTOS[:, ~may])
    np.testing.assert_array_equal(made[:, :, 71:], 255 - PHOTOS[:, :, 71:])
    share = ((made.astype(float) - PHOTOS) / (255.0 - 2.0 * PHOTOS))[0, 5, :, 0]  # the wall, far from 127.5
    assert (np.diff(share) > -0.02).all()
    assert np.diff(share).max() < 1.5 / 10 + 0.02  # a smooth step is nowhere steeper than 1.5 / width


def test_a_mask_of_another_size_is_scaled_and_of_other_proportions_refused(tmp_path):
    Image.fromarray(np.full((352, 234), 255, np.uint8)).save(tmp_path / "large.png")
    made = decorate(Negative(), Region(str(tmp_path / "large.png"))).apply(PHOTOS, CODE)
    np.testing.assert_array_equal(made, 255 - PHOTOS)
    Image.fromarray(np.full((100, 100), 255, np.uint8)).save(tmp_path / "square.png")
    with pytest.raises(ValueError, match=r"is 100 x 100, its photo 117 x 176"):
        decorate(Negative(), Region(str(tmp_path / "square.png"))).apply(PHOTOS, CODE)


def test_pasting_is_exact_where_the_weight_is_0_or_1():
    before, after = RNG.integers(0, 256, (2, 9, 9, 3), np.uint8)
    weight = RNG.choice(np.float32([0, 0.5, 1]), (9, 9))
    made = pasted(before, after, weight)
    np.testing.assert_array_equal(made[weight == 0], before[weight == 0])
    np.testing.assert_array_equal(made[weight == 1], after[weight == 1])


@pytest.mark.parametrize("feather", [0, 3, 40])
def test_a_feathered_weight_is_0_exactly_where_nothing_may_go(feather):
    may = RNG.random((40, 30)) > 0.3
    weight = feathered(may, feather)
    np.testing.assert_array_equal(weight == 0, ~may)
    assert weight.max() <= 1


@pytest.mark.parametrize(("decorator", "kept"), [(BackgroundOnly(), "product"), (ProductOnly(), "background")])
def test_product_or_background_come_back_bit_by_bit(decorator, kept):
    alpha = cut_out(PHOTOS).alpha
    stays, goes = (alpha == 1, alpha == 0) if kept == "product" else (alpha == 0, alpha == 1)
    made = decorate(Negative(), decorator).apply(PHOTOS, CODE)
    np.testing.assert_array_equal(made[stays], PHOTOS[stays])
    np.testing.assert_array_equal(made[goes], 255 - PHOTOS[goes])


def test_a_feather_around_the_product_starts_from_the_photo():
    alpha = cut_out(PHOTOS).alpha
    made = decorate(Negative(), BackgroundOnly(feather=8)).apply(PHOTOS, CODE)
    np.testing.assert_array_equal(made[alpha == 1], PHOTOS[alpha == 1])
    far = np.zeros_like(alpha, bool)
    far[:, :8, :] = True
    np.testing.assert_array_equal(made[far], 255 - PHOTOS[far])
    near = (alpha == 0) & (np.abs(made.astype(int) - PHOTOS).max(axis=-1) < 60)
    assert 100 < near.sum() < 20_000


def test_a_doubtful_mask_leaves_the_photo_and_says_so():
    blank = np.full((1, 176, 117, 3), 244, np.uint8)
    found = paint(decorate(Negative(), BackgroundOnly()), np.concatenate([PHOTOS[:1], blank]), CODE)
    assert found.reasons == ("", DOUBTFUL)
    assert found.shares.tolist() == [1.0, 0.0]
    np.testing.assert_array_equal(found.images[1], blank[0])


def test_tiles_of_a_pointwise_stylizer_are_the_whole():
    noise = RNG.integers(0, 256, (1, 150, 333, 3), np.uint8)
    made = decorate(Negative(), Tiled(64, 16, even=False)).apply(noise, CODE)
    np.testing.assert_array_equal(made, 255 - noise)
    image = photo(size=(333, 500))[0][None]
    made = decorate(Negative(), Tiled(64, 16)).apply(image, CODE)
    off = np.abs(made.astype(int) - (255 - image))
    assert off.mean() < 0.5  # the tone's rounding
    assert off.max() <= 12  # at the shirt's outline, where a cell of 16 pixels takes 255 - 40


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shape", [(500, 700), (128, 640), (513, 129)])
def test_no_step_across_tile_borders_is_larger_than_inside(shape, axis):
    image = smooth_photo(*shape)
    tiled = Tiled(128, 32)
    made = decorate(Stretch(), tiled).apply(image, CODE)[0]
    found = steps(made, axis)
    starts = tiled._starts(shape[axis])
    seams = {at + k for at in starts[1:] for k in range(-1, 33)}  # border and the overlap after it
    rows = np.array([i in seams for i in range(found.shape[axis])])
    seam, inside = np.compress(rows, found, axis), np.compress(~rows, found, axis)
    if seam.size and inside.size:
        assert seam.max() <= inside.max()
    bare = np.concatenate(  # without overlap and tone the same stylizer leaves steps that anyone sees
        [Stretch().apply(image[:, :, x : x + 128], CODE) for x in range(0, shape[1], 128)], axis=2
    )[0]
    if shape[1] > 256:
        assert steps(bare, 1).max() > 4 * found.max()


def test_tiles_keep_the_tone_of_the_whole():
    image = smooth_photo(400, 600)
    whole, even, bare = (
        stylizer.apply(image, CODE)[0, ..., 0].reshape(10, 40, 15, 40).mean(axis=(1, 3))  # tone: means of 40 x 40
        for stylizer in (
            Stretch(),
            decorate(Stretch(), Tiled(128, 32)),
            decorate(Stretch(), Tiled(128, 32, even=False)),
        )
    )
    assert np.abs(even - whole).mean() < 1.5
    assert np.abs(bare - whole).mean() > 20


def test_an_8k_photo_takes_memory_for_its_pieces_only():
    image = np.zeros((1, 4320, 7680, 3), np.uint8)
    image[0, ::64] = 200
    tracemalloc.start()
    made = decorate(Negative(), Tiled(1024, 64)).apply(image, CODE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.abs(made[0, ::500].astype(int) - (255 - image[0, ::500])).max() <= 60  # stripes are finer than the tone
    # The answer twice (a picture, a stack), and two bands of 1024 rows as float32 with what is mixed from them.
    assert peak < 2 * image.nbytes + 3.5 * 1024 * 7680 * 12


def test_the_guard_takes_the_largest_share_that_passes():
    guard = Guard(min_ssim=-1, min_edge=-1, max_product_delta_e=6, steps=6, mask="")
    found = paint(decorate(Negative(), guard), PHOTOS, CODE)
    assert found.reasons == ("", "")
    whole = np.ones(PHOTOS.shape[:3], np.float32)
    for i, share in enumerate(found.shares.tolist()):  # the next step of the bisection's grid fails
        more = decorate(Negative(), Strength(share + 1 / 64)).apply(PHOTOS[i : i + 1], CODE)
        assert pixel_scores(PHOTOS[i : i + 1], more, whole[:1])["product_delta_e"][0] > 6
        assert found.scores["product_delta_e"][i] <= 6


def test_what_passes_keeps_its_full_strength_and_what_never_passes_has_a_reason():
    lax = Guard(min_ssim=-1, min_edge=-1, max_product_delta_e=200)
    assert paint(decorate(Negative(), lax), PHOTOS, CODE).shares.tolist() == [1, 1]
    never = paint(decorate(Negative(), Guard(min_ssim=1, min_edge=1, max_product_delta_e=0, steps=3)), PHOTOS, CODE)
    assert set(never.reasons) == {"product colour changed"}
    assert never.shares.tolist() == [0.125, 0.125]
    back = paint(decorate(Negative(), Guard(min_ssim=1, max_product_delta_e=0, steps=3), Fallback()), PHOTOS, CODE)
    np.testing.assert_array_equal(back.images, PHOTOS)
    assert set(back.reasons) == {"product colour changed"}
    assert back.shares.tolist() == [0, 0]


def test_a_classifier_that_no_longer_agrees_is_a_reason_to_back_off():
    dark = lambda images: images.mean(axis=(1, 2, 3)) < 127.5  # noqa: E731 - a classifier
    guard = Guard(min_ssim=-1, min_edge=-1, max_product_delta_e=200, classifier=dark, steps=6)
    found = paint(decorate(Negative(), guard), PHOTOS, CODE)
    assert (dark(found.images) == dark(PHOTOS)).all()
    assert ((found.shares > 0.4) & (found.shares < 0.6)).all()  # mean m becomes m + s (255 - 2 m): 127.5 at one half
    strict = Guard(min_ssim=-1, min_edge=-1, max_product_delta_e=200, classifier=dark, steps=0)
    assert paint(decorate(Negative(), strict), PHOTOS, CODE).reasons == (RECLASSIFIED,) * 2


def test_one_photo_that_cannot_be_restyled_costs_one_original():
    images = np.concatenate([PHOTOS[:1], np.full((1, 176, 117, 3), 77, np.uint8)])
    picky = Negative()
    picky.apply = lambda images, code, *, seed=0: Negative.apply(picky, images, code) if len(images) == 1 else _no()
    found = paint(decorate(picky, Fallback()), images, CODE)
    assert found.reasons == ("", "nothing but 77s")
    np.testing.assert_array_equal(found.images, np.stack([255 - PHOTOS[0], images[1]]))


def _no():
    raise DataError("one at a time")


def test_a_recipe_is_one_line_and_a_hash_that_says_all(tmp_path):
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(tmp_path / "may.png")
    text = '{ stylizer = "colour.mkl", decorators = ["keep_colour", { region = { mask = "may.png" } }, '
    text += '{ guard = { min_ssim = 0.5 } }, "fallback"] }'
    recipe = Recipe.parse(text, tmp_path)
    assert "\n" not in recipe.line
    again = Recipe.parse("{ " + recipe.line + " }")
    assert again == recipe
    assert again.key == recipe.key
    assert tomllib.loads(f"r = {{ {recipe.line} }}")["r"]["decorators"][2]["guard"]["min_edge"] == 0.7
    # All that decides the pixels changes the hash, and the order of decorators does.
    others = [
        Recipe("colour.ot", decorators=recipe.decorators),
        Recipe("colour.mkl", decorators=recipe.decorators[::-1]),
        Recipe("colour.mkl", decorators=recipe.decorators[:3]),
        Recipe.parse(text.replace("0.5", "0.6"), tmp_path),
    ]
    Image.fromarray(np.full((8, 8), 0, np.uint8)).save(tmp_path / "may.png")
    keys = {recipe.key, *(other.key for other in others)}
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(tmp_path / "may.png")
    assert len(keys | {recipe.key}) == 6


def test_the_hash_is_the_same_in_every_process_and_place(tmp_path):
    recipe = Recipe("colour.mkl", decorators=("keep_colour", {"strength": {"share": 0.25}}))
    assert recipe.key == Recipe("colour.mkl", decorators=(KeepColour(), Strength(0.25))).key
    assert recipe.key == "b423121a4e4c60e5fe59c0d0d7e6df0bf437007b57e1aa55b27e4ecea357c76a"
    cached = [Recipe("colour.mkl", decorators=("keep_colour", Cached(str(tmp_path / n)))).key for n in "ab"]
    assert cached[0] == cached[1]  # where pictures are kept decides nothing


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{ stylizer = "colour.mkl", decorators = ["strenght"] }', "did you mean 'strength'"),
        ('{ stylizer = "colour.mkl", decorators = [{ strength = { shar = 1 } }] }', "did you mean 'share'"),
        ('{ stylizer = "colour.mkl", decorators = [{ strength = 0.5 }] }', "takes a table of keys"),
        ('{ stylizer = "colour.mkl", decorators = [{ strength = { share = 7 } }] }', "0..1"),
        ('{ stylizer = "colour.mkl", decorators = "strength" }', "must be a list"),
        ('{ stylizer = "colour.mkl", decorators = [{ tiled = {}, strength = {} }] }', "a table of one name"),
        ('{ stylizer = "colour.mkl", decorators = [{ tiled = { side = 128, overlap = 100 } }] }', "side / 2"),
        ('{ stylizer = "colour.mkl", decorators = [{ region = { mask = "absent.png" } }] }', "does not exist"),
        ('{ stylizer = "colour.mkl", decorators = [{ guard = { classifier = "x" } }] }', "Python only"),
        ('{ stylizer = "colour.mkl", decorators = [{ guard = { encoder = "efficientnet" } }] }', "did you mean"),
        ('{ stylizer = "colour.mkl", decorators = [{ background_only = { mask = "sky" } }] }', "unknown mask 'sky'"),
        ('{ stylizer = "colour.mlk" }', "did you mean 'colour.mkl'"),
        ('{ stylizer = "colour.mkl", decorator = [] }', "did you mean 'decorators'"),
        ("7", "a recipe is a table"),
        ("{ stylizer", "one line of TOML"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_told(line, message):
    with pytest.raises(ConfigError, match=message):
        Recipe.parse(line)


def test_a_real_stylizer_under_all_of_them(tmp_path):
    line = '{ stylizer = "colour.mkl", decorators = [{ tiled = { side = 64, overlap = 16 } }, "background_only", '
    line += '{ strength = { share = 0.8 } }, { cached = { folder = "kept" } }, "guard", "fallback"] }'
    stylizer = Recipe.parse(line, tmp_path).make()
    code = stylizer.encode(RNG.integers(0, 256, (1, 40, 40, 3), np.uint8))
    found = paint(stylizer, PHOTOS, code)
    assert found.reasons == ("", "")
    inside = cut_out(PHOTOS).alpha == 1
    np.testing.assert_array_equal(found.images[inside], PHOTOS[inside])
    assert np.abs(found.images.astype(int) - PHOTOS)[~inside].mean() > 5
    assert len(list((tmp_path / "kept").rglob("*.png"))) == 2
    np.testing.assert_array_equal(stylizer.apply(PHOTOS, code), found.images)


@pytest.mark.parametrize("name", sorted(set(DECORATORS) - {"region", "cached"}))
@pytest.mark.parametrize("shape", [(0, 20, 20), (1, 1, 1), (2, 3, 70), (1, 16, 17)])
def test_no_photo_and_tiny_photos(name, shape):
    stylizer = Recipe("colour.mkl", decorators=(name,)).make()
    code = stylizer.encode(RNG.integers(0, 256, (1, 40, 40, 3), np.uint8))
    images = RNG.integers(0, 256, (*shape, 3), np.uint8)
    found = paint(stylizer, images, code)
    assert found.images.shape == images.shape
    assert len(found.reasons) == len(found.shares) == len(images)


def test_photos_of_another_type_are_refused():
    stylizer = decorate(Negative(), Strength(0.5))
    with pytest.raises(DataError, match=r"must be \(n, h, w, 3\) uint8, got .* uint16"):
        paint(stylizer, PHOTOS.astype(np.uint16), CODE)
    with pytest.raises(ConfigError, match="the code is of another"):
        stylizer.apply(PHOTOS, StyleCode("another", {}))


def test_a_stylizer_that_changes_the_size_is_told_apart():
    bad = Negative()
    bad.apply = lambda images, code, *, seed=0: images[:, ::2]
    with pytest.raises(DataError, match="must keep shape and type"):
        decorate(bad, Strength(0.5)).apply(PHOTOS, CODE)


def test_every_registered_stylizer_can_be_decorated_by_name():
    assert isinstance(create("stylizers", "colour.ot"), Stylizer)
    assert isinstance(Recipe("colour.ot", decorators=("tiled",)).make(), Decorated)
