"""Where masks come from: the built-in segmentation, GrabCut, the user's own pictures, or a network of theirs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from recsys.errors import ConfigError, ImageError, unknown_name
from recsys.extras import require
from recsys.files import safe_name
from style.base import Images
from style.grabcut import refine
from style.images import MAX_PIXELS, _open, decode, resize
from style.imagestore import ImageStore
from style.lab import Floats
from style.mask import Cutout, cut_out, given_mask
from style.raster import shrink

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")
KINDS = ("studio", "grabcut", "onnx:FILE", "folder:FOLDER")
PROPORTIONS = 0.02
"""How far a mask's proportions may be from its photo's; beyond, it is the mask of another picture."""
SURE = 0.05
"""Within so much of 0 or 1 a network is taken to be sure: only pixels that are wholly product come back bit by bit."""
SCALES = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "centred": ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Name → mean and standard deviation of the network's input, of 0..1."""


class MaskSource(Protocol):
    """Tells products from their backgrounds."""

    def cut(self, images: Images, ids: Sequence[str] | None = None) -> Cutout:
        """Alpha, confidence and background of (n, h, w, 3) uint8 photos of the items ``ids``."""
        ...

    def marks(self) -> list[str]:
        """What, beside its name, decides every mask: the hash of a network."""
        ...

    def mark_of(self, item: str) -> bytes:
        """What decides the mask of one item alone: its file's bytes."""
        ...


@dataclass(frozen=True)
class StudioMasks:
    """The built-in segmentation, and GrabCut over it or not."""

    grabcut: bool = False

    def cut(self, images: Images, ids: Sequence[str] | None = None) -> Cutout:
        """See `cut_out`."""
        if self.grabcut:
            return cut_out(images, refine)
        return cut_out(images)

    def marks(self) -> list[str]:
        """Nothing: the recipe's version stands for them."""
        return []

    def mark_of(self, item: str) -> bytes:
        """Nothing."""
        return b""


@dataclass(frozen=True, eq=False)
class OwnMasks:
    """Masks that the user has: pictures, white or opaque where the product is.

    An item without a usable mask – none, an empty one, one of other proportions – has confidence 0.

    Attributes:
        store: Where they lie: ``<item id>.png``, or .jpg, .webp, .tif, .bmp, .gif.
        names: Item id → file name, where a column of the catalogue says it.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> half = np.zeros((32, 32), np.uint8)
        >>> half[:, 16:] = 255
        >>> Image.fromarray(half).save(folder / "shirt.png")
        >>> masks = OwnMasks(ImageStore.open(folder))
        >>> cut = masks.cut(np.full((2, 32, 32, 3), 90, np.uint8), ["shirt", "shoe"])
        >>> cut.confidence.tolist(), round(float(cut.alpha[0].mean()), 2)
        ([1.0, 0.0], 0.5)
    """

    store: ImageStore
    names: Mapping[str, str] = field(default_factory=dict)

    def cut(self, images: Images, ids: Sequence[str] | None = None) -> Cutout:
        """The masks of ``ids``, scaled to the photos.

        Raises:
            ConfigError: Nobody said which items these are.
        """
        if ids is None:
            raise ConfigError('masks of a folder belong to items; give them by mask = "folder:…" of a look')
        shape = images.shape[1], images.shape[2]
        return given_mask(images, [self._mask(item, shape) for item in ids])

    def marks(self) -> list[str]:
        """Nothing: each item has its own."""
        return []

    def mark_of(self, item: str) -> bytes:
        """Its file's bytes."""
        try:
            return self._read(item)
        except ImageError as error:
            return str(error).encode()

    def _mask(self, item: str, shape: tuple[int, int]) -> Floats | None:
        try:
            return read_mask(self._read(item), shape, what=item)
        except ImageError:
            return None

    def _read(self, item: str) -> bytes:
        if item in self.names:
            return self.store.read(self.names[item])
        for stem in dict.fromkeys((item, safe_name(item))):
            for suffix in SUFFIXES:
                if stem + suffix in self.store:
                    return self.store.read(stem + suffix)
        raise ImageError(f"no mask of {item!r}; looked for {safe_name(item)}{SUFFIXES[0]} and other endings")


@dataclass(frozen=True, eq=False)
class NetworkMasks:
    """A segmentation network of the user's, run by onnxruntime.

    One input (n, 3, s, s) or (n, s, s, 3) float32, the first output (n, 1, s, s), (n, s, s) or (n, s, s, 1): how surely
    each pixel is product, 0..1 or as a logit.

    Attributes:
        session: Of onnxruntime.
        mark: SHA-256 of the model file.
        scale: Of the input, see `SCALES`.
        logit: Whether the output is one.
        side: Height and width where the model leaves them open.
    """

    session: Any
    mark: str
    scale: str = "imagenet"
    logit: bool = False
    side: int = 320

    def cut(self, images: Images, ids: Sequence[str] | None = None) -> Cutout:
        """The network's masks; confidence falls with the share of pixels it cannot decide on.

        Raises:
            ConfigError: The model takes or gives something else.
        """
        shape = images.shape[1], images.shape[2]
        sure = [self._sure(image) for image in images]
        wide = [np.clip((_enlarged(one, shape) - SURE) / (1 - 2 * SURE), 0, 1) for one in sure]
        cut = given_mask(images, wide)
        decided = np.array([_decided(one) for one in sure], np.float32)
        return Cutout(cut.alpha, np.minimum(cut.confidence, decided), cut.background)

    def marks(self) -> list[str]:
        """Model, scale and kind of output."""
        return [self.mark, self.scale, str(self.logit)]

    def mark_of(self, item: str) -> bytes:
        """Nothing."""
        return b""

    def _sure(self, image: npt.NDArray[np.uint8]) -> Floats:
        taken = self.session.get_inputs()[0]
        dims = [d if isinstance(d, int) and d > 0 else None for d in taken.shape]
        last = len(dims) == 4 and dims[3] == 3
        side = next((d for d in (dims[1:3] if last else dims[2:4]) if d), self.side)
        mean, spread = (np.array(v, np.float32) for v in SCALES[self.scale])
        x = (resize(image[None], side).astype(np.float32) / 255 - mean) / spread
        try:
            out = self.session.run(None, {taken.name: x if last else x.transpose(0, 3, 1, 2)})[0]
        except Exception as error:  # onnxruntime has error types of its own, one a cause
            raise ConfigError(
                f"the mask network takes {taken.shape}, not one photo of {side} x {side}: {error}"
            ) from error
        made = np.asarray(out, np.float32).squeeze()
        if made.ndim != 2 or not np.isfinite(made).all():
            raise ConfigError(f"the mask network must answer one finite plane a photo, got {np.shape(out)}")
        if self.logit:
            return np.asarray(1 / (1 + np.exp(-np.clip(made, -60, 60))), np.float32)
        if made.min() < -0.01 or made.max() > 1.01:
            raise ConfigError(f"the mask network answers {made.min():g} … {made.max():g}, not 0..1; add ?output=logit")
        return np.clip(made, 0, 1)


