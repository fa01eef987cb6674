"""Many pictures to feature rows: one decode a picture whatever the encoders, resumable, in bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from recsys.errors import ArtifactError, ConfigError, DataError, ImageError
from recsys.files import read_json, safe_name, stable_hash, write_json
from recsys.progress import progress
from style.base import Encoder, Images
from style.images import decode, resize

Rows = npt.NDArray[np.float32]
Load = Callable[[int], bytes | Images]

AHEAD = 2
"""Batches that are decoded while one is encoded."""
SMALLEST = 4
"""A picture with a shorter side has nothing to describe."""
SAVE_EVERY = 16
"""Batches between two fsyncs: what a kill costs at most."""


@dataclass(frozen=True, eq=False)
class Embedding:
    """Feature rows of a sequence of pictures.

    Attributes:
        blocks: Encoder name → (n, d) float32, memory-mapped; rows of failed pictures are 0.
        failed: Index of a picture that could not be read → why.
    """

    blocks: Mapping[str, Rows]
    failed: Mapping[int, str]


def embed(
    load: Load,
    n: int,
    encoders: Sequence[Encoder],
    out: Path,
    *,
    batch: int = 32,
    workers: int | None = None,
    key: str = "",
    label: str = "encode",
    called: Callable[[int], str] = "picture {}".format,
) -> Embedding:
    """Encode pictures 0 … n - 1; a call that was cut off continues where it was, if ``key`` is the same.

    Each picture is loaded, decoded and resized once, in threads ahead of the encoders; encoders that share a
    trunk are run in one pass. A row does not depend on the batch it was made in beyond float32 rounding.

    Args:
        load: The i-th picture as a file's content or as (h, w, 3) uint8; called from several threads.
            ImageError and OSError set the picture aside, and so does a side below 4 pixels.
        n: How many.
        encoders: With distinct names.
        out: Folder for the rows and the counter of finished ones; nothing else belongs in it.
        batch: Pictures encoded at once; memory holds a few batches whatever ``n``.
        workers: Decoding threads; None for one a core.
        key: What the pictures are; another key, number or encoder starts anew.
        label: For the progress bar.
        called: The i-th picture's name, for messages.

    Raises:
        ConfigError: No encoders, a name twice, or a batch below 1.
        DataError: An encoder answers other than finite (n, d) rows; the first such picture is named.
    """
    names = [encoder.name for encoder in encoders]
    if not names or len(set(names)) != len(names):
        raise ConfigError(f"embed needs encoders with distinct names, got {names}")
    if batch < 1:
        raise ConfigError(f"batch must be >= 1, got {batch}")
    dims = _dims(encoders)
    ledger = _Ledger.open(out, n, dims, mark=stable_hash([key, n, [_identity(e) for e in encoders], dims]))
    sizes = sorted({encoder.size for encoder in encoders})
    starts = range(ledger.done, n, batch)
    with ThreadPoolExecutor(workers) as pool, progress(label, total=n) as advance:
        advance(ledger.done)
        for count, loaded in enumerate(_loaded(load, starts, n, sizes, pool), 1):
            ledger.write(loaded, encode_all(encoders, loaded.pictures, loaded.named(called)))
            advance(loaded.stop - loaded.start)
            if count % SAVE_EVERY == 0 or loaded.stop == n:
                ledger.save(loaded.stop)
    return Embedding(ledger.blocks, ledger.failed)


def encode_all(
    encoders: Sequence[Encoder], pictures: Mapping[int, Images], called: Callable[[int], str] = "picture {}".format
) -> list[Rows]:
    """Rows of every encoder for one batch, given at every size; a shared trunk is run once.

    Raises:
        DataError: An encoder answers other than finite (n, d) rows; the first such picture is named.
    """
    groups: dict[Any, list[int]] = {}
    for i, encoder in enumerate(encoders):
        groups.setdefault(getattr(encoder, "trunk", None) or i, []).append(i)
    found: dict[int, Rows] = {}
    for members in groups.values():
        first: Any = encoders[members[0]]
        if len(members) == 1:
            found[members[0]] = first.encode(pictures[first.size])
        else:
            readers = [cast(Any, encoders[i]).reader for i in members]
            found |= dict(zip(members, first.trunk.run(pictures[first.size], readers), strict=True))
    return [_checked(encoder, found[i], len(pictures[encoder.size]), called) for i, encoder in enumerate(encoders)]


def _checked(encoder: Encoder, rows: Rows, n: int, called: Callable[[int], str]) -> Rows:
    if rows.ndim != 2 or len(rows) != n:
        raise DataError(f"encoder {encoder.name!r} answered shape {rows.shape} for {n} pictures, expected ({n}, d)")
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        first = called(int(np.argmin(finite)))
        raise DataError(f"encoder {encoder.name!r} answered NaN or infinite values for {first}; it cannot be used")
    return rows


def _dims(encoders: Sequence[Encoder]) -> dict[str, int]:
    blank = {size: np.zeros((1, size, size, 3), np.uint8) for size in {e.size for e in encoders}}
    return {e.name: rows.shape[1] for e, rows in zip(encoders, encode_all(encoders, blank), strict=True)}


def _identity(encoder: Encoder) -> list[Any]:
    """What tells an encoder from another of its name: an optional ``key`` says which weights it has."""
    return [encoder.name, encoder.size, getattr(encoder, "key", "")]


@dataclass(frozen=True, eq=False)
class _Loaded:
    """Pictures start … stop - 1 at every size; those that failed are black."""

    start: int
    stop: int
    pictures: Mapping[int, Images]
    failed: Mapping[int, str]

    def named(self, called: Callable[[int], str]) -> Callable[[int], str]:
        """The names of the batch's pictures by their place in it."""
        return lambda place: called(self.start + place)


