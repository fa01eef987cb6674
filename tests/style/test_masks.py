"""Masks of the user's own, of a network, and of GrabCut."""

import zipfile

import numpy as np
import pytest
from drawn_shirt import photo
from PIL import Image
from scipy.ndimage import binary_erosion

from recsys.errors import ConfigError, ImageError
from recsys.extras import require
from style.catalogue import restyle
from style.encoders.onnxfile import Graph
from style.images import encode_jpeg
from style.imagestore import ImageStore
from style.look import look_from_mapping
from style.masks import OwnMasks, mask_source, read_mask

PHOTO, TRUTH = photo((60, 90, 150))
BATCH = np.stack([PHOTO, photo((170, 40, 60), seed=1)[0]])
BACKDROP = {"backdrop": {"kinds": ["spotlight"], "palettes": [["#101018", "#101018"]]}}


def as_png(array, path):
    Image.fromarray(array).save(path)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "masks"
    made.mkdir()
    as_png((TRUTH * 255 + 0.5).astype(np.uint8), made / "shirt.png")
    return made


def network(path, outputs=("p",), layout=(1, 3, 32, 32), logit=False):
    """A network that says how little red there is: sigmoid(-8 x red) of the normalised input, or its logit."""
    graph = Graph()
    weight = np.zeros((1, 3, 1, 1), np.float32)
    weight[0, 0] = -8.0
    made = graph.add("Conv", ["x", graph.constant(weight)], kernel_shape=(1, 1))
    made = made if logit else graph.add("Sigmoid", [made])
    path.write_bytes(graph.model({"x": ("float32", layout)}, {made: "float32"}))
    return path


def test_own_masks_are_taken_as_they_are(folder):
    cut = mask_source(f"folder:{folder}").cut(BATCH, ["shirt", "other"])
    np.testing.assert_allclose(cut.alpha[0], TRUTH, atol=0.003)  # 8 bits
    assert cut.confidence.tolist() == [1.0, 0.0]
    wall, _ = photo((240, 239, 237))
    far = TRUTH == 0
    assert np.abs(cut.background[0][:, far] - wall.transpose(2, 0, 1)[:, far]).mean() < 2


