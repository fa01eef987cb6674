"""Which of our backdrops a set of backgrounds looks like: by drawing each and comparing texture.

A background is described by how its lightness varies (at five scales, along eight directions, in rows and columns,
towards the middle), on all but the middle of the picture, where a product stands. No weights are needed: the drawings
themselves, in the palettes of the references, are what each kind is learned from.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from style.base import Images
from style.compose import to_picture
from style.filmed import grain, luma
from style.images import resize
from style.lab import Floats, rgb_to_lab
from style.look import builtin_tables
from style.raster import Bools, box_mean
from style.scene import BACKDROPS, Backdrop, Palette, film_grain

SIDE = 160
SAMPLES = 6
SCALES = (1, 2, 4, 8, 16)
SHORE = 0.35
"""Half the width of the middle that is left out, as a share of the picture's."""
FLAT = 2.0
"""Contrast below which a background is a bare wall; that of white studios is about 1."""
GREY = np.array([60.0, 0.0, 0.0], np.float32)


def border(shape: tuple[int, int]) -> Bools:
    """(h, w): all but the middle oval, where a product stands."""
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    return np.asarray((x / (2 * SHORE)) ** 2 + (y / 0.86) ** 2 > 1)


def describe(image: Images, behind: Bools) -> Floats:
    """(d,) of a background (h, w, 3), at one size, where ``behind`` (h, w) and beside the middle.

    Contrast and colour of it do not count.
    """
    square = resize(image[None], SIDE)[0]
    seen = resize(np.repeat(behind[None, ..., None], 3, axis=3).astype(np.uint8) * 255, SIDE)[0, ..., 0] > 250
    lab = box_mean(filled(rgb_to_lab(square), seen), 1)  # frees it of grain
    where = border((SIDE, SIDE)) & seen
    where = where if where.sum() > 500 else border((SIDE, SIDE))
    lab = lab - lab[:, where].mean(axis=1)[:, None, None]
    spread = np.sqrt((lab[:, where] ** 2).mean(axis=1).sum()) + np.float32(0.5)
    lab = np.asarray(lab / spread, np.float32)
    down, right = np.gradient(lab[0])
    parts = [_bands(lab, where), _directions(down, right, where), _layout(lab[0], where)]
    return np.concatenate(parts).astype(np.float32)


def contrast(image: Images, behind: Bools) -> float:
    """Deviation in Lab of a photo's background, freed of grain."""
    lab = box_mean(rgb_to_lab(image), 1)[:, behind]
    return float(np.sqrt(lab.var(axis=1).sum())) if lab.size else 0.0


def filled(planes: Floats, seen: Bools) -> Floats:
    """What is not seen takes the mean of what is seen nearby, from the smallest neighbourhood that holds enough."""
    out = planes * seen
    missing = ~seen
    for radius in (4, 12, 40, SIDE):
        share = box_mean(seen.astype(np.float32), radius)
        enough = missing & (share > 0.15)
        out[:, enough] = (box_mean(planes * seen, radius) / np.maximum(share, 1e-6))[:, enough]
        missing &= ~enough
    return np.asarray(out, np.float32)


def _bands(lab: Floats, where: Bools) -> Floats:
    """Strength and peakedness of lightness, and strength of chroma, between neighbouring scales."""
    smooth = [lab] + [box_mean(lab, radius) for radius in SCALES]
    found = []
    for fine, coarse in pairwise(smooth):
        band = (fine - coarse)[:, where]
        strength = np.sqrt((band * band).mean(axis=1)) + 0.01
        peaked = np.abs(band[0]).mean() / strength[0]
        lopsided = (band[0] ** 3).mean() / strength[0] ** 3
        found += [np.log(strength[0]), np.log(np.hypot(strength[1], strength[2])), peaked, np.tanh(lopsided / 3)]
    return np.array(found, np.float32)


