"""Latent diffusion from your own checkpoint: image to image by a prompt, a style image's hand, or a new background.

Sources: Rombach et al. (2022), High-Resolution Image Synthesis with Latent Diffusion Models; Meng et al. (2022), SDEdit
(start from the photo with noise added); Ye et al. (2023), IP-Adapter; Wang et al. (2024), InstantStyle (feed the style
image only to the layers that carry style). The networks are run by the package ``diffusers``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from math import lcm
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from recsys.config import from_mapping
from recsys.errors import ArtifactError, ConfigError, DataError
from recsys.extras import require
from recsys.files import file_hash, stable_hash
from recsys.progress import progress
from style.base import Images, StyleCode, StylizerSpec
from style.compose import Photo, repaint
from style.encoders.trunk import choose_device
from style.mask import cut_out
from style.perception import as_tensor, enlarged

EXTRA = "diffusion"
GPU_BATCH = 4
PIPELINES = {"img2img": "AutoPipelineForImage2Image", "background": "AutoPipelineForInpainting"}


@dataclass(frozen=True)
class DiffusionConfig:
    """Options of `Diffusion`.

    Attributes:
        model: Folder of a checkpoint in the layout of ``diffusers`` (Stable Diffusion 1.x, 2.x, XL and the like), or
            its name on the Hugging Face hub.
        prompt: What the picture is to be; may be empty where an adapter is given.
        negative_prompt: What it is not to be.
        mode: ``img2img`` repaints the photo; ``background`` repaints all but the product, whose pixels stay.
        strength: 0 < strength <= 1: how much noise is added first, so how little of the photo is kept.
        steps: Of the sampler at strength 1; a lesser strength takes its share of them.
        guidance: Of the prompt; 1 or less switches it off (distilled checkpoints).
        side: The longest side that is painted, up or down; 0 takes what the checkpoint was trained at.
        adapter: An IP-Adapter's ``.safetensors`` file, or ``owner/repo/path/in/it.safetensors`` on the hub.
        adapter_encoder: Folder of the CLIP vision encoder that the adapter was trained with, or ``owner/repo/path``.
        adapter_scale: >= 0, how strongly the style image speaks.
        style_blocks: Which blocks hear it, as ``set_ip_adapter_scale`` of diffusers has it, in shares of
            ``adapter_scale``; {} takes those that carry style (see `style_blocks`).
        noise: Each ``picture`` has noise of its own, by its pixels; ``shared`` starts all alike, as a clip needs.
        min_mask: Mode background: a photo whose product is less certain (0..1) comes back as it was.
        allow_download: Whether the hub may be asked for what is not on this machine.
        variant: Of the weight files, e.g. ``fp16``.
        micro_batch: Photos at once; 0 takes 1 on a CPU and 4 on a GPU.
        device: ``auto``, ``cpu`` or ``cuda``; a GPU computes in half precision.
    """

    model: str = ""
    prompt: str = ""
    negative_prompt: str = ""
    mode: Literal["img2img", "background"] = "img2img"
    strength: float = 0.5
    steps: int = 30
    guidance: float = 6.0
    side: int = 0
    adapter: str = ""
    adapter_encoder: str = ""
    adapter_scale: float = 1.0
    style_blocks: Mapping[str, Any] = field(default_factory=dict)
    noise: Literal["picture", "shared"] = "picture"
    min_mask: float = 0.5
    allow_download: bool = False
    variant: str = ""
    micro_batch: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError('diffusion: give the folder of a checkpoint, options = { model = "…" }, or its hub name')
        if not (self.prompt.strip() or self.adapter):
            raise ConfigError("diffusion: give a prompt, or an adapter and a style image")
        for name, known in (("mode", tuple(PIPELINES)), ("noise", ("picture", "shared"))):
            if getattr(self, name) not in known:
                raise ConfigError(f"diffusion: {name} must be {' or '.join(known)}, got {getattr(self, name)!r}")
        if not 0 < self.strength <= 1 or self.steps * self.strength < 1:
            got = f"{self.strength:g} and {self.steps}"
            raise ConfigError(f"diffusion: strength must be in 0..1 and strength x steps >= 1, got {got}")
        for name in ("guidance", "side", "adapter_scale", "micro_batch"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ConfigError(f"diffusion: {name} must be >= 0, got {getattr(self, name)}")
        if not 0 <= self.min_mask <= 1:
            raise ConfigError(f"diffusion: min_mask must be in 0..1, got {self.min_mask:g}")
        if bool(self.adapter) != bool(self.adapter_encoder):
            raise ConfigError(
                "diffusion: adapter and adapter_encoder go together; the adapter's page names its encoder"
            )
        if self.adapter and not self.adapter.endswith(".safetensors"):
            raise ConfigError(f"diffusion: adapter must be a .safetensors file, got {self.adapter!r}; others run code")


class Diffusion:
    """Repaints photos with a latent diffusion model.

    Each photo starts from noise of its own, drawn on the CPU from the seed and the photo's pixels, so a batch of n is
    n batches of one: exactly with ``micro_batch`` 1, else but for the last bits of the convolutions. The change is
    brought to the photo's size and added. No safety checker is loaded: look at what you publish.

    Args:
        **options: The attributes of `DiffusionConfig`.

    Raises:
        ArtifactError: The checkpoint, adapter or encoder is not there or cannot be used.
        ConfigError: A value out of range.
        MissingExtraError: The extra ``diffusion`` is not installed.
    """

    spec = StylizerSpec(
        name="diffusion",
        kind="network",
        needs=("prompt", "checkpoint"),
        extra=EXTRA,
        weights_licence="LicenseRef-checkpoint",
        commercial=False,
        about="what words or a style image ask for, by your own checkpoint; commercial use is up to its licence",
    )

    def __init__(self, **options: Any) -> None:
        self.config = from_mapping(DiffusionConfig, options, where="diffusion")
        self.device = torch.device(choose_device(self.config.device))
        self.pipe = _pipeline(self.config, self.device)
        if self.config.adapter:
            _add_adapter(self.pipe, self.config)
        self.pipe.to(self.device)
        self.pipe.set_progress_bar_config(disable=True)
        scale = int(self.pipe.vae_scale_factor)
        self.multiple = lcm(8, scale)  # the pipelines ask for 8
        self.side = self.config.side or int(self.pipe.unet.config.sample_size) * scale
        self.micro_batch = self.config.micro_batch or (GPU_BATCH if self.device.type == "cuda" else 1)

    @staticmethod
    def fingerprint(options: Mapping[str, Any]) -> str:
        """Of the weights that these options name, by content.

        Raises:
            ArtifactError: They are not there.
        """
        config = from_mapping(DiffusionConfig, options, where="diffusion")
        folders = [_checkpoint(config)]
        folders += [_stored(name, config) for name in (config.adapter, config.adapter_encoder) if name]
        files = [p for f in folders for p in (sorted(f.rglob("*")) if f.is_dir() else [f])]
        return stable_hash([file_hash(p) for p in files if p.suffix in (".safetensors", ".json", ".txt")])

    @torch.inference_mode()
    def encode(self, style: Images) -> StyleCode:
        """What the adapter's encoder sees in (n, h, w, 3) style images, averaged; without an adapter an empty code.

        Raises:
            ConfigError: An adapter without a style image, or a style image without an adapter.
        """
        if bool(len(style)) != bool(self.config.adapter):
            cure = "give one" if self.config.adapter else "add an adapter, or leave it out: the prompt alone decides"
            raise ConfigError(f"diffusion: {len(style)} style images, adapter {self.config.adapter!r}; {cure}")
        if not len(style):
            return StyleCode(self.spec.name, {})
        layer = self.pipe.unet.encoder_hid_proj.image_projection_layers[0]
        hidden = not isinstance(layer, require("diffusers.models.embeddings", extra=EXTRA).ImageProjection)
        seen = self.pipe.encode_image([Image.fromarray(i) for i in style], self.device, 1, hidden)
        means = (part.float().mean(dim=0, keepdim=True).cpu().numpy() for part in seen)
        return StyleCode(self.spec.name, dict(zip(("style", "blank"), means, strict=True)))

    def apply(self, images: Images, code: StyleCode, *, seed: int = 0) -> Images:
        """(n, h, w, 3) uint8 → the same shape.

        Raises:
            ConfigError: The code is of another kind of diffusion, with or without an adapter.
            DataError: The networks gave values that are not finite.
        """
        if bool(code.read(self.spec.name)) != bool(self.config.adapter):
            raise ConfigError(
                "diffusion: the code and the stylizer differ in whether they have an adapter; encode anew"
            )
        parts = []
        with progress("diffusion", len(images)) as advance:
            for i in range(0, len(images), self.micro_batch):
                parts.append(self._some(images[i : i + self.micro_batch], code, seed))
                advance(len(parts[-1]))
        return np.concatenate(parts) if parts else images

    def _some(self, images: Images, code: StyleCode, seed: int) -> Images:
        if self.config.mode == "img2img":
            return enlarged(self._change(images, {}, code, seed), images)
        cut = cut_out(images)
        size = self._size(images)
        masks = np.stack([_fitted((alpha < 0.5).astype(np.uint8) * 255, size) for alpha in cut.alpha])
        ground = torch.from_numpy((masks > 127).astype(np.float32))[:, None]
        more = {"mask_image": ground.to(self.device), "height": size[1], "width": size[0]}
        painted = enlarged(self._change(images, more, code, seed), images)
        out = images.copy()
        for i in np.flatnonzero(cut.confidence >= self.config.min_mask):
            planes = np.ascontiguousarray(images[i].transpose(2, 0, 1), np.float32)
            photo = Photo(planes, cut.alpha[i], cut.background[i], np.random.default_rng(seed))
            out[i] = repaint(photo, images[i], painted[i].transpose(2, 0, 1).astype(np.float32), "background")
        return out

    @torch.inference_mode()
    def _change(self, images: Images, more: Mapping[str, Any], code: StyleCode, seed: int) -> np.ndarray:
        """(n, h', w', 3) what is added to the photos at the working size, of 255."""
        x = as_tensor(np.stack([_fitted(image, self._size(images)) for image in images]), self.device)
        made: Tensor = self.pipe(
            prompt=[self.config.prompt] * len(x),
            negative_prompt=[self.config.negative_prompt] * len(x),
            image=x.to(self.pipe.dtype),
            strength=self.config.strength,
            num_inference_steps=self.config.steps,
            guidance_scale=self.config.guidance,
            generator=[self._noise(image, seed) for image in images],
            output_type="pt",
            **self._heard(code, len(x)),
            **more,
        ).images.float()
        if not torch.isfinite(made).all():
            raise DataError("diffusion: the networks gave values that are not finite; take device = 'cpu'")
        return np.asarray(((made - x) * 255).permute(0, 2, 3, 1).cpu().numpy())

    def _heard(self, code: StyleCode, n: int) -> dict[str, list[Tensor]]:
        """The style image for a batch of n; with guidance the blank one stands before it."""
        if not code.arrays:
            return {}
        names = (
            ("blank", "style")
            if self.pipe.unet.config.time_cond_proj_dim is None and self.config.guidance > 1
            else ("style",)
        )
        arrays = [torch.from_numpy(np.asarray(code.arrays[name])[None]) for name in names]
        both = torch.cat([a.expand(n, *a.shape[1:]) for a in arrays])
        return {"ip_adapter_image_embeds": [both.to(self.device, self.pipe.dtype)]}

    def _noise(self, image: np.ndarray, seed: int) -> torch.Generator:
        own = sha256(image.tobytes()).hexdigest() if self.config.noise == "picture" else ""
        return torch.Generator().manual_seed(int(stable_hash([seed, own])[:15], 16))

    def _size(self, images: Images) -> tuple[int, int]:
        """Width and height that are painted: the longest side ``side``, both multiples of what the latents need."""
        h, w = images.shape[1:3]
        scale, m = self.side / max(h, w), self.multiple
        width, height = (max(m * round(s * scale / m), self.side // 8 // m * m, m) for s in (w, h))
        return width, height


def style_blocks(unet: Any) -> dict[str, Any]:
    """The blocks that carry style, each with the share 1; the rest hear nothing.

    Of SDXL the middle attention of the first up block (Wang et al. 2024, sec. 3.2). Of others all blocks but those with
    attention at the lowest resolution, which lay out the picture; all of them, where no others have attention.
    """
    if unet.config.addition_embed_type == "text_time":
        return {"up": {"block_0": [0.0, 1.0, 0.0]}}
    down = [f"block_{i}" for i, b in enumerate(unet.down_blocks) if hasattr(b, "attentions")]
    up = [f"block_{i}" for i, b in enumerate(unet.up_blocks) if hasattr(b, "attentions")]
    outer = {"down": dict.fromkeys(down[:-1] or down, 1.0), "up": dict.fromkeys(up[1:] or up, 1.0)}
    return {k: v for k, v in outer.items() if v} | {"mid": 1.0}


def _pipeline(config: DiffusionConfig, device: torch.device) -> Any:
    diffusers = require("diffusers", extra=EXTRA)
    require("transformers", extra=EXTRA)
    folder = _checkpoint(config)
    more: dict[str, Any] = {"variant": config.variant} if config.variant else {}
    if "safety_checker" in diffusers.DiffusionPipeline.load_config(folder):
        more |= {"safety_checker": None, "requires_safety_checker": False}
    try:
        pipe = getattr(diffusers, PIPELINES[config.mode]).from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            dtype=torch.float16 if device.type == "cuda" else torch.float32,
            **more,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise _unusable(config.model, error) from error
    if not hasattr(pipe, "unet"):
        raise ArtifactError(f"diffusion: {config.model} has no UNet; give a Stable Diffusion 1.x, 2.x or XL checkpoint")
    return pipe


def _add_adapter(pipe: Any, config: DiffusionConfig) -> None:
    transformers = require("transformers", extra=EXTRA)
    try:
        encoder = transformers.CLIPVisionModelWithProjection.from_pretrained(
            _stored(config.adapter_encoder, config), use_safetensors=True, local_files_only=True, dtype=pipe.dtype
        )
        size = encoder.config.image_size
        processor = transformers.CLIPImageProcessor(size={"shortest_edge": size}, crop_size=size)
        pipe.register_modules(image_encoder=encoder, feature_extractor=processor)
        file = _stored(config.adapter, config)
        pipe.load_ip_adapter(str(file.parent), subfolder="", weight_name=file.name, image_encoder_folder=None)
        blocks = dict(config.style_blocks) or style_blocks(pipe.unet)
        pipe.set_ip_adapter_scale([_scaled(blocks, config.adapter_scale)])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise _unusable(f"{config.adapter} with {config.adapter_encoder}", error) from error


def _scaled(shares: Any, scale: float) -> Any:
    if isinstance(shares, Mapping):
        return {k: _scaled(v, scale) for k, v in shares.items()}
    return [_scaled(v, scale) for v in shares] if isinstance(shares, list | tuple) else shares * scale


def _checkpoint(config: DiffusionConfig) -> Path:
    """The checkpoint's folder: as given, or the hub's on this machine; fetched where that is allowed."""
    if Path(config.model).is_dir():
        return Path(config.model)
    download = require("diffusers", extra=EXTRA).DiffusionPipeline.download
    more = {"variant": config.variant} if config.variant else {}
    return _fetched(
        config.model,
        lambda: download(
            config.model,
            use_safetensors=True,
            local_files_only=not config.allow_download,
            safety_checker=None,
            **more,
        ),
    )


def _stored(name: str, config: DiffusionConfig) -> Path:
    """An adapter's file or an encoder's folder: as given, or from the hub."""
    if Path(name).exists():
        return Path(name)
    fetch = require("huggingface_hub", extra=EXTRA).hf_hub_download
    owner, repo, *inside = [*name.split("/"), "", ""]
    path = "/".join(part for part in inside if part)
    files = [path] if path.endswith(".safetensors") else [f"{path}/config.json", f"{path}/model.safetensors"]

    def one(file: str) -> Any:
        return fetch(f"{owner}/{repo}", file.lstrip("/"), local_files_only=not config.allow_download)

    found = [_fetched(name, lambda file=file: one(file)) for file in files]  # type: ignore[misc]
    return found[0] if path.endswith(".safetensors") else found[0].parent


def _fetched(name: str, fetch: Callable[[], Any]) -> Path:
    try:
        return Path(fetch())
    except (OSError, ValueError) as error:
        cure = "give a folder on this machine, or allow_download = true to ask the Hugging Face hub"
        raise ArtifactError(f"diffusion: {name} is not there; {cure} ({_first(error)})") from error


def _unusable(name: str, error: Exception) -> ArtifactError:
    return ArtifactError(f"diffusion: {name} cannot be used ({_first(error)}); it must be whole, in safetensors files")


def _first(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _fitted(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) or (h, w, 3) uint8 at another width and height."""
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
