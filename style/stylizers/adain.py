"""One pass of a network that was trained to take any style picture.

Sources: Huang, Belongie (2017), Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization (`Adain`);
Park, Lee (2019), Arbitrary Style Transfer with Style-Attentional Networks (`Sanet`). What differs from the papers is
told in `style.stylizers.adain_networks`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from recsys.errors import ArtifactError, ConfigError
from style.backbone import Backbone, load_backbone
from style.base import Images, StyleCode, StylizerSpec
from style.losses import channel_statistics, content_loss, cycle_loss, statistics_loss, total_variation
from style.perception import as_tensor, enlarged, resized
from style.stylizers.adain_networks import PIXELS, AttentionMerge, Maps, StatisticsMerge, StyleNetwork, normalised
from style.trained import damaged, fingerprint, read_model, write_model
from style.training import Photos, descend

SIZES: Mapping[str, int] = {"thin": 16, "full": 32}
"""Channels of the decoder's shallowest layer."""
LAYERS: Mapping[str, tuple[str, ...]] = {"vgg19": ("relu1_1", "relu2_1", "relu3_1", "relu4_1")}
"""The paper's. Of other backbones their own style layers are taken."""
MICRO_BATCH = 4
JUDGED = 4
"""Style pictures that judgements and sample sheets are made with."""
RANGE_WEIGHT = 100.0
"""Of values that leave 0..1."""


