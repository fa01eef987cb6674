"""One pass of a network that was trained for a few styles.

Source: Johnson, Alahi, Fei-Fei (2016), Perceptual Losses for Real-Time Style Transfer and Super-Resolution, with the
conditional instance normalisation of Dumoulin, Shlens, Kudlur (2017), so that one network holds several styles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from recsys.errors import ConfigError
from style.base import Images, StyleCode, StylizerSpec
from style.encoders.trunk import choose_device
from style.networks import PaintNetwork
from style.perception import Perception, as_tensor, enlarged, resized
from style.trained import damaged, fingerprint, read_model, write_model
from style.training import Photos, descend

SIZES: Mapping[str, tuple[int, int]] = {"full": (32, 5), "thin": (16, 3)}
"""Width of the first layer and residual blocks; ``full`` is the paper's."""
MICRO_BATCH = 4
PRECISIONS: Mapping[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
RANGE_WEIGHT = 100.0
"""Of values that leave 0..1."""
SAME = 8.0
"""Root mean square difference, of 255, of two thumbnails of one style picture: a re-encoded file is the same."""


@dataclass(frozen=True)
class FeedForwardConfig:
    """What a network is trained to do.

    Attributes:
        size: ``thin`` (about 3 times as fast) or ``full``.
        content_weight: Of what is shown; see `Perception.parts`.
        style_weight: Of how it is painted.
        tv_weight: Of smoothness.
        tiles: The style is asked of each of tiles x tiles fields of a picture.
        learning_rate: Adam's.
        backbone: What the losses look through.
        weights: The backbone's file.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    size: str = "thin"
    content_weight: float = 1.0
    style_weight: float = 5.0
    tv_weight: float = 5.0
    tiles: int = 3
    learning_rate: float = 2e-3
    backbone: str = "efficientnet-lite0"
    weights: str = ""
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ConfigError(f"feedforward: size must be {' or '.join(SIZES)}, got {self.size!r}")
        for name in ("content_weight", "style_weight", "tv_weight"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ConfigError(f"feedforward: {name} must be >= 0, got {getattr(self, name)}")
        if not 1 <= self.tiles <= 8:
            raise ConfigError(f"feedforward: tiles must be in 1..8, got {self.tiles}")
        if not 0 < self.learning_rate < np.inf:
            raise ConfigError(f"feedforward: learning_rate must be > 0, got {self.learning_rate}")


class FeedForwardTask:
    """Trains a network for some styles; each photo of a batch is painted in a style of its own.

    Args:
        config: How.
        styles: Name → style image (h, w, 3); at least one.
        side: Style images are looked at with the longest side at most so large.
        seed: Of the network's first weights.
    """

    def __init__(
        self, config: FeedForwardConfig, styles: Mapping[str, Images], *, side: int = 256, seed: int = 0
    ) -> None:
        if not styles:
            raise ConfigError("feedforward: give at least one style image to train for")
        self.config, self.styles = config, dict(styles)
        self.perception = Perception.of(config.backbone, weights=config.weights, device=config.device)
        width, blocks = SIZES[config.size]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = PaintNetwork(len(styles), width, blocks)
        self.network = self.network.to(self.perception.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.modules: Mapping[str, nn.Module] = {"network": self.network}
        self.optimisers: Mapping[str, torch.optim.Optimizer] = {
            "adam": torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)
        }
        pictures = (as_tensor(resized(s[None], side), self.perception.device) for s in styles.values())
        grams = [self.perception.grams(picture) for picture in pictures]
        self.grams = {k: torch.stack([g[k] for g in grams]) for k in grams[0]}
        self.weights = {"content": config.content_weight, "style": config.style_weight, "tv": config.tv_weight}
        self.weights["range"] = RANGE_WEIGHT

    @classmethod
    def of(cls, config: FeedForwardConfig, styles: Photos, *, seed: int = 0) -> FeedForwardTask:
        """For every one of some style pictures, by their names."""
        return cls(config, {name: styles.whole(name) for name in styles.names}, seed=seed)

    def step(self, photos: Tensor, rng: torch.Generator) -> dict[str, float]:
        """See `style.training.Task`."""
        style = torch.randint(len(self.styles), (len(photos),), generator=rng).to(photos.device)
        photos = photos.contiguous(memory_format=torch.channels_last)
        made = self.network(photos, self._mix(style))
        parts = self._parts(made.clamp(0, 1), photos, style)
        # what is cut off has no gradient of its own, and would stay black or white for ever
        parts["range"] = (made - made.clamp(0, 1)).square().flatten(1).mean(dim=1)
        loss = sum((self.weights[k] * v.mean() for k, v in parts.items()), torch.zeros((), device=photos.device))
        descend(self.optimisers["adam"], loss, self.network.parameters())
        return {"loss": loss.item(), **{k: v.mean().item() for k, v in parts.items()}}

    @torch.no_grad()
    def judge(self, photos: Tensor) -> dict[str, float]:
        """Loss over all styles, its terms, and the style term as a share of the photos' own."""
        found: dict[str, list[float]] = {}
        for number in range(len(self.styles)):
            style = torch.full((len(photos),), number, device=photos.device)
            parts = self._parts(self.network(photos, self._mix(style)).clamp(0, 1), photos, style)
            before = self._parts(photos, photos, style)["style"].mean()
            values = {k: float(v.mean()) for k, v in parts.items()}
            values["loss"] = sum(self.weights[k] * v for k, v in values.items())
            values["style_share"] = values["style"] / float(before)
            for key, value in values.items():
                found.setdefault(key, []).append(value)
        return {k: float(np.mean(v)) for k, v in found.items()}

    @torch.no_grad()
    def sample(self, photos: Tensor) -> list[Tensor]:
        """One batch a style."""
        numbers = (torch.full((len(photos),), i, device=photos.device) for i in range(len(self.styles)))
        return [self.network(photos, self._mix(style)) for style in numbers]

    def export(self, out: Path, about: Mapping[str, Any]) -> None:
        """Write what `FeedForward` reads."""
        styles = [{"name": n, "thumbnail": thumbnail(s).round(1).tolist()} for n, s in self.styles.items()]
        facts = {"size": self.config.size, "styles": styles, "about": dict(about)}
        write_model(out, "feedforward", self.network.state_dict(), facts)

    def _mix(self, style: Tensor) -> Tensor:
        return nn.functional.one_hot(style, len(self.styles)).float()

    def _parts(self, made: Tensor, photos: Tensor, style: Tensor) -> dict[str, Tensor]:
        grams = {k: v[style] for k, v in self.grams.items()}
        return self.perception.parts(made, self.perception.targets(photos), grams, tiles=self.config.tiles)


class FeedForward:
    """Paints photos in the styles a network was trained for (`stylerec style train feedforward`).

    Args:
        model: The folder the training wrote.
        side: The longest side that is painted; of a larger photo the change is enlarged and added.
        device: ``auto``, ``cpu`` or ``cuda``.
        precision: ``float32``, or ``bfloat16``: about twice as fast on a GPU and on a CPU that computes in it, else
            slower; pictures differ by less than the eye sees.

    Raises:
        ArtifactError: There is no such model, or it is damaged.
        ConfigError: No model is given, or a value out of range.
    """

    spec = StylizerSpec(
        name="feedforward",
        kind="network",
        needs=("style-image", "training"),
        about="a few styles, trained on your own photos; one quick pass a photo",
    )

    def __init__(self, model: str = "", *, side: int = 1024, device: str = "auto", precision: str = "float32") -> None:
        if side < 16:
            raise ConfigError(f"feedforward: side must be >= 16, got {side}")
        if precision not in PRECISIONS:
            raise ConfigError(f"feedforward: precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
        self.manifest, self.network = _loaded(Path(model))
        self.device, self.side, self.dtype = torch.device(choose_device(device)), side, PRECISIONS[precision]
        self.network = self.network.eval().to(self.device, self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @staticmethod
    def fingerprint(options: Mapping[str, Any]) -> str:
        """Of the trained weights that these options name.

        Raises:
            ArtifactError: They are not there.
        """
        return fingerprint(options, "feedforward")

    @property
    def styles(self) -> tuple[str, ...]:
        """What it was trained for."""
        return tuple(s["name"] for s in self.manifest["styles"])

    def encode(self, style: Images) -> StyleCode:
        """(n_styles,) weights: which trained style each of (n, h, w, 3) pictures is, averaged.

        Raises:
            ConfigError: It was not trained for a picture.
        """
        known = np.array([s["thumbnail"] for s in self.manifest["styles"]])
        weights = np.zeros(len(known), np.float32)
        for image in style:
            distance = np.sqrt(np.square(known - thumbnail(image)).mean(axis=1))
            if distance.min() > SAME:
                raise ConfigError(
                    f"feedforward: this model was not trained for that style image; it knows {', '.join(self.styles)}; "
                    "train another, or use magenta, which takes any"
                )
            weights[int(distance.argmin())] += 1 / len(style)
        return StyleCode(self.spec.name, {"weights": weights})

    def apply(self, images: Images, code: StyleCode, *, seed: int = 0) -> Images:
        """(n, h, w, 3) uint8 → the same shape; ``seed`` changes nothing."""
        weights = torch.tensor(code.read(self.spec.name)["weights"]).to(self.device)
        if weights.shape != (len(self.styles),):
            raise ConfigError(f"feedforward: the code has {len(weights)} styles, the model {len(self.styles)}")
        parts = [self._some(images[i : i + MICRO_BATCH], weights) for i in range(0, len(images), MICRO_BATCH)]
        return np.concatenate(parts) if parts else images

    @torch.inference_mode()
    def _some(self, images: Images, weights: Tensor) -> Images:
        x = as_tensor(resized(images, self.side), self.device).contiguous(memory_format=torch.channels_last)
        change = self.network.change(x.to(self.dtype), weights.to(self.dtype).expand(len(x), -1))
        change = (x + change).clamp(0, 1) - x
        return enlarged(change.permute(0, 2, 3, 1).float().cpu().numpy() * 255, images)


def thumbnail(image: Images) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(192,) the colours of a picture (h, w, 3) in 8 x 8 fields: by what a style picture is known again."""
    small = Image.fromarray(image).resize((8, 8), Image.Resampling.BOX)
    return np.asarray(small, np.float64).ravel()


def _loaded(folder: Path) -> tuple[dict[str, Any], PaintNetwork]:
    manifest, tensors = read_model(folder, "feedforward")
    try:
        network = PaintNetwork(len(manifest["styles"]), *SIZES[manifest["size"]])
        network.load_state_dict(tensors)
    except (KeyError, TypeError, RuntimeError) as error:
        raise damaged(folder, error) from error
    return manifest, network
