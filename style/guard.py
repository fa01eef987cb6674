"""Is this still the product on sale? Scores inside the product's region, and the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from recsys.data.presentation import Presentations
from recsys.errors import ConfigError, DataError
from style.base import Images
from style.lab import Floats, ciede2000, rgb_to_lab
from style.raster import box_mean, local_maximum, shrink, steepness

DOUBTFUL = "mask is doubtful"
"""The reason of an item whose product could not be parted from its studio safely."""


@dataclass(frozen=True)
class GuardConfig:
    """Bounds within which a presentation still shows the product on sale.

    Attributes:
        min_ssim: Least mean structural similarity of luma inside the product (−1..1).
        min_edge: Least correlation of edge strength inside the product (−1..1).
        min_cosine: Least cosine between the encoder's features of the whole picture and of the original (−1..1); a
            new backdrop alone lowers it.
        max_product_delta_e: Largest median ΔE2000 inside the product (3: seen only side by side; graded looks may
            allow 6).
        min_mask: Least confidence of the product mask (0..1). Of composites with known masks that are accepted at 0.7,
            98 % have an IoU of 0.95 or more; of those below 0.95, four of five are refused.
    """

    min_ssim: float = 0.8
    min_edge: float = 0.7
    min_cosine: float = 0.45
    max_product_delta_e: float = 3.0
    min_mask: float = 0.7

    def __post_init__(self) -> None:
        for name in ("min_ssim", "min_edge", "min_cosine", "min_mask"):
            if not -1 <= getattr(self, name) <= 1:
                raise ConfigError(f"guard.{name} must be in -1..1, got {getattr(self, name):g}; -1 accepts everything")
        if not self.max_product_delta_e >= 0:
            raise ConfigError(f"guard.max_product_delta_e must be >= 0, got {self.max_product_delta_e:g}")


def pixel_scores(original: Images, styled: Images, alpha: Floats) -> dict[str, Floats]:
    """What the guard can see in the pixels.

    Args:
        original: (n, h, w, 3) uint8.
        styled: The same photos restyled.
        alpha: (n, h, w) product mask, 0..1.

    Returns:
        (n,) arrays: ``ssim`` and ``edge`` inside the product, ``ssim_whole`` (for information), ``product_delta_e``
        (median ΔE2000 of the pixels that are wholly product). NaN where the mask is empty.

    Example:
        >>> photo = np.full((1, 32, 32, 3), 200, np.uint8)
        >>> scores = pixel_scores(photo, photo, np.ones((1, 32, 32), np.float32))
        >>> {name: value.item() for name, value in scores.items()}
        {'ssim': 1.0, 'ssim_whole': 1.0, 'edge': 1.0, 'product_delta_e': 0.0}
    """
    if original.shape != styled.shape or original.shape[:3] != alpha.shape:
        raise DataError(f"photos, styled and alpha must match, got {original.shape}, {styled.shape}, {alpha.shape}")
    # One photo at a time, as in `style.mask`: its planes fit the cache, its scores depend on it alone.
    rows = [_scores(before, after, mask) for before, after, mask in zip(original, styled, alpha, strict=True)]
    names = ("ssim", "ssim_whole", "edge", "product_delta_e")
    return {name: np.array([row[i] for row in rows], np.float32) for i, name in enumerate(names)}


def _scores(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], alpha: Floats) -> tuple[float, ...]:
    product = alpha > 0.995
    if not product.any():
        return (np.nan,) * 4
    first, second = _luma(before), _luma(after)
    similar = ssim_map(first, second)
    inside = local_maximum((~product).astype(np.float32), 3) == 0  # windows that see nothing of the new background
    ssim = float(similar[inside if inside.sum() >= 16 else product].mean())
    inner = shrink(product, 1)
    where = inner if inner.any() else product
    edge = _correlation(_edges(first)[where], _edges(second)[where])
    pixels = before[product], after[product]
    difference = float(np.median(ciede2000(*(rgb_to_lab(p) for p in pixels))))
    return ssim, float(similar.mean()), edge, difference


def _luma(pixels: npt.NDArray[np.uint8]) -> Floats:
    weights = (0.299, 0.587, 0.114)
    return np.asarray(sum(np.float32(w) * pixels[..., i] for i, w in enumerate(weights)), np.float32)


def ssim_map(first: Floats, second: Floats, radius: int = 3) -> Floats:
    """Structural similarity of two luma planes (0..255) in uniform windows of (2 × radius + 1)².

    Source: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment", IEEE TIP 13(4), 2004, eq. 13.
    """
    c1, c2 = np.float32((0.01 * 255) ** 2), np.float32((0.03 * 255) ** 2)
    # Sample statistics as the paper has them; taken around mid-grey, or float32 loses the variances.
    first, second = first - np.float32(128), second - np.float32(128)
    count = (2 * radius + 1) ** 2
    moments = np.stack([first, second, first * first, second * second, first * second])
    m1, m2, s11, s22, s12 = box_mean(moments, radius)
    bias = np.float32(count / (count - 1))
    v1, v2, cov = bias * (s11 - m1 * m1), bias * (s22 - m2 * m2), bias * (s12 - m1 * m2)
    m1, m2 = m1 + np.float32(128), m2 + np.float32(128)
    similar = (2 * m1 * m2 + c1) * (2 * cov + c2) / ((m1 * m1 + m2 * m2 + c1) * (v1 + v2 + c2))
    return np.asarray(similar, np.float32)


def _edges(plane: Floats) -> Floats:
    """Gradient magnitude by central differences."""
    return steepness(plane, 0)


def _correlation(first: Floats, second: Floats, floor: float = 4.0) -> float:
    """Pearson's, with a floor on the variances so that the noise of a flat product does not decide."""
    first, second = first - first.mean(), second - second.mean()
    spread = float(np.sqrt((first * first).mean() * (second * second).mean()))
    return (float((first * second).mean()) + floor) / (spread + floor)


