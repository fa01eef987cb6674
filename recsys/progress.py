"""Progress with an ETA on standard error; silent when it is not a terminal unless asked."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

_SILENT: ContextVar[bool] = ContextVar("silent", default=False)


class Advance(Protocol):
    """What long work calls as it goes."""

    def __call__(self, steps: int = 1, *, note: str = "") -> None:
        """Count ``steps`` more as done; ``note`` stands beside the bar (a loss, a rate)."""


@contextmanager
def progress(label: str, total: int) -> Iterator[Advance]:
    """Show ``label`` with a bar, rate and ETA on a terminal, and a line every 30 seconds elsewhere.

    Example:
        >>> with progress("encode", total=2) as advance:
        ...     advance(); advance(note="loss 0.1")
    """
    if _SILENT.get():
        yield lambda steps=1, *, note="": None
    elif sys.stderr.isatty():
        with _bar(label, total) as advance:
            yield advance
    else:
        yield _lines(label, total)


@contextmanager
def silenced() -> Iterator[None]:
    """No progress from within: for what is done many times over by something that tells of its own.

    Example:
        >>> with silenced(), progress("fit", total=1) as advance:
        ...     advance()
    """
    token = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(token)


@contextmanager
def _bar(label: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total, note="")

        def advance(steps: int = 1, *, note: str = "") -> None:
            bar.update(task, advance=steps, note=note)

        yield advance


def _lines(label: str, total: int, every: float = 30.0) -> Advance:
    start = last = time.monotonic()
    done = 0

    def advance(steps: int = 1, *, note: str = "") -> None:
        nonlocal done, last
        done += steps
        now = time.monotonic()
        if now - last >= every and done:
            last = now
            left = (now - start) / done * max(total - done, 0)
            print(f"{label}: {done}/{total}, {left:.0f} s left {note}".rstrip(), file=sys.stderr, flush=True)

    return advance