@dataclass(frozen=True)
class AdainConfig:
    """How the network is trained.

    Attributes:
        size: ``thin`` or ``full`` decoder.
        content_weight: Of the target of the deepest layer.
        style_weight: λ, of channel statistics.
        identity_weight: Of a photo in its own style staying as it is.
        tv_weight: Of smoothness.
        learning_rate: Adam's.
        backbone: What photos and styles are seen with, see `style.backbone.load_backbone`.
        weights: The backbone's file.
        layers: Of the backbone; () takes the paper's of vgg19, and the style layers of others.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    kind: ClassVar[str] = "adain"
    size: str = "thin"
    content_weight: float = 1.0
    style_weight: float = 5.0
    identity_weight: float = 1.0
    tv_weight: float = 2.0
    learning_rate: float = 1e-3
    backbone: str = "efficientnet-lite0"
    weights: str = ""
    layers: tuple[str, ...] = ()
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ConfigError(f"{self.kind}: size must be {' or '.join(SIZES)}, got {self.size!r}")
        for name in ("content_weight", "style_weight", "identity_weight", "tv_weight"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ConfigError(f"{self.kind}: {name} must be >= 0, got {getattr(self, name)}")
        if not 0 < self.learning_rate < np.inf:
            raise ConfigError(f"{self.kind}: learning_rate must be > 0, got {self.learning_rate}")


@dataclass(frozen=True)
class SanetConfig(AdainConfig):
    """How the network is trained: `AdainConfig` and what attention needs.

    Attributes:
        slots: Numbers of a style for each depth; see `StyleAttention`.
    """

    kind: ClassVar[str] = "sanet"
    slots: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.slots < 2:
            raise ConfigError(f"sanet: slots must be >= 2, got {self.slots}")


class AdainTask:
    """Trains a decoder, and where there is attention that too; every photo of a batch is given a style of its own.

    Args:
        config: How; a `SanetConfig` trains attention.
        styles: Style pictures to draw from. Where there are 8 or more, a quarter of them, 4 at most, is never trained
            on and judged with; where there are fewer, judgements are of styles that were trained on.
        seed: Of first weights and of which styles are judged.
    """

    def __init__(self, config: AdainConfig, styles: Photos, *, seed: int = 0) -> None:
        self.config, self.backbone = (
            config,
            load_backbone(config.backbone, weights=config.weights, device=config.device),
        )
        self.layers = config.layers or LAYERS.get(config.backbone, self.backbone.style)
        self.backbone.check(self.layers)
        order = np.random.default_rng([seed, 4]).permutation(len(styles.names))
        held = min(JUDGED, len(order) // 4) if len(order) >= 2 * JUDGED else 0
        self.styles = replace(styles, names=[styles.names[i] for i in order], held=held)
        self.judged = replace(self.styles, held=held or min(JUDGED, len(order)))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = built(self.backbone, self.layers, config.size, getattr(config, "slots", 0))
        self._rescale()
        self.modules: Mapping[str, nn.Module] = {"network": self.network}
        self.optimisers: Mapping[str, torch.optim.Optimizer] = {
            "adam": torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)
        }
        names = ("content", "style", "identity", "tv")
        self.weights = {name: float(getattr(config, f"{name}_weight")) for name in names} | {"range": RANGE_WEIGHT}

    def step(self, photos: Tensor, rng: torch.Generator) -> dict[str, float]:
        """See `style.training.Task`."""
        drawn = as_tensor(self.styles.draw(rng, len(photos), photos.shape[2]), photos.device)
        parts = self._losses(photos, drawn)
        loss = self._total(parts)
        descend(self.optimisers["adam"], loss, self.network.parameters())
        return {"loss": loss.item(), **{k: v.mean().item() for k, v in parts.items()}}

    @torch.no_grad()
    def judge(self, photos: Tensor) -> dict[str, float]:
        """Loss over the judged styles, its terms, and the style term as a share of the photos' own."""
        found: dict[str, list[float]] = {}
        for style in self._judged(photos):
            pictures = style.expand_as(photos)
            parts = self._losses(photos, pictures)
            values = {k: float(v.mean()) for k, v in parts.items()} | {"loss": float(self._total(parts))}
            see, before = self.network.see, self.network.see(self.backbone, photos)
            values["style_share"] = values["style"] / float(self._style(before, see(self.backbone, pictures)).mean())
            for key, value in values.items():
                found.setdefault(key, []).append(value)
        return {k: float(np.mean(v)) for k, v in found.items()}

    @torch.no_grad()
    def sample(self, photos: Tensor) -> list[Tensor]:
        """One batch a judged style."""
        see, seen = self.network.see, self.network.see(self.backbone, photos)
        codes = [self.network.merge.describe(see(self.backbone, style)) for style in self._judged(photos)]
        return [self.network(photos, self.network.blend(seen, code)) for code in codes]

    def export(self, out: Path, about: Mapping[str, Any]) -> None:
        """Write what `Adain` or `Sanet` reads: all but the backbone, of which a hash is kept."""
        facts = {
            "size": self.config.size,
            "slots": getattr(self.config, "slots", 0),
            "backbone": self.config.backbone,
            "layers": list(self.layers),
            "sees": backbone_hash(self.backbone, self.layers),
            "about": dict(about),
        }
        write_model(out, self.config.kind, self.network.state_dict(), facts)

    def _losses(self, photos: Tensor, drawn: Tensor) -> dict[str, Tensor]:
        """The terms, (n,) each: photos in the styles of as many pictures, and photos in their own."""
        n, network = len(photos), self.network
        with torch.no_grad():
            both = torch.cat([photos, drawn]).contiguous(memory_format=torch.channels_last)
            seen = network.see(self.backbone, both)
        twice = {k: torch.cat([v[:n], v[:n]]) for k, v in seen.items()}
        # halves change places: first the styles', then the photos' own
        code = {k: v.roll(n, dims=0) for k, v in network.merge.describe(seen).items()}
        merged = network.blend(twice, code)
        made, same = network(twice[PIXELS], merged).chunk(2)
        found = network.see(self.backbone, made.clamp(0, 1))
        return {
            "content": self._content(found, {k: v[:n] for k, v in seen.items()}, {k: v[:n] for k, v in merged.items()}),
            "style": self._style(found, {k: v[n:] for k, v in seen.items()}),
            "identity": cycle_loss(photos, same),
            "tv": total_variation(made.clamp(0, 1)),
            # what is cut off has no gradient of its own, and would stay black or white for ever
            "range": (made - made.clamp(0, 1)).square().flatten(1).mean(dim=1),
        }

    def _content(self, found: Maps, seen: Maps, merged: Maps) -> Tensor:
        """(n,) of the deepest layer: distance to the target of eq. 12, of attention to the photo's normalised (eq. 7).

        Both are relative to the target's mean square, so that one weight fits all backbones.
        """
        deepest = self.layers[-1]
        if isinstance(self.network.merge, AttentionMerge):
            return content_loss(normalised(found[deepest]), normalised(seen[deepest]))
        target = merged[deepest]
        return content_loss(found[deepest], target) / _size(target.flatten(1))

    def _style(self, found: Maps, styles: Maps) -> Tensor:
        """(n,) distance of channel statistics (eq. 13) relative to their size, layers counting alike."""
        targets = {k: channel_statistics(styles[k]) for k in self.layers}
        sizes = {k: _size(mean) + _size(deviation) for k, (mean, deviation) in targets.items()}
        losses = [statistics_loss(found[k], *targets[k]) / sizes[k] for k in self.layers]
        return torch.stack(losses).mean(dim=0)

    def _total(self, parts: Mapping[str, Tensor]) -> Tensor:
        return torch.stack([self.weights[k] * v.mean() for k, v in parts.items()]).sum()

    def _judged(self, photos: Tensor) -> list[Tensor]:
        """(1, 3, s, s) each."""
        styles = as_tensor(self.judged.held_out(photos.shape[2]), photos.device)
        return list(styles[:, None])

    @torch.no_grad()
    def _rescale(self) -> None:
        """Activations get a mean square of about 1, as seen of the judged styles."""
        styles = as_tensor(self.judged.held_out(128), self.network.scale.device)
        seen = self.network.see(self.backbone, styles)
        self.network.scale.copy_(torch.stack([_size(seen[k].flatten()).sqrt() for k in self.layers]))


