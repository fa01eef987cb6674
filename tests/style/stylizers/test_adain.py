"""Networks for any style: their equations, trained, written and read."""

import io
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from stylizer_contract import StylizerContract, pictures

from recsys.errors import ArtifactError, ConfigError
from recsys.files import stable_hash
from style.backbone import load_backbone
from style.base import StyleCode
from style.losses import channel_statistics
from style.perception import as_tensor
from style.stylizers.adain import Adain, AdainConfig, AdainTask, Sanet, SanetConfig, built
from style.stylizers.adain_networks import Decoder, StatisticsMerge, StyleAttention, adain, normalised
from style.training import Photos, TrainConfig, train

QUICK = {"backbone": "random", "device": "cpu", "learning_rate": 5e-3}
CONFIGS = {"adain": AdainConfig(**QUICK), "sanet": SanetConfig(**QUICK, slots=8)}
STEPS = TrainConfig(steps=100, batch=2, size=32, every=25)


def kept(images, held):
    """Pictures in memory, as a training reads them."""
    files = {}
    for i, image in enumerate(images):
        Image.fromarray(image).save(buffer := io.BytesIO(), "PNG")
        files[f"{i}"] = buffer.getvalue()
    return Photos(list(files), files.__getitem__, held=held)


PHOTOS = kept(pictures(20, (44, 40), seed=1), 4)
STYLES = kept(np.concatenate([pictures(2, (40, 40), seed=9) // 3, 255 - pictures(2, (40, 40), seed=8) // 3]), 0)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Kind → folder, judgement before, judgement after."""
    found = {}
    for kind, config in CONFIGS.items():
        out, task = tmp_path_factory.mktemp(kind), AdainTask(config, STYLES)
        before = task.judge(as_tensor(PHOTOS.held_out(32)))
        curve = train(task, PHOTOS, STEPS, out)
        task.export(out, {})
        found[kind] = out, before, curve[-1]
    return found


class Contract(StylizerContract):
    tolerance = 1  # the last bits of convolutions

    def test_codes_mix(self, stylizer, code):
        """Half of each style lies between both."""
        other, images = stylizer.encode(255 - pictures(1, (40, 40), seed=8) // 3), pictures(2)
        whole = [stylizer.apply(images, c).astype(int) for c in (code, other, StyleCode.mix({code: 0.5, other: 0.5}))]
        apart = np.abs(whole[0] - whole[1]).mean()
        assert apart > 2
        assert all(np.abs(whole[2] - w).mean() < apart for w in whole[:2])

    def test_alpha_takes_less_of_the_style(self, stylizer, models, code):
        """Half lies nearer to the whole than none does, and none is the same whatever the style."""
        images, folder = pictures(2), str(models[stylizer.spec.name][0])
        none, half = (type(stylizer)(folder, alpha=alpha, device="cpu") for alpha in (0, 0.5))
        made = [s.apply(images, code).astype(int) for s in (none, half, stylizer)]
        assert np.abs(made[1] - made[2]).mean() < np.abs(made[0] - made[2]).mean()
        np.testing.assert_array_equal(none.apply(images, none.encode(pictures(1, seed=4))), made[0])

    def test_several_style_pictures_are_averaged(self, stylizer):
        two = pictures(2, (40, 40), seed=5)
        mixed = StyleCode.mix({stylizer.encode(two[:1]): 1, stylizer.encode(two[1:]): 1})
        for name, array in stylizer.encode(two).arrays.items():
            np.testing.assert_allclose(array, mixed.arrays[name], rtol=1e-4, atol=1e-5)

    def test_the_code_of_another_model_is_refused(self, stylizer, code):
        with pytest.raises(ConfigError, match="encode the style anew"):
            stylizer.apply(pictures(1), StyleCode(code.stylizer, {"v": np.zeros(100, np.float32)}))

    def test_the_code_has_one_size_for_styles_of_all_sizes(self, stylizer, code):
        other = stylizer.encode(pictures(1, (70, 31)))
        assert {k: a.shape for k, a in other.arrays.items()} == {k: a.shape for k, a in code.arrays.items()}

    def test_training_lowers_style_and_content(self, stylizer, models):
        """From scratch, on photos never trained on; the content of a photo is at first all its own."""
        _, before, after = models[stylizer.spec.name]
        assert after["held_out_style"] < 0.8 * before["style"]
        assert after["held_out_loss"] < 0.8 * before["loss"]
        assert before["style_share"] == pytest.approx(1)  # an untrained network changes nothing


class TestAdain(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def stylizer(cls, models):
        return Adain(str(models["adain"][0]), device="cpu")

    def test_training_lowers_the_distance_to_the_target_of_eq_12(self, models):
        _, before, after = models["adain"]
        assert after["held_out_content"] < 0.9 * before["content"]

    def test_the_code_is_the_channels_mean_and_deviation(self, stylizer, style, code):
        prolonged = torch.nn.functional.pad(as_tensor(style), [32] * 4, mode="replicate")
        seen = stylizer.backbone.features(prolonged, ["stage1"])["stage1"] / stylizer.network.scale[1]
        seen = seen[:, :, 8:-8, 8:-8]  # 32 pixels at stride 4
        np.testing.assert_allclose(code.arrays["stage1.mean"], seen.mean((0, 2, 3)).numpy(), rtol=1e-4)
        expected = seen.std((0, 2, 3), correction=0).numpy()
        np.testing.assert_allclose(code.arrays["stage1.deviation"], expected, rtol=1e-4, atol=1e-6)


class TestSanet(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def stylizer(cls, models):
        return Sanet(str(models["sanet"][0]), device="cpu")


class TestEquations:
    def test_adain_gives_the_targets_statistics(self):
        """Closed form: eq. 8 has the style's mean and deviation, and is instance normalisation scaled and shifted."""
        x, mean, deviation = torch.randn(2, 5, 9, 7) * 3 + 1, torch.randn(2, 5), torch.rand(2, 5) + 0.1
        made = adain(x, mean, deviation)
        for found, expected in zip(channel_statistics(made), (mean, deviation), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        alone = torch.nn.functional.instance_norm(x[1:], weight=deviation[1], bias=mean[1])
        torch.testing.assert_close(made[1:], alone, rtol=1e-4, atol=1e-5)

    def test_a_photo_in_its_own_statistics_is_itself(self):
        seen, merge = {"pixels": torch.rand(2, 3, 8, 8), "deep": torch.randn(2, 6, 4, 4)}, StatisticsMerge()
        for depth, made in merge(seen, merge.describe(seen)).items():
            # EPSILON takes at most this share of the deviations above
            torch.testing.assert_close(made, seen[depth], rtol=1e-3, atol=1e-3)

    def test_alpha_mixes_the_photos_own_activations_in(self):
        """Eq. 14: α AdaIN(f, s) + (1 - α) f."""
        backbone = load_backbone("random", device="cpu")
        network = built(backbone, backbone.style, "thin", 0)
        seen, style = (network.see(backbone, torch.rand(1, 3, s, s)) for s in (24, 30))
        code = network.merge.describe(style)
        for depth, made in network.blend(seen, code, 0.3).items():
            whole = adain(seen[depth], *channel_statistics(style[depth]))
            # EPSILON takes more of flat channels: the more, the less they vary
            torch.testing.assert_close(made, 0.3 * whole + 0.7 * seen[depth], rtol=2e-2, atol=1e-2)

    def test_even_channels_become_the_styles_mean(self):
        made = adain(torch.full((1, 2, 4, 4), 7.0), torch.tensor([[1.0, 2.0]]), torch.ones(1, 2))
        torch.testing.assert_close(made[0, :, 0, 0], torch.tensor([1.0, 2.0]))

    def test_attention_is_that_of_single_places(self):
        """One place and one slot after the other, as the formula says."""
        net, photo, style = StyleAttention(5, 4, width=6).double(), torch.randn(1, 5, 3, 2), torch.randn(1, 5, 2, 4)
        photo, style = photo.double(), style.double()

        def at(conv, x):
            return (x[0].flatten(1).T @ conv.weight[:, :, 0, 0].T) + conv.bias

        keys, values, queries = at(net.key, normalised(style)), at(net.value, style), at(net.query, normalised(photo))
        answers = []
        for slot in net.slots:
            weight = torch.stack([torch.exp(slot @ k / 6**0.5) for k in keys])
            answers.append(sum(w * v for w, v in zip(weight, values, strict=True)) / weight.sum())
        torch.testing.assert_close(net.describe(style)[0], torch.stack(answers))
        made = net(photo, net.describe(style))[0].flatten(1).T
        for place, query in enumerate(queries):
            weight = torch.stack([torch.exp(slot @ query / 6**0.5) for slot in net.slots])
            found = sum(w * a for w, a in zip(weight, answers, strict=True)) / weight.sum()
            expected = photo[0].flatten(1)[:, place] + net.out.weight[:, :, 0, 0] @ found + net.out.bias
            torch.testing.assert_close(made[place], expected)

    def test_attention_to_a_mean_of_styles_is_the_mean_of_attentions(self):
        net, photo = StyleAttention(5, 4), torch.randn(1, 5, 6, 6)
        first, second = (net.describe(torch.randn(1, 5, s, s)) for s in (3, 8))
        mixed = 0.3 * net(photo, first) + 0.7 * net(photo, second)
        torch.testing.assert_close(net(photo, 0.3 * first + 0.7 * second), mixed, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("slots", [0, 4])
    def test_every_picture_of_a_batch_has_a_style_of_its_own(self, slots):
        backbone = load_backbone("random", device="cpu")
        network, x, styles = (
            built(backbone, backbone.style, "thin", slots),
            torch.rand(2, 3, 24, 24),
            torch.rand(2, 3, 20, 20),
        )
        torch.nn.init.normal_(network.decoder.out.weight)
        with torch.no_grad():
            seen, code = network.see(backbone, x), network.merge.describe(network.see(backbone, styles))
            both = network(x, network.blend(seen, code))
            for i in range(2):
                one = {k: v[i : i + 1] for k, v in seen.items()}, {k: v[i : i + 1] for k, v in code.items()}
                torch.testing.assert_close(both[i], network(x[i : i + 1], network.blend(*one))[0], rtol=1e-4, atol=1e-4)
        assert not torch.allclose(both[0] - x[0], both[1] - x[1])

    def test_an_even_picture_is_seen_evenly(self):
        """Zeros around a picture would show as a frame."""
        backbone = load_backbone("random", device="cpu")
        seen = built(backbone, backbone.style, "thin", 0).see(backbone, torch.full((1, 3, 30, 41), 0.9))
        assert [tuple(f.shape[2:]) for f in seen.values()] == [(30, 41), (15, 21), (8, 11), (4, 6)]
        for depth, f in seen.items():
            assert f.std((2, 3)).max() < 1e-5, depth

    def test_an_untrained_decoder_changes_nothing_down_to_a_single_place(self):
        sizes = {3: (17, 16), 4: (5, 4), 6: (1, 1)}
        assert not Decoder([3, 4, 6], 4)([torch.randn(1, c, *s) for c, s in sizes.items()]).any()


class TestTask:
    @pytest.mark.parametrize("kind", CONFIGS)
    def test_a_training_that_was_cut_off_goes_on_bit_for_bit(self, kind, tmp_path):
        for out, lengths in (("whole", [6]), ("cut", [2, 4, 6])):
            for steps in lengths:
                config = TrainConfig(steps=steps, batch=2, size=32, every=2, seed=5)
                train(AdainTask(CONFIGS[kind], STYLES), PHOTOS, config, tmp_path / out)
        for name in ("checkpoint.safetensors", "curve.csv", "sample.jpg"):
            assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name

    def test_judged_styles_are_not_trained_on_where_there_are_enough(self):
        many = kept(np.repeat(np.arange(12, dtype=np.uint8), 40 * 40 * 3).reshape(12, 40, 40, 3), 0)
        task = AdainTask(CONFIGS["adain"], many)
        judged = set(task.judged.held_out(32)[:, 0, 0, 0].tolist())
        drawn = set(task.styles.draw(torch.Generator().manual_seed(0), 200, 32)[:, 0, 0, 0].tolist())
        assert (len(judged), judged | drawn, judged & drawn) == (3, set(range(12)), set())

    def test_few_styles_are_judged_and_trained_on(self):
        task = AdainTask(CONFIGS["adain"], STYLES)
        assert len(task.judged.held_out(32)) == 4
        assert task.styles.held == 0

    def test_a_sheet_has_a_row_for_each_judged_style(self):
        task, photos = AdainTask(CONFIGS["sanet"], STYLES), as_tensor(pictures(2, (32, 32)))
        rows = task.sample(photos)
        assert len(rows) == 4
        assert all(torch.equal(row, photos) for row in rows)  # untrained


class TestModelFiles:
    def edited(self, models, folder, **facts):
        shutil.copytree(models["adain"][0], folder, dirs_exist_ok=True)
        manifest = json.loads((folder / "model.json").read_text())
        told = {**{k: v for k, v in manifest.items() if k != "seal"}, **facts}
        (folder / "model.json").write_text(json.dumps({**told, "seal": stable_hash(told)}))
        return str(folder)

    def test_a_model_seen_with_other_weights_is_refused(self, models, tmp_path):
        with pytest.raises(ArtifactError, match="trained with other weights of random"):
            Adain(self.edited(models, tmp_path, sees="00"), device="cpu")

    def test_facts_that_do_not_fit_the_weights_are_refused(self, models, tmp_path):
        with pytest.raises(ArtifactError, match="is damaged"):
            Adain(self.edited(models, tmp_path, size="full"), device="cpu")

    def test_the_other_kind_is_refused(self, models):
        with pytest.raises(ArtifactError, match="no sanet model"):
            Sanet(str(models["adain"][0]), device="cpu")

    def test_no_model_is_refused_with_the_cure(self):
        with pytest.raises(ConfigError, match="stylerec style train sanet"):
            Sanet()

    @pytest.mark.parametrize("options", [{"alpha": 1.5}, {"alpha": -0.1}, {"side": 8}])
    def test_options_out_of_range_are_refused(self, models, options):
        with pytest.raises(ConfigError, match=r"adain: (alpha|side) must be"):
            Adain(str(models["adain"][0]), device="cpu", **options)

    def test_a_larger_photo_is_changed_at_the_side_that_was_asked_for(self, models, tmp_path):
        """The change is painted small and enlarged: close to what is painted large, as the photo is soft."""
        small, large = (Adain(str(models["adain"][0]), side=side, device="cpu") for side in (32, 64))
        photo = np.array(Image.fromarray(pictures(1, (8, 8))[0]).resize((64, 64), Image.Resampling.BICUBIC))[None]
        code = large.encode(pictures(1, (32, 32), seed=9))
        changes = [s.apply(photo, code).astype(int) - photo for s in (small, large)]
        assert np.abs(changes[0] - changes[1]).mean() < np.abs(changes[1]).mean()


@pytest.mark.parametrize(
    "options", [{"size": "big"}, {"style_weight": -1.0}, {"identity_weight": float("nan")}, {"learning_rate": 0.0}]
)
def test_training_options_out_of_range_are_refused(options):
    with pytest.raises(ConfigError, match="adain: "):
        AdainConfig(**options)


def test_one_slot_is_refused():
    with pytest.raises(ConfigError, match="sanet: slots must be >= 2, got 1"):
        SanetConfig(slots=1)


def test_an_unknown_layer_is_named():
    with pytest.raises(ConfigError, match="unknown layer of random 'stage7'"):
        AdainTask(AdainConfig(**QUICK, layers=("stage7",)), STYLES)