def _loaded(load: Load, starts: range, n: int, sizes: Sequence[int], pool: ThreadPoolExecutor) -> Iterator[_Loaded]:
    """Batches in order, the next ones being decoded meanwhile."""
    queue: deque[tuple[range, list[Future[Any]]]] = deque()
    for start in starts:
        span = range(start, min(start + starts.step, n))
        queue.append((span, [pool.submit(_pixels, load, i, sizes) for i in span]))
        if len(queue) > AHEAD:
            yield _collect(*queue.popleft(), sizes)
    while queue:
        yield _collect(*queue.popleft(), sizes)


def _collect(span: range, futures: Sequence[Future[Any]], sizes: Sequence[int]) -> _Loaded:
    pictures = {size: np.zeros((len(span), size, size, 3), np.uint8) for size in sizes}
    failed: dict[int, str] = {}
    for row, future in enumerate(futures):
        made = future.result()
        if isinstance(made, str):
            failed[span[row]] = made
        else:
            for size in sizes:
                pictures[size][row] = made[size]
    return _Loaded(span.start, span.stop, pictures, failed)


def _pixels(load: Load, index: int, sizes: Sequence[int]) -> Any:
    """One picture at every size, or why it cannot be had."""
    try:
        content = load(index)
        pixels = content if isinstance(content, np.ndarray) else decode(content, at_least=max(sizes)).pixels
        if min(pixels.shape[:2]) < SMALLEST:
            h, w = pixels.shape[:2]
            raise ImageError(f"{w} x {h} pixels are too few to describe, at least {SMALLEST} x {SMALLEST} are needed")
    except (ImageError, OSError) as error:
        return str(error) or type(error).__name__
    return {size: resize(pixels[None], size)[0] for size in sizes}


@dataclass(eq=False)
class _Ledger:
    """Rows on disk, how many of them are final, and which pictures failed.

    Rows are written, not mapped: mapped pages would count as this process's memory, which then grew with the catalogue.
    """

    out: Path
    mark: str
    shapes: dict[str, tuple[int, int]]
    done: int
    failed: dict[int, str]

    @classmethod
    def open(cls, out: Path, n: int, dims: Mapping[str, int], mark: str) -> _Ledger:
        """Take up what ``out`` holds under the same mark, or start anew."""
        shapes = {name: (n, d) for name, d in dims.items()}
        try:
            about = read_json(out / "done.json")
            if about["mark"] == mark:
                for name, shape in shapes.items():
                    _mapped(_file(out, name), shape)
                failed = {int(index): str(reason) for index, reason in about["failed"].items()}
                return cls(out, mark, shapes, int(about["done"]), failed)
        except (ArtifactError, OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # absent, or not what `save` wrote: nothing of it can be trusted, so it is made again
        (out / "done.json").unlink(missing_ok=True)  # first: old counts must never speak for new rows
        out.mkdir(parents=True, exist_ok=True)
        for name, shape in shapes.items():
            _create(_file(out, name), shape)
        ledger = cls(out, mark, shapes, 0, {})
        ledger.save(0)
        return ledger

    def write(self, loaded: _Loaded, rows: Sequence[Rows]) -> None:
        """Put a batch's rows in their place; failed pictures get zeros."""
        self.failed |= loaded.failed
        for (name, (_, d)), values in zip(self.shapes.items(), rows, strict=True):
            kept = np.array(values, np.float32)
            kept[[index - loaded.start for index in loaded.failed]] = 0
            with _file(self.out, name).open("r+b") as file:
                file.seek(-4 * d * (self.shapes[name][0] - loaded.start), os.SEEK_END)
                file.write(kept.tobytes())

    def save(self, done: int) -> None:
        """Rows first, then the counter: a kill between the two repeats work and loses none."""
        for name in self.shapes:
            with _file(self.out, name).open("r+b") as file:
                os.fsync(file.fileno())
        write_json(self.out / "done.json", {"mark": self.mark, "done": done, "failed": self.failed})
        self.done = done

    @property
    def blocks(self) -> dict[str, Rows]:
        """Encoder name → rows, memory-mapped."""
        return {name: _mapped(_file(self.out, name), shape) for name, shape in self.shapes.items()}


def _file(out: Path, name: str) -> Path:
    """Of an encoder, whose name may be that of a model on a hub."""
    return out / f"{safe_name(name)}.npy"


def _create(path: Path, shape: tuple[int, int]) -> None:
    """A file of so many rows, its content still to come."""
    with path.open("wb") as file:
        about = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, about)
        file.truncate(file.tell() + 4 * shape[0] * shape[1])


def _mapped(path: Path, shape: tuple[int, int]) -> Rows:
    rows: Rows = np.load(path, mmap_mode="r" if shape[0] else None, allow_pickle=False)  # refuses a short file
    if rows.shape != shape or rows.dtype != np.float32:
        raise ValueError(f"{path} holds {rows.dtype} {rows.shape}, expected float32 {shape}")
    return rows