class Adain:
    """Paints photos in the style of any picture, with a network trained by `stylerec style train adain`.

    Args:
        model: The folder the training wrote.
        alpha: 0..1, how much of the style's code is taken, the rest is the photo's own; 1 is all style.
        side: The longest side that is painted; of a larger photo the change is enlarged and added.
        weights: The file of the backbone's weights, as in the training.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ArtifactError: There is no such model, or it is damaged, or was trained with another backbone's weights.
        ConfigError: No model is given, or a value is out of range.
        MissingExtraError: The backbone's extra is not installed.
    """

    spec: ClassVar[StylizerSpec] = StylizerSpec(
        name="adain",
        kind="network",
        needs=("style-image", "training"),
        extra="pretrained",
        weights_licence="Apache-2.0 upstream",
        about="any style picture, by statistics of what a network sees; one quick pass, trained on your own photos",
    )

    def __init__(
        self, model: str = "", *, alpha: float = 1.0, side: int = 512, weights: str = "", device: str = "auto"
    ) -> None:
        if side < 16:
            raise ConfigError(f"{self.spec.name}: side must be >= 16, got {side}")
        if not 0 <= alpha <= 1:
            raise ConfigError(f"{self.spec.name}: alpha must be in 0..1, got {alpha}")
        self.manifest, self.backbone, self.network = _loaded(Path(model), self.spec.name, weights, device)
        self.alpha, self.side, self.device = alpha, side, self.backbone.mean.device
        self.shapes = {k: v.shape for k, v in self._described(np.zeros((1, 32, 32, 3), np.uint8)).items()}

    @classmethod
    def fingerprint(cls, options: Mapping[str, Any]) -> str:
        """Of the trained weights that these options name.

        Raises:
            ArtifactError: They are not there.
        """
        return fingerprint(options, cls.spec.name)

    def encode(self, style: Images) -> StyleCode:
        """What the merge keeps of style pictures (n, h, w, 3), averaged: `StatisticsMerge` or `AttentionMerge`."""
        return StyleCode(self.spec.name, self._described(resized(style, self.side)))

    def apply(self, images: Images, code: StyleCode, *, seed: int = 0) -> Images:
        """(n, h, w, 3) uint8 → the same shape; ``seed`` changes nothing.

        Raises:
            ConfigError: The code is of another stylizer or of a model with other layers.
        """
        shapes = {k: a.shape for k, a in code.read(self.spec.name).items()}
        if shapes != self.shapes:
            raise ConfigError(
                f"{self.spec.name}: the code is of a model with {shapes}, expected {self.shapes}; encode the style anew"
            )
        arrays = {k: torch.tensor(a, device=self.device)[None] for k, a in code.arrays.items()}
        parts = [self._some(images[i : i + MICRO_BATCH], arrays) for i in range(0, len(images), MICRO_BATCH)]
        return np.concatenate(parts) if parts else images

    @torch.inference_mode()
    def _described(self, style: Images) -> dict[str, np.ndarray]:
        seen = self.network.see(self.backbone, self._tensor(style))
        return {k: v.mean(dim=0).cpu().numpy() for k, v in self.network.merge.describe(seen).items()}

    @torch.inference_mode()
    def _some(self, images: Images, code: Maps) -> Images:
        x = self._tensor(resized(images, self.side))
        merged = self.network.blend(self.network.see(self.backbone, x), code, self.alpha)
        change = self.network(x, merged).clamp(0, 1) - x
        return enlarged(change.permute(0, 2, 3, 1).cpu().numpy() * 255, images)

    def _tensor(self, images: Images) -> Tensor:
        return as_tensor(images, self.device).contiguous(memory_format=torch.channels_last)


