"""Photorealistic transfer in closed form: the style's colours scale by scale, on bands that add up to the photo."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recsys.errors import ConfigError
from style.base import Images, StyleCode, StylizerSpec
from style.guard import pixel_scores
from style.lab import lab_to_rgb, rgb_to_lab
from style.perception import resized, strips
from style.stylizers.colour import linear_map
from style.wavelet import Bands, Planes, pyramid, split

Target = Mapping[str, npt.NDArray[np.float64]]
Picture = npt.NDArray[np.uint8]
SIDE = 256
"""Longest side of the pictures that scales are counted in, from 1 pixel on."""
NOISE = 0.25
"""Variance of a band of CIELAB below which it holds nothing to amplify: rounding to 8 bits, and JPEG on white."""

HALVINGS = 5
"""Of the share of a change that is taken."""
LARGE = 2048
"""Longest side at which details and edges are looked at. What changes of details in a larger photo is coarser."""


class Photoreal:
    """Whitening and colouring of a wavelet pyramid of the photo itself, put together again exactly.

    Details of each scale take the share of the variance that they have in the style; then everything takes the
    style's mean and covariance by one map. So the palette is the style's and local contrast leans to it, while every
    edge stays where the photo has it. A photo longer than 2048 pixels is looked at in that size: its own pixels are
    coloured, but the change of its details, which has no scale as fine as a pixel, is enlarged.

    Source: after Yoo, Uh, Chun, Kang, Ha (2019), Photorealistic Style Transfer via Wavelet Transforms (WCT²): wavelet
    bands that carry all details around what is whitened and coloured. Unlike there, no network is asked: channels are
    the three of CIELAB in place of VGG's, so colours and contrast are transferred and textures are not; details take
    one gain a band; bands are undecimated (`style.wavelet`); there is one map for all scales, as a map for each gave
    products haloes; and it is the one that moves colours least (Lu, Zhao, Yao, Chen 2019, A Closed-Form Solution to
    Universal Style Transfer, eq. 8), with bounded gains.

    Args:
        scales: Octaves of details that lean to the style's, in pictures of 256 pixels; 0 moves colours only.
        gain: Largest stretch of a colour direction, and 1 / gain the least.
        detail_gain: Likewise of a scale's details against its smooth part; far from 1 outlines get haloes.
        min_edge: Least correlation of edge strength with the photo (-1..1): where the whole change has less, as where
            hues of one lightness become light and dark, only so much of it is taken; -1 always takes all.

    Raises:
        ConfigError: A value out of range.
    """

    spec = StylizerSpec(
        name="photoreal",
        kind="colour",
        about="palette and local contrast of the style, scale by scale; stays a photo, edges stay",
    )

    def __init__(
        self, *, scales: int = 4, gain: float = 2.0, detail_gain: float = 1.25, min_edge: float = 0.95
    ) -> None:
        if not 0 <= scales <= 6:
            raise ConfigError(f"photoreal: scales must be in 0..6, got {scales}")
        if not 1 <= min(gain, detail_gain) <= max(gain, detail_gain) < np.inf:
            raise ConfigError(f"photoreal: gain and detail_gain must be >= 1, got {gain:g} and {detail_gain:g}")
        if not -1 <= min_edge <= 1:
            raise ConfigError(f"photoreal: min_edge must be in -1..1, got {min_edge:g}; -1 accepts everything")
        self.scales, self.gain, self.detail_gain, self.min_edge = scales, gain, detail_gain, min_edge

    def encode(self, style: Images) -> StyleCode:
        """Mean, covariance at each scale and variance of each band, averaged over (n, h, w, 3) style images."""
        every = [self._describe(lab_of(image)) for image in resized(style, SIDE)]
        return StyleCode(
            self.spec.name, {name: np.mean([d[name] for d in every], axis=0).astype(np.float32) for name in every[0]}
        )

    def apply(self, images: Images, code: StyleCode, *, seed: int = 0) -> Images:
        """(n, h, w, 3) uint8 → the same shape; ``seed`` changes nothing.

        Raises:
            ConfigError: The code is of another stylizer, or has other scales.
        """
        target = {name: array.astype(np.float64) for name, array in code.read(self.spec.name).items()}
        if len(target["share"]) != self.scales:
            raise ConfigError(
                f"photoreal: the code has {len(target['share'])} scales, expected {self.scales}; encode again"
            )
        made = [self._one(image, target) for image in images]
        return np.stack(made) if made else images

    def transfer(self, planes: Planes, target: Target, finer: int) -> Planes:
        """(3, h, w) Lab → the same shape.

        Args:
            planes: Of the photo.
            target: What `encode` found.
            finer: Octaves that the photo has more than a picture of 256 pixels; their details keep their share.
        """
        leant = planes + self._leaning_by(planes, target, finer)
        return self._colours(leant, target)(leant)

    def _leaning_by(self, planes: Planes, target: Target, finer: int) -> Planes:
        """(3, h, w) what is added to planes so that details lean to the style's."""
        total, rest = np.zeros_like(planes), planes
        for scale in range(max(self.scales + finer, 0)):
            band = split(rest, scale)
            rest = band.low
            if scale >= finer:
                total += self._leaning(band, target, scale - finer) - band.details
        return total

    def _describe(self, planes: Planes) -> dict[str, npt.NDArray[np.floating[Any]]]:
        """A style smaller than 256 pixels has no finest scales: the finest it has stands in for them."""
        finer = octaves(planes)
        bands, _ = pyramid(planes, max(self.scales + finer, 1))
        place = [min(max(scale + finer, 0), len(bands) - 1) for scale in range(self.scales)]
        total = [max(float(np.trace(covariance(b.low + b.details))), NOISE) for b in bands]
        return {
            "mean": planes.mean(axis=(1, 2)),
            "covariance": covariance(planes),
            "share": np.array([variances(bands[i]) / total[i] for i in place]).reshape(self.scales, 3),
        }

    def _colours(self, planes: Planes, target: Target) -> Callable[[Planes], Planes]:
        """The map that gives planes the style's mean, and its covariance as far as gains go."""
        mean, goal = planes.mean(axis=(1, 2), keepdims=True), target["mean"][:, None, None].astype(planes.dtype)
        mapping = linear_map(covariance(planes), target["covariance"], gain=self.gain).astype(planes.dtype)
        return lambda some: np.asarray(np.tensordot(mapping, some - mean, axes=1) + goal)

    def _leaning(self, band: Bands, target: Target, scale: int) -> Planes:
        """Details that have the share of their scale's variance that the style's have; noise is not amplified."""
        total = max(float(np.trace(covariance(band.low + band.details))), NOISE)
        own, share = variances(band), target["share"][scale]
        most = np.where(own > NOISE, self.detail_gain, 1)
        gain = np.clip(np.sqrt(share * total / np.maximum(own, 1e-9)), 1 / self.detail_gain, most)
        parts = zip(gain, (band.across, band.down, band.both), strict=True)
        return np.asarray(sum(planes.dtype.type(g) * planes for g, planes in parts))

    def _one(self, image: Picture, target: Target) -> Picture:
        small = seen_at(image)
        planes = lab_of(small)
        lean = self._leaning_by(planes, target, octaves(planes))
        colours = self._colours(planes + lean, target)
        change = colours(planes + lean) - planes
        share, made = faithful(small, lambda part: _moved(planes, change, part), self.min_edge)
        return made if small is image else self._large(image, lean, colours, share)

    def _large(self, image: Picture, lean: Planes, colours: Callable[[Planes], Planes], share: float) -> Picture:
        out = np.empty_like(image)
        for rows, part in strips(torch.from_numpy(lean), *image.shape[:2]):
            planes = lab_of(image[rows])
            out[rows] = _moved(planes, colours(planes + part.numpy()) - planes, share)
        return out