def test_a_zip_of_masks_and_a_column_of_names(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as file:
        file.write(folder / "shirt.png", "deep/shirt.png")
    assert mask_source(f"folder:{tmp_path / 'masks.zip'}").cut(BATCH[:1], ["shirt"]).confidence[0] == 1
    named = OwnMasks(ImageStore.open(folder), {"4711": "shirt.png"})
    assert named.cut(BATCH[:1], ["4711"]).confidence[0] == 1


@pytest.mark.parametrize("name", ["../shirt", "/etc/passwd", "a/../../shirt", "shirt\0", "", "CON", "ä" * 200])
def test_hostile_ids_have_no_mask_and_read_nothing_outside(folder, name):
    (folder.parent / "outside.png").write_bytes((folder / "shirt.png").read_bytes())
    source = mask_source(f"folder:{folder}")
    assert source.cut(BATCH[:1], [name]).confidence[0] == 0
    assert source.cut(BATCH[:1], ["../outside"]).confidence[0] == 0
    assert b"shirt" not in source.mark_of(name) or b"no mask" in source.mark_of(name)


def test_what_a_mask_picture_may_be(tmp_path):
    shape = TRUTH.shape
    level = (TRUTH * 255 + 0.5).astype(np.uint8)
    clear = np.dstack([np.full((*shape, 3), 9, np.uint8), level])
    kinds = {"grey.png": level, "deep.png": (TRUTH * 65535).astype(np.uint16), "rgb.png": np.dstack([level] * 3)}
    for name, array in (kinds | {"opaque.png": clear}).items():
        as_png(array, tmp_path / name)
        np.testing.assert_allclose(read_mask((tmp_path / name).read_bytes(), shape, what=name), TRUTH, atol=0.005)
    as_png(level > 127, tmp_path / "bilevel.png")
    assert set(np.unique(read_mask((tmp_path / "bilevel.png").read_bytes(), shape, what=""))) == {0, 1}
    Image.fromarray(level).resize((351, 528), Image.Resampling.BICUBIC).save(tmp_path / "large.png")
    assert np.abs(read_mask((tmp_path / "large.png").read_bytes(), shape, what="") - TRUTH).mean() < 0.01
    turned = Image.fromarray(np.rot90(level))  # a camera's own way to say: turn me
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_allclose(read_mask((tmp_path / "turned.png").read_bytes(), shape, what=""), TRUTH, atol=0.005)


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_a_damaged_mask_is_no_mask(folder, data):
    (folder / "broken.png").write_bytes(data)
    with pytest.raises(ImageError):
        read_mask(data, TRUTH.shape, what="broken")
    assert mask_source(f"folder:{folder}").cut(BATCH[:1], ["broken"]).confidence[0] == 0


@pytest.mark.parametrize(("shape", "value"), [((176, 117), 0), ((100, 100), 255), ((117, 176), 255)])
def test_an_empty_mask_or_one_of_another_picture_is_doubtful(folder, shape, value):
    as_png(np.full(shape, value, np.uint8), folder / "odd.png")
    assert mask_source(f"folder:{folder}").cut(BATCH[:1], ["odd"]).confidence[0] == 0


def test_a_look_takes_own_masks_and_a_changed_mask_makes_the_picture_anew(folder, tmp_path):
    look = look_from_mapping("mine", BACKDROP | {"mask": "folder:masks"}, tmp_path)
    photos = {"shirt": encode_jpeg(PHOTO, 95), "bare": encode_jpeg(BATCH[1])}

    def run():
        look = look_from_mapping("mine", BACKDROP | {"mask": "folder:masks"}, tmp_path)
        frame = restyle(list(photos), photos.__getitem__, [look], tmp_path / "out").frame
        return frame.set_index("item_id"), (tmp_path / "out" / "images" / "mine" / "shirt.jpg").read_bytes()

    frame, first = run()
    assert frame["image"].tolist() == ["images/mine/shirt.jpg", ""]
    assert frame.loc["bare", "reason"] == "mask is doubtful"
    assert run()[1] == first
    as_png(np.full(TRUTH.shape, 255, np.uint8), folder / "shirt.png")  # all of it product: nothing may change
    assert run()[1] != first
    assert look.recipe == look_from_mapping("mine", BACKDROP | {"mask": "folder:masks"}, tmp_path).recipe


def test_masks_of_a_folder_need_items(folder):
    with pytest.raises(ConfigError, match="belong to items"):
        mask_source(f"folder:{folder}").cut(BATCH)


@pytest.mark.parametrize("logit", [False, True])
def test_a_network_of_the_users_says_what_is_product(tmp_path, logit):
    pytest.importorskip("onnxruntime")
    path = network(tmp_path / "net.onnx", logit=logit)
    source = mask_source(f"onnx:{path}?scale=half" + "&output=logit" * logit)
    cut = source.cut(BATCH)
    inner = binary_erosion(TRUTH == 1, iterations=7)  # 32 pixels of the network are 176 of the photo
    # Red 60 of 255 is -0.53 scaled: sigmoid(4.2) = 0.985, sure; the wall's 240 is 0.88: sigmoid(-7) = 0.001.
    assert (cut.alpha[0][inner] == 1).all()
    assert cut.alpha[0][:20].max() == 0
    assert cut.confidence[0] > 0.5
    look = look_from_mapping("mine", BACKDROP | {"mask": "onnx:net.onnx?scale=half"}, tmp_path)
    other = look_from_mapping("mine", BACKDROP | {"mask": "onnx:net.onnx?scale=none"}, tmp_path)
    assert look.recipe != other.recipe


@pytest.mark.parametrize("layout", [(1, 3, 48, 48), ("n", 3, "h", "w")])
def test_a_network_of_any_input_size(tmp_path, layout):
    pytest.importorskip("onnxruntime")
    source = mask_source(f"onnx:{network(tmp_path / 'net.onnx', layout=layout)}?scale=half")
    assert source.cut(BATCH[:1]).alpha.shape == (1, 176, 117)


def test_a_network_that_is_replaced_is_another_recipe(tmp_path):
    pytest.importorskip("onnxruntime")
    first = mask_source(f"onnx:{network(tmp_path / 'net.onnx')}").marks()
    network(tmp_path / "net.onnx", layout=(1, 3, 64, 64))
    assert mask_source(f"onnx:{tmp_path / 'net.onnx'}").marks() != first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gabcut", "did you mean 'grabcut'"),
        ("folder:", "unknown mask"),
        ("folder:absent", "does not exist"),
        ("onnx:absent.onnx", "does not exist"),
        ("onnx:bad.onnx", "not a model that onnxruntime can load"),
        ("onnx:net.onnx?scale=haf", "did you mean 'half'"),
        ("onnx:net.onnx?outptu=logit", "did you mean 'output'"),
    ],
)
def test_what_is_wrong_with_a_mask_is_told(tmp_path, monkeypatch, text, message):
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    network(tmp_path / "net.onnx")
    with pytest.raises(ConfigError, match=message):
        mask_source(text)


