"""What film a set of photos was made with: grain, vignette, lifted black and warmth, in the units of `Grade`.

Each is measured against a neutral: a smooth wall has no grain, an even one no falloff, black is black, and of the
products some are grey. Where the references hold nothing black or nothing grey the numbers lean on what is nearest.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from style.base import Images
from style.lab import Floats, rgb_to_lab
from style.raster import Bools, box_mean
from style.scene import Grade, film_grain, lift_and_scale

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
BLOCK = 8
BINS = 8
WARMTHS = np.linspace(-1, 1, 81)


def luma(image: Images) -> Floats:
    """(h, w) 0..255."""
    return np.asarray(image @ LUMA, np.float32)


def grain(planes: Sequence[Floats], wheres: Sequence[Bools]) -> float:
    """Standard deviation of film grain on the calmest quarter of the blocks; 0 below 1, where it is only a dither.

    The second difference along both axes is blind to slopes (Immerkær, Fast Noise Variance Estimation, CVIU 64(2),
    1996); what it sees of our own grain is measured on our own grain.
    """
    found = [np.quantile(_roughness(plane, where), 0.25) for plane, where in zip(planes, wheres, strict=True)]
    sigma = float(np.median(found)) / _response()
    return sigma if sigma >= 1 else 0.0


def _roughness(plane: Floats, where: Bools) -> Floats:
    """Root mean square second difference of each block that lies in ``where`` (all of them if none does)."""
    down = plane[:-2] - 2 * plane[1:-1] + plane[2:]
    both = down[:, :-2] - 2 * down[:, 1:-1] + down[:, 2:]
    rows, columns = (n // BLOCK for n in both.shape)

    def blocks(a: Floats) -> Floats:
        cut = a[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
        return np.asarray(cut.mean(axis=(1, 3)))

    inside = blocks(where[1:-1, 1:-1].astype(np.float32)) == 1
    rough = np.sqrt(blocks(both * both))
    return rough[inside] if inside.any() else rough.ravel()


@lru_cache(maxsize=1)
def _response() -> float:
    """What `_roughness` says of our grain of deviation 1, by its calmest quarter of blocks, as in a photo."""
    noise = film_grain((402, 402), 4.0, np.random.default_rng(0))
    return float(np.quantile(_roughness(noise, np.ones(noise.shape, bool)), 0.25)) / 4


def falloff(planes: Sequence[Floats], wheres: Sequence[Bools]) -> float:
    """How much darker the corners are than the middle (0..1), as `scene.vignette` has it: 1 - v q, q = (x² + y²)² / 4.

    Lightness at equal q is averaged over a picture's background and the median taken over pictures, so that a drawing's
    own light and dark cancel out.
    """
    rows = []
    for plane, where in zip(planes, wheres, strict=True):
        q = _reach(plane.shape)
        level = np.minimum((q * BINS).astype(int), BINS - 1)[where]
        count = np.bincount(level, minlength=BINS)
        total = np.bincount(level, plane[where], minlength=BINS)
        rows.append(np.where(count > 8, total / np.maximum(count, 1) / max(float(plane[where].mean()), 1), np.nan))
    light = np.array(rows)
    seen = np.isfinite(light).sum(axis=0) * 2 >= len(light)
    if seen.sum() < 3:
        return 0.0
    middle = np.nanmedian(light[:, seen], axis=0)
    slope, level = np.polyfit((np.arange(BINS)[seen] + 0.5) / BINS, middle, 1)
    return float(np.clip(-slope / max(level, 1e-6), 0, 1))


def _reach(shape: tuple[int, ...]) -> Floats:
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    return np.asarray((x * x + y * y) ** 2 / 4, np.float32)


def fade(images: Sequence[Images], sigma: float) -> float:
    """How far black is lifted (0..1): the darkest 0.2 % of the picture that reaches deepest.

    Grain of deviation ``sigma`` is averaged over 3 × 3 pixels, and two deviations of what is left of it added back.
    Shop photos without any film measure 0.05 to 0.2, by what black cloth reflects.
    """
    planes = [box_mean(luma(image), 1) if sigma else luma(image) for image in images]
    darkest = min(float(np.quantile(plane, 0.002)) for plane in planes) + 2 * sigma * _left_of_grain()
    lift, _ = lift_and_scale(Grade(fade=1.0))
    return float(np.clip(darkest / float(lift @ LUMA), 0, 1))


@lru_cache(maxsize=1)
def _left_of_grain() -> float:
    """Deviation of our grain of deviation 1 after a mean of 3 × 3 pixels."""
    return float(box_mean(film_grain((402, 402), 4.0, np.random.default_rng(0)), 1).std()) / 4


def warmth(images: Sequence[Images], wheres: Sequence[Bools], faded: float) -> float:
    """-1 cool .. 1 warm: what must be taken back so that most of the chosen pixels near grey become grey."""
    pixels = np.concatenate([_some(image[where]) for image, where in zip(images, wheres, strict=True)])
    bright = pixels[(pixels @ LUMA > 40) & (pixels.max(axis=1) < 253)]  # what is black or burnt out has no hue
    if len(bright) < 64:
        return 0.0
    counts = [_greys(bright, Grade(warmth=float(w), fade=faded)) for w in WARMTHS]
    near = np.array(counts) * np.exp(-0.5 * (WARMTHS / 0.7) ** 2)  # strong casts are rarer than coloured cloth
    return float(WARMTHS[int(near.argmax())])


def _some(pixels: Images, most: int = 3000) -> Images:
    return np.asarray(pixels[:: max(1, len(pixels) // most)])


def _greys(pixels: Images, grade: Grade) -> float:
    lab = rgb_to_lab(untoned(pixels, grade))
    return float(np.exp(-0.5 * (lab[1] ** 2 + lab[2] ** 2) / 2.5**2).sum())


def untoned(pixels: Images, grade: Grade) -> Images:
    """The inverse of `scene.tone` on (…, 3) uint8, rounded and clipped."""
    lift, scale = lift_and_scale(grade)
    return np.asarray(np.clip((pixels - lift) / scale + np.float32(0.5), 0, 255), np.uint8)
