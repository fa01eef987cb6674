"""Bytes to pixels and back: every photo becomes plain 8-bit sRGB, and what had to be done is noted."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from recsys.errors import ImageError
from recsys.progress import progress
from style.base import Images
from style.imagestore import ImageStore

MAX_PIXELS = 50_000_000
"""Larger pictures are refused before their pixels are decoded (150 MB as RGB)."""

# No format that runs another program (EPS calls Ghostscript) or that no shop exports.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF", "BMP", "JPEG2000", "PPM")

_ORIENTATION = 0x0112


@dataclass(frozen=True, eq=False)
class Decoded:
    """A picture as pixels.

    Attributes:
        pixels: (h, w, 3) uint8, sRGB.
        notes: What had to be done to get there; empty for a plain RGB picture.
    """

    pixels: Images
    notes: tuple[str, ...] = ()


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS, at_least: int | None = None) -> Decoded:
    """Decode one picture to 8-bit sRGB as a viewer would show it.

    CMYK is converted, 16 bits are reduced to 8, transparency is laid on white, of an animation the first
    frame is taken, EXIF rotation is applied and a colour profile is converted to sRGB; each leaves a note.

    Args:
        data: The file's bytes.
        max_pixels: A picture with more is refused before decoding.
        at_least: A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as both sides keep this many
            pixels; None decodes in full.

    Raises:
        ImageError: Empty, not a picture, truncated, damaged, or too large.

    Example:
        >>> decode(encode_jpeg(np.full((2, 3, 3), 128, np.uint8))).pixels.shape
        (2, 3, 3)
        >>> decode(b"GIF89a")
        Traceback (most recent call last):
        recsys.errors.ImageError: ...
    """
    if not data:
        raise ImageError("the picture file is empty (0 bytes)")
    notes: list[str] = []
    try:
        with _open(data, max_pixels) as image:
            if at_least is not None and image.format == "JPEG":
                image.draft(None, (at_least, at_least))
            return Decoded(_pixels(image, notes), tuple(notes))
    except ImageError:
        raise
    except Exception as error:  # a codec may raise anything on hostile bytes
        raise ImageError(f"the picture is damaged or truncated ({type(error).__name__}: {error})") from error


def encode_jpeg(pixels: Images, quality: int = 90) -> bytes:
    """(h, w, 3) uint8 as JPEG without chroma subsampling: a product keeps its colour at its edges."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def resize(images: Images, size: int) -> Images:
    """(n, h, w, 3) uint8 → (n, size, size, 3), antialiased bilinear; the aspect ratio is not kept.

    Example:
        >>> resize(np.full((2, 30, 20, 3), 7, np.uint8), 8).shape
        (2, 8, 8, 3)
    """
    import torch
    from torch.nn.functional import interpolate

    if images.shape[1:3] == (size, size):
        return images
    nchw = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)  # channels_last: the fast uint8 kernel
    made = interpolate(nchw, size=(size, size), mode="bilinear", antialias=True)
    done: Images = np.ascontiguousarray(made.permute(0, 2, 3, 1).numpy())
    return done


class Photographed(Protocol):
    """What `check_images` needs of a catalogue."""

    @property
    def frame(self) -> pd.DataFrame:
        """With the columns item_id and image."""


def check_images(catalog: Photographed, store: ImageStore, *, workers: int | None = None) -> pd.DataFrame:
    """Decode every item's photo in full and say what is wrong with it.

    Returns:
        Columns item_id, image, status (``ok``, ``note``: usable after a conversion, ``bad``) and reason, one
        row an item in catalogue order.
    """
    names = catalog.frame["image"].tolist()
    with ThreadPoolExecutor(workers) as pool, progress("check images", total=len(names)) as advance:
        verdicts = list(_counted(pool.map(lambda name: _verdict(store, name), names, chunksize=64), advance))
    status, reason = zip(*verdicts, strict=True) if verdicts else ((), ())
    columns = {
        "item_id": catalog.frame["item_id"].to_numpy(),
        "image": names,
        "status": status,
        "reason": reason,
    }
    return pd.DataFrame(columns, dtype=object)


