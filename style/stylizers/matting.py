"""Neural style that stays a photo: what is painted must be, everywhere, an affine function of the photo's colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from recsys.errors import ConfigError
from style.base import Images, StyleCode, StylizerSpec
from style.mask import product_mask
from style.perception import Maps, as_images, as_tensor, resized, strips
from style.stylizers.neural import NeuralStyle, Objective
from style.stylizers.photoreal import Picture, faithful, seen_at

REGIONS = ("product", "background")
TRUSTED = 0.5
"""Least confidence of a mask that regions are told apart by; below, all of the picture is both."""
REACH, SMOOTH = 0.25, 4e-3
"""Radius of the windows in which the result is fitted, as a share of the shorter side, and what keeps flat ones steady.

The matting Laplacian lets slow changes through, which on an even studio ground are clouds; so windows are wide."""


class PhotorealMatting(NeuralStyle):
    """Neural style with the matting Laplacian of the photo, then brought to full size as a locally affine map.

    Source: Luan, Paris, Shechtman, Bala (2017), Deep Photo Style Transfer, eqs. 2-4. Instead of their upscaled picture
    it is the affine maps from photo to result that are enlarged (He, Sun 2015, Fast Guided Filter), which keeps edges
    as sharp as the photo's and lets no texture through. Regions are the product and what is behind it, found by
    `style.mask`, where the paper has a semantic segmentation.

    Args:
        matting_weight: λ of eq. 4, of the mean over pixels.
        regions: Product takes the style of the product in the style image, background of its background; a picture
            without a trustworthy mask is taken whole for both.
        min_edge: Least correlation of edge strength with the photo, see `Photoreal`.
        side: The longest side that is optimised.
        options: Of `NeuralStyle`.

    Raises:
        ConfigError: A value out of range, or an unknown backbone or layer.
        MissingExtraError: The backbone's extra is not installed.
    """

    spec = StylizerSpec(
        name="photoreal.matting",
        kind="network",
        extra="pretrained",
        weights_licence="Apache-2.0 upstream",
        about="neural style held to the photo by the matting Laplacian: light and colour by region; slow",
    )

    def __init__(
        self,
        *,
        matting_weight: float = 300.0,
        regions: bool = False,
        min_edge: float = 0.95,
        side: int = 256,
        **options: Any,
    ) -> None:
        if not 0 <= matting_weight < np.inf or not -1 <= min_edge <= 1:
            got = f"{matting_weight:g} and {min_edge:g}"
            raise ConfigError(f"photoreal.matting: matting_weight must be >= 0 and min_edge in -1..1, got {got}")
        super().__init__(side=side, **options)
        self.matting_weight, self.regions, self.min_edge = matting_weight, regions, min_edge

    def encode(self, style: Images) -> StyleCode:
        """The mean Gram matrices (r, c, c) of each style layer in product and background, or in all."""
        small = as_tensor(resized(style, self.side), self.perception.device)
        with torch.no_grad():
            found = self.perception.backbone.features(small, self.perception.style)
        masks = self._masks(small)
        grams = {name: region_grams(f, masks).mean(dim=0).cpu().numpy() for name, f in found.items()}
        return StyleCode(self.spec.name, grams)

    def apply(self, images: Images, code: StyleCode, *, seed: int = 0) -> Images:
        """(n, h, w, 3) uint8 → the same shape; it starts from the photo, so ``seed`` changes nothing.

        Raises:
            ConfigError: The code is of other layers or regions.
        """
        self.check(code)
        if not len(images):
            return images
        wanted = 1 + self.regions
        if any(len(gram) != wanted for gram in code.arrays.values()):
            raise ConfigError(f"photoreal.matting: the code is not of {wanted} regions; encode with the same options")
        start = as_tensor(resized(images, self.side), self.perception.device)
        made = self.optimise(start, {k: torch.from_numpy(a).to(start.device) for k, a in code.arrays.items()})
        radius = max(1, round(REACH * min(start.shape[2:])))
        maps = Windows.of(start, radius, SMOOTH).fit(made).cpu()
        return np.stack([self._full(image, m) for image, m in zip(images, maps, strict=True)])

    def objective(self, start: Tensor, grams: Maps) -> Objective:
        """The loss of neural style by regions, and λ times what is not affine in the photo."""
        content, masks = self.perception.targets(start), self._masks(start)
        windows = Windows.of(start, 1, 1e-4 / 9, border=False)
        sizes = {name: gram.square().mean(dim=(1, 2)).clamp(min=1e-12) for name, gram in grams.items()}

        def loss(images: Tensor) -> Tensor:
            found, parts = self.perception.look(images, content)
            painted = [
                ((region_grams(found[k], masks) - grams[k]).square().mean(dim=(2, 3)) / sizes[k]).mean(dim=1)
                for k in self.perception.style
            ]
            parts["style"] = torch.stack(painted).mean(dim=0)
            return self.weighted(parts) + self.matting_weight * windows.misfit(images)

        return loss

    def _masks(self, images: Tensor) -> Tensor:
        """(n, regions, h, w) shares of each pixel."""
        n, _, h, w = images.shape
        if not self.regions:
            return images.new_ones(n, 1, h, w)
        alpha, confidence = product_mask(as_images(images))
        shares = np.stack([alpha, 1 - alpha], axis=1)
        shares[confidence < TRUSTED] = 1
        return torch.from_numpy(shares).to(images)

    def _full(self, image: Picture, maps: Tensor) -> Picture:
        """A photo (h, w, 3) through maps (12, h', w') of colours, enlarged."""
        small = seen_at(image)
        share, made = faithful(small, lambda part: _mapped(small, maps, part), self.min_edge)
        return made if small is image else _mapped(image, maps, share)


@dataclass(frozen=True, eq=False)
class Windows:
    """Square windows of photos, and the colours' moments in each.

    Attributes:
        guide: (n, 3, h, w) the photos, 0..1.
        radius: Windows are (2 radius + 1)².
        border: Whether windows reach over the edge, where they are smaller.
        mean: (n, 3, h', w') colour of each window.
        inverse: (n, 3, 3, h', w') of the covariance, with ε added to its diagonal.
    """

    guide: Tensor
    radius: int
    border: bool
    mean: Tensor
    inverse: Tensor

    @classmethod
    def of(cls, guide: Tensor, radius: int, epsilon: float, *, border: bool = True) -> Windows:
        """Of photos (n, 3, h, w), 0..1."""
        shift = guide - 0.5  # moments around mid-grey lose fewer digits
        mean = _box(shift, radius, border)
        second = _box((shift[:, :, None] * shift[:, None]).flatten(1, 2), radius, border).view(
            -1, 3, 3, *mean.shape[2:]
        )
        covariance = second - mean[:, :, None] * mean[:, None]
        solid = covariance.permute(0, 3, 4, 1, 2) + epsilon * torch.eye(3, device=guide.device)
        return cls(shift, radius, border, mean, torch.linalg.inv(solid).permute(0, 3, 4, 1, 2))

    def covariance(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, h', w') mean of pictures and (n, 3, 3, h', w') covariance with the photo's colours."""
        mean = _box(images, self.radius, self.border)
        both = (images[:, :, None] * self.guide[:, None]).flatten(1, 2)
        second = _box(both, self.radius, self.border).view(-1, 3, 3, *mean.shape[2:])
        return mean, second - mean[:, :, None] * self.mean[:, None]

    def misfit(self, images: Tensor) -> Tensor:
        """(n,) mean over pixels of the squares that no affine function of the photo's colours explains in a window.

        With windows of 3 x 3 and without a border it is `style.losses.matting_loss`, but no matrix is made: Σ over
        windows of 9 (variance - covariance · inverse · covariance), Levin, Lischinski, Weiss (2008), eqs. 9-12.
        """
        shifted = images - 0.5
        mean, cross = self.covariance(shifted)
        spread = _box(shifted.square(), self.radius, self.border) - mean.square()
        explained = torch.einsum("ncixy,nijxy,ncjxy->ncxy", cross, self.inverse, cross)
        size = (2 * self.radius + 1) ** 2
        return size * (spread - explained).flatten(1).sum(dim=1) / images[0, 0].numel()

    def fit(self, images: Tensor) -> Tensor:
        """(n, 12, h, w) the affine map of each pixel, photo → picture: 3 x 3 row by row, then 3 constants.

        Source: He, Sun, Tang (2013), Guided Image Filtering, eqs. 14-16.
        """
        mean, cross = self.covariance(images)
        linear = torch.einsum("nijxy,ncjxy->ncixy", self.inverse, cross)
        constant = mean - (linear * (self.mean + 0.5)[:, None]).sum(dim=2)
        return _box(torch.cat([linear.flatten(1, 2), constant], dim=1), self.radius, self.border)


