"""Where the product stands in a studio photo, with a soft edge and how far that can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from style.base import Images
from style.faint import recover, structure
from style.lab import Floats, rgb_to_lab
from style.raster import box_mean, grow, local_maximum, shrink, steepness
from style.silhouette import frame_of, silhouette
from style.studio import Bools, Grid, Place, Studio, grid_of, studio_of, surface

SMALLEST = 16
"""Photos with a shorter side have no mask worth trusting."""


@dataclass(frozen=True, eq=False)
class Cutout:
    """Products of a batch, separated from their studio.

    Attributes:
        alpha: (n, h, w) float32 in 0..1: 1 product, 0 background, between on the edge.
        confidence: (n,) float32 in 0..1; below 0.5 the mask is doubtful.
        background: (n, 3, h, w) float32: what the photo would show without the product (RGB 0..255).
    """

    alpha: Floats
    confidence: Floats
    background: Floats

    def take(self, rows: Sequence[int]) -> Cutout:
        """Those of some photos."""
        index = np.asarray(rows, dtype=np.int64)
        return Cutout(self.alpha[index], self.confidence[index], self.background[index])


def product_mask(images: Images) -> tuple[Floats, Floats]:
    """Alpha (n, h, w) and confidence (n,) of products photographed before an even background.

    Confidence falls when the border is not even, when the product fills nearly everything or nearly nothing, when the
    outline has little contrast (white on white) or when structure is left outside.

    Example:
        >>> photo = np.full((1, 64, 64, 3), 250, np.uint8)
        >>> photo[0, 16:48, 20:44] = (180, 30, 60)
        >>> alpha, confidence = product_mask(photo)
        >>> round(float(alpha.mean()), 2), bool(confidence[0] > 0.5)
        (0.19, True)
    """
    cut = cut_out(images)
    return cut.alpha, cut.confidence


Refine = Callable[[npt.NDArray[np.uint8], Bools, Grid], Bools]
"""A photo (h, w, 3) and its silhouette → a better one."""


def cut_out(images: Images, refine: Refine | None = None) -> Cutout:
    """Alpha, confidence and background of each photo; ``refine`` has a second look at each silhouette."""
    n, height, width = images.shape[:3]
    alpha, background = np.empty((n, height, width), np.float32), np.empty((n, 3, height, width), np.float32)
    confidence = np.empty(n, np.float32)
    # One photo at a time: its planes fit the cache (faster than stacks), and no photo depends on its neighbours.
    for i, image in enumerate(images):
        alpha[i], confidence[i], background[i] = _cut_one(image, refine)
    return Cutout(alpha, confidence, background)


def given_mask(images: Images, masks: Sequence[Floats | None]) -> Cutout:
    """Cutouts by masks (h, w), 0..1, that came from elsewhere; confidence 1, and 0 where there is none or an empty one.

    The background is continued behind the product: smoothly through all that is clear of it, locally along its edge.

    Example:
        >>> photo = np.full((1, 32, 32, 3), 200, np.uint8)
        >>> given_mask(photo, [np.zeros((32, 32), np.float32)]).confidence.tolist()
        [0.0]
    """
    n, height, width = images.shape[:3]
    alpha, background = np.zeros((n, height, width), np.float32), np.empty((n, 3, height, width), np.float32)
    confidence = np.zeros(n, np.float32)
    for i, (image, mask) in enumerate(zip(images, masks, strict=True)):
        background[i] = image.transpose(2, 0, 1)
        if mask is not None and min(height, width) >= SMALLEST and (mask > 0.5).any():
            alpha[i], confidence[i] = mask, 1.0
            background[i] = _behind(background[i], mask)
    return Cutout(alpha, confidence, background)


def _behind(rgb: Floats, alpha: Floats) -> Floats:
    grid = grid_of(alpha.shape[0], alpha.shape[1])
    clear = ~grow(alpha > 0, grid.unit)
    if not clear.any():
        return rgb
    near, seen = _local_mean(rgb, clear, 4 * grid.unit)
    return np.where(seen, near, surface(rgb, clear, grid))


def _cut_one(image: npt.NDArray[np.uint8], refine: Refine | None = None) -> tuple[Floats, float, Floats]:
    rgb = np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)
    if min(image.shape[:2]) < SMALLEST:
        return np.zeros(image.shape[:2], np.float32), 0.0, rgb
    grid = grid_of(image.shape[0], image.shape[1])
    lab = rgb_to_lab(image)
    studio = studio_of(lab, steepness(lab[0], grid.unit), grid)
    product, claimed, place = silhouette(studio, grid.unit)
    product = recover(product, claimed, studio, grid)
    if refine is not None:
        product = refine(image, product, grid)
    claimed, place = claimed | product, frame_of(claimed | product, grid.unit)
    behind = surface(rgb, ~product & (studio.difference < 2 * studio.plain), grid)
    alpha = np.zeros(image.shape[:2], np.float32)
    here = (slice(None), *place)
    alpha[place], behind[here] = _soft_edge(rgb[here], product[place], behind[here], grid.unit)
    return alpha, confidence_of(doubts(studio, product, claimed, place, grid)), behind


def _soft_edge(rgb: Floats, product: Bools, background: Floats, unit: int) -> tuple[Floats, Floats]:
    """Alpha by projecting each edge pixel between the product's and the background's local colour."""
    core, reach = shrink(product, unit), grow(product, unit)
    band = reach & ~core
    inner, known = _local_mean(rgb, core, unit + 1)
    outer, seen = _local_mean(rgb, ~grow(reach, unit), unit + 2)
    behind = np.where(band & seen, outer, background)
    axis, offset = inner - behind, rgb - behind
    length = (axis * axis).sum(axis=0)
    along = (offset * axis).sum(axis=0) / np.maximum(length, 1)
    blurred = box_mean(product.astype(np.float32), unit)
    certain = np.clip((length - 300) / 1500, 0, 1) * known
    alpha = np.clip(along, 0, 1) * certain + blurred * (1 - certain)
    return np.where(band, alpha, product).astype(np.float32), behind


def _local_mean(rgb: Floats, where: Bools, radius: int) -> tuple[Floats, Bools]:
    """Mean (3, h, w) of the chosen pixels around each pixel, and where there are any."""
    weight = box_mean(where.astype(np.float32), radius)
    mean = np.asarray(box_mean(rgb * where, radius) / np.maximum(weight, np.float32(1e-6)), np.float32)
    return mean, weight > 0.5 / (2 * radius + 1) ** 2


def confidence_of(found: Mapping[str, float]) -> float:
    """How far a mask can be trusted, 0..1: small doubts add up.

    On composites with known masks the sum refuses more bad masks than the largest doubt, at as many accepted.

    Example:
        >>> confidence_of({"weak outline": 0.9, "frame cuts": 0.75, "area": 1.0})
        0.65
    """
    return max(0.0, 1 - sum(1 - value for value in found.values()))


def doubts(studio: Studio, product: Bools, claimed: Bools, place: Place, grid: Grid) -> dict[str, float]:
    """Each reason to doubt a mask, as a confidence in 0..1: 1 when all is well, 0.5 at the limit."""
    size = max(float(product.sum()), 1.0)
    area = float(product.mean())
    touches = float((product & grid.ring).sum() / grid.ring.sum())
    outside = float(structure(studio, ~grow(claimed, 3 * grid.unit), grid.unit).sum()) / size
    # In a burnt-out studio white cloth and background are one colour: cloth may be lost, or holes left.
    alike = float((studio.mean[product] < 1.5 * studio.calm).sum()) / size
    return {
        "border not even": _ramp(studio.even, 0.35, 0.85),
        "area": min(_ramp(area, 0.0, 0.02), _ramp(1 - area, 0.03, 0.25)),
        **_outline_doubts(studio.crop(place), product[place], grid.unit),
        "structure outside": _ramp(1 - outside, 0.97 if studio.burnt_out else 0.94, 1.0),
        "studio inside": _ramp(1 - alike, 0.92 if studio.burnt_out else 0.86, 1.0),
        "frame cuts": _ramp(1 - touches, 0.4, 0.9),
    }


def _outline_doubts(studio: Studio, product: Bools, unit: int) -> dict[str, float]:
    size = max(float(product.sum()), 1.0)
    outline = product & ~shrink(product, unit)
    length = max(float(outline.sum()), 1.0)
    inside = local_maximum(np.where(product, studio.mean, 0), 2 * unit)
    weak = float((inside[outline] < 2.5 * studio.calm).sum()) / length if outline.any() else 1.0
    smooth = box_mean(product.astype(np.float32), 3 * unit) > 0.5
    pale = local_maximum(np.where(product, studio.difference, 0), 3 * unit) < 12
    ragged = float(((product != smooth) & pale).sum()) / length
    closed = shrink(grow(product, 4 * unit), 4 * unit)  # pale stripes that ran out between dark ones
    between = float((closed & ~product).sum()) / size
    return {
        "weak outline": _ramp(1 - weak, 0.6, 1.0),
        "ragged outline": _ramp(1 - ragged, 0.68, 0.96),
        "cloth between": _ramp(1 - between, 0.6, 1.0),
    }


def _ramp(value: float, low: float, high: float) -> float:
    return float(np.clip((value - low) / (high - low), 0, 1))
