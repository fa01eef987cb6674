"""A board on which parts are laid one over another, each lit as a soft relief from the upper left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

from evaluation.sample.geometry import (
    Anchor,
    Floats,
    Points,
    curve,
    ellipse,
    tapered,
)
from evaluation.sample.light import blur, cylinder, extent, silk
from evaluation.sample.stuff import HEIGHT, LIGHT, SCALE, WIDTH, Cloth, Colour, Outline, Relief


@dataclass
class Canvas:
    """A transparent board; `part`, `lines` and `glow` add to it, `photo` puts it in the studio.

    Attributes:
        rng: Wobble and grain.
        tilt: Rotation, radians.
        size: Zoom about the middle of the picture.
        wobble: How unsteady the hand is, pixels.
        drop: Moves the product down, pixels.
        rgb: (HEIGHT, WIDTH, 3) colour, premultiplied.
        alpha: (HEIGHT, WIDTH) coverage.
    """

    rng: np.random.Generator
    tilt: float = 0.0
    size: float = 1.0
    wobble: float = 0.7
    drop: float = 0.0
    rgb: Floats = field(default_factory=lambda: np.zeros((HEIGHT, WIDTH, 3), np.float32))
    alpha: Floats = field(default_factory=lambda: np.zeros((HEIGHT, WIDTH), np.float32))

    def __post_init__(self) -> None:
        self._phase = self.rng.uniform(0, 2 * np.pi, 4)
        self._noise = self.rng.standard_normal((HEIGHT, WIDTH), dtype=np.float32)
        self._silk = silk(self.rng)

    def place(self, outline: Outline) -> Points:
        """From x-from-the-middle to picture coordinates, with the hand's wobble."""
        xy = outline if isinstance(outline, np.ndarray) else curve(outline)
        a, b, c, d = self._phase
        x = xy[:, 0] + self.wobble * (np.sin(xy[:, 1] / 31 + a) + 0.5 * np.sin(xy[:, 1] / 13 + b))
        y = xy[:, 1] + self.wobble * (np.sin(xy[:, 0] / 29 + c) + 0.5 * np.sin(xy[:, 0] / 11 + d))
        cos, sin = np.cos(self.tilt) * self.size, np.sin(self.tilt) * self.size
        y0 = HEIGHT / 2
        return np.stack([WIDTH / 2 + cos * x - sin * (y - y0), y0 + self.drop + sin * x + cos * (y - y0)], axis=1)

    def part(
        self, outline: Outline, cloth: Cloth, relief: Relief | None = None, *, holes: Sequence[Outline] = ()
    ) -> None:
        """Lay a part over what is there."""
        relief = relief or Relief()
        box, mask = self._raster([self.place(outline)], [self.place(h) for h in holes], pad=int(relief.puff) + 4)
        if mask.size == 0:
            return
        self._cast(box, mask, relief.lift)
        colour = self._lit(box, mask, cloth, relief)
        self._over(box, mask, colour)

    def lines(
        self,
        strokes: Sequence[Outline],
        colour: Colour,
        *,
        width: float = 1.0,
        opacity: float = 1.0,
        dash: tuple[float, float] | None = None,
        clip: bool = True,
    ) -> None:
        """Draw open curves, clipped to the product or not; ``dash`` (on, off) makes stitches."""
        paths = [self.place(s if isinstance(s, np.ndarray) else curve(s, closed=False)) for s in strokes]
        if dash:
            paths = [piece for path in paths for piece in _dashes(path, *dash)]
        box, mask = self._stroke(paths, width)
        if clip:
            mask = mask * self.alpha[box]
        self._over(box, mask * np.float32(opacity), np.asarray(colour, np.float32))

    def dots(self, centres: Sequence[tuple[float, float]], radius: float, cloth: Cloth) -> None:
        """Buttons, studs, eyelets."""
        for x, y in centres:
            self.part(ellipse(x, y, radius, n=24), cloth, Relief(puff=max(radius * 0.7, 1.0), height=0.9, lift=0.45))

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: float) -> None:
        """Light on what is there, around a point (a lit lamp)."""
        centre = self.place(np.array([[x, y]]))[0]
        yy, xx = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
        fall = np.exp(-((xx - centre[0]) ** 2 + (yy - centre[1]) ** 2) / (2 * radius**2)) * strength * self.alpha
        self.rgb += (np.asarray(colour, np.float32) * self.alpha[..., None] - self.rgb) * fall[..., None]

    def photo(self, *, floor: float | None = None, backdrop: float = 0.845) -> npt.NDArray[np.uint8]:
        """The finished studio photo: light grey backdrop, so that white cloth stands out from it, and a soft shadow.

        Args:
            floor: y of the ground a product stands on; None for a garment photographed flat.
            backdrop: Brightness of the backdrop.

        Returns:
            (HEIGHT, WIDTH, 3) uint8.
        """
        yy, xx = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
        away = ((xx - WIDTH / 2) / WIDTH) ** 2 + ((yy - HEIGHT * 0.45) / HEIGHT) ** 2
        ground = np.float32(backdrop) + 0.018 - 0.06 * away
        ground = ground * (1 - self._shadow(floor))
        tint = np.array([1.0, 0.997, 0.99], np.float32)
        picture = self.rgb + (1 - self.alpha)[..., None] * ground[..., None] * tint
        noise = self._noise[::-1] * 0.004
        return np.asarray(np.clip(picture + noise[..., None], 0, 1) * 255 + 0.5, np.float32).astype(np.uint8)

    def _shadow(self, floor: float | None) -> Floats:
        fallen = ndimage.shift(self.alpha, (5, 4), order=0) if floor is None else self.alpha
        soft = blur(fallen, 10.0)
        if floor is None:
            return np.asarray(0.15 * soft, np.float32)
        y = float(self.place(np.array([[0.0, floor]]))[0, 1])
        row = np.clip(int(y), 4, HEIGHT - 1)
        wide = self.alpha[row - 26 : row].max(axis=0)
        yy = np.arange(HEIGHT, dtype=np.float32)[:, None]
        contact = ndimage.gaussian_filter1d(wide, 7.0)[None] * np.exp(-0.5 * ((yy - y - 1) / 5.0) ** 2)
        pool = ndimage.gaussian_filter1d(wide, 18.0)[None] * np.exp(-0.5 * ((yy - y - 2) / 12.0) ** 2)
        return np.asarray(0.18 * contact + 0.16 * pool + 0.03 * soft, np.float32)

    def _raster(
        self, polygons: Sequence[Points], holes: Sequence[Points], *, pad: int
    ) -> tuple[tuple[slice, slice], Floats]:
        box = _box(polygons, pad)
        image, x0, y0 = _sheet(box)
        draw = ImageDraw.Draw(image)
        for shapes, ink in ((polygons, 255), (holes, 0)):
            for shape in shapes:
                draw.polygon([tuple(p) for p in ((shape - (x0, y0)) * SCALE).tolist()], fill=ink)
        return box, _reduced(image)

    def _stroke(self, paths: Sequence[Points], width: float) -> tuple[tuple[slice, slice], Floats]:
        box = _box(paths, int(width) + 2)
        image, x0, y0 = _sheet(box)
        draw = ImageDraw.Draw(image)
        thick = max(round(width * self.size * SCALE), 1)
        for path in paths:
            points = [tuple(p) for p in ((path - (x0, y0)) * SCALE).tolist()]
            draw.line(points, fill=255, width=thick, joint="curve")
        return box, _reduced(image)

    def _cast(self, box: tuple[slice, slice], mask: Floats, lift: float) -> None:
        if lift > 0 and self.alpha[box].any():
            shadow = blur(ndimage.shift(mask, (2, 1), order=0), 2.2) * np.float32(lift)
            self.rgb[box] *= (1 - shadow)[..., None]

    def _over(self, box: tuple[slice, slice], mask: Floats, colour: Floats) -> None:
        rgb, alpha = self.rgb[box], self.alpha[box]
        rgb += (colour - rgb) * mask[..., None]
        alpha += (1 - alpha) * mask

    def _lit(self, box: tuple[slice, slice], mask: Floats, cloth: Cloth, relief: Relief) -> Floats:
        texture, bump = self._cut(box, mask, cloth, relief)
        height = blur(mask, relief.puff) * np.float32(relief.height * relief.puff * 0.55)
        for anchors, width, depth in relief.folds:
            height += self._fold(box, mask.shape, anchors, width) * np.float32(depth)
        if bump is not None:
            height += bump
        gy, gx = np.gradient(height)
        light = LIGHT[0] * gx + LIGHT[1] * gy
        if relief.round:
            light += np.float32(relief.round) * cylinder(mask)
        silk = self._silk[box] * cloth.satin
        dark = np.clip(np.maximum(-light, 0) * 0.75 + np.maximum(-silk, 0), 0, 0.72)
        bright = np.clip(np.maximum(light, 0) * (0.22 + 0.55 * cloth.sheen) + np.maximum(silk, 0), 0, 0.8)
        bright += np.clip(light - 0.30, 0, 1) ** 1.5 * cloth.sheen * 1.2
        colour = texture * (1 - dark[..., None] * np.array([0.92, 0.97, 0.90], np.float32))
        gleam = 0.55 + 0.45 * texture  # highlights keep a little of the stuff's own colour
        colour = colour + (gleam - colour) * np.clip(bright, 0, 0.9)[..., None]
        return np.asarray(
            np.clip(colour * (1 + self._noise[box] * np.float32(0.75 * cloth.grain))[..., None], 0, 1),
            np.float32,
        )

    def _cut(
        self, box: tuple[slice, slice], mask: Floats, cloth: Cloth, relief: Relief
    ) -> tuple[Floats, Floats | None]:
        """The texture and bump of a part, fanned out and shifted."""
        rows = (np.arange(box[0].start, box[0].stop) + relief.shift[1]) % HEIGHT
        if relief.fan == 0:
            cols = (np.arange(box[1].start, box[1].stop) + relief.shift[0]) % WIDTH
            pick = np.ix_(rows, cols)
            return cloth.texture[pick], None if cloth.bump is None else cloth.bump[pick]
        left, right = extent(mask)
        middle, half = (left + right) / 2, np.maximum((right - left) / 2, 1)
        unit = half.mean() / half
        x = np.arange(mask.shape[1], dtype=np.float32)[None] - middle[:, None]
        x = x * (1 + relief.fan * (unit - 1))[:, None] + middle.mean() + box[1].start + relief.shift[0]
        low = np.floor(x).astype(np.int64)
        part = (x - low).astype(np.float32)[..., None]
        first, second = (cloth.texture[rows[:, None], (low + i) % WIDTH] for i in (0, 1))
        bump = None if cloth.bump is None else cloth.bump[rows[:, None], low % WIDTH]
        return np.asarray(first + (second - first) * part, np.float32), bump

    def _fold(
        self, box: tuple[slice, slice], shape: tuple[int, ...], anchors: Sequence[Anchor], width: float
    ) -> Floats:
        stroke = self.place(tapered(curve(anchors, closed=False), width))
        image = Image.new("L", (shape[1], shape[0]))
        points = stroke - (box[1].start, box[0].start)
        ImageDraw.Draw(image).polygon([tuple(p) for p in points.tolist()], fill=255)
        return blur(np.asarray(image, np.float32) / np.float32(255), max(width * 0.4, 1.2)) * np.float32(width * 0.5)


