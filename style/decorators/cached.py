"""`Cached`: what was restyled before is read back."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from recsys.errors import ConfigError
from recsys.files import stable_hash
from style.decorators.base import Call, Painted
from style.journal import write_picture, writing

Picture = npt.NDArray[np.uint8]
NOTE = "stylerec"
_BROKEN = (OSError, SyntaxError, ValueError, KeyError)
"""What Pillow and json raise for a damaged file."""


@dataclass(frozen=True)
class Cached:
    """Keep each restyled photo in a folder, under the hash of all that decides its pixels: photo, style, recipe, seed.

    Pictures are PNG, so they come back bit by bit. Several processes may use one folder: a file is whole or absent, and
    two that make the same picture write the same bytes. A damaged file is made again. Any file may be deleted.

    Attributes:
        folder: Where; made if need be.
    """

    folder: str

    def __post_init__(self) -> None:
        if not self.folder:
            raise ConfigError("cached.folder must name a folder, got nothing")

    def paint(self, call: Call) -> Painted:
        """From the folder, or anew.

        Raises:
            ArtifactError: The folder cannot be written.
            ConfigError: Nobody said what the stylizer below is.
        """
        if not call.key:
            raise ConfigError("cached must know what it keeps; make the stylizer by Recipe, or give decorate a key")
        paths = [self._path(call, image) for image in call.images]
        shape = call.images.shape[1:3]
        found = [_read(path, (shape[0], shape[1])) for path in paths]
        missing = [i for i, one in enumerate(found) if one is None]
        if missing:
            made = call.take(missing).painted()
            with writing(Path(self.folder)):
                for k, i in enumerate(missing):
                    one = made.images[k], float(made.shares[k]), made.reasons[k]
                    _write(paths[i], *one)
                    found[i] = one
        pictures, shares, reasons = zip(*(one for one in found if one is not None), strict=True)
        return Painted(np.stack(pictures), np.array(shares, np.float32), reasons)

    def _path(self, call: Call, image: Picture) -> Path:
        pixels = hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()
        name = stable_hash([call.key, call.code.key, call.seed, list(image.shape), pixels])
        return Path(self.folder) / name[:2] / f"{name}.png"


def _read(path: Path, shape: tuple[int, int]) -> tuple[Picture, float, str] | None:
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.size != shape[::-1] or image.mode != "RGB":
                return None
            image.load()
            told = json.loads(getattr(image, "text", {})[NOTE])
            return np.asarray(image), float(told["share"]), str(told["reason"])
    except FileNotFoundError:
        return None
    except _BROKEN:
        return None


def _write(path: Path, picture: Picture, share: float, reason: str) -> None:
    about = PngInfo()
    about.add_text(NOTE, json.dumps({"share": share, "reason": reason}))
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "PNG", compress_level=1, pnginfo=about)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, data.getvalue())
