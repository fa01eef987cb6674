"""Studio photos whose product mask is known."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

SCALE = 4  # drawn large and reduced, so that edges are mixed as a camera mixes them


def photo(
    colour: tuple[int, int, int] = (170, 40, 60),
    *,
    studio: tuple[int, int, int] = (240, 239, 237),
    size: tuple[int, int] = (117, 176),
    gradient: float = 8.0,
    noise: float = 0.5,
    seed: int = 0,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """A shirt on an uneven studio wall: the photo (h, w, 3) and how much of each pixel is shirt (h, w)."""
    width, height = size[0] * SCALE, size[1] * SCALE
    mask = Image.new("L", (width, height), 0)
    pen = ImageDraw.Draw(mask)
    outline = [(0.3, 0.2), (0.42, 0.17), (0.58, 0.17), (0.7, 0.2), (0.88, 0.42), (0.78, 0.47), (0.7, 0.38), (0.71, 0.8)]
    outline += [(0.29, 0.8), (0.3, 0.38), (0.22, 0.47), (0.12, 0.42)]
    pen.polygon([(x * width, y * height) for x, y in outline], fill=255)
    share = np.asarray(mask.resize(size, Image.Resampling.BOX), np.float32)[..., None] / 255
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    wall = np.array(studio, np.float32) - gradient * (y / size[1])[..., None]
    folds = 6 * np.sin(x / 7 + y / 19)[..., None] * np.ones(3, np.float32)
    picture = wall * (1 - share) + (np.array(colour, np.float32) + folds) * share
    picture += rng.normal(0, noise, (*picture.shape[:2], 1))
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8), share[..., 0]
