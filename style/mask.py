"""Where the product stands in a studio photo: border colour model, connected background, soft edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from style.base import Images
from style.lab import Floats, rgb_to_lab
from style.raster import box_mean, grow, local_maximum, shrink, steepness

Bools = npt.NDArray[np.bool_]

PLAIN = 2.6
"""ΔE from the background model up to which a single pixel may be background."""
CALM = 1.3
"""The same for the mean of 3 × 3 pixels, where noise has cancelled out: what parts white from white."""
BLEED = 0.22
"""Share of a saturated product's chroma that JPEG's chroma blocks may spill beside it."""
SMALLEST = 16
"""Photos with a shorter side have no mask worth trusting."""
SHADOW = 22.0
"""How much darker (L) than the background a soft shadow may be."""
TINT = 2.6
"""How far a shadow's chroma may be from the background's."""


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


def cut_out(images: Images) -> Cutout:
    """Alpha, confidence and background of each photo."""
    # One photo at a time: its planes fit the cache (faster than stacks), and no photo depends on its neighbours.
    parts = [_cut_one(image) for image in images]
    shape = images.shape[:3]
    alpha, background = np.empty(shape, np.float32), np.empty((shape[0], 3, *shape[1:]), np.float32)
    confidence = np.empty(shape[0], np.float32)
    for i, part in enumerate(parts):
        alpha[i], confidence[i], background[i] = part
    return Cutout(alpha, confidence, background)


def _cut_one(image: npt.NDArray[np.uint8]) -> tuple[Floats, float, Floats]:
    if min(image.shape[:2]) < SMALLEST:
        flat = image.astype(np.float32).transpose(2, 0, 1)
        return np.zeros(image.shape[:2], np.float32), 0.0, flat
    lab = rgb_to_lab(image)
    grid = _Grid.of(image.shape[0], image.shape[1])
    studio = _studio(lab, grid)
    product, claimed = _product(lab, studio, grid)
    rgb = np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)
    background = _surface(rgb, ~product & (studio.difference < 2 * studio.plain), grid)
    alpha, behind = _soft_edge(rgb, product, background, grid)
    return alpha, _confidence(lab, studio, product, claimed, grid), behind


# --- the studio: what colour the background has where ------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Grid:
    """Coordinates and radii of one photo size."""

    basis: Floats  # (6, h, w): 1, x, y, xx, yy, xy
    ring: Bools  # (h, w): the border
    unit: int  # pixels that one pixel of a 176 px photo covers

    @staticmethod
    def of(height: int, width: int) -> _Grid:
        key = (height, width)
        if key not in _GRIDS:
            if len(_GRIDS) > 16:
                _GRIDS.clear()
            _GRIDS[key] = _Grid._make(height, width)
        return _GRIDS[key]

    @staticmethod
    def _make(height: int, width: int) -> _Grid:
        y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
        basis = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y]).astype(np.float32)
        ring = np.ones((height, width), bool)
        edge = max(2, min(height, width) // 40)
        ring[edge:-edge, edge:-edge] = False
        return _Grid(basis, ring, max(1, round(min(height, width) / 150)))


_GRIDS: dict[tuple[int, int], _Grid] = {}


@dataclass(frozen=True, eq=False)
class _Studio:
    """The background's colour model and how far each pixel is from it."""

    darker: Floats  # (h, w): L below the model
    tint: Floats  # (h, w): chroma difference
    difference: Floats  # (h, w): ΔE76
    mean: Floats  # (h, w): ΔE76 of 3 x 3 means
    plain: float  # threshold of `difference`, raised by the photo's noise
    calm: float  # threshold of `mean`
    even: float  # share of the border that obeys the model
    noise: float


