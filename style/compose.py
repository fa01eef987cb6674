"""One photo and one scene become one picture; where alpha is 1 the product's pixels come through exactly."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from style.lab import Floats, rgb_to_lab
from style.scene import Backdrop, Grade, Shadow, cast_shadow, film_grain, tone, vignette

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo with its mask.

    Attributes:
        planes: (3, h, w) float32, 0..255.
        alpha: (h, w), 1 = product.
        background: (3, h, w), the studio without the product.
        rng: What is random in its picture.
    """

    planes: Floats
    alpha: Floats
    background: Floats
    rng: np.random.Generator

    def colour(self) -> Floats:
        """The product's mean colour in Lab (3,)."""
        inside = self.alpha > 0.9
        mean = self.planes[:, inside].mean(axis=1) if inside.any() else self.planes.mean(axis=(1, 2))
        return rgb_to_lab(mean.astype(np.uint8))


def scene(photo: Photo, backdrop: Backdrop | None, shadow: Shadow, grade: Grade) -> Floats:
    """What stands behind the product (3, h, w): drawn, or the photo's own studio; toned, shaded, with vignette."""
    shape = photo.alpha.shape[0], photo.alpha.shape[1]
    ground = photo.background if backdrop is None else backdrop.draw(shape, photo.colour(), photo.rng)
    if grade.warmth or grade.fade:
        ground = tone(ground, grade)
    light = vignette(shape, grade.vignette) if grade.vignette else np.float32(1)
    if shadow.strength:
        light = light * cast_shadow(photo.alpha, shadow)
    return np.asarray(ground * light, np.float32)


def compose(photo: Photo, ground: Floats, grade: Grade, *, studio: float = 1.0) -> Picture:
    """Lay the product on ``ground`` (3, h, w).

    On the edge the studio's share of each pixel is exchanged for the ground's, I + (1 - alpha) (N - B), so that no pale
    rim is left; beside the product the studio's own shadow I / B darkens the ground. Called again it gives the same
    picture.
    """
    alpha = photo.alpha
    product = tone(photo.planes, grade, grade.product) if grade.product else photo.planes
    behind = tone(photo.background, grade, grade.product) if grade.product else photo.background
    rest = 1 - alpha
    mixed = product + rest * (ground - behind)
    shade = np.clip(photo.planes / np.maximum(photo.background, 1), 0, 1)
    beside = ground * (1 + np.float32(studio) * (shade - 1))
    out = np.where(alpha > 0, mixed, beside)
    noise = film_grain((alpha.shape[0], alpha.shape[1]), grade.grain, deepcopy(photo.rng))  # the same again
    out += noise * (rest + np.float32(grade.product) * alpha if grade.product else rest)
    return to_picture(out)


def planes_of(picture: Picture) -> Floats:
    """(h, w, 3) uint8 → (3, h, w) float32, the inverse of `to_picture`."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1), dtype=np.float32)


def to_picture(planes: Floats) -> Picture:
    """(3, h, w) float → (h, w, 3) uint8, rounded."""
    rounded = np.clip(planes + np.float32(0.5), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(rounded.transpose(1, 2, 0))


def mixed(before: Picture, after: Picture, strength: float, *, keep_colour: bool = False) -> Floats:
    """``strength`` of ``after``, the rest ``before`` (3, h, w); with ``keep_colour`` only the lightness changes."""
    old, new = (p.transpose(2, 0, 1).astype(np.float32) for p in (before, after))
    change = new - old
    if keep_colour:  # the chroma planes of YCbCr stay, luma is exchanged
        change = (change * np.array([0.299, 0.587, 0.114], np.float32)[:, None, None]).sum(axis=0)
    return np.asarray(old + np.float32(strength) * change, np.float32)


def repaint(photo: Photo, before: Picture, painted: Floats, region: Literal["background", "product", "all"]) -> Picture:
    """Exchange ``region`` of ``before`` for ``painted`` (3, h, w); where alpha excludes it every pixel stays."""
    if region == "all":
        return to_picture(painted)
    old = before.transpose(2, 0, 1).astype(np.float32)
    if region == "product":
        return to_picture(old + photo.alpha * (painted - old))
    # On the edge the pixel is product and studio: the studio's colour goes out, the painted one comes in.
    ground = np.where(photo.alpha > 0, photo.background, old)
    return to_picture(old + (1 - photo.alpha) * (painted - ground))
