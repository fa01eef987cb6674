"""Where photos lie: a folder or a zip, read by hostile names without ever leaving it."""

from __future__ import annotations

import os
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import TracebackType
from typing import Self

from recsys.errors import DataError, ImageError

MAX_BYTES = 256 * 2**20
"""A larger picture file is refused before it is read."""


class ImageStore(ABC):
    """Photos by name; safe to read from several threads at once.

    A name that is not there as it stands is looked for in the sub-folders (``0108775015.jpg`` finds
    ``010/0108775015.jpg``); when several sub-folders have it, none is taken.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.jpg").write_bytes(b"...")
        >>> with ImageStore.open(folder) as store:
        ...     list(store.names()), store.read("a.jpg"), "../a.jpg" in store
        (['a.jpg'], b'...', False)
    """

    @staticmethod
    def open(source: Path) -> ImageStore:
        """A folder or a zip file.

        Raises:
            DataError: ``source`` is missing, or neither a folder nor a readable zip.
        """
        if source.is_dir():
            return FolderStore(source)
        if not source.exists():
            raise DataError(f"images {source} do not exist; give a folder or a zip of pictures")
        try:
            return ZipStore(source)
        except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
            raise DataError(f"images {source} are neither a folder nor a readable zip ({error})") from error

    def read(self, name: str) -> bytes:
        """The bytes of one picture file.

        Raises:
            ImageError: There is no such picture, the name leaves the store, or its bytes cannot be had.
        """
        return self._read(self._find(name))

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and bool(self._find(name))
        except ImageError:
            return False

    @abstractmethod
    def names(self) -> Iterable[str]:
        """Every file in the store, relative and with forward slashes."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _has(self, name: str) -> bool: ...

    @abstractmethod
    def _read(self, name: str) -> bytes: ...

    def _find(self, name: str) -> str:
        _refuse_hostile(name)
        if self._has(name):
            return name
        places = self._places.get(name, ())
        if len(places) == 1:
            return places[0]
        if places:
            raise ImageError(f"picture {name!r} is in several folders ({', '.join(places[:3])}); name its folder too")
        raise ImageError(f"no picture {name!r} in the image source")

    @cached_property
    def _places(self) -> dict[str, list[str]]:
        """Bare file name → where it lies below."""
        places: dict[str, list[str]] = {}
        for name in self.names():
            if "/" in name:
                places.setdefault(PurePosixPath(name).name, []).append(name)
        return places


class FolderStore(ImageStore):
    """The files of a folder; symbolic links that lead out of it are refused."""

    def __init__(self, folder: Path) -> None:
        self._root = folder.resolve()

    def names(self) -> Iterable[str]:
        """Every file below the folder, sorted; linked folders are not entered."""
        found = (Path(top, file) for top, _, files in os.walk(self._root) for file in files)
        return sorted(path.relative_to(self._root).as_posix() for path in found)

    def close(self) -> None:
        """Nothing is held open."""

    def _has(self, name: str) -> bool:
        try:
            return (self._root / name).is_file()
        except OSError:  # a name longer than the file system takes
            return False

    def _read(self, name: str) -> bytes:
        path = (self._root / name).resolve()
        if not path.is_relative_to(self._root):
            raise ImageError(f"picture {name!r} is a link that leads out of the image folder; copy the file in")
        try:
            size = path.stat().st_size
            _refuse_large(name, size)
            return path.read_bytes()
        except OSError as error:
            raise ImageError(f"picture {name!r} cannot be read ({error.strerror})") from error


class ZipStore(ImageStore):
    """The entries of a zip, read in place."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path)
        self._entries = {info.filename: info for info in self._zip.infolist() if not info.is_dir()}

    def names(self) -> Iterable[str]:
        """Every entry, sorted; folders are left out."""
        return sorted(self._entries)

    def close(self) -> None:
        """Close the zip."""
        self._zip.close()

    def _has(self, name: str) -> bool:
        return name in self._entries

    def _read(self, name: str) -> bytes:
        entry = self._entries[name]
        _refuse_large(name, entry.file_size)
        try:
            return self._zip.read(entry)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            RuntimeError,
            NotImplementedError,
        ) as error:
            # RuntimeError: the entry is encrypted; NotImplementedError: an unknown compression
            raise ImageError(f"picture {name!r} cannot be read from its zip ({error})") from error


def _refuse_hostile(name: str) -> None:
    parts = PurePosixPath(name).parts
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or name.startswith("\\")
    if not parts or "\0" in name or absolute or ".." in (*parts, *PureWindowsPath(name).parts):
        raise ImageError(f"picture name {name!r} is empty or leaves the image source; use a plain relative name")


def _refuse_large(name: str, size: int) -> None:
    if size > MAX_BYTES:
        raise ImageError(f"picture {name!r} is {size / 2**20:,.0f} MB, at most {MAX_BYTES // 2**20} MB are read")
