"""What prints and weaves are made with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from evaluation.sample.geometry import Field, Floats
from evaluation.sample.palettes import Palette
from evaluation.sample.stuff import HEIGHT, WIDTH, Cloth, Colour

FINE = 3

Pattern = Callable[[np.random.Generator, Palette, float], Cloth]


def grid() -> tuple[Floats, Floats]:
    """Columns x and rows y of every pixel, (HEIGHT, WIDTH) each."""
    yy, xx = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    return xx, yy


def edge(distance: Field) -> Floats:
    """Coverage of the region where ``distance`` (pixels) is positive, one pixel soft."""
    return np.asarray(np.clip(distance + 0.5, 0, 1), np.float32)


def ground(colour: Colour) -> Floats:
    """One colour everywhere, (HEIGHT, WIDTH, 3)."""
    return np.tile(np.asarray(colour, np.float32), (HEIGHT, WIDTH, 1))


def ink(texture: Floats, colour: Colour, cover: Floats) -> None:
    """Print ``colour`` on ``texture`` where ``cover`` says."""
    texture += (np.asarray(colour, np.float32) - texture) * cover[..., None]


def bands(position: Field, widths: list[float], colours: list[Colour]) -> Floats:
    """Repeating bands of ``colours`` along ``position`` (pixels)."""
    period = sum(widths)
    place = position % period
    texture = ground(colours[-1])
    start = 0.0
    for width, colour in zip(widths, colours, strict=True):
        middle = start + width / 2
        away = np.abs((place - middle + period / 2) % period - period / 2)
        ink(texture, colour, edge(width / 2 - away))
        start += width
    return texture


def noise(rng: np.random.Generator, size: float) -> Floats:
    """Smooth noise with blobs of about ``size`` pixels, mean 0, deviation 1; wraps around."""
    coarse = rng.standard_normal((HEIGHT // 2, WIDTH // 2)).astype(np.float32)
    soft = ndimage.gaussian_filter(coarse, size / 4, mode="wrap")
    full = np.asarray(Image.fromarray(soft).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32)
    return np.asarray((full - full.mean()) / full.std(), np.float32)


def printed(paint: Callable[[ImageDraw.ImageDraw, float], None], colour: Colour) -> Floats:
    """What ``paint`` draws on a ground, drawn larger and reduced."""
    image = Image.new("RGB", (WIDTH * FINE, HEIGHT * FINE), rgb8(colour))
    paint(ImageDraw.Draw(image), FINE)
    return np.asarray(image.reduce(FINE), np.float32) / np.float32(255)


def rgb8(colour: Colour) -> tuple[int, int, int]:
    """A colour as Pillow wants it."""
    r, g, b = (round(min(max(c, 0), 1) * 255) for c in colour)
    return (r, g, b)


def scattered(rng: np.random.Generator, step: float, jitter: float = 0.25) -> list[tuple[float, float]]:
    """Motif places: a brick grid, shaken."""
    rows, cols = int(HEIGHT / step) + 2, int(WIDTH / step) + 2
    places = [(c + 0.5 * (r % 2), r * 0.9) for r in range(rows) for c in range(cols)]
    shaken = (np.array(places) + rng.uniform(-jitter, jitter, (len(places), 2))) * step
    return [(float(x), float(y)) for x, y in shaken]
