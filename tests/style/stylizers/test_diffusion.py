"""Diffusion with the real pipelines on a checkpoint of a few thousand random weights, made and saved here."""

import json
import shutil
from collections import Counter

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from stylizer_contract import StylizerContract, pictures

from recsys.errors import ArtifactError, ConfigError, DataError
from recsys.registry import component
from style.base import StyleCode
from style.stylizers.diffusion import Diffusion, DiffusionConfig, style_blocks

diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")

QUICK = {"prompt": "oil painting", "device": "cpu", "steps": 4, "side": 32}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Layers of 8 channels take longer to be shared out than to be computed, on a busy machine a hundred times."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tokenizer(folder):
    """A vocabulary of single letters and no merges: enough for CLIP's tokenizer to read any lower-case word."""
    letters = [chr(c) for c in range(97, 123)]
    tokens = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)


def parts(folder):
    text = transformers.CLIPTextConfig(
        vocab_size=54, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=16, projection_dim=16, bos_token_id=52, eos_token_id=53, pad_token_id=53,
    )  # fmt: skip
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, block_out_channels=(8, 16, 16), layers_per_block=1, norm_num_groups=4, cross_attention_dim=16,
        attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=4, sample_size=16,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    return {
        "unet": unet,
        "vae": vae,
        "text_encoder": transformers.CLIPTextModel(text),
        "tokenizer": tokenizer(folder),
        "scheduler": diffusers.DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
    }


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipe = diffusers.StableDiffusionPipeline(
            **parts(tmp_path_factory.mktemp("words")), safety_checker=None, feature_extractor=None,
            requires_safety_checker=False,
        )  # fmt: skip
        for weight in pipe.unet.parameters():  # the last layers start at zero, and all prompts would be one
            weight.data += 0.05 * torch.randn_like(weight)
    pipe.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(tmp_path_factory, checkpoint):
    """An IP-Adapter for that checkpoint and the vision encoder it looks through."""
    folder = tmp_path_factory.mktemp("adapter")
    unet = diffusers.UNet2DConditionModel.from_pretrained(checkpoint / "unet")
    rng = torch.Generator().manual_seed(1)
    tensors = {
        "image_proj.proj.weight": torch.randn(64, 12, generator=rng),
        "image_proj.proj.bias": torch.zeros(64),
        "image_proj.norm.weight": torch.ones(16),
        "image_proj.norm.bias": torch.zeros(16),
    }
    crossing = [(n, m) for n, m in unet.named_modules() if n.endswith("attn2")]
    widths = {f"{n}.processor": m.to_q.out_features for n, m in crossing}
    for i, name in enumerate(n for n in unet.attn_processors if n in widths):
        for part in ("k", "v"):
            tensors[f"ip_adapter.{2 * i + 1}.to_{part}_ip.weight"] = torch.randn(widths[name], 16, generator=rng)
    save_file(tensors, folder / "adapter.safetensors")
    vision = transformers.CLIPVisionConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=16, patch_size=8,
        projection_dim=12,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        transformers.CLIPVisionModelWithProjection(vision).save_pretrained(folder / "encoder")
    return {"adapter": str(folder / "adapter.safetensors"), "adapter_encoder": str(folder / "encoder")}


def nothing():
    return np.empty((0, 16, 16, 3), np.uint8)


