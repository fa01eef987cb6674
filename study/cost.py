"""What a stage costs: seconds and the peak memory of the process and its children."""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Cost:
    """Filled in when the measured block ends.

    Attributes:
        seconds: Wall time.
        peak_memory_mb: Peak resident memory of this process and its children, megabytes (shared pages counted once).
    """

    seconds: float = 0.0
    peak_memory_mb: float = 0.0


@contextmanager
def measure(interval: float = 0.25) -> Iterator[Cost]:
    """Measure a block.

    Example:
        >>> with measure() as cost:
        ...     _ = sum(range(1000))
        >>> cost.seconds > 0 and cost.peak_memory_mb > 1
        True
    """
    cost, stop, start = Cost(), threading.Event(), time.perf_counter()

    def sample() -> None:
        while True:
            cost.peak_memory_mb = max(cost.peak_memory_mb, resident_mb())
            if stop.wait(interval):
                return

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield cost
    finally:
        stop.set()
        sampler.join()
        cost.peak_memory_mb = max(cost.peak_memory_mb, resident_mb())
        cost.seconds = time.perf_counter() - start


def resident_mb() -> float:
    """Resident memory now of this process and its children, megabytes; the peak so far where /proc is absent."""
    if not Path("/proc/self/smaps_rollup").exists():
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    return sum(_proportional_kb(pid) for pid in _family(os.getpid())) * 1024 / 1e6


def _family(pid: int) -> list[int]:
    family = [pid]
    for member in family:
        for task in Path(f"/proc/{member}/task").glob("*/children"):
            try:
                family.extend(int(child) for child in task.read_text().split())
            except OSError:  # the thread has ended between listing and reading
                continue
    return family


def _proportional_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # the child has ended between listing and reading
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