def rebased(text: str, base: Path) -> str:
    """The value of ``mask`` with its path relative to ``base``.

    Example:
        >>> rebased("folder:masks", Path("shop")), rebased("studio", Path("shop"))
        ('folder:shop/masks', 'studio')
    """
    kind, colon, rest = text.partition(":")
    return f"{kind}:{base / rest}" if colon else text


def mask_source(text: str) -> MaskSource:
    """By the value of ``mask``: ``studio``, ``grabcut``, ``folder:masks/`` (or a zip) or ``onnx:net.onnx``.

    A network's input scale and output follow as ``onnx:net.onnx?scale=half&output=logit``.

    Raises:
        ConfigError: Another text, or a file that does not exist.
        MissingExtraError: The packages are not installed.

    Example:
        >>> mask_source("studio").marks()
        []
    """
    kind, _, rest = text.partition(":")
    if text in ("studio", "grabcut"):
        if text == "grabcut":
            require("cv2", extra="grabcut")
        return StudioMasks(grabcut=text == "grabcut")
    if kind not in ("folder", "onnx") or not rest:
        raise ConfigError(unknown_name("mask", text, KINDS))
    name, _, options = rest.partition("?")
    path = Path(name)
    if not path.exists():
        raise ConfigError(f"mask = {text!r}: {path} does not exist; paths are relative to the file that names them")
    if kind == "folder":
        return OwnMasks(ImageStore.open(path))
    return _network(str(path), path.stat().st_mtime_ns, options)


@lru_cache(maxsize=4)
def _network(path: str, changed: int, options: str) -> NetworkMasks:
    """One session a file and state of it, for all threads."""
    runtime = require("onnxruntime", extra="pretrained")
    given = dict(part.partition("=")[::2] for part in options.split("&") if part)
    known = {"scale": list(SCALES), "output": ["probability", "logit"]}
    for key, value in given.items():
        if key not in known:
            raise ConfigError(unknown_name("option of a mask network", key, known))
        if value not in known[key]:
            raise ConfigError(unknown_name(f"{key} of a mask network", value, known[key]))
    data = Path(path).read_bytes()
    try:
        session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has error types of its own, one a cause
        raise ConfigError(f"{path} is not a model that onnxruntime can load ({error})") from error
    mark = hashlib.sha256(data).hexdigest()
    return NetworkMasks(session, mark, given.get("scale", "imagenet"), given.get("output") == "logit")


def read_mask(data: bytes, shape: tuple[int, int], *, what: str) -> Floats:
    """(h, w) float32 0..1 of a mask picture, scaled to ``shape``: its opacity if any is clear, else its lightness.

    Raises:
        ImageError: Not a picture, or of other proportions than ``shape``.
    """
    try:
        with _open(data, MAX_PIXELS) as image:
            clear = _opacity(image)
    except ImageError:
        raise
    except Exception as error:  # a codec may raise anything on hostile bytes
        raise ImageError(f"mask of {what}: the picture is damaged ({type(error).__name__}: {error})") from error
    plane = decode(data).pixels.mean(axis=2, dtype=np.float32) if clear is None else clear
    h, w = plane.shape
    if abs(h * shape[1] / (w * shape[0]) - 1) > PROPORTIONS + 1 / min(h, w, *shape):
        raise ImageError(f"mask of {what} is {w} x {h}, its photo {shape[1]} x {shape[0]}; give one of its proportions")
    return _enlarged(np.asarray(plane / np.float32(255), np.float32), shape)


def _opacity(image: Image.Image) -> Floats | None:
    if not image.has_transparency_data:
        return None
    alpha = ImageOps.exif_transpose(image).convert("RGBA").getchannel("A")
    return np.asarray(alpha, np.float32) if alpha.getextrema()[0] != 255 else None


def _enlarged(plane: Floats, shape: tuple[int, int]) -> Floats:
    """Scaled, bilinear."""
    if plane.shape == shape:
        return plane
    made = Image.fromarray(plane).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.clip(np.asarray(made, np.float32), 0, 1)


def _decided(sure: Floats) -> float:
    """1 when all is clearly one or the other but for a thin edge; 0 when as much as half the product is not."""
    unsure = float(shrink((sure > 0.2) & (sure < 0.8)).mean())
    return float(np.clip(1 - 2 * unsure / max(float((sure > 0.5).mean()), 1e-6), 0, 1))
