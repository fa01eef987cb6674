"""Product pictures by item and look, never by path; they may be kept for ever."""

from __future__ import annotations

import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

from recsys.errors import ImageError, UnknownIdError, unknown_name
from shop.snapshot import Snapshot
from study.stages.ingest import open_images

TYPES = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG": "image/png",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}
"""By how a file begins; anything else is not sent, whatever its name."""


class Pictures:
    """Reads the pictures of one snapshot: looks from the study folder, originals from the study's photos."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Open the photos."""
        self.snapshot = snapshot
        self._folder = snapshot.study.folder.path.resolve()
        self._photos: Any = open_images(snapshot.study)
        self._lock = threading.Lock()

    def read(self, look: str, item_id: str) -> tuple[bytes, str, str]:
        """The file, its type and its ETag.

        Raises:
            ImageError: There is no such picture, it lies outside the study folder, or it is no picture.
            UnknownIdError: There is no such item or look.
        """
        if look not in self.snapshot.looks:
            raise UnknownIdError(unknown_name("look", look, self.snapshot.looks))
        item, column = int(self.snapshot.fitted.items.encode([item_id])[0]), self.snapshot.looks.index(look)
        name = str(self.snapshot.items.image[item, column])
        if not name:
            raise ImageError(f"{item_id!r} has no picture in the look {look}")
        data = self._photo(name) if column == 0 else self._file(name)
        kind = next((kind for start, kind in TYPES.items() if data.startswith(start)), None)
        if kind is None:
            raise ImageError(f"the picture of {item_id!r} in the look {look} is neither JPEG, PNG, GIF nor WebP")
        return data, kind, f'"{sha256(data).hexdigest()[:32]}"'

    def _photo(self, name: str) -> bytes:
        if self._photos is None:
            raise ImageError("the study has no photos")
        with self._lock:
            data: bytes = self._photos.read(name)
        return data

    def _file(self, name: str) -> bytes:
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder / "images"):
            raise ImageError(f"{Path(name).name} lies outside the pictures of the study")
        try:
            return path.read_bytes()
        except OSError as error:
            raise ImageError(f"{Path(name).name} cannot be read ({error.strerror})") from error
