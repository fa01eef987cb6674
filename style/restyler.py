"""One batch of a catalogue: read, mask once, make every look, score what was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recsys.errors import ImageError, StylerecError
from recsys.files import safe_name
from style.base import Images
from style.guard import pixel_scores
from style.images import decode, encode_jpeg
from style.journal import Made, Print, write_picture
from style.lab import Floats
from style.look import Look
from style.mask import cut_out

STACK = 6_000_000
"""Pixels of one shape that are worked on at once."""


@dataclass(frozen=True)
class Job:
    """Items of one batch.

    Attributes:
        start: Position of the first item in the catalogue.
        ids: Item ids.
        photos: Their files' bytes, or why there are none.
        known: What the journals know of them, one list a look.
    """

    start: int
    ids: Sequence[str]
    photos: Sequence[bytes | str]
    known: Sequence[Sequence[Made | None]]


def read_photo(load: Callable[[str], bytes], item: str) -> bytes | str:
    """The photo's bytes, or why they cannot be had."""
    try:
        return load(item)
    except (StylerecError, OSError) as error:
        return str(error) or type(error).__name__


def restyle_batch(job: Job, looks: Sequence[Look], out: Path, *, seed: int, quality: int) -> list[list[Made]]:
    """What became of each item, one list a look; pictures are written below ``out``."""
    results: list[list[Made | None]] = [[None] * len(job.ids) for _ in looks]
    wanted: dict[int, list[int]] = {}
    for i, photo in enumerate(job.photos):
        mark = Print.of(photo) if isinstance(photo, bytes) else None
        for k, look in enumerate(looks):
            known = job.known[k][i]
            if mark is None:
                results[k][i] = Made(job.ids[i], problem=str(photo))
            elif known is not None and known.holds(mark, picture_path(out, look, job.ids[i])):
                results[k][i] = known
            else:
                wanted.setdefault(i, []).append(k)
    for rows, images in _stacks(job, wanted, results):
        _make(job, rows, images, wanted, looks, results, out, seed, quality)
    return [[made for made in row if made is not None] for row in results]


def picture_path(out: Path, look: Look, item: str) -> Path:
    """Where an item's picture in a look lies; hostile names stay inside."""
    return out / "images" / safe_name(look.name) / f"{safe_name(item)}.jpg"


def _stacks(
    job: Job, wanted: dict[int, list[int]], results: list[list[Made | None]]
) -> Iterator[tuple[list[int], Images]]:
    """Decoded photos by shape, as many at once as memory allows; unreadable ones are put to the results."""
    shapes: dict[tuple[int, ...], list[tuple[int, Images]]] = {}
    for i in wanted:
        photo = job.photos[i]
        assert isinstance(photo, bytes)
        try:
            pixels = decode(photo).pixels
        except ImageError as error:
            for k in wanted[i]:
                results[k][i] = Made(job.ids[i], problem=str(error))
            continue
        shapes.setdefault(pixels.shape, []).append((i, pixels))
        if len(shapes[pixels.shape]) * pixels.size > 3 * STACK:
            yield _stack(shapes.pop(pixels.shape))
    for members in shapes.values():
        yield _stack(members)


def _stack(members: list[tuple[int, Images]]) -> tuple[list[int], Images]:
    return [i for i, _ in members], np.stack([pixels for _, pixels in members])


def _make(
    job: Job,
    rows: list[int],
    images: Images,
    wanted: dict[int, list[int]],
    looks: Sequence[Look],
    results: list[list[Made | None]],
    out: Path,
    seed: int,
    quality: int,
) -> None:
    cut = cut_out(images)
    for k, look in enumerate(looks):
        some = [j for j, i in enumerate(rows) if k in wanted[i]]
        if not some:
            continue
        part = cut.take(some)
        ids = [job.ids[rows[j]] for j in some]
        safe = part.confidence >= look.guard.min_mask
        made = look.make(images[some], ids, seed, cutout=part)
        alpha = part.alpha if look.needs_mask else np.where(safe[:, None, None], part.alpha, np.float32(1))
        for j, item, picture, good, before, mask, confidence in zip(
            some, ids, made, safe, images[some], alpha, part.confidence, strict=True
        ):
            photo = job.photos[rows[j]]
            assert isinstance(photo, bytes)
            mark = Print.of(photo)
            if look.needs_mask and not good:
                results[k][rows[j]] = Made(item, photo=mark, scores={"mask": float(confidence)}, fresh=True)
                continue
            data = encode_jpeg(picture, quality)
            write_picture(picture_path(out, look, item), data)
            scores = _score(before, data, mask) | {"mask": float(confidence)}
            results[k][rows[j]] = Made(item, photo=mark, file=Print.of(data), scores=scores, fresh=True)


def _score(before: Images, data: bytes, alpha: Floats) -> dict[str, float]:
    """Of the picture as a customer's browser will decode it."""
    after = decode(data).pixels
    return {name: value.item() for name, value in pixel_scores(before[None], after[None], alpha[None]).items()}