def _sheet(box: tuple[slice, slice]) -> tuple[Image.Image, int, int]:
    height, width = box[0].stop - box[0].start, box[1].stop - box[1].start
    return Image.new("L", (width * SCALE, height * SCALE)), box[1].start, box[0].start


def _reduced(image: Image.Image) -> Floats:
    if 0 in image.size:
        return np.zeros((image.size[1] // SCALE, image.size[0] // SCALE), np.float32)
    return np.asarray(image.reduce(SCALE), np.float32) / np.float32(255)


def _box(polygons: Sequence[Points], pad: int) -> tuple[slice, slice]:
    points = np.concatenate(list(polygons)) if len(polygons) else np.zeros((1, 2))
    low, high = np.floor(points.min(axis=0)).astype(int) - pad, np.ceil(points.max(axis=0)).astype(int) + pad
    x0, y0 = (int(v) for v in np.clip(low, 0, (WIDTH, HEIGHT)))
    x1, y1 = (int(v) for v in np.clip(high, 0, (WIDTH, HEIGHT)))
    return slice(y0, max(y0, y1)), slice(x0, max(x0, x1))


def _dashes(path: Points, on: float, off: float) -> list[Points]:
    gaps = np.r_[0, np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))]
    starts = np.arange(0, gaps[-1], on + off)
    ends = np.minimum(starts + on, gaps[-1])
    x = np.interp(np.stack([starts, ends]), gaps, path[:, 0])
    y = np.interp(np.stack([starts, ends]), gaps, path[:, 1])
    return [np.array([[x[0, i], y[0, i]], [x[1, i], y[1, i]]]) for i in range(len(starts))]