def _directions(down: Floats, right: Floats, where: Bools) -> Floats:
    """Share of edge strength along each of eight directions, and of it in the strongest twentieth of the pixels."""
    strength = np.hypot(down, right)[where]
    turn = (np.arctan2(down, right)[where] / np.pi * 8 + 0.5).astype(int) % 8
    total = max(float(strength.sum()), 1e-3)
    strongest = np.sort(strength)[-(len(strength) // 20) :].sum() / total
    found = np.append(np.bincount(turn, strength, minlength=8) / total * 4, 4 * strongest)
    return np.asarray(found, np.float32)


def _layout(light: Floats, where: Bools) -> Floats:
    """How lightness goes from top to bottom and from the middle outwards, and how even columns and rows are."""
    y, x = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE), indexing="ij")
    planes = [y, np.abs(x), x * x + y * y]
    flat = max(float(light[where].std()), 0.05)
    slopes = [float((light[where] * (p[where] - p[where].mean())).mean() / p[where].std() / flat) for p in planes]
    edges = [light[:, :20], light[:, -20:], light[:12].T, light[-12:].T]
    along = [float(edge.mean(axis=1).std()) for edge in edges]
    across = [float(edge.mean(axis=0).std()) for edge in edges]
    return np.array([*slopes, *along, *across], np.float32)


def votes(
    images: Sequence[Images], behind: Sequence[Bools], palettes: Sequence[Palette], *, seed: int = 0
) -> dict[str, float]:
    """Kind of backdrop → the share of the pictures that look like it most, largest first (ties by name).

    Args:
        images: Photos (h, w, 3), their film's colour and vignette taken back, their grain left in.
        behind: (h, w) of each, where its background is.
        palettes: The references' colours, which every kind is drawn in.
        seed: Of the drawings.
    """
    if np.median([contrast(image, b) for image, b in zip(images, behind, strict=True)]) < FLAT:
        return {"studio": 1.0}  # there is nothing on such a wall that could be told apart
    images = [reduced(image) for image in images]
    hidden = [reduced(np.repeat(255 * ~b[..., None], 3, axis=2).astype(np.uint8))[..., 0] > 0 for b in behind]
    kinds, drawn = samples(images, [~h for h in hidden], palettes, seed=seed)
    mean = {kind: drawn[kinds == kind].mean(axis=0) for kind in BACKDROPS}
    # Linear discriminant analysis, shrunk: what varies within a kind counts little.
    within = drawn - np.stack([mean[kind] for kind in kinds])
    scale = within.std(axis=0) + 0.02
    correlation = (within / scale).T @ (within / scale) / len(within)
    white = np.linalg.cholesky(np.linalg.inv(0.8 * correlation + 0.2 * np.eye(len(scale))))
    centres = np.stack([mean[kind] for kind in BACKDROPS]) / scale @ white
    seen = np.stack([describe(image, ~h) for image, h in zip(images, hidden, strict=True)]) / scale @ white
    nearest = np.linalg.norm(seen[:, None] - centres, axis=2).argmin(axis=1)
    share = np.bincount(nearest, minlength=len(BACKDROPS)) / len(images)
    found = {kind: float(share[i]) for i, kind in enumerate(BACKDROPS) if share[i]}
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def reduced(image: Images) -> Images:
    """About `SIDE` along the shorter side, by whole-number steps."""
    step = max(1, round(min(image.shape[:2]) / SIDE))
    rows, columns = image.shape[0] // step, image.shape[1] // step
    cut = image[: rows * step, : columns * step].reshape(rows, step, columns, step, 3)
    return np.asarray(np.rint(cut.mean(axis=(1, 3))), np.uint8)


def samples(
    images: Sequence[Images], behind: Sequence[Bools], palettes: Sequence[Palette], *, seed: int = 0
) -> tuple[npt.NDArray[np.str_], Floats]:
    """Every kind drawn a few times as the references are, their size and grain: names (n,) and descriptions.

    Half are in the references' palettes, half in those of the built-in looks: a wall of one colour would hide what a
    kind looks like.
    """
    rng = np.random.default_rng(seed)
    planes = [luma(image) for image in images]
    sigma = grain(planes, behind)
    own = _own_palettes()
    names, rows = [], []
    for kind in BACKDROPS:
        for i in range(SAMPLES):
            shape = planes[i % len(planes)].shape
            size = (shape[0], shape[1])
            colours = own[kind][i // 2 % len(own[kind])] if i % 2 and kind in own else palettes[i % len(palettes)]
            drawing = Backdrop((kind,), (colours,)).draw(size, GREY, rng)
            names.append(kind)
            rows.append(describe(to_picture(drawing + film_grain(size, sigma, rng)), behind[i % len(planes)]))
    return np.array(names), np.stack(rows)


def _own_palettes() -> dict[str, Sequence[Palette]]:
    """Kind → palettes of the built-in looks that draw it."""
    backdrops = [table["backdrop"] for table in builtin_tables().values()]
    return {kind: [tuple(p) for p in b["palettes"]] for b in backdrops for kind in b["kinds"]}
