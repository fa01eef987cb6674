"""Time and memory. Timing that is fair on a busy machine: contenders take turns, medians are compared."""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import torch


def take_turns(work: dict[str, Callable[[], Any]], rounds: int, *, warm: int = 1) -> dict[str, dict[str, float]]:
    """Wall and CPU seconds of each contender, medians over rounds after ``warm`` that do not count."""
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for number in range(rounds + warm):
        for name, run in work.items():
            start, used = time.perf_counter(), time.process_time()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if number >= warm:
                took[name].append((time.perf_counter() - start, time.process_time() - used))
    medians = {name: [statistics.median(t) for t in zip(*times, strict=True)] for name, times in took.items()}
    return {name: dict(zip(("wall_s", "cpu_s"), pair, strict=True)) for name, pair in medians.items()}


def peak_mb(run: Callable[[], Any]) -> float:
    """Largest memory, in MiB, that Python's allocators held while it ran; numpy's arrays are among it."""
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20
