"""Ad creatives: a product in a look, in the format of a placement, inside its safe area."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import distance_transform_edt

from recsys.errors import ConfigError, unknown_name
from style.backoff import settle
from style.guard import DOUBTFUL, judge
from style.images import decode, encode_jpeg
from style.lab import Floats
from style.look import Look
from style.mask import Cutout

Picture = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""
CUT_OFF = "the photo's frame cuts the product"
TITLE = 0.16
"""Share of the safe area's height that a title takes."""
FILL = 0.9
"""Share of the room that the product takes: a frame of the backdrop stays to be seen."""
FADE = 0.06
"""Share of the photo's shorter side over which its own studio fades into the scene."""


@dataclass(frozen=True)
class Format:
    """A placement: its size and what its buttons and captions may cover.

    Attributes:
        width: Pixels.
        height: Pixels.
        top: Share of the height that is not safe.
        bottom: The same below.
        sides: Share of the width at the left and at the right.
    """

    width: int
    height: int
    top: float = 0.06
    bottom: float = 0.06
    sides: float = 0.06

    def safe(self) -> Box:
        """The safe area.

        Example:
            >>> FORMATS["9:16"].safe()
            (65, 269, 1015, 1536)
        """
        left, top = round(self.width * self.sides), round(self.height * self.top)
        return left, top, self.width - left, round(self.height * (1 - self.bottom))


FORMATS = {
    "1:1": Format(1080, 1080),
    "4:5": Format(1080, 1350),
    "9:16": Format(1080, 1920, top=0.14, bottom=0.20),
    "16:9": Format(1920, 1080),
}
"""Sizes are the platforms' usual ones; 9:16 leaves room for a story's name above and its button below."""


@dataclass(frozen=True, eq=False)
class Creative:
    """One rendered creative.

    Attributes:
        data: As JPEG; empty where there is none.
        reason: Why it may not be shown; "" when all is well.
        box: Where the product stands.
        enlarged: Pixels of the creative a pixel of the photo.
    """

    data: bytes = b""
    reason: str = ""
    box: Box = (0, 0, 0, 0)
    enlarged: float = 0.0


def format_named(name: str) -> Format:
    """By its proportions.

    Raises:
        ConfigError: An unknown one.

    Example:
        >>> format_named("4:5").height
        1350
    """
    if name not in FORMATS:
        raise ConfigError(unknown_name("format", name, FORMATS))
    return FORMATS[name]


def creative(
    photo: Picture, cut: Cutout, look: Look, how: Format, item: str, *, title: str = "", seed: int = 0
) -> Creative:
    """The product of a photo (h, w, 3) in a look, whole, inside the safe area.

    Backdrop, shadow and grade are drawn at the size of the format. What is random is as in the look's other pictures of
    the item, so an item keeps its palette in all formats. No text is laid on the picture unless ``title`` is given.

    Args:
        photo: The photo.
        cut: Its cutout alone, of one row.
        look: The recipe.
        how: The placement.
        item: The item's id.
        title: A line inside the safe area, above the product.
        seed: Of grain and scenery.
    """
    if cut.confidence[0] < look.guard.min_mask:
        return Creative(reason=DOUBTFUL)
    alpha = cut.alpha[0]
    inside = alpha > 0.02
    if inside[0].any() or inside[-1].any() or inside[:, 0].any() or inside[:, -1].any():
        return Creative(reason=CUT_OFF)
    safe = how.safe()
    room = safe if not title else (safe[0], safe[1] + round(TITLE * (safe[3] - safe[1])), safe[2], safe[3])
    image, wide, box, scale = _placed(photo, cut, how, room)
    draft = look.draft(image[None], [item], seed, cutout=wide)
    done = settle(draft, image[None], wide.alpha, look.guard, steps=look.steps)[0]
    reason = "" if done.passed else judge({k: [v] for k, v in done.scores.items()}, look.guard)[1][0]
    data = done.data if not title else _titled(decode(done.data).pixels, title, (safe[0], safe[1], safe[2], room[1]))
    return Creative(data, reason, box, scale)