def _studio(lab: Floats, grid: _Grid) -> _Studio:
    ring, basis = lab[:, grid.ring], grid.basis[:, grid.ring]
    centre = np.median(ring, axis=1, keepdims=True)
    bright = np.percentile(ring[0], 60)  # a product that is cut by the frame is nearly always darker than the studio
    if bright - centre[0, 0] > 6:
        centre = np.median(ring[:, ring[0] > bright], axis=1, keepdims=True)
    inlier = np.abs(ring - centre).max(axis=0) < 14
    noise = 1.0
    for _ in range(3):
        coefficients = _solve(basis[:, inlier], ring[:, inlier])
        off = np.sqrt(((ring - coefficients @ basis) ** 2).sum(axis=0))
        noise = float(np.median(off[inlier])) if inlier.any() else 9.0
        inlier = off < max(2.5, 4 * noise)
    model = np.tensordot(coefficients, grid.basis, 1)
    first = _compare(lab, model, max(PLAIN, 3.5 * noise), float(inlier.mean()), noise)
    near = first.difference < first.plain
    model = _surface(lab, near, grid) if near.mean() > 0.1 else model
    return _compare(lab, model, first.plain, first.even, noise)


def _compare(lab: Floats, model: Floats, plain: float, even: float, noise: float) -> _Studio:
    off = lab - model
    tint2 = off[1] * off[1] + off[2] * off[2]
    smooth = box_mean(off, 1)
    mean = np.sqrt(smooth[0] * smooth[0] + smooth[1] * smooth[1] + smooth[2] * smooth[2])
    calm = CALM * plain / PLAIN
    return _Studio(-off[0], np.sqrt(tint2), np.sqrt(tint2 + off[0] * off[0]), mean, plain, calm, even, noise)


def _surface(planes: Floats, where: Bools, grid: _Grid) -> Floats:
    """Quadratic surface through the chosen pixels of each plane (3, h, w)."""
    step = slice(None, None, 2 * grid.unit)
    chosen = where[step, step]
    if chosen.sum() < 24:
        chosen = grid.ring[step, step] | chosen
    basis = grid.basis[:, step, step][:, chosen]
    return np.tensordot(_solve(basis, planes[:, step, step][:, chosen]), grid.basis, 1).astype(np.float32)


def _solve(basis: Floats, values: Floats) -> Floats:
    """Least squares (ridge against empty corners): (6, m) basis, (3, m) values → (3, 6)."""
    if basis.shape[1] == 0:
        return np.zeros((3, 6), np.float32)
    gram = (basis @ basis.T).astype(np.float64) + np.diag([1e-6, 0.3, 0.3, 3, 3, 3]) * basis.shape[1] * 1e-3
    return np.asarray(np.linalg.solve(gram, (basis @ values.T).astype(np.float64)).T, np.float32)


# --- the product: everything the background does not reach from the border -----------------------------------------


def _product(lab: Floats, studio: _Studio, grid: _Grid) -> tuple[Bools, Bools]:
    """The product, and all that was not background before its fringe of shadow and ringing was taken off."""
    plain = _plain(studio, grid.unit)
    soft = _tint_allowed(studio, grid.unit) & (studio.darker < SHADOW) & (studio.darker > -studio.plain)
    may = plain | (soft & (steepness(lab[0], grid.unit) < 2.5))
    reached = _reached(may, grid.unit) | _reached(plain, 0)
    product = ~(grow(reached, grid.unit) & may)
    product = grow(shrink(product, grid.unit), grid.unit) | _large(product & ~plain, 12 * grid.unit**2)
    product = _large(product & ~_windows(plain, product, studio, grid, lab[0]), 0.004 * product.size)
    claimed = product.copy()
    product &= ~_fringe(product, studio, grid.unit)
    product &= ~_gap(product, studio, grid.unit)
    return _large(product, 0.003 * product.size), claimed


