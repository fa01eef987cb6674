"""Two cores, one result: work is cut into fixed parts, each done by one thread, and added up in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, eq=False)
class Crew:
    """Threads that share work without sharing sums.

    The last bits of a sum depend on how a BLAS splits it among its threads. Here a part is summed by one
    thread, and what the parts are does not depend on how many threads there are.
    """

    pool: ThreadPoolExecutor | None

    def map(self, function: Callable[[A], B], parts: Iterable[A]) -> list[B]:
        """What ``function`` makes of each part, in their order."""
        return list(map(function, parts) if self.pool is None else self.pool.map(function, parts))


ALONE = Crew(None)
"""No threads but the caller's."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch and BLAS on one thread: the last bits of a sum depend on how it is split among threads."""
    before = torch.get_num_threads()
    with threadpool_limits(limits=1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@contextmanager
def crew() -> Iterator[Crew]:
    """As many threads as torch was allowed; meanwhile torch and BLAS use one each, afterwards as before.

    Example:
        >>> with crew() as workers:
        ...     workers.map(abs, [-1, 2])
        [1, 2]
    """
    threads = torch.get_num_threads()
    with one_thread():
        if threads == 1:
            yield ALONE
            return
        with ThreadPoolExecutor(threads) as pool:
            yield Crew(pool)


EVEN = 4
"""Parts come in multiples of this, so that few threads end together; more threads need more parts than this."""


def even_spans(n: int, size: int) -> list[slice]:
    """Slices like `spans`, of one length and, unless one is enough, a multiple of four of them.

    Example:
        >>> even_spans(10, 6)
        [slice(0, 3, None), slice(3, 6, None), slice(6, 9, None), slice(9, 10, None)]
    """
    parts = -(-n // size)
    return spans(n, size if parts <= 1 else -(-n // (-(-parts // EVEN) * EVEN)))


def spans(n: int, size: int) -> list[slice]:
    """Consecutive slices of at most ``size`` that cover ``n``.

    Example:
        >>> spans(5, 2)
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]