class TestPrompt(StylizerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def style(cls):
        return nothing()

    @pytest.fixture(scope="class")
    @classmethod
    def stylizer(cls, checkpoint):
        return Diffusion(model=str(checkpoint), **QUICK)

    def test_more_at_once_is_the_same_but_for_the_last_bits(self, checkpoint, stylizer, code):
        many = Diffusion(model=str(checkpoint), micro_batch=2, **QUICK)
        images = pictures(3)
        assert np.abs(many.apply(images, code).astype(int) - stylizer.apply(images, code)).max() <= 1

    def test_seed_prompt_and_strength_matter(self, checkpoint, stylizer, code):
        images = pictures(1)
        made = stylizer.apply(images, code).astype(int)
        assert np.abs(made - stylizer.apply(images, code, seed=1)).mean() > 1
        other = Diffusion(model=str(checkpoint), **QUICK | {"prompt": "a shirt", "guidance": 9.0})
        assert np.abs(made - other.apply(images, code)).max() > 0

    def test_it_is_the_pipeline_of_diffusers(self, checkpoint, stylizer, code):
        """At the working size nothing is resized: the pixels are those of the package itself, up to rounding."""
        images = pictures(1, (32, 32))
        pipe = diffusers.StableDiffusionImg2ImgPipeline.from_pretrained(checkpoint, safety_checker=None)
        pipe.set_progress_bar_config(disable=True)
        x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        theirs = pipe("oil painting", image=x, strength=0.5, num_inference_steps=4, guidance_scale=6.0,
                      generator=stylizer._noise(images[0], 0), output_type="np").images  # fmt: skip
        assert np.abs(stylizer.apply(images, code) - theirs * 255).max() <= 1

    def test_noise_is_a_pictures_own_or_shared(self, checkpoint, stylizer):
        one, two = pictures(2)
        drawn = [torch.randn(4, generator=stylizer._noise(image, 0)).tolist() for image in (one, two, one)]
        assert drawn[0] == drawn[2] != drawn[1]
        shared = Diffusion(model=str(checkpoint), noise="shared", **QUICK)
        assert shared._noise(one, 0).get_state().tolist() == shared._noise(two, 0).get_state().tolist()

    def test_global_randomness_is_left_alone(self, stylizer, code):
        torch.manual_seed(5)
        before = torch.get_rng_state()
        stylizer.apply(pictures(1), code)
        assert torch.equal(torch.get_rng_state(), before)

    def test_a_style_image_needs_an_adapter(self, stylizer):
        with pytest.raises(ConfigError, match="add an adapter"):
            stylizer.encode(pictures(1))

    def test_what_is_not_finite_is_refused(self, checkpoint, code):
        broken = Diffusion(model=str(checkpoint), **QUICK)
        broken.pipe.unet.conv_out.bias.data[:] = np.nan
        with pytest.raises(DataError, match="not finite"):
            broken.apply(pictures(1), code)


class TestAdapter(StylizerContract):
    tolerance = 1

    @pytest.fixture(scope="class")
    @classmethod
    def stylizer(cls, checkpoint, adapter):
        return Diffusion(model=str(checkpoint), micro_batch=2, **adapter, **QUICK)

    def test_the_style_image_matters_and_its_scale(self, checkpoint, adapter, stylizer, code):
        images = pictures(1)
        other = stylizer.encode(pictures(1, (40, 40), seed=3))
        assert np.abs(stylizer.apply(images, code).astype(int) - stylizer.apply(images, other)).max() > 0
        mute = Diffusion(model=str(checkpoint), adapter_scale=0.0, **adapter, **QUICK)
        np.testing.assert_array_equal(mute.apply(images, code), mute.apply(images, other))

    def test_only_the_style_blocks_hear_it(self, stylizer):
        scales = {n: p.scale[0] for n, p in stylizer.pipe.unet.attn_processors.items() if hasattr(p, "scale")}
        assert Counter(scales.values()) == {1.0: 4, 0.0: 3}
        assert {n.split(".attentions")[0] for n, s in scales.items() if s} == {
            "down_blocks.0",
            "up_blocks.2",
            "mid_block",
        }

    def test_the_code_is_what_the_encoder_sees(self, stylizer, style, code):
        pixels = stylizer.pipe.feature_extractor(list(style), return_tensors="pt").pixel_values
        seen = stylizer.pipe.image_encoder(pixels).image_embeds
        np.testing.assert_allclose(code.arrays["style"], seen.detach().numpy(), rtol=1e-5)
        assert not code.arrays["blank"].any()

    def test_it_needs_a_style_image(self, stylizer):
        with pytest.raises(ConfigError, match="give one"):
            stylizer.encode(nothing())
        with pytest.raises(ConfigError, match="encode anew"):
            stylizer.apply(pictures(1), StyleCode("diffusion", {}))

    def test_without_guidance_there_is_no_blank_one(self, checkpoint, adapter, code):
        plain = Diffusion(model=str(checkpoint), guidance=1.0, **adapter, **QUICK)
        assert plain._heard(code, 2)["ip_adapter_image_embeds"][0].shape == (2, 1, 12)
        assert plain.apply(pictures(2), code).shape == pictures(2).shape


class TestBackground(StylizerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def style(cls):
        return nothing()

    @pytest.fixture(scope="class")
    @classmethod
    def stylizer(cls, checkpoint):
        return Diffusion(model=str(checkpoint), mode="background", **QUICK | {"strength": 1.0})

    def test_the_product_keeps_every_pixel_and_the_rest_changes(self, stylizer, code):
        image = np.full((96, 64, 3), 250, np.uint8)
        image[30:70, 20:44] = (180, 30, 60)
        made = stylizer.apply(image[None], code)[0]
        np.testing.assert_array_equal(made[33:67, 23:41], image[33:67, 23:41])
        assert np.abs(made[:25].astype(int) - image[:25]).mean() > 10

    def test_without_a_sure_product_nothing_is_painted(self, stylizer, code):
        images = pictures(1, (48, 48))
        np.testing.assert_array_equal(stylizer.apply(images, code), images)


def test_style_blocks_of_sdxl_are_those_of_instantstyle():
    """Wang et al. 2024, as the documentation of diffusers writes it."""
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, cross_attention_dim=16, attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        addition_embed_type="text_time", addition_time_embed_dim=4, projection_class_embeddings_input_dim=40,
    )  # fmt: skip
    assert style_blocks(unet) == {"up": {"block_0": [0.0, 1.0, 0.0]}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "folder of a checkpoint"),
        ({"model": "x"}, "give a prompt"),
        ({"model": "x", "prompt": "a", "mode": "inpaint"}, "img2img or background"),
        ({"model": "x", "prompt": "a", "strength": 0.0}, "strength must be in 0..1"),
        ({"model": "x", "prompt": "a", "strength": 0.1, "steps": 5}, "strength x steps >= 1, got 0.1 and 5"),
        ({"model": "x", "prompt": "a", "guidance": -1.0}, "guidance must be >= 0"),
        ({"model": "x", "prompt": "a", "min_mask": 2.0}, "min_mask must be in 0..1"),
        ({"model": "x", "adapter": "a.safetensors"}, "go together"),
        ({"model": "x", "adapter": "a.bin", "adapter_encoder": "e"}, "others run code"),
    ],
)
def test_settings_that_cannot_be(options, message):
    with pytest.raises(ConfigError, match=message):
        DiffusionConfig(**options)


