"""Thumbnails: each picture once, as small as the number of pictures demands."""

from __future__ import annotations

import base64
import hashlib
import io
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PIL import Image

ImageSource = Callable[[str, str], Image.Image | None]
"""(item_id, look) -> the picture, or None where there is none."""
Key = tuple[str, str]

BUDGET = 2_600_000
"""Bytes of WebP in one report; base64 makes 3.5 MB of it."""
SIZES = ((480, 82), (400, 80), (320, 76), (256, 72), (208, 66), (176, 58), (144, 50), (112, 42), (96, 30))
"""Longest edge in pixels and WebP quality, tried from large to small until a picture fits its share."""


@dataclass(frozen=True)
class Thumb:
    """A picture of the report.

    Attributes:
        id: Its id in the document; equal pictures share it.
        width: Pixels.
        height: Pixels.
        uri: ``data:image/webp;base64,…``.
    """

    id: str
    width: int
    height: int
    uri: str


def thumbnails(keys: Iterable[Key], image: ImageSource, *, budget: int = BUDGET) -> dict[Key, Thumb]:
    """Encode every distinct picture once; keys without a picture are left out.

    Args:
        keys: Pairs (item_id, look); repeated ones are read once.
        image: Where pictures come from.
        budget: Bytes of WebP for all pictures together; each gets an equal share, never below 96 px.

    Example:
        >>> red = lambda item, look: Image.new("RGB", (30, 40), "red") if item != "none" else None
        >>> made = thumbnails([("a", "retro"), ("b", "retro"), ("none", "retro")], red)
        >>> [(t.id, t.width, t.height) for t in made.values()]
        [('pic-1', 30, 40), ('pic-1', 30, 40)]
    """
    distinct = list(dict.fromkeys(keys))
    share = budget // max(1, len(distinct))
    made: dict[Key, Thumb] = {}
    by_content: dict[str, Thumb] = {}
    for key in distinct:
        picture = image(*key)
        if picture is None:
            continue
        data, size = _encode(_rgb(picture), share)
        digest = hashlib.sha256(data).hexdigest()
        if digest not in by_content:
            uri = "data:image/webp;base64," + base64.b64encode(data).decode("ascii")
            by_content[digest] = Thumb(f"pic-{len(by_content) + 1}", *size, uri)
        made[key] = by_content[digest]
    return made


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(ground, picture).convert("RGB")
    return picture.convert("RGB")


def _encode(picture: Image.Image, share: int) -> tuple[bytes, tuple[int, int]]:
    """The largest version of at most ``share`` bytes, else the smallest there is."""
    promising = 1.5 * math.sqrt(share / 0.1)  # a photo takes about 0.1 byte a pixel
    data, size = b"", picture.size
    for edge, quality in SIZES:
        if edge > promising and edge != SIZES[-1][0]:
            continue
        small = picture.copy()
        small.thumbnail((edge, edge), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, "WEBP", quality=quality, method=4)
        data, size = buffer.getvalue(), small.size
        if len(data) <= share:
            break
        promising = 1.15 * max(size) * math.sqrt(share / len(data))
    return data, size
