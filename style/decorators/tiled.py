"""`Tiled`: any resolution in bounded memory, without seams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from recsys.errors import ConfigError
from style.decorators.base import Call, Painted
from style.lab import Floats

Picture = npt.NDArray[np.uint8]
FINE = 4
"""Samples along each side of a cell."""


@dataclass(frozen=True)
class Tiled:
    """Restyle a large photo piece by piece: memory follows ``side``, whatever the photo's size.

    Pieces overlap and are mixed by a smooth step across the overlap. A stylizer that looks at the whole picture would
    give each piece another tone: so the photo is restyled once as a whole, reduced to ``side``, and each piece takes
    its tone (the mean colour of cells as large as the overlap) from there.

    Attributes:
        side: Height and width of a piece in pixels; a photo that fits into one is restyled as it is.
        overlap: How far neighbours reach into each other, at most half of ``side``.
        even: Whether pieces take their tone from the whole; without it they are as the stylizer makes them.
    """

    side: int = 1024
    overlap: int = 64
    even: bool = True

    def __post_init__(self) -> None:
        if not 64 <= self.side <= 8192 or not 8 <= self.overlap <= self.side // 2:
            got = f"{self.side} and {self.overlap}"
            raise ConfigError(f"tiled.side must be in 64..8192 and overlap in 8..side / 2, got {got}")

    def paint(self, call: Call) -> Painted:
        """Piece by piece, photo by photo."""
        size = call.images.shape[1:3]
        multiple = call.inner.spec.size_multiple
        if max(size) <= self.side:
            return call.painted()
        if self.side % multiple:
            raise ConfigError(
                f"tiled.side must be a multiple of {multiple} for {call.inner.spec.name}, got {self.side}"
            )
        return Painted.plain(np.stack([self._one(call, i) for i in range(len(call.images))]))

    def _one(self, call: Call, row: int) -> Picture:
        image = call.images[row]
        tone = self._tone(call, image) if self.even else None
        out = np.empty_like(image)
        rows, columns = self._starts(image.shape[0]), self._starts(image.shape[1])
        carried = np.empty((0, image.shape[1], 3), np.float32)
        for r, top in enumerate(rows):
            band = self._band(call, row, top, columns, tone, call.seed + r * len(columns))
            if r:  # mix with the end of the band above
                both = len(carried)
                ramp = smooth(both)[:, None, None]
                band[:both] = carried * (1 - ramp) + band[:both] * ramp
            end = rows[r + 1] if r + 1 < len(rows) else image.shape[0]
            out[top:end] = np.clip(band[: end - top] + np.float32(0.5), 0, 255).astype(np.uint8)
            carried = band[end - top :]
        return np.asarray(out)

    def _band(self, call: Call, row: int, top: int, columns: list[int], tone: Picture | None, seed: int) -> Floats:
        """(rows, width, 3) of pieces side by side."""
        image = call.images[row]
        height, width = min(self.side, image.shape[0]), min(self.side, image.shape[1])
        band = np.empty((height, image.shape[1], 3), np.float32)
        done = 0
        for c, left in enumerate(columns):
            piece = np.ascontiguousarray(image[top : top + height, left : left + width])
            made = call.painted(piece[None], seed=seed + c).images[0].astype(np.float32)
            if tone is not None:
                made += self._correction(made, tone, image.shape, (top, left))
            both = done - left
            if c and both > 0:
                ramp = smooth(both)[:, None]
                made[:, :both] = band[:, left:done] * (1 - ramp) + made[:, :both] * ramp
            band[:, left : left + width] = made
            done = left + width
        return band

    def _starts(self, length: int) -> list[int]:
        """Where pieces begin; the last ends with the photo."""
        if length <= self.side:
            return [0]
        count = -(-(length - self.overlap) // (self.side - self.overlap))
        return [int(at) for at in np.linspace(0, length - self.side, count).round()]

    def _tone(self, call: Call, image: Picture) -> Picture:
        """The whole photo restyled, at most ``side`` pixels long."""
        multiple = call.inner.spec.size_multiple
        scale = self.side / max(image.shape[:2])
        size = [max(multiple, round(length * scale / multiple) * multiple) for length in image.shape[1::-1]]
        small = np.asarray(Image.fromarray(image).resize((size[0], size[1]), Image.Resampling.BOX))
        tone: Picture = call.painted(small[None]).images[0]
        return tone

    def _correction(self, made: Floats, tone: Picture, whole: tuple[int, ...], place: tuple[int, int]) -> Floats:
        """(h, w, 3) smooth difference between the whole's tone and a piece's."""
        height, width = made.shape[:2]
        cells = max(2, round(height / self.overlap)), max(2, round(width / self.overlap))
        scale = tone.shape[0] / whole[0], tone.shape[1] / whole[1]
        top, left = place[0] * scale[0], place[1] * scale[1]
        box = (left, top, left + width * scale[1], top + height * scale[0])
        change = np.empty(made.shape, np.float32)
        for k in range(3):
            wanted = Image.fromarray(tone[..., k].astype(np.float32))
            found = Image.fromarray(np.ascontiguousarray(made[..., k]))
            off = _cell_means(wanted, cells, box) - _cell_means(found, cells, (0, 0, width, height))
            # Beyond the outer cells' centres the difference goes on as it goes: a slope is corrected up to the edge.
            padded = np.pad(off, 1, mode="reflect", reflect_type="odd")
            inside = (1, 1, cells[1] + 1, cells[0] + 1)
            smooth_plane = Image.fromarray(padded).resize((width, height), Image.Resampling.BILINEAR, box=inside)
            change[..., k] = np.asarray(smooth_plane)
        return change


def _cell_means(plane: Image.Image, cells: tuple[int, int], box: tuple[float, float, float, float]) -> Floats:
    """Means over equal parts of ``box``, which may begin and end between pixels."""
    fine = plane.resize((cells[1] * FINE, cells[0] * FINE), Image.Resampling.BILINEAR, box=box)
    parts = np.asarray(fine, np.float32).reshape(cells[0], FINE, cells[1], FINE)
    return np.asarray(parts.mean(axis=(1, 3)))


def smooth(count: int) -> Floats:
    """(count,) weights from 0 to 1, slow at both ends.

    Example:
        >>> [round(float(w), 2) for w in smooth(3)]
        [0.07, 0.5, 0.93]
    """
    rise = (np.arange(count, dtype=np.float32) + np.float32(0.5)) / max(count, 1)
    return np.asarray(rise * rise * (3 - 2 * rise), np.float32)
