"""The full study on real H&M purchases and photos: seconds and memory of every stage, then again for the reuse.

Run: python benchmarks/hm.py [OUT]; the data lies in STYLEREC_DATA.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def run_once(out: Path) -> float:
    """Seconds of the whole command, its start included."""
    start = time.perf_counter()
    command = [
        sys.executable,
        str(ROOT / "cli.py"),
        "run",
        str(ROOT / "examples" / "hm" / "study.toml"),
        "--out",
        str(out),
    ]
    subprocess.run(command, check=True)
    return time.perf_counter() - start


def main() -> None:
    os.environ.setdefault("STYLEREC_DATA", str(ROOT.parent / "shared" / "data"))
    out = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "runs" / "hm")
    first, second = run_once(out), run_once(out)
    stages = json.loads((out / "stages.json").read_text())["stages"]
    print(f"\n{'stage':<16}{'seconds':>10}{'peak MB':>10}{'work':>10}  unit")
    for name, stage in stages.items():
        print(
            f"{name:<16}{stage['seconds']:>10.1f}{stage['peak_memory_mb']:>10.0f}"
            f"{stage['work'] or 0:>10}  {stage['unit'] or ''}"
        )
    print(f"first run {first:.1f} s, second run {second:.1f} s")
    RESULTS.mkdir(exist_ok=True)
    found = {"first_seconds": first, "second_seconds": second, "stages": stages}
    (RESULTS / "hm.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