def test_a_network_that_answers_logits_is_told_apart(tmp_path):
    pytest.importorskip("onnxruntime")
    source = mask_source(f"onnx:{network(tmp_path / 'net.onnx', logit=True)}")
    with pytest.raises(ConfigError, match=r"not 0\.\.1; add \?output=logit"):
        source.cut(BATCH)


def test_a_look_with_a_mask_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="unknown mask 'sky'"):
        look_from_mapping("mine", BACKDROP | {"mask": "sky"}, tmp_path)


def test_tiny_photos_have_no_mask():
    for name in ("studio", "grabcut") if require_cv2() else ("studio",):
        cut = mask_source(name).cut(np.full((2, 1, 1, 3), 9, np.uint8))
        assert cut.confidence.tolist() == [0, 0]
        assert cut.alpha.shape == (2, 1, 1)


def require_cv2():
    try:
        return bool(require("cv2", extra="grabcut"))
    except ImportError:
        return False


def half_lost():
    """A grey shirt on a grey wall, a third of it as the wall is but for its weave: photo and truth."""
    image, truth = photo((150, 140, 170), studio=(206, 205, 203), noise=0.6, gradient=0.0)
    rng = np.random.default_rng(0)
    part = (truth > 0.99) & (np.arange(176)[:, None] > 95) & (np.arange(176)[:, None] < 128)
    weave = 206 + 9 * np.sign(rng.normal(size=truth.shape))[..., None] * np.array([1, -0.4, -0.6])
    return np.where(part[..., None], np.clip(weave, 0, 255), image).astype(np.uint8), truth


def test_grabcut_only_adds_and_is_the_same_every_time():
    pytest.importorskip("cv2")
    images = np.concatenate([BATCH, half_lost()[0][None]])
    plain, grab = mask_source("studio").cut(images), mask_source("grabcut").cut(images)
    again = mask_source("grabcut").cut(images[::-1])
    np.testing.assert_array_equal(grab.alpha, again.alpha[::-1])
    truth = np.stack([TRUTH, TRUTH, half_lost()[1]]) > 0.5
    for i in range(3):
        found, before = grab.alpha[i] > 0.5, plain.alpha[i] > 0.5
        overlap = [(m & truth[i]).sum() / (m | truth[i]).sum() for m in (found, before)]
        assert overlap[0] >= overlap[1] - 0.002
        assert overlap[0] > 0.95