def region_grams(features: Tensor, masks: Tensor) -> Tensor:
    """(n, r, c, c) Gram matrices of activations (n, c, h', w') in each region of masks (n, r, h, w), 0..1.

    Example:
        >>> region_grams(torch.ones(1, 1, 2, 2), torch.ones(1, 2, 4, 4)).flatten().tolist()
        [1.0, 1.0]
    """
    small = interpolate(masks, features.shape[2:], mode="area").flatten(2)
    flat = features.flatten(2)
    weighted = flat[:, None] * small[:, :, None]
    return weighted @ flat[:, None].transpose(2, 3) / small.sum(dim=2).clamp(min=1e-6)[:, :, None, None]


def _mapped(image: Picture, maps: Tensor, share: float) -> Picture:
    """A photo (h, w, 3) moved by a share of what maps (12, h', w') make of it."""
    out = np.empty_like(image)
    for rows, part in strips(maps, *image.shape[:2]):
        photo = as_tensor(image[None, rows])[0]
        change = (part[:9].view(3, 3, *photo.shape[1:]) * photo).sum(dim=1) + part[9:] - photo
        out[rows] = as_images((photo + share * change)[None])[0]
    return out


def _box(planes: Tensor, radius: int, border: bool) -> Tensor:
    for size, pad in (((2 * radius + 1, 1), (radius, 0)), ((1, 2 * radius + 1), (0, radius))):
        planes = avg_pool2d(planes, size, stride=1, padding=pad if border else 0, count_include_pad=False)
    return planes