def _moved(planes: Planes, change: Planes, share: float) -> Picture:
    rgb = lab_to_rgb(planes + np.float32(share) * change)
    return np.asarray((rgb.transpose(1, 2, 0) + 0.5).astype(np.uint8))


def seen_at(image: Picture) -> Picture:
    """A photo (h, w, 3) in the size in which it is looked at: itself, or what `LARGE` leaves of it."""
    return image if max(image.shape[:2]) <= LARGE else resized(image[None], LARGE)[0]


def faithful(image: Picture, made: Callable[[float], Picture], min_edge: float) -> tuple[float, Picture]:
    """The largest share of a change, of those tried, at which edges of the whole picture still correlate so much.

    Args:
        image: (h, w, 3).
        made: Share 0..1 of the change → the picture.
        min_edge: As `style.guard.pixel_scores` has it; -1 takes the whole change.

    Returns:
        The share, and the picture with it.
    """
    whole, least, most = made(1.0), 0.0, 1.0
    if min_edge == -1 or edge_correlation(image, whole) >= min_edge:
        return 1.0, whole
    found = image
    for _ in range(HALVINGS):
        share = (least + most) / 2
        picture = made(share)
        if edge_correlation(image, picture) >= min_edge:
            least, found = share, picture
        else:
            most = share
    return least, found


def edge_correlation(image: Picture, other: Picture) -> float:
    """Of edge strength over the whole of two pictures, -1..1; see `style.guard.pixel_scores`.

    Example:
        >>> photo = np.arange(768, dtype=np.uint8).reshape(16, 16, 3)
        >>> edge_correlation(photo, photo)
        1.0
    """
    return float(pixel_scores(image[None], other[None], np.ones((1, *image.shape[:2]), np.float32))["edge"][0])


def lab_of(image: Picture) -> npt.NDArray[np.float32]:
    """(h, w, 3) uint8 → (3, h, w)."""
    return np.ascontiguousarray(rgb_to_lab(image), dtype=np.float32)


def octaves(planes: Planes) -> int:
    """How many more a picture (3, h, w) has than one of 256 pixels.

    Example:
        >>> octaves(np.zeros((3, 1000, 40))), octaves(np.zeros((3, 100, 64)))
        (2, -1)
    """
    return round(math.log2(max(planes.shape[1:]) / SIDE))


def covariance(planes: Planes) -> npt.NDArray[np.float64]:
    """(3, 3) of the pixels of (3, h, w).

    Example:
        >>> covariance(np.array([0.0, 2.0] * 3).reshape(3, 1, 2))[0].tolist()
        [1.0, 1.0, 1.0]
    """
    centred = (planes - planes.mean(axis=(1, 2), keepdims=True)).reshape(len(planes), -1).astype(np.float64)
    return np.asarray(centred @ centred.T / centred.shape[1])


def variances(band: Bands) -> npt.NDArray[np.float64]:
    """(3,) mean squares, all channels together, of the upright, level and crossed details."""
    parts = (band.across, band.down, band.both)
    return np.array([np.square(p, dtype=np.float64).mean(axis=(1, 2)).sum() for p in parts])