def _counted(verdicts: Iterator[tuple[str, str]], advance: Any) -> Iterator[tuple[str, str]]:
    for verdict in verdicts:
        advance()
        yield verdict


def _verdict(store: ImageStore, name: str) -> tuple[str, str]:
    try:
        notes = decode(store.read(name)).notes
    except ImageError as error:
        return "bad", str(error)
    return ("note", "; ".join(notes)) if notes else ("ok", "")


def _open(data: bytes, max_pixels: int) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=_formats())
    except UnidentifiedImageError as error:
        raise ImageError(f"not a picture, or of an unknown format (starts with {data[:8]!r})") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"too many pixels, at most {max_pixels:,} are decoded ({error})") from error
    if image.width * image.height > max_pixels:
        raise ImageError(f"{image.width} x {image.height} is too many pixels, at most {max_pixels:,} are decoded")
    return image


@lru_cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _pixels(image: Image.Image, notes: list[str]) -> Images:
    if image.format != "JPEG" and getattr(image, "is_animated", False):
        notes.append("animated: first frame taken")
    deep = image.mode[0] in "IF" or ";16" in str([tile[3] for tile in getattr(image, "tile", ())])
    image.load()
    image = _upright(image, notes)
    if deep:
        notes.append("more than 8 bits a channel: reduced to 8")
    if image.mode[0] in "IF":
        image = Image.fromarray(_to_8_bits(np.asarray(image)))
    image = _on_white(_in_srgb(image, notes), notes)
    return np.array(image)


def _upright(image: Image.Image, notes: list[str]) -> Image.Image:
    try:
        turned = image.getexif().get(_ORIENTATION, 1) not in (None, 0, 1)
    except Exception:  # malformed EXIF raises nearly anything; the pixels are whole
        notes.append("EXIF data unreadable: ignored")
        return image
    if not turned:
        return image
    notes.append("EXIF rotation applied")
    return ImageOps.exif_transpose(image)


def _to_8_bits(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Grey levels to 0..255; white is the least of 1 (floats only), 255 and 65535 that holds all values."""
    low, high = float(values.min()), float(values.max())
    whites = [white for white in (1, 255, 65535) if high <= white and (white > 1 or values.dtype.kind == "f")]
    if values.dtype.itemsize == 2:
        whites = [65535]
    if not low >= 0 or not whites:
        raise ImageError(f"grey values from {low:g} to {high:g} have no known white; expected 0..1, 0..255 or 0..65535")
    return np.asarray(np.rint(values * (255.0 / whites[0])), dtype=np.uint8)


def _in_srgb(image: Image.Image, notes: list[str]) -> Image.Image:
    """Convert by the embedded profile; a CMYK picture without one by the plain formula."""
    profile = image.info.get("icc_profile")
    if image.mode == "CMYK":
        notes.append("CMYK converted to RGB")
    if not profile:
        return image
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    plain = image if image.mode in ("RGB", "L", "CMYK") else image.convert("RGB")
    try:
        transform = _to_srgb(profile, plain.mode)
        if transform is None:
            return image
        made = ImageCms.applyTransform(plain, transform)
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        notes.append(f"colour profile unusable: ignored ({error})")
        return image
    notes.append("colour profile converted to sRGB")
    assert made is not None
    if alpha is not None:
        made.putalpha(alpha)
    return made


@lru_cache(maxsize=16)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform to sRGB; None when the profile is sRGB already."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if "sRGB" in ImageCms.getProfileDescription(source):
        return None
    # without the one-pixel cache a transform may be shared by threads
    flags = ImageCms.Flags.NOCACHE
    srgb = ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(source, srgb, mode, "RGB", ImageCms.Intent.PERCEPTUAL, flags)


def _on_white(image: Image.Image, notes: list[str]) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    clear = image.convert("RGBA")
    if clear.getchannel("A").getextrema()[0] == 255:
        return clear.convert("RGB")
    notes.append("transparency laid on white")
    white = Image.new("RGBA", clear.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, clear).convert("RGB")
