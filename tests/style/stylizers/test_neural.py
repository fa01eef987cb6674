"""Neural style: losses fall, the photo is the start, and pictures do not see each other."""

import numpy as np
import pytest
import torch
from stylizer_contract import StylizerContract, pictures

from recsys.errors import ArtifactError, ConfigError
from recsys.models.crew import crew
from style.backbone import BACKBONES, load_backbone
from style.base import StyleCode
from style.perception import as_tensor
from style.stylizers.neural import NeuralStyle

QUICK = {"backbone": "random", "steps": 6, "device": "cpu"}


class TestLbfgs(StylizerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def stylizer(cls):
        return NeuralStyle(**QUICK)


class TestAdam(StylizerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def stylizer(cls):
        return NeuralStyle(**QUICK, optimiser="adam")


@pytest.mark.parametrize("optimiser", ["lbfgs", "adam"])
def test_the_loss_falls_to_a_tenth(optimiser):
    """Measured: to 1/25 (lbfgs) and 1/14 (adam)."""
    stylizer = NeuralStyle(backbone="random", steps=60, optimiser=optimiser, device="cpu")
    photos, grams = (
        as_tensor(pictures(2, (48, 48))),
        stylizer.perception.grams(as_tensor(pictures(1, (48, 48), seed=4))),
    )
    target = stylizer.perception.targets(photos)
    made = stylizer.optimise(photos, grams)
    with torch.no_grad():
        before, after = (stylizer.loss(x, target, grams) for x in (photos, made))
    assert (after < before / 10).all()


@pytest.mark.parametrize("optimiser", ["lbfgs", "adam"])
def test_results_do_not_depend_on_threads_or_neighbours(optimiser):
    """Bit for bit, over enough steps for a last bit to grow into levels."""
    stylizer = NeuralStyle(backbone="random", steps=25, optimiser=optimiser, device="cpu")
    images, code = pictures(3), stylizer.encode(pictures(1, seed=4))
    with crew():  # torch on one thread
        alone = [stylizer.apply(images[i : i + 1], code) for i in range(3)]
    np.testing.assert_array_equal(stylizer.apply(images, code), np.concatenate(alone))


def test_without_style_nothing_changes():
    stylizer = NeuralStyle(**QUICK, style_weight=0.0, tv_weight=0.0)
    images = pictures()
    np.testing.assert_array_equal(stylizer.apply(images, stylizer.encode(images[:1])), images)


def test_large_photos_get_the_change_enlarged():
    small, large = (NeuralStyle(**QUICK, side=side) for side in (32, 64))
    images, code = pictures(1, (64, 64)), NeuralStyle(**QUICK).encode(pictures(1, seed=3))
    change = small.apply(images, code).astype(int) - images
    assert np.abs(change).max() > 0
    assert change.std() < 3 * (large.apply(images, code).astype(int) - images).std()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be >= 1"),
        ({"style_weight": -1.0}, "style_weight must be >= 0, got -1"),
        ({"optimiser": "sgd"}, "lbfgs or adam, got 'sgd'"),
        ({"backbone": "vgg"}, "did you mean 'vgg19'"),
        ({"style_layers": ("stage9",)}, "unknown layer of random 'stage9'"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        NeuralStyle(**QUICK | options)


def test_a_code_of_other_layers_is_refused():
    with pytest.raises(ConfigError, match="the code has the layers"):
        NeuralStyle(**QUICK).apply(pictures(1), StyleCode("neural_style", {"relu": np.zeros((2, 2), np.float32)}))


class TestBackbones:
    @pytest.mark.parametrize("name", ["vgg19", "resnet50"])
    def test_torchvisions_weights_come_from_a_file(self, name, tmp_path):
        """A state dict of random weights: activations must be those of torchvision's own model."""
        import torchvision

        torch.manual_seed(0)
        peer = getattr(torchvision.models, name)(weights=None).eval()
        torch.save(peer.state_dict(), tmp_path / "weights.pth")
        backbone = load_backbone(name, weights=str(tmp_path / "weights.pth"), device="cpu")
        x = torch.rand(1, 3, 64, 64)
        last = list(backbone.layers)[-1]
        with torch.no_grad():
            z = (x - backbone.mean[:, None, None]) / backbone.deviation[:, None, None]
            if name == "vgg19":
                expected = peer.features(z)
            else:
                expected = peer.layer4(
                    peer.layer3(peer.layer2(peer.layer1(peer.maxpool(peer.relu(peer.bn1(peer.conv1(z)))))))
                )
            found = backbone.features(x, [*backbone.content, *backbone.style, last])
        torch.testing.assert_close(found[last], expected)
        assert set(found) == {*backbone.content, *backbone.style, last}

    def test_weights_that_are_not_there_are_named_with_the_offline_choice(self, monkeypatch, tmp_path):
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
        with pytest.raises(ArtifactError, match=r"does not exist; fetch https://.*efficientnet-lite0"):
            load_backbone("vgg19", weights="", device="cpu")

    def test_a_file_that_is_no_state_dict_is_refused(self, tmp_path):
        (tmp_path / "w.pth").write_bytes(b"nonsense")
        with pytest.raises(ArtifactError, match=r"w\.pth is no state dict") as refused:
            load_backbone("vgg19", weights=str(tmp_path / "w.pth"), device="cpu")
        assert "weights_only" not in str(refused.value)

    @pytest.mark.parametrize("name", ["random", "efficientnet-lite0"])
    def test_gradients_reach_the_picture(self, name):
        if name == "efficientnet-lite0":
            pytest.importorskip("efficientnet_lite_pytorch")
        backbone = load_backbone(name, device="cpu")
        x = torch.rand(1, 3, 32, 32).requires_grad_()
        found = backbone.features(x, backbone.style)
        sum(f.square().sum() for f in found.values()).backward()
        assert x.grad is not None
        assert x.grad.abs().max() > 0
        assert set(BACKBONES) >= {name}
