"""Many requests, one product: a thread that takes what waits, answers it together, and hands it back."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from recsys.errors import StylerecError
from shop.search import AT_ONCE

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class BusyError(StylerecError, RuntimeError):
    """More waits than can be answered in time; ask again a little later."""


class Batcher(Generic[Asked, Answer]):
    """Hands waiting requests to ``work`` together, one batch at a time.

    Nobody waits for a batch to fill: while one is worked on, the next one gathers.
    """

    def __init__(self, work: Callable[[Sequence[Asked]], Sequence[Answer | Exception]], *, most_waiting: int) -> None:
        """Start the thread.

        Args:
            work: At most `search.AT_ONCE` requests → an answer or an error for each.
            most_waiting: Requests that may wait; further ones are refused.
        """
        self._work, self._most = work, most_waiting
        self._waiting: deque[tuple[Asked, asyncio.Future[Answer]]] = deque()
        self._ready = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="recommendations", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Requests that wait now."""
        return len(self._waiting)

    async def ask(self, request: Asked) -> Answer:
        """The answer to one request.

        Raises:
            BusyError: Too many wait.
        """
        if len(self._waiting) >= self._most or self._closed:
            raise BusyError(f"{len(self._waiting)} requests wait for recommendations; ask again in a second")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        with self._ready:
            self._waiting.append((request, future))
            self._ready.notify()
        return await future

    def close(self) -> None:
        """Answer what waits, and end the thread."""
        with self._ready:
            self._closed = True
            self._ready.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                n = min(AT_ONCE, len(self._waiting))
                batch = [self._waiting.popleft() for _ in range(n)]
            batch = [(asked, future) for asked, future in batch if not future.cancelled()]
            if batch:
                answers = self._answers([asked for asked, _ in batch])
                loop = batch[0][1].get_loop()
                loop.call_soon_threadsafe(_deliver, [future for _, future in batch], answers)

    def _answers(self, asked: Sequence[Asked]) -> Sequence[Answer | Exception]:
        try:
            return self._work(asked)
        except Exception as error:  # those who wait are told; the thread lives on
            return [error] * len(asked)


def _deliver(futures: Sequence[asyncio.Future[Answer]], answers: Sequence[Answer | Exception]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if future.done():  # its request timed out
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