def _fringe(product: Bools, studio: _Studio, unit: int) -> Bools:
    """Studio pixels left along the outline: overshoot, ringing, shadow; small beside the contrast of the product."""
    near = local_maximum(studio.difference, 3 * unit)
    far = local_maximum(studio.difference, 8 * unit)
    strong = studio.difference > 0.5 * far
    between = shrink(grow(strong, 3 * unit), 3 * unit)  # white stripes of the cloth have colour on both sides
    slight = (studio.difference < 0.3 * near) & (near > 16) & ~between
    off = ~product
    for _ in range(3 * unit):
        off = off | (grow(off) & slight)
    if product.any() and np.percentile(studio.difference[product], 15) > 24:  # all of it dark: contact shadows, too
        contact = (studio.tint < 2) & (studio.darker < 0.6 * far) & ~between
        for _ in range(6 * unit):
            off = off | (grow(off) & contact)
    return off & product


def _gap(product: Bools, studio: _Studio, unit: int) -> Bools:
    """The narrow shadowy gap between trouser legs: open below, closed by strong contrast left and right.

    More than three such gaps are stripes of the fabric, and stay.
    """
    near = local_maximum(studio.difference, 6 * unit)
    slight = product & (studio.difference < 0.25 * near) & (near > 30)
    rows, _ = ndimage.label(slight, structure=[[0, 0, 0], [1, 1, 1], [0, 0, 0]])
    narrow = slight & (np.bincount(rows.ravel())[rows] <= 14 * unit)
    upward = np.array([[1, 1, 1], [0, 1, 0], [0, 0, 0]], bool)
    risen = ndimage.binary_dilation(~product, upward, iterations=-1, mask=~product | narrow) & product
    labels, _ = ndimage.label(risen)
    gaps = [s for i, s in enumerate(ndimage.find_objects(labels), 1) if _is_gap(s, labels[s] == i, studio)]
    found = np.zeros_like(product)
    for place in gaps if len(gaps) <= 3 else []:
        found[place] |= risen[place]
    return found


def _is_gap(place: tuple[slice, ...], inside: Bools, studio: _Studio) -> bool:
    height, width = inside.shape
    return bool(height >= 1.5 * width and inside.sum() >= 6 and studio.difference[place][inside].min() < studio.plain)


def _plain(studio: _Studio, unit: int) -> Bools:
    """Pixels like the background; beside a strong edge the means tell nothing, there each pixel counts alone."""
    strong = local_maximum(studio.difference, 1 * unit) > 8
    return (studio.difference < studio.plain) & (strong | (studio.mean < studio.calm))


def _tint_allowed(studio: _Studio, unit: int) -> Bools:
    """Chroma within a shadow's, or within what a saturated product nearby spills where lightness is the studio's."""
    near = local_maximum(studio.tint, 8 * unit)
    spill = (studio.tint < BLEED * near) & (np.abs(studio.darker) < 3.5)
    return (studio.tint < max(TINT, studio.plain)) | spill


def _reached(may: Bools, gap: int) -> Bools:
    """Pixels connected to the border through ``may``, gaps narrower than 2 × ``gap`` closed."""
    wide = shrink(may, gap) if gap else may
    labels, _ = ndimage.label(wide)
    touching = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    lookup = np.zeros(labels.max() + 1, bool)
    lookup[touching] = True
    lookup[0] = False
    return np.asarray(lookup[labels])


