"""A brand's own look, learned from a few reference photos: palette, backdrop, and the film's grade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from recsys.errors import DataError
from style.base import Images
from style.filmed import LUMA, fade, falloff, grain, luma, untoned, warmth
from style.lab import Floats, ciede2000, lab_to_rgb, rgb_to_lab
from style.mask import cut_out
from style.raster import Bools, shrink
from style.scene import Backdrop, Grade, Palette, vignette
from style.scenery import border, votes

FEWEST = 3
"""References below which a look would be one picture's accident."""
COLOURS = 5
CELL = 3.0
"""Colours are counted in cells of this size in Lab before they are clustered."""
APART = 9.0
"""Mean distance in Lab, lightness at 0.6, up to which colours are one colour of the palette."""
SHARE = 0.02
"""Least share of a background that a colour of the palette covers."""
ALIKE = 9.0
"""ΔE2000 of the grounds up to which two pictures share a palette."""
PALETTES = 6
CLEAR = 0.02
"""Share of the frame up to which a mask stays clear of it."""
MARGIN = 0.02
"""Share of the shorter side around the product that is no background: shadows lie there."""


@dataclass(frozen=True)
class Reference:
    """One reference photo, divided.

    Attributes:
        image: (h, w, 3) uint8.
        behind: (h, w), the background.
        product: (h, w), what stands before it.
    """

    image: Images
    behind: Bools
    product: Bools

    @staticmethod
    def of(image: Images) -> Reference:
        """By its mask, however doubtful, if that stays clear of the frame; else by border and middle.

        A doubtful mask still says well enough where the product is not: here a lost sleeve costs nothing. But one that
        reaches the frame may hold what is painted on the wall.
        """
        alpha = cut_out(image[None]).alpha[0]
        edge = border((image.shape[0], image.shape[1]))
        margin = max(2, round(MARGIN * min(image.shape[:2])))
        behind = shrink(alpha == 0, margin)
        product = (alpha == 1) & ~edge
        frame = np.concatenate([alpha[:2].ravel(), alpha[-2:].ravel(), alpha[:, :2].ravel(), alpha[:, -2:].ravel()])
        if product.mean() > 0.02 and frame.mean() < CLEAR:
            return Reference(image, behind, product)
        return Reference(image, edge, ~edge)


def learn(images: Sequence[Images], *, seed: int = 0) -> dict[str, Any]:
    """The table of a look that makes photos resemble the references.

    The grade is measured first and taken back; colours of the backgrounds are then clustered in Lab, a palette for each
    group of like pictures; the backdrop is the kind whose drawing in these colours resembles the backgrounds most.

    Args:
        images: Photos (h, w, 3) uint8, of any sizes; 5 to 20 are enough.
        seed: Of the drawings compared with.

    Raises:
        DataError: Fewer than 3 photos.

    Example:
        >>> photo = np.full((96, 64, 3), (233, 214, 190), np.uint8)
        >>> photo[30:70, 20:44] = 0
        >>> learn([photo, photo, photo])["backdrop"]["palettes"][0][0]
        '#e9d6be'
    """
    if len(images) < FEWEST:
        raise DataError(
            f"a look is learned from 5 to 20 reference photos, at least {FEWEST}, got {len(images)}; add some"
        )
    references = [Reference.of(image) for image in images]
    grade = _grade(references)
    neutral = [_neutral(reference, grade) for reference in references]
    palettes = _palettes([n[r.behind] for n, r in zip(neutral, references, strict=True)])
    shares = votes(neutral, [r.behind for r in references], palettes, seed=seed)
    kinds = [kind for kind, share in shares.items() if share >= 0.25][:3] or list(shares)[:1]
    grade = _without_drawing(grade, Backdrop(tuple(kinds), tuple(palettes)), references, seed)
    return {
        "about": f"learned from {len(images)} reference photos",
        "back_off": True,
        "backdrop": {"kinds": kinds, "palettes": [list(p) for p in palettes]},
        "shadow": {"strength": 0.3, "blur": 0.05, "right": 0.02, "down": 0.04},
        "grade": {name: round(value, 2) for name, value in vars(replace(grade, product=0.3)).items()},
    }


