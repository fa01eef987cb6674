"""Peak memory is the block's own, children included."""

import subprocess
import sys

import numpy as np

from study.cost import measure

MEGABYTES = 150
SLACK = 0.9  # sampling may miss the last few pages


def test_allocation_inside_the_block_is_seen() -> None:
    with measure(interval=0.01) as before:
        pass
    with measure(interval=0.01) as cost:
        block = np.ones(MEGABYTES * 10**6 // 8)
        block.sum()
    assert cost.peak_memory_mb - before.peak_memory_mb > MEGABYTES * SLACK


def test_children_count() -> None:
    code = f"import time; b = b'x' * {MEGABYTES * 10**6}; time.sleep(0.6)"
    with measure(interval=0.01) as before:
        pass
    with measure(interval=0.01) as cost:
        subprocess.run([sys.executable, "-c", code], check=True)
    assert cost.peak_memory_mb - before.peak_memory_mb > MEGABYTES * SLACK
    assert cost.seconds > 0.6
