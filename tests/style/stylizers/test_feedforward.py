"""Feed-forward networks: trained, stopped and gone on with, written and read."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from stylizer_contract import StylizerContract, pictures

from recsys.errors import ArtifactError, ConfigError, DataError
from style.base import StyleCode
from style.imagestore import ImageStore
from style.networks import ConditionalNorm, PaintNetwork
from style.perception import Perception, as_tensor
from style.stylizers.feedforward import FeedForward, FeedForwardConfig, FeedForwardTask
from style.training import HELD_OUT, Photos, TrainConfig, train

QUICK = FeedForwardConfig(backbone="random", device="cpu", learning_rate=5e-3, tiles=2)
STYLES = {"night": pictures(1, (40, 40), seed=9)[0], "day": pictures(1, (40, 40), seed=8)[0]}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i, picture in enumerate(pictures(20, (44, 40), seed=1)):
        Image.fromarray(picture).save(folder / f"{i}.png")
    return Photos.of(ImageStore.open(folder))


@pytest.fixture(scope="module")
def model(photos, tmp_path_factory):
    out, task = tmp_path_factory.mktemp("model"), FeedForwardTask(QUICK, STYLES)
    curve = train(task, photos, TrainConfig(steps=60, batch=2, size=32, every=20), out)
    task.export(out, {})
    return out, curve, task


class TestFeedForward(StylizerContract):
    tolerance = 1

    @pytest.fixture(scope="class")
    @classmethod
    def stylizer(cls, model):
        return FeedForward(str(model[0]), device="cpu")

    def test_a_style_it_was_not_trained_for_is_refused(self, stylizer):
        with pytest.raises(ConfigError, match="was not trained for that style image; it knows night, day"):
            stylizer.encode(pictures(1, seed=77))

    def test_a_style_is_known_again_when_it_was_encoded_anew(self, stylizer, code):
        assert code.arrays["weights"].tolist() == [1, 0]
        again = np.clip(STYLES["day"].astype(int) + np.random.default_rng(0).integers(-3, 4, (40, 40, 3)), 0, 255)
        assert stylizer.encode(again.astype(np.uint8)[None]).arrays["weights"].tolist() == [0, 1]

    def test_codes_mix(self, stylizer, code):
        """Half of each style lies between both."""
        other, images = stylizer.encode(STYLES["day"][None]), pictures(1)
        mixed = StyleCode.mix({code: 0.5, other: 0.5})
        assert mixed.arrays["weights"].tolist() == [0.5, 0.5]
        whole = [stylizer.apply(images, c).astype(int) for c in (code, other, mixed)]
        assert all(np.abs(whole[2] - w).mean() < np.abs(whole[0] - whole[1]).mean() for w in whole[:2])

    def test_styles_differ(self, stylizer, code):
        images = pictures(2)
        other = stylizer.encode(STYLES["day"][None])
        assert np.abs(stylizer.apply(images, code).astype(int) - stylizer.apply(images, other)).mean() > 1


class TestHalfPrecision(TestFeedForward):
    """All of the contract, and near the pictures of full precision."""

    tolerance = 2

    @pytest.fixture(scope="class")
    @classmethod
    def stylizer(cls, model):
        return FeedForward(str(model[0]), device="cpu", precision="bfloat16")

    def test_pictures_are_those_of_full_precision(self, stylizer, code, model):
        images = pictures(3)
        full = FeedForward(str(model[0]), device="cpu").apply(images, code).astype(float)
        error = np.square(stylizer.apply(images, code) - full).mean()
        assert np.square(full - images).mean() > 10  # there is something to be near to
        assert 10 * np.log10(255**2 / error) > 33


def test_an_unknown_precision_is_refused(model):
    with pytest.raises(ConfigError, match=r"precision must be one of float32, bfloat16, got 'int8'"):
        FeedForward(str(model[0]), precision="int8")


def test_an_untrained_network_changes_nothing():
    x = torch.rand(2, 3, 21, 18)
    torch.testing.assert_close(PaintNetwork(1, 4, 1)(x, torch.ones(2, 1)), x)


def test_conditional_norm_is_instance_norm_of_the_mixed_style():
    norm, x = ConditionalNorm(5, 2), torch.randn(3, 5, 6, 7)
    with torch.no_grad():
        norm.scale.copy_(torch.randn(2, 5))
        norm.shift.copy_(torch.randn(2, 5))
    mix = torch.tensor([0.25, 0.75]).expand(3, 2)
    scale, shift = 0.25 * norm.scale[0] + 0.75 * norm.scale[1], 0.25 * norm.shift[0] + 0.75 * norm.shift[1]
    expected = torch.nn.functional.instance_norm(x, weight=scale, bias=shift)
    torch.testing.assert_close(norm(x, mix), expected, rtol=1e-4, atol=1e-5)
    with torch.no_grad():  # what a finished network takes
        torch.testing.assert_close(norm(x, mix), expected.detach(), rtol=1e-4, atol=1e-5)


class TestTraining:
    config = TrainConfig(steps=12, batch=2, size=32, every=4, seed=5)

    def run(self, photos, out, steps=12, seed=0):
        task = FeedForwardTask(QUICK, STYLES, seed=seed)
        return train(task, photos, TrainConfig(**{**vars(self.config), "steps": steps}), out), task

    def test_held_out_loss_falls(self, model):
        losses = [row["held_out_loss"] for row in model[1]]
        assert losses[-1] < 0.8 * losses[0]

    def test_a_training_that_was_cut_off_goes_on_bit_for_bit(self, photos, tmp_path):
        whole, task = self.run(photos, tmp_path / "whole")
        self.run(photos, tmp_path / "cut", steps=4)
        self.run(photos, tmp_path / "cut", steps=8)
        rest, again = self.run(photos, tmp_path / "cut")
        assert rest == whole
        for name, value in task.network.state_dict().items():
            assert torch.equal(value, again.network.state_dict()[name]), name
        files = [(tmp_path / part / "checkpoint.safetensors").read_bytes() for part in ("whole", "cut")]
        assert files[0] == files[1]

    def test_a_checkpoint_of_another_training_is_refused(self, photos, tmp_path):
        self.run(photos, tmp_path, steps=4)
        other = TrainConfig(**{**vars(self.config), "seed": 6})
        with pytest.raises(ArtifactError, match="is of other options"):
            train(FeedForwardTask(QUICK, STYLES), photos, other, tmp_path)

    @pytest.mark.parametrize("keep", [0, 7, 200])
    def test_a_damaged_checkpoint_is_refused(self, photos, tmp_path, keep):
        self.run(photos, tmp_path, steps=4)
        path = tmp_path / "checkpoint.safetensors"
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(ArtifactError, match="is damaged"):
            self.run(photos, tmp_path)

    def test_early_stopping_looks_at_the_held_out_loss(self, photos, tmp_path):
        config = TrainConfig(steps=400, batch=1, size=32, every=1, patience=2)
        flat = FeedForwardConfig(backbone="random", device="cpu", style_weight=0.0, tv_weight=0.0)
        curve = train(FeedForwardTask(flat, STYLES), photos, config, tmp_path)
        losses = [row["held_out_loss"] for row in curve]
        assert len(curve) - 1 - int(np.argmin(losses)) == 2

    def test_what_is_held_out_is_never_trained_on(self, photos):
        held = {p.tobytes() for p in photos.held_out(40)}
        config = TrainConfig(batch=4, size=40)
        assert len(held) == HELD_OUT
        seen = np.concatenate([photos.batch(step, config) for step in range(9)])
        assert all(
            np.abs(s.astype(int) - np.frombuffer(h, np.uint8).reshape(40, 40, 3)).mean() > 2 for s in seen for h in held
        )

    def test_a_loss_that_is_not_finite_is_refused(self, photos, tmp_path, monkeypatch):
        task = FeedForwardTask(QUICK, STYLES)
        monkeypatch.setattr(task, "step", lambda photos, rng: {"loss": float("nan")})
        with pytest.raises(DataError, match="at step 1; lower the learning rate"):
            train(task, photos, self.config, tmp_path)

    def test_photos_of_which_none_can_be_read_are_refused(self, tmp_path):
        for i in range(16):
            (tmp_path / f"{i}.png").write_bytes(b"no picture")
        with pytest.raises(DataError, match=r"none of 8 photos can be read, such as \d+\.png: not a picture"):
            Photos.of(ImageStore.open(tmp_path)).batch(0, TrainConfig())

    def test_few_photos_are_refused(self, tmp_path):
        with pytest.raises(DataError, match="at least 16 photos, got 0"):
            Photos.of(ImageStore.open(tmp_path))


class TestModelFiles:
    def test_a_changed_model_is_refused(self, model, tmp_path):
        for path in model[0].iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        data = bytearray((tmp_path / "model.safetensors").read_bytes())
        data[-1] ^= 1
        (tmp_path / "model.safetensors").write_bytes(bytes(data))
        with pytest.raises(ArtifactError, match="was changed"):
            FeedForward(str(tmp_path))

    def test_another_kind_is_refused(self, tmp_path):
        (tmp_path / "model.json").write_text(json.dumps({"kind": "adain", "format": 1}))
        with pytest.raises(ArtifactError, match="no feedforward model"):
            FeedForward(str(tmp_path))

    def test_no_model_is_refused_with_the_cure(self):
        with pytest.raises(ConfigError, match="stylerec style train feedforward"):
            FeedForward()


@pytest.mark.parametrize("options", [{"size": "big"}, {"style_weight": -1.0}, {"learning_rate": 0.0}, {"tiles": 0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ConfigError, match="feedforward: "):
        FeedForwardConfig(**options)


def test_tiles_ask_the_style_of_every_field():
    """All texture in one corner has the Gram matrix of the whole, and none of its fields has."""
    perception = Perception.of("random", device="cpu")
    even = as_tensor(pictures(1, (64, 64), seed=3))
    corner = torch.full_like(even, 0.5)
    corner[:, :, :32, :32] = even[:, :, :32, :32]
    grams, content = perception.grams(even), perception.targets(even)
    whole, tiled = (perception.parts(corner, content, grams, tiles=t)["style"].item() for t in (1, 2))
    assert tiled > whole
    alone = [
        perception.parts(even[:, :, y : y + 32, x : x + 32], perception.targets(even[:, :, :32, :32]), grams)["style"]
        for y in (0, 32)
        for x in (0, 32)
    ]
    # fields of the picture's activations, not of the picture: borders differ
    assert perception.parts(even, content, grams, tiles=2)["style"].item() == pytest.approx(
        torch.stack(alone).mean().item(), rel=0.35
    )