class Sanet(Adain):
    """Paints photos in the style of any picture, each place as alike places of the style; see `Adain`."""

    spec = replace(
        Adain.spec,
        name="sanet",
        about="any style picture, by attention to places that are alike; one quick pass, trained on your own photos",
    )


def built(backbone: Backbone, layers: Sequence[str], size: str, slots: int) -> StyleNetwork:
    """An untrained network on a backbone's device, with attention where there are slots."""
    with torch.no_grad():
        seen = backbone.features(torch.zeros(1, 3, 64, 64, device=backbone.mean.device), layers)
    channels = {PIXELS: 3, **{k: f.shape[1] for k, f in seen.items()}}
    strides = [round(64 / f.shape[2]) for f in seen.values()]
    merge = AttentionMerge(channels, slots) if slots else StatisticsMerge()
    network = StyleNetwork(channels, strides, SIZES[size], merge)
    made: StyleNetwork = network.to(backbone.mean.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return made


def backbone_hash(backbone: Backbone, layers: Sequence[str]) -> str:
    """SHA-256 of the weights down to the deepest of some layers."""
    names, digest = list(backbone.layers), hashlib.sha256()
    for name in names[: max(map(names.index, layers)) + 1]:
        for value in backbone.layers[name].state_dict().values():
            digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _loaded(folder: Path, kind: str, weights: str, device: str) -> tuple[dict[str, Any], Backbone, StyleNetwork]:
    manifest, tensors = read_model(folder, kind)
    try:
        backbone = load_backbone(manifest["backbone"], weights=weights, device=device)
        backbone.check(manifest["layers"])
        if backbone_hash(backbone, manifest["layers"]) != manifest["sees"]:
            raise ArtifactError(
                f"{folder} was trained with other weights of {backbone.name}; give their file as weights"
            )
        network = built(backbone, manifest["layers"], manifest["size"], manifest["slots"])
        network.load_state_dict(tensors)
    except (KeyError, TypeError, RuntimeError) as error:
        raise damaged(folder, error) from error
    return manifest, backbone, network.eval()


def _size(values: Tensor) -> Tensor:
    return values.square().mean(dim=-1).clamp(min=1e-12)
