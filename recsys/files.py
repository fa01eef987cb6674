"""Files that are either whole or absent, names that cannot escape a folder, and content hashes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from recsys.errors import ArtifactError

TEMPORARY = ".tmp-"
"""How the names of unfinished files begin."""


@contextmanager
def atomic_write(path: Path | str, mode: str = "wb") -> Iterator[IO[Any]]:
    """Write through a temporary file, fsync and rename: readers see the old file or the whole new one.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_write(Path(folder) / "a.txt", "w") as file:
        ...         _ = file.write("whole")
        ...     (Path(folder) / "a.txt").read_text()
        'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY, suffix=path.suffix)
    try:
        encoding, newline = (None, None) if "b" in mode else ("utf-8", "\n")
        with os.fdopen(handle, mode, encoding=encoding, newline=newline) as file:
            yield file
            _settle(file)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        _name(error, path)
        raise


def write_together(folder: Path | str, files: Mapping[str, bytes]) -> None:
    """Write files that belong together into a folder of their own: all are on disk before the first takes its name.

    They take their names in order. What a killed write left behind is removed by the next.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"{TEMPORARY}*"):
        leftover.unlink()
    written: dict[Path, str] = {}
    try:
        for name, data in files.items():
            handle, written[folder / name] = tempfile.mkstemp(dir=folder, prefix=TEMPORARY)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                _settle(file)
            os.chmod(written[folder / name], 0o644)
        for path, temporary in written.items():
            os.replace(temporary, path)
    except BaseException as error:
        for temporary in written.values():
            Path(temporary).unlink(missing_ok=True)
        _name(error, folder)
        raise


def _name(error: BaseException, path: Path) -> None:
    """A full disk is told by the write, which knows no name; the reader of the message needs one."""
    if isinstance(error, OSError) and error.errno is not None and error.filename is None:
        error.filename = str(path)


def _settle(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write ``data`` atomically."""
    with atomic_write(path) as file:
        file.write(data)


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` as readable JSON, atomically."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Readable JSON; numpy numbers are understood, NaN becomes null."""
    return (json.dumps(_jsonable(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_json(path: Path | str) -> Any:
    """Read JSON.

    Raises:
        ArtifactError: The file is missing or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} does not exist") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArtifactError(f"{path} is not valid JSON ({error}); it is damaged, make it again") from error


def file_hash(path: Path | str) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stable_hash(value: Any) -> str:
    """SHA-256 of a value's canonical JSON: the same on every machine and run.

    Example:
        >>> stable_hash({"b": 1, "a": 2}) == stable_hash({"a": 2, "b": 1})
        True
    """
    text = json.dumps(_jsonable(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


def safe_name(item_id: str) -> str:
    """A file name for any id: plain ids as they are, hostile ones as a readable stem and a hash.

    Distinct ids never share a name, and no name leaves its folder, on case-insensitive file systems either.

    Example:
        >>> safe_name("0108775015")
        '0108775015'
        >>> safe_name("../../x")
        'x~9cdf6a50100a862e'
    """
    if _PLAIN.fullmatch(item_id) and item_id == item_id.lower():
        return item_id
    digest = hashlib.sha256(item_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    stem = re.sub(r"[^a-z0-9]+", "-", item_id.lower())[:40].strip("-")
    return f"{stem or 'item'}~{digest}"


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value]
    if isinstance(value, np.ndarray):
        return _jsonable(value.tolist())
    if isinstance(value, np.generic):
        return _jsonable(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value