_BOUNDS: tuple[tuple[str, str, bool, str], ...] = (
    ("mask", "min_mask", True, DOUBTFUL),
    ("product_delta_e", "max_product_delta_e", False, "product colour changed"),
    ("ssim", "min_ssim", True, "product structure changed"),
    ("edge", "min_edge", True, "product outlines changed"),
    ("cosine", "min_cosine", True, "no longer recognised"),
)
"""score, its bound, whether it is a least value, the reason; the first that fails is the reason told."""


def judge(scores: Mapping[str, npt.ArrayLike], config: GuardConfig) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """Accepted (n,) and the reason of each refusal ("" when accepted); scores that are not there are not judged.

    Example:
        >>> judge({"ssim": [0.9, 0.9], "product_delta_e": [1.0, 12.0]}, GuardConfig())[1]
        ['', 'product colour changed']
    """
    n = len(np.asarray(next(iter(scores.values()))))
    reasons = [""] * n
    for name, bound, least, reason in reversed(_BOUNDS):
        if name in scores:
            value, limit = np.asarray(scores[name], np.float64), getattr(config, bound)
            good = value >= limit if least else value <= limit
            reasons = [old if ok else reason for old, ok in zip(reasons, good, strict=True)]
    return np.array([not r for r in reasons], dtype=bool), reasons


class Guarded(Protocol):
    """A look, as far as the guard knows it."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def guard(self) -> GuardConfig:
        """Its bounds."""
        ...


def add_cosine(
    presentations: Presentations,
    cosine: Mapping[str, Mapping[str, float]],
    looks: Sequence[Guarded] | Iterable[Guarded],
) -> Presentations:
    """Add ``score_cosine`` (look → item → cosine) and refuse what is no longer recognised.

    What was refused before stays refused, with its reason; an item without a cosine keeps its verdict.
    """
    frame = presentations.frame.copy()
    values = [
        cosine.get(look, {}).get(item, np.nan) for look, item in zip(frame["look"], frame["item_id"], strict=True)
    ]
    frame["score_cosine"] = np.array(values, dtype=np.float64)
    least = {look.name: look.guard.min_cosine for look in looks}
    limit = frame["look"].map(least).astype(float).fillna(-1.0)
    low = frame["accepted"] & (frame["score_cosine"] < limit)
    frame.loc[low, "reason"] = _BOUNDS[-1][3]
    frame["accepted"] = frame["accepted"] & ~low
    return Presentations(frame)


def scores_of(row: Mapping[str, Any]) -> dict[str, float]:
    """The guard's scores among a presentation's columns, without their prefix."""
    return {k.removeprefix("score_"): float(v) for k, v in row.items() if k.startswith("score_")}
