"""What has been made already: one line an item beside the pictures, appended batch by batch.

A picture is written to a temporary file and renamed, so it is whole or absent; it is not forced to disk one by one.
Instead its line holds length and checksum: after a crash or a power loss a picture that is missing, short or damaged is
found out and made again.
"""

from __future__ import annotations

import json
import os
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from recsys.errors import ArtifactError

NAME = "journal.jsonl"


@dataclass(frozen=True)
class Print:
    """Length and CRC-32 of bytes."""

    length: int
    crc: int

    @staticmethod
    def of(data: bytes) -> Print:
        """Of these bytes."""
        return Print(len(data), zlib.crc32(data))


@dataclass(frozen=True)
class Made:
    """What became of one item in one look.

    Attributes:
        item: Its id.
        photo: Of the photo it was made from; None when that could not be read.
        file: Of the picture; None when none was made.
        scores: The guard's scores by name.
        problem: Why the photo could not be read.
        fresh: Made in this run, not yet in the journal.
    """

    item: str
    photo: Print | None = None
    file: Print | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""
    fresh: bool = False

    def holds(self, photo: Print, path: Path) -> bool:
        """Whether it is still true: the same photo, and the picture as it was written."""
        if self.photo != photo:
            return False
        if self.file is None:
            return True
        try:
            return Print.of(path.read_bytes()) == self.file
        except FileNotFoundError:
            return False

    def line(self) -> str:
        """As JSON."""
        prints = [None if p is None else [p.length, p.crc] for p in (self.photo, self.file)]
        scores = {name: value if value == value else None for name, value in self.scores.items()}
        return json.dumps([self.item, *prints, scores])

    @staticmethod
    def parse(line: str) -> Made:
        """The inverse of `line`.

        Raises:
            ValueError: Not such a line.
        """
        try:
            item, photo, file, scores = json.loads(line)
            found = {str(k): float("nan") if v is None else float(v) for k, v in scores.items()}
            return Made(str(item), photo and Print(*photo), file and Print(*file), found)
        except (TypeError, AttributeError) as error:
            raise ValueError(str(error)) from error


class Journal:
    """The journal of one look's folder.

    Attributes:
        path: The file.
        known: Item → what was made, as read when it was opened.
    """

    def __init__(self, path: Path, known: dict[str, Made], file: IO[bytes]) -> None:
        self.path, self.known, self._file = path, known, file

    @classmethod
    def open(cls, folder: Path, head: Mapping[str, Any]) -> Journal:
        """Open or begin the journal in ``folder``; one with another ``head`` (another recipe) is begun anew."""
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".tmp-*"):
            leftover.unlink()
        path = folder / NAME
        first = json.dumps(head, sort_keys=True)
        known, length = _read(path, first)
        file = path.open("r+b" if length else "wb")
        file.truncate(length)
        file.seek(length)
        if not length:
            file.write(first.encode() + b"\n")
        return cls(path, known, file)

    def append(self, made: Sequence[Made]) -> None:
        """Add lines and force them to disk."""
        if made:
            self._file.write("".join(one.line() + "\n" for one in made).encode())
            self._file.flush()
            os.fsync(self._file.fileno())

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _read(path: Path, first: str) -> tuple[dict[str, Made], int]:
    """Items and how many bytes are whole lines; a torn end is left out, and with another head all is."""
    known: dict[str, Made] = {}
    if not path.exists():
        return known, 0
    length = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file):
            try:
                line = raw.decode()
                if not raw.endswith(b"\n") or (number == 0 and line.rstrip("\n") != first):
                    break
                if number:
                    made = Made.parse(line)
                    known[made.item] = made
            except ValueError:
                break
            length += len(raw)
    return known, length


def write_picture(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, without waiting for the disk."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-", suffix=path.suffix)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Say plainly when the disk is full or may not be written.

    Raises:
        ArtifactError: For any failure of the file system inside.
    """
    try:
        yield
    except OSError as error:
        raise ArtifactError(
            f"cannot write to {error.filename or folder}: {error.strerror or error}; free or open the place and "
            "run again, finished pictures are kept"
        ) from error