def _placed(photo: Picture, cut: Cutout, how: Format, room: Box) -> tuple[Picture, Cutout, Box, float]:
    """The photo on a ground of its studio's colour in the size of the format, the product in the middle of ``room``."""
    alpha = cut.alpha[0]
    rows, columns = (np.flatnonzero((alpha > 0.02).any(axis=axis)) for axis in (1, 0))
    size = int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)
    scale = FILL * min((room[2] - room[0]) / size[0], (room[3] - room[1]) / size[1])
    left = round((room[0] + room[2] - size[0] * scale) / 2 - columns[0] * scale)
    top = round((room[1] + room[3] - size[1] * scale) / 2 - rows[0] * scale)
    planes = [*(cut.background[0]), alpha, *(photo[..., k].astype(np.float32) for k in range(3)), _fade(alpha)]
    ground = cut.background[0].mean(axis=(1, 2))
    fill = [*ground, 0.0, *ground, 0.0]
    canvas = np.stack([_pasted(*pair, how, (left, top), scale) for pair in zip(planes, fill, strict=True)])
    share = np.maximum(canvas[7], canvas[3] > 0)  # the photo's own studio ends softly, the product does not
    image = canvas[:3] + share * (canvas[4:7] - canvas[:3])
    wide = Cutout(np.clip(canvas[3], 0, 1)[None], cut.confidence, canvas[None, :3])
    box = (round(left + columns[0] * scale), round(top + rows[0] * scale))
    edges = (*box, box[0] + round(size[0] * scale), box[1] + round(size[1] * scale))
    picture = np.clip(image + 0.5, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    return np.ascontiguousarray(picture), wide, edges, float(scale)


def _fade(alpha: Floats) -> Floats:
    """1 inside the photo, falling to 0 at its frame."""
    inside = np.zeros((alpha.shape[0] + 2, alpha.shape[1] + 2), bool)
    inside[1:-1, 1:-1] = True
    far = distance_transform_edt(inside)[1:-1, 1:-1] - 1
    return np.asarray(np.clip(far / max(FADE * min(alpha.shape), 1), 0, 1), np.float32)


def _pasted(plane: Floats, fill: float, how: Format, place: tuple[int, int], scale: float) -> Floats:
    """(height, width) of the format: the plane enlarged and shifted, ``fill`` around it."""
    size = max(1, round(plane.shape[1] * scale)), max(1, round(plane.shape[0] * scale))
    # No overshoot along sharp outlines: bicubic, and clipped to the plane's own range.
    large = Image.fromarray(np.ascontiguousarray(plane, np.float32)).resize(size, Image.Resampling.BICUBIC)
    canvas = Image.new("F", (how.width, how.height), float(fill))
    canvas.paste(large, place)
    low, high = min(float(plane.min()), fill), max(float(plane.max()), fill)
    return np.asarray(np.clip(np.asarray(canvas), low, high), np.float32)


def _titled(picture: Picture, title: str, box: Box) -> bytes:
    image, text = Image.fromarray(picture), " ".join(title.split())
    pen, width, height = ImageDraw.Draw(image), box[2] - box[0], box[3] - box[1]
    size = round(0.5 * height)
    while size > 12 and pen.textlength(text, ImageFont.load_default(size)) > width:
        size -= 2
    font = ImageFont.load_default(size)
    while text and pen.textlength(text, font) > width:
        text = text[:-2].rstrip() + "…" if len(text) > 2 else ""
    behind = picture[box[1] : box[3], box[0] : box[2]]
    light = float((behind @ np.array([0.299, 0.587, 0.114])).mean())
    middle = (box[0] + box[2]) // 2, box[1] + height // 2
    pen.text(middle, text, fill=(20, 20, 22) if light > 140 else (250, 249, 246), font=font, anchor="mm")
    return encode_jpeg(np.asarray(image))