def _large(mask: Bools, least: float) -> Bools:
    """Components of at least ``least`` pixels, diagonal neighbours joined."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    keep = np.bincount(labels.ravel(), minlength=count + 1) >= least
    keep[0] = False
    return np.asarray(keep[labels])


def _windows(plain: Bools, product: Bools, studio: _Studio, grid: _Grid, light: Floats) -> Bools:
    """Enclosed pieces of background: through a handle, between arm and body; only when they match it closely."""
    close = plain & product & (studio.difference < max(1.3, 2.2 * studio.noise))
    labels, count = ndimage.label(shrink(close, grid.unit))
    if not count:
        return np.zeros_like(plain)
    index = np.arange(count + 1)
    area = np.bincount(labels.ravel(), minlength=count + 1)
    mean = ndimage.mean(studio.difference, labels, index)
    if _burnt_out(light, grid):  # a white print looks just like the studio
        return np.zeros_like(plain)
    good = (area >= 30 * grid.unit**2) & (np.nan_to_num(mean, nan=9.0) < max(0.8, 1.5 * studio.noise))
    good[0] = False
    return grow(good[labels], 2 * grid.unit) & plain


def _burnt_out(light: Floats, grid: _Grid) -> bool:
    return float(np.median(light[grid.ring])) > 99.5


# --- the edge and the verdict -----------------------------------------------------------------------------------


def _soft_edge(rgb: Floats, product: Bools, background: Floats, grid: _Grid) -> tuple[Floats, Floats]:
    """Alpha by projecting each edge pixel between the product's and the background's local colour."""
    unit = grid.unit
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


def _confidence(lab: Floats, studio: _Studio, product: Bools, claimed: Bools, grid: _Grid) -> float:
    """The weakest of several doubts, each 1 when all is well and 0.5 at the limit."""
    return min(doubts(lab, studio, product, claimed, grid).values())


def doubts(lab: Floats, studio: _Studio, product: Bools, claimed: Bools, grid: _Grid) -> dict[str, float]:
    """Each reason to doubt a mask, as a confidence in 0..1."""
    unit = grid.unit
    area = float(product.mean())
    inside = local_maximum(np.where(product, studio.mean, 0), 2 * unit)
    outline = product & ~shrink(product, unit)
    weak = float((inside[outline] < 2.5 * studio.calm).mean()) if outline.any() else 1.0
    smooth = box_mean(product.astype(np.float32), 3 * unit) > 0.5
    pale = local_maximum(np.where(product, studio.difference, 0), 3 * unit) < 12
    ragged = float(((product != smooth) & pale).sum()) / max(float(outline.sum()), 1.0)
    beyond = ~grow(claimed, 3 * unit)
    soft = 0.15 * box_mean(np.where(beyond, studio.darker, 0), 2 * unit)  # a shadow's own slope is no structure
    busy = _detail(studio.darker, beyond, unit) > 0.7 + 0.25 * studio.noise + soft
    left = float(busy.sum()) / max(float(product.sum()), 1.0)
    closed = shrink(grow(product, 4 * unit), 4 * unit)  # pale stripes that ran out between dark ones
    between = float((closed & ~product).sum()) / max(float(product.sum()), 1.0)
    alike = float((studio.mean[product] < 1.5 * studio.calm).mean()) if product.any() else 1.0
    touches = float((product & grid.ring).sum() / grid.ring.sum())
    return {
        "border not even": _ramp(studio.even, 0.35, 0.85),
        "area": min(_ramp(area, 0.0, 0.02), _ramp(1 - area, 0.03, 0.25)),
        "weak outline": _ramp(1 - weak, 0.6, 1.0),
        "ragged outline": _ramp(1 - ragged, 0.64, 0.96),
        "cloth between": _ramp(1 - between, 0.6, 1.0),
        "structure outside": _ramp(1 - left, 0.94, 1.0),
        # In a burnt-out studio white cloth and background are one colour: cloth may be lost, or holes left.
        "studio inside": _ramp(1 - alike, 0.92 if _burnt_out(lab[0], grid) else 0.86, 1.0),
        "frame cuts": _ramp(1 - touches, 0.4, 0.9),
    }


def _detail(darker: Floats, outside: Bools, unit: int) -> Floats:
    """How much a pixel outside the product stands out from its surroundings there: seams and hems, not soft shadows."""
    near, share = (box_mean(np.stack([darker * outside, outside.astype(np.float32)]), r) for r in (unit, 4 * unit))
    fine = np.abs(near[0] / np.maximum(near[1], 0.05) - share[0] / np.maximum(share[1], 0.05))
    return np.asarray(fine * outside)


def _ramp(value: float, low: float, high: float) -> float:
    return float(np.clip((value - low) / (high - low), 0, 1))
