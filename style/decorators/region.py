"""Decorators that protect a part of the photo: `Region`, `BackgroundOnly`, `ProductOnly`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

from recsys.errors import ConfigError
from recsys.files import file_hash
from style.base import Images
from style.compose import Photo, planes_of, repaint
from style.decorators.base import Call, Painted
from style.guard import DOUBTFUL
from style.lab import Floats
from style.masks import mask_source, read_mask


@dataclass(frozen=True)
class Region:
    """Restyle where a mask is white; where it is black every pixel of the photo comes back bit by bit.

    The seam lies in the white part: from the black on, the style rises over ``feather`` pixels.

    Attributes:
        mask: A picture file: white (128 and more) may be restyled. One of the same proportions as the photo is scaled.
        feather: Width of the seam in pixels; 0 cuts hard.
    """

    mask: str
    feather: float = 4.0

    def __post_init__(self) -> None:
        _check_feather("region", self.feather)
        if not Path(self.mask).is_file():
            raise ConfigError(f"region.mask {self.mask} does not exist; give a picture, white where the style may go")

    def paint(self, call: Call) -> Painted:
        """Paste the rest back."""
        may = read_mask(Path(self.mask).read_bytes(), call.images.shape[1:3], what=self.mask) >= 0.5
        painted = call.painted()
        weight = feathered(may, self.feather)
        return painted.with_images(pasted(call.images, painted.images, weight[None]))

    def marks(self) -> list[str]:
        """Hash of the mask's file."""
        return [file_hash(self.mask)]


@dataclass(frozen=True)
class BackgroundOnly:
    """Restyle the background alone; pixels that are wholly product come back bit by bit.

    On the product's soft edge the studio's share of each pixel is exchanged for the style's. A photo whose mask is
    doubtful stays as it is, and the reason is told.

    Attributes:
        mask: How product and background are told apart, see `style.masks.mask_source`.
        feather: Further pixels around the product over which the style rises.
        min_mask: Least confidence of the mask (0..1).
    """

    mask: str = "studio"
    feather: float = 0.0
    min_mask: float = 0.7

    def __post_init__(self) -> None:
        _check_feather("background_only", self.feather)
        mask_source(self.mask)

    def paint(self, call: Call) -> Painted:
        """Paste the product back."""
        return _masked(call, self, "background")

    def marks(self) -> list[str]:
        """Hash of the mask's model, if it has one."""
        return mask_source(self.mask).marks()


@dataclass(frozen=True)
class ProductOnly:
    """Restyle the product alone; pixels that are wholly background come back bit by bit.

    Attributes:
        mask: How product and background are told apart, see `style.masks.mask_source`.
        min_mask: Least confidence of the mask (0..1).
    """

    mask: str = "studio"
    min_mask: float = 0.7

    def __post_init__(self) -> None:
        mask_source(self.mask)

    def paint(self, call: Call) -> Painted:
        """Paste the background back."""
        return _masked(call, self, "product")

    def marks(self) -> list[str]:
        """Hash of the mask's model, if it has one."""
        return mask_source(self.mask).marks()


def _check_feather(name: str, feather: float) -> None:
    if not 0 <= feather <= 512:
        raise ConfigError(f"{name}.feather must be in 0..512 pixels, got {feather:g}")


def feathered(may: npt.NDArray[np.bool_], feather: float) -> Floats:
    """(h, w) weight of the style: 0 where it may not go, rising by a smooth step over ``feather`` pixels beside that.

    Example:
        >>> [round(float(w), 2) for w in feathered(np.array([[False, True, True, True, True]]), 3)[0]]
        [0.0, 0.16, 0.5, 0.84, 1.0]
    """
    if not feather or may.all():
        return may.astype(np.float32)
    rise = np.clip(distance_transform_edt(may) / (feather + 1), 0, 1)
    return (rise * rise * (3 - 2 * rise)).astype(np.float32)


def pasted(before: Images, after: Images, weight: Floats) -> Images:
    """(…, h, w, 3): ``weight`` (…, h, w) of ``after``, the rest ``before``; where it is 0 or 1, bit by bit."""
    share = weight[..., None]
    mixed = before + share * (after.astype(np.float32) - before) + np.float32(0.5)
    made: Images = np.where(share <= 0, before, np.where(share >= 1, after, mixed.astype(np.uint8)))
    return made


def _masked(call: Call, how: BackgroundOnly | ProductOnly, region: Literal["background", "product"]) -> Painted:
    cut = mask_source(how.mask).cut(call.images)
    safe = np.flatnonzero(cut.confidence >= how.min_mask).tolist()
    images, shares = call.images.copy(), np.zeros(len(call.images), np.float32)
    reasons = [DOUBTFUL] * len(images)
    if safe:
        painted = call.painted(call.images[safe])
        feather = getattr(how, "feather", 0.0)
        for k, row in enumerate(safe):
            photo = Photo(planes_of(call.images[row]), cut.alpha[row], cut.background[row], np.random.default_rng(0))
            made = repaint(photo, call.images[row], planes_of(painted.images[k]), region)
            if feather:
                beyond = cut.alpha[row] == 0
                made = np.where(beyond[..., None], pasted(call.images[row], made, feathered(beyond, feather)), made)
            images[row], shares[row], reasons[row] = made, painted.shares[k], painted.reasons[k]
    return Painted(images, shares, tuple(reasons), {"mask": cut.confidence})