def _grade(references: Sequence[Reference]) -> Grade:
    images = [r.image for r in references]
    planes, behind = [luma(image) for image in images], [r.behind for r in references]
    sigma = min(grain(planes, behind), 40.0)
    faded = fade(images, sigma)
    return Grade(
        warmth=warmth(images, [r.product for r in references], faded),
        fade=faded,
        grain=sigma,
        vignette=falloff(planes, behind),
    )


def _neutral(reference: Reference, grade: Grade) -> Images:
    """The photo with vignette, warmth and fade taken back."""
    light = vignette((reference.image.shape[0], reference.image.shape[1]), min(grade.vignette, 0.8))
    even = np.clip(reference.image / light[..., None] + np.float32(0.5), 0, 255).astype(np.uint8)
    return untoned(even, grade)


def _without_drawing(grade: Grade, backdrop: Backdrop, references: Sequence[Reference], seed: int) -> Grade:
    """The grade less what the drawing itself has of falloff and of roughness."""
    rng, grey = np.random.default_rng(seed), np.zeros(3, np.float32)
    shapes = [(r.image.shape[0], r.image.shape[1]) for r in references]
    planes = [np.asarray(np.tensordot(LUMA, backdrop.draw(shape, grey, rng), 1), np.float32) for shape in shapes]
    behind = [r.behind for r in references]
    own, rough = falloff(planes, behind), grain(planes, behind)
    left = max(grade.grain**2 - rough**2, 0.0) ** 0.5
    fallen = max(1 - (1 - grade.vignette) / max(1 - own, 1e-6), 0.0)
    return replace(grade, vignette=fallen, grain=left if left >= 1 else 0.0)


def _palettes(backgrounds: Sequence[Images]) -> list[Palette]:
    """One for each group of pictures whose grounds are alike, the commonest first."""
    groups: list[tuple[Floats, list[Images]]] = []
    for pixels in backgrounds:
        ground = _colours(pixels)[:, :1]
        near = [float(ciede2000(first, ground).item()) for first, _ in groups]
        if near and min(near) <= ALIKE:
            groups[int(np.argmin(near))][1].append(_some(pixels))
        else:
            groups.append((ground, [_some(pixels)]))
    groups.sort(key=lambda group: -len(group[1]))
    return [_text(_colours(np.concatenate(members))) for _, members in groups[:PALETTES]]


def _some(pixels: Images, most: int = 8000) -> Images:
    return np.asarray(pixels[np.linspace(0, len(pixels) - 1, min(len(pixels), most)).astype(int)])


def _colours(pixels: Images) -> Floats:
    """(3, k) Lab of a background's colours by area, the largest first; at least two."""
    lab = rgb_to_lab(_some(pixels))
    seen = lab * np.array([[0.6], [1], [1]], np.float32)  # light and shade on one wall are one colour
    cells, cell = np.unique(np.rint(seen / CELL), axis=1, return_inverse=True)
    if cells.shape[1] > 1:
        cluster = fcluster(linkage(cells.T * CELL, "average"), APART, "distance")[cell.ravel()] - 1
    else:
        cluster = np.zeros(lab.shape[1], int)
    area = np.bincount(cluster) / len(cluster)
    order = [i for i in np.argsort(-area, kind="stable").tolist() if area[i] >= SHARE][:COLOURS] or [int(area.argmax())]
    found = [np.median(lab[:, cluster == i], axis=1) for i in order]
    if len(found) == 1:  # one wall: its lit and its shaded part
        light = np.quantile(lab[0], [0.75, 0.25])
        found = [np.array([level, *found[0][1:]]) for level in light]
    return np.stack(found, axis=1).astype(np.float32)


def _text(lab: Floats) -> Palette:
    return tuple("#{:02x}{:02x}{:02x}".format(*c) for c in np.rint(lab_to_rgb(lab)).astype(int).T.tolist())
