"""Restyle a whole catalogue: in parallel, resumable after a kill, in memory that does not grow with it."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from recsys.data.presentation import Presentations
from recsys.errors import DataError
from recsys.files import safe_name
from recsys.progress import progress
from style.guard import judge
from style.journal import Journal, Made, writing
from style.look import Look
from style.restyler import Job, read_photo, restyle_batch

Load = Callable[[str], bytes]
Results = list[list[Made]]
SCORES = ("ssim", "ssim_whole", "edge", "product_delta_e", "mask")
KEPT = (*SCORES, "strength")


def restyle(
    ids: Sequence[str],
    load: Load,
    looks: Sequence[Look],
    out: Path,
    *,
    workers: int | None = None,
    batch: int = 32,
    quality: int = 90,
    seed: int = 0,
) -> Presentations:
    """Make every item's presentation in every look.

    Pictures go to ``out/images/<look>/<item>.jpg``; a journal beside them keeps their scores, so that a call after a
    crash makes only what is missing, changed or damaged, and answers what an uninterrupted call answers. An item
    whose mask is doubtful, or whose photo cannot be read, has no picture: ``accepted`` is False and ``reason`` tells
    why. ``strength`` is what was taken of the look: its own, or less where it backs off until the guard accepts.

    Args:
        ids: Item ids, distinct; hostile ones are safe.
        load: Item id → the bytes of its photo; called from several threads.
        looks: What to make.
        out: The study's folder.
        workers: Batches worked on at once; None takes one a core.
        batch: Photos in a batch; memory follows it.
        quality: Of the JPEG files.
        seed: Of grain and scenery.

    Raises:
        DataError: Ids or looks given twice, or not one photo could be read.
        ArtifactError: The folder cannot be written (full, read-only).

    Example:
        >>> import tempfile
        >>> from style.images import encode_jpeg
        >>> from style.look import builtin_looks
        >>> photo = np.full((96, 64, 3), 250, np.uint8)
        >>> photo[30:70, 20:44] = (180, 30, 60)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made = restyle(["a"], lambda item: encode_jpeg(photo), [builtin_looks()["fashion"]], Path(folder))
        ...     made.frame[["item_id", "look", "image", "accepted"]].iloc[0].tolist()
        ['a', 'fashion', 'images/fashion/a.jpg', np.True_]
    """
    ids, looks = list(ids), list(looks)
    _refuse_twice("item id", ids)
    _refuse_twice("look", [look.name for look in looks])
    table = _Table(ids, looks)
    # Batches are the parallelism; BLAS threads beside them would only fight for the cores.
    with writing(out), threadpool_limits(1, user_api="blas"), ExitStack() as stack:
        for look in looks:
            look.painter  # noqa: B018 - networks are loaded and styles encoded once, before the threads start
        heads = [{"recipe": look.recipe, "seed": seed, "quality": quality} for look in looks]
        folders = [out / "images" / safe_name(look.name) for look in looks]
        journals = [stack.enter_context(Journal.open(*both)) for both in zip(folders, heads, strict=True)]
        jobs = _jobs(ids, load, journals, batch)

        def work(job: Job) -> Results:
            return restyle_batch(job, looks, out, seed=seed, quality=quality)

        with progress("restyle", len(ids)) as advance:
            for job, results in _in_order(work, jobs, workers or len(os.sched_getaffinity(0))):
                for k, journal in enumerate(journals):
                    journal.append([made for made in results[k] if made.fresh])
                    table.put(k, job.start, results[k])
                advance(len(job.ids))
    return table.finish()


def _refuse_twice(kind: str, values: Sequence[str]) -> None:
    if len(set(values)) < len(values):
        twice = next(value for value, n in Counter(values).items() if n > 1)
        raise DataError(f"{kind}s must be distinct, got {twice!r} more than once; drop the duplicates")


def _jobs(ids: Sequence[str], load: Load, journals: Sequence[Journal], batch: int) -> Iterator[Job]:
    for start in range(0, len(ids), batch):
        part = ids[start : start + batch]
        known = [[journal.known.pop(item, None) for item in part] for journal in journals]
        yield Job(start, part, [read_photo(load, item) for item in part], known)


def _in_order(work: Callable[[Job], Results], jobs: Iterator[Job], workers: int) -> Iterator[tuple[Job, Results]]:
    """Each job with its results, in order; a few jobs are ahead, no more."""
    waiting: deque[tuple[Job, Future[Results]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for job in jobs:
                waiting.append((job, pool.submit(work, job)))
                if len(waiting) > workers + 1:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(cancel_futures=True)


class _Table:
    """The presentations by column: a few numbers an item."""

    def __init__(self, ids: Sequence[str], looks: Sequence[Look]) -> None:
        self.ids, self.looks = ids, looks
        self.scores = np.full((len(looks), len(ids), len(KEPT)), np.nan, np.float32)
        self.drawn = np.zeros((len(looks), len(ids)), bool)
        self.problems: list[dict[int, str]] = [{} for _ in looks]

    def put(self, look: int, start: int, results: Sequence[Made]) -> None:
        for i, made in enumerate(results, start):
            self.scores[look, i] = [made.scores.get(name, np.nan) for name in KEPT]
            self.drawn[look, i] = made.file is not None
            if made.problem:
                self.problems[look][i] = made.problem

    def finish(self) -> Presentations:
        if not self.looks or not self.ids:
            return Presentations.of([])
        if len(self.problems[0]) == len(self.ids):
            raise DataError(f"not one of {len(self.ids)} photos could be read; the first: {self.problems[0][0]}")
        return Presentations(pd.concat([self._rows(k) for k in range(len(self.looks))], ignore_index=True))

    def _rows(self, k: int) -> pd.DataFrame:
        look = self.looks[k]
        scores = {name: self.scores[k, :, i] for i, name in enumerate(SCORES)}
        accepted, reasons = judge({n: v for n, v in scores.items() if n != "mask" or look.needs_mask}, look.guard)
        for i, problem in self.problems[k].items():
            accepted[i], reasons[i] = False, problem
        folder = f"images/{safe_name(look.name)}"
        paths = [
            f"{folder}/{safe_name(i)}.jpg" if made else "" for i, made in zip(self.ids, self.drawn[k], strict=True)
        ]
        columns: dict[str, Any] = {"item_id": _texts(self.ids), "look": _texts([look.name] * len(paths))}
        columns |= {"image": _texts(paths), "accepted": accepted, "reason": _texts(reasons)}
        columns["strength"] = self.scores[k, :, KEPT.index("strength")]
        return pd.DataFrame(columns | {f"score_{name}": value for name, value in scores.items()})


def _texts(values: Sequence[str]) -> pd.Series:
    return pd.Series(list(values), dtype=object)
