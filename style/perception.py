"""What a backbone sees of a picture: how far its content is from an original's, and its texture from a style's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from style.backbone import Backbone, load_backbone
from style.base import Images
from style.encoders.trunk import gram_matrix
from style.losses import content_loss, gram_loss, total_variation

Maps = Mapping[str, Tensor]
STRIP = 2**20
"""Pixels of a large picture that are worked on at once, as far as rows allow."""


@dataclass(frozen=True, eq=False)
class Perception:
    """A backbone and the layers to look at.

    Attributes:
        backbone: Looks.
        content: Its layers that say what is shown.
        style: Its layers that say how it is painted.
    """

    backbone: Backbone
    content: tuple[str, ...]
    style: tuple[str, ...]

    @classmethod
    def of(
        cls,
        backbone: str = "efficientnet-lite0",
        *,
        weights: str = "",
        content: Sequence[str] = (),
        style: Sequence[str] = (),
        device: str = "auto",
    ) -> Perception:
        """By name; without layers the backbone's own.

        Raises:
            ArtifactError: The backbone's weights are not there.
            ConfigError: An unknown backbone or layer.
            MissingExtraError: Its extra is not installed.
        """
        loaded = load_backbone(backbone, weights=weights, device=device)
        found = cls(loaded, tuple(content) or loaded.content, tuple(style) or loaded.style)
        loaded.check([*found.content, *found.style])
        return found

    @property
    def device(self) -> torch.device:
        """Where it looks."""
        return self.backbone.mean.device

    def grams(self, images: Tensor) -> dict[str, Tensor]:
        """Style layer → mean Gram matrix (c, c) of style images (n, 3, h, w), 0..1."""
        with torch.no_grad():
            found = self.backbone.features(images, self.style)
        return {name: gram_matrix(f).mean(dim=0) for name, f in found.items()}

    def targets(self, images: Tensor) -> dict[str, Tensor]:
        """Content layer → activations of the originals."""
        with torch.no_grad():
            return self.backbone.features(images, self.content)

    def parts(self, images: Tensor, content: Maps, grams: Maps, *, tiles: int = 1) -> dict[str, Tensor]:
        """The three terms of neural style, (n,) each, layers counting alike.

        ``content`` and ``style`` are relative: mean squares of differences over mean squares of the targets, so that
        one weight fits all backbones and styles, and a style of 1 is as far off as no texture at all. ``tv`` is the
        total variation. Grams are (c, c), or (n, c, c) where each picture has a style of its own. With ``tiles`` the
        style is asked of each of tiles x tiles fields: else a network learns to put all texture into one corner.
        """
        found, parts = self.look(images, content)
        return {**parts, "style": self.painted(found, grams, tiles=tiles).mean(dim=1)}

    def look(self, images: Tensor, content: Maps) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Activations of all layers, and the terms (n,) of `parts` that know no style."""
        found = self.backbone.features(images, {*self.content, *self.style})
        shown = [content_loss(found[k], content[k]) / _size(content[k].flatten(1)) for k in self.content]
        return found, {"content": torch.stack(shown).mean(dim=0), "tv": total_variation(images)}

    def painted(self, found: Maps, grams: Maps, *, tiles: int = 1) -> Tensor:
        """(n, layers) the style term of each style layer, of activations; see `parts`."""
        losses = [_tiled_gram_loss(found[k], grams[k], tiles) / _size(grams[k].flatten(-2)) for k in self.style]
        return torch.stack(losses, dim=1)


def _tiled_gram_loss(features: Tensor, target: Tensor, tiles: int) -> Tensor:
    """(n,) mean over the fields of each picture."""
    if tiles == 1:
        return gram_loss(features, target)
    h, w = features.shape[2] // tiles, features.shape[3] // tiles
    fields = [
        gram_loss(features[:, :, y * h : (y + 1) * h, x * w : (x + 1) * w], target)
        for y in range(tiles)
        for x in range(tiles)
    ]
    return torch.stack(fields).mean(dim=0)


def _size(values: Tensor) -> Tensor:
    return values.square().mean(dim=-1).clamp(min=1e-12)


def as_tensor(images: Images, device: torch.device | str = "cpu") -> Tensor:
    """(n, h, w, 3) uint8 → (n, 3, h, w) float32, 0..1.

    Example:
        >>> as_tensor(np.full((1, 1, 1, 3), 255, np.uint8)).flatten().tolist()
        [1.0, 1.0, 1.0]
    """
    pixels = torch.from_numpy(np.require(images, requirements=("C", "W"))).to(device)
    return pixels.permute(0, 3, 1, 2).float() / 255


def as_images(pixels: Tensor) -> Images:
    """The inverse of `as_tensor`, clipped."""
    out = (pixels.detach().clamp(0, 1) * 255 + 0.5).to(torch.uint8)
    return np.asarray(out.permute(0, 2, 3, 1).cpu().numpy())


def resized(images: Images, side: int, *, least: int = 16) -> Images:
    """The longest side at most ``side``, neither below ``least``; proportions are kept where that allows it."""
    h, w = images.shape[1:3]
    scale = min(1.0, side / max(h, w))
    size = max(least, round(w * scale)), max(least, round(h * scale))
    if size == (w, h):
        return images
    return np.stack([np.asarray(Image.fromarray(i).resize(size, Image.Resampling.LANCZOS)) for i in images])


def enlarged(change: np.ndarray, images: Images) -> Images:
    """(n, h', w', 3) differences in 0..255, brought to the size of ``images`` and added to them."""
    h, w = images.shape[1:3]
    out = np.empty(images.shape, np.uint8)
    for i, channel in np.ndindex(len(images), 3):  # plane by plane: a photo may have 50 million pixels
        plane = change[i, ..., channel].astype(np.float32)
        if plane.shape != (h, w):
            plane = np.array(Image.fromarray(plane).resize((w, h), Image.Resampling.BICUBIC))
        plane += images[i, ..., channel]
        plane += np.float32(0.5)
        out[i, ..., channel] = np.clip(plane, 0, 255, out=plane)
    return out


def strips(maps: Tensor, height: int, width: int) -> Iterator[tuple[slice, Tensor]]:
    """Rows of a picture of height x width, some at a time, and maps (c, h', w') enlarged to them: (c, rows, width).

    Together they are the maps enlarged bilinearly, which would not fit in memory for a large picture.

    Example:
        >>> [(rows.start, rows.stop, m.flatten().tolist()) for rows, m in strips(torch.tensor([[[0.0], [1.0]]]), 4, 1)]
        [(0, 4, [0.0, 0.25, 0.75, 1.0])]
    """
    step = max(1, STRIP // width)
    for start in range(0, height, step):
        rows = slice(start, min(start + step, height))
        place = (torch.arange(rows.start, rows.stop, dtype=torch.float64) + 0.5) * maps.shape[1] / height - 0.5
        place = place.clamp(0, maps.shape[1] - 1)
        above = place.long()
        below, share = (above + 1).clamp(max=maps.shape[1] - 1), (place - above).to(maps)[:, None]
        part = torch.lerp(maps[:, above], maps[:, below], share)
        yield rows, interpolate(part[None], (len(place), width), mode="bilinear", align_corners=False)[0]
