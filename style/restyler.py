"""One batch of a catalogue: read, mask once, make every look, score what was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recsys.errors import ImageError, StylerecError
from recsys.files import safe_name
from style.backoff import settle
from style.base import Images
from style.images import decode
from style.journal import Made, Print, write_picture
from style.look import Look
from style.mask import Cutout

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
        for k, look in enumerate(looks):
            known = job.known[k][i]
            if not isinstance(photo, bytes):
                results[k][i] = Made(job.ids[i], problem=photo)
            elif known is not None and known.holds(_print(job, i, look), picture_path(out, look, job.ids[i])):
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
    cuts: dict[str, Cutout] = {}
    for k, look in enumerate(looks):
        some = [j for j, i in enumerate(rows) if k in wanted[i]]
        if not some:
            continue
        if look.mask not in cuts:
            cuts[look.mask] = look.masks.cut(images, [job.ids[i] for i in rows])
        part = cuts[look.mask].take(some)
        ids = [job.ids[rows[j]] for j in some]
        safe = part.confidence >= look.guard.min_mask
        possible = np.flatnonzero(safe | (not look.needs_mask))
        for j in sorted(set(range(len(some))) - set(possible.tolist())):
            scores = {"mask": float(part.confidence[j])}
            results[k][rows[some[j]]] = Made(ids[j], photo=_print(job, rows[some[j]], look), scores=scores, fresh=True)
        if not len(possible):
            continue
        chosen = part.take(possible.tolist())
        before = images[some][possible]
        draft = look.draft(before, [ids[j] for j in possible], seed, cutout=chosen)
        alpha = np.where(safe[possible][:, None, None], chosen.alpha, np.float32(1))  # else the whole picture is judged
        done = settle(draft, before, alpha, look.guard, steps=look.steps, quality=quality)
        for j, settled in zip(possible.tolist(), done, strict=True):
            write_picture(picture_path(out, look, ids[j]), settled.data)
            scores = settled.scores | {"mask": float(part.confidence[j]), "strength": look.strength * settled.share}
            mark = _print(job, rows[some[j]], look)
            results[k][rows[some[j]]] = Made(ids[j], mark, Print.of(settled.data), scores, fresh=True)


def _print(job: Job, i: int, look: Look) -> Print:
    """Of the photo, and of the item's own mask if the look takes one."""
    photo = job.photos[i]
    assert isinstance(photo, bytes)
    return Print.of(photo + look.masks.mark_of(job.ids[i]))
