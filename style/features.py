"""Many pictures to feature rows: one decode a picture whatever the encoders, resumable, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys.errors import ConfigError, ImageError
from recsys.files import read_json, write_json
from recsys.progress import progress
from style.base import Encoder, Images
from style.images import decode, resize

Rows = npt.NDArray[np.float32]
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
    load: Callable[[int], bytes],
    n: int,
    encoders: Sequence[Encoder],
    out: Path,
    *,
    batch: int = 32,
    workers: int = 2,
    key: str = "",
    label: str = "encode",
) -> Embedding:
    """Encode pictures 0 … n - 1; a call that was cut off continues where it was, if ``key`` is the same.

    Decoding and resizing run in threads ahead of the encoders; memory holds a few batches.

    Args:
        load: The i-th picture's file content; ImageError or OSError set the picture aside.
        n: How many.
        encoders: With distinct names; those that share a trunk are run in one pass.
        out: Folder for the rows and the counter of finished ones.
        batch: Pictures encoded at once.
        workers: Decoding threads.
        key: What the pictures are; another key starts anew.
        label: For the progress bar.

    Raises:
        ConfigError: No encoders, or a name twice.
    """
    names = [encoder.name for encoder in encoders]
    if not names or len(set(names)) != len(names):
        raise ConfigError(f"embed needs encoders with distinct names, got {names}")
    state = _State.open(out, n, encoders, key)
    with ThreadPoolExecutor(workers) as pool, progress(label, total=n) as advance:
        advance(state.done)
        sizes = tuple(sorted({encoder.size for encoder in encoders}))
        for count, (start, pictures, failed) in enumerate(_batches(load, range(state.done, n, batch), n, batch, sizes, pool), 1):
            state.write(start, encode_all(encoders, pictures), failed)
            advance(len(pictures[sizes[0]]))
            if count % SAVE_EVERY == 0:
                state.save(start + len(pictures[sizes[0]]))
    state.save(n)
    return Embedding(state.blocks, state.failed)


def encode_all(encoders: Sequence[Encoder], pictures: Mapping[int, Images]) -> list[Rows]:
    """Rows of every encoder for one batch, given at every size; a shared trunk is run once."""
    groups: dict[Any, list[int]] = {}
    for i, encoder in enumerate(encoders):
        trunk = getattr(encoder, "trunk", None)
        groups.setdefault((id(trunk), encoder.size) if trunk is not None else ("own", i), []).append(i)
    found: dict[int, Rows] = {}
    for members in groups.values():
        first = encoders[members[0]]
        if len(members) == 1:
            found[members[0]] = first.encode(pictures[first.size])
            continue
        shared: Any = first
        readers = [getattr(encoders[i], "reader") for i in members]  # noqa: B009 the protocol does not promise a trunk
        found |= dict(zip(members, shared.trunk.run(pictures[first.size], readers), strict=True))
    return [found[i] for i in range(len(encoders))]


Batch = tuple[int, dict[int, Images], dict[int, str]]


def _batches(
    load: Callable[[int], bytes], starts: range, n: int, batch: int, sizes: tuple[int, ...], pool: ThreadPoolExecutor
) -> Iterator[Batch]:
    """Decoded batches in order, one decoded ahead of the one in use."""

    def submit(start: int) -> tuple[int, list[Future[Any]]]:
        return start, [pool.submit(_prepare, load, i, sizes) for i in range(start, min(start + batch, n))]

    queue = [submit(start) for start in starts[:2]]
    for following in [*starts[2:], None, None]:
        if not queue:
            return
        start, futures = queue.pop(0)
        if following is not None:
            queue.append(submit(following))
        done = [future.result() for future in futures]
        failed = {start + i: reason for i, (_, reason) in enumerate(done) if reason}
        yield start, {size: np.stack([pictures[size] for pictures, _ in done]) for size in sizes}, failed


def _prepare(load: Callable[[int], bytes], index: int, sizes: tuple[int, ...]) -> tuple[dict[int, Images], str]:
    try:
        pixels = decode(load(index), at_least=max(sizes)).pixels[None]
    except (ImageError, OSError) as error:
        return {size: np.zeros((size, size, 3), np.uint8) for size in sizes}, str(error) or type(error).__name__
    return {size: resize(pixels, size)[0] for size in sizes}, ""


class _State:
    """Rows on disk and how many of them are final."""

    def __init__(self, out: Path, blocks: dict[str, Any], key: str, done: int, failed: dict[int, str]) -> None:
        self.out, self.blocks, self.key, self.done, self.failed = out, blocks, key, done, failed

    @classmethod
    def open(cls, out: Path, n: int, encoders: Sequence[Encoder], key: str) -> _State:
        out.mkdir(parents=True, exist_ok=True)
        probe = {size: np.zeros((1, size, size, 3), np.uint8) for size in {e.size for e in encoders}}
        dims = {e.name: rows.shape[1] for e, rows in zip(encoders, encode_all(encoders, probe), strict=True)}
        mark = [key, n, dims]
        about = read_json(out / "done.json") if (out / "done.json").exists() else {}
        known = about.get("mark") == mark and all((out / f"{name}.npy").exists() for name in dims)
        mode = "r+" if known else "w+"
        blocks = {name: _open_rows(out / f"{name}.npy", mode, (n, d)) for name, d in dims.items()}
        failed = {int(i): reason for i, reason in about.get("failed", {}).items()} if known else {}
        state = cls(out, blocks, "", about["done"] if known else 0, failed)
        state.mark = mark
        return state

    mark: list[Any]

    def write(self, start: int, rows: Sequence[Rows], failed: Mapping[int, str]) -> None:
        self.failed |= failed
        for block, values in zip(self.blocks.values(), rows, strict=True):
            block[start : start + len(values)] = values
            for index in failed:
                block[index] = 0

    def save(self, done: int) -> None:
        """Rows first, then the counter: a kill between the two repeats work and loses none."""
        for block in self.blocks.values():
            if isinstance(block, np.memmap):
                block.flush()
        write_json(self.out / "done.json", {"mark": self.mark, "done": done, "failed": self.failed})
        self.done = done


def _open_rows(path: Path, mode: Any, shape: tuple[int, int]) -> Any:
    if shape[0] == 0:  # an empty file cannot be mapped
        np.save(path, np.empty(shape, np.float32))
        return np.empty(shape, np.float32)
    options: dict[str, Any] = {"dtype": np.float32, "shape": shape} if mode == "w+" else {}
    return np.lib.format.open_memmap(path, mode=mode, **options)