def test_what_is_not_here_is_not_fetched_unless_allowed(tmp_path):
    with pytest.raises(ArtifactError, match=r"nobody/nothing is not there; give a folder .* allow_download"):
        Diffusion(model="nobody/nothing", **QUICK)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_weights_that_are_pickled_are_refused(checkpoint, tmp_path, part):
    """The very weights, in the other format: they would load, were they looked at."""
    folder = shutil.copytree(checkpoint, tmp_path / "pickled")
    weights = next((folder / part).glob("*.safetensors"))
    name = "pytorch_model.bin" if part == "text_encoder" else "diffusion_pytorch_model.bin"
    torch.save(load_file(weights), folder / part / name)
    weights.unlink()
    with pytest.raises(ArtifactError, match="cannot be used"):
        Diffusion(model=str(folder), **QUICK)


def test_damaged_weights_are_told(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "cut")
    weights = next((folder / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ArtifactError, match="cannot be used"):
        Diffusion(model=str(folder), **QUICK)


def test_the_fingerprint_is_of_the_content(checkpoint, adapter, tmp_path):
    options = {"model": str(checkpoint), **QUICK}
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    assert Diffusion.fingerprint(options) == Diffusion.fingerprint(options | {"model": str(copy)})
    assert Diffusion.fingerprint(options) != Diffusion.fingerprint(options | adapter)
    (copy / "scheduler" / "scheduler_config.json").write_text("{}")
    assert Diffusion.fingerprint(options) != Diffusion.fingerprint(options | {"model": str(copy)})


def test_it_is_registered():
    assert component("stylizers", "diffusion") is Diffusion
