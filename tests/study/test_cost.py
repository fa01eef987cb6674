"""Peak memory is the block's own, children included; measured in a process of its own, where nothing else allocates."""

import subprocess
import sys
from pathlib import Path

import pytest

MEGABYTES = 150
SLACK = 0.9  # sampling may miss the last few pages

SCRIPT = """
import subprocess, sys
from study.cost import measure
with measure(interval=0.01) as before:
    pass
with measure(interval=0.01) as cost:
    {work}
print(cost.peak_memory_mb - before.peak_memory_mb, cost.seconds)
"""
HOLD = f"import time; b = b'x' * {MEGABYTES * 10**6}; time.sleep(0.6)"


@pytest.mark.parametrize("work", [HOLD, f"subprocess.run([sys.executable, '-c', {HOLD!r}], check=True)"])
def test_allocation_in_the_block_and_in_its_children_is_seen(work: str) -> None:
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", SCRIPT.format(work=work)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root)
    grown, seconds = map(float, done.stdout.split())
    assert grown > MEGABYTES * SLACK
    assert seconds > 0.6
