"""How long a report takes and how large it is: runs on disk, and an invented catalogue's gallery of noise.

    python benchmarks/report.py runs/hm/run --out benchmarks/results/report.json

Runs are copied; nothing is written into them. Seconds are CPU time of one process, wall time beside.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
from PIL import Image

from evaluation.report import document, to_html
from study.results import metrics
from study.run import Study
from study.stages.report import write_report

ITEMS, LOOKS = 300, ("retro", "minimalist", "fashion")


def of_run(run: Path) -> dict[str, Any]:
    """The report of a finished or unfinished run, written anew."""
    with TemporaryDirectory() as folder:
        copy = Path(folder) / run.name
        shutil.copytree(run, copy, ignore=shutil.ignore_patterns("offline", "comparison", "report.*"))
        start, used = time.perf_counter(), time.process_time()
        page = write_report(copy)
        took = {"wall_s": time.perf_counter() - start, "cpu_s": time.process_time() - used}
        finished = (copy / "metrics.json").is_file()
        items = metrics(Study.open(copy).folder)["data"]["items"] if finished else None
        return {"report": run.name, "finished": finished, "items": items} | took | {"mb": page.stat().st_size / 1e6}


def of_noise() -> dict[str, Any]:
    """300 items in four versions, each of noise: no photo is harder to compress."""
    rng = np.random.default_rng(0)
    gallery = [{"item_id": str(i), "looks": [{"look": name} for name in LOOKS]} for i in range(ITEMS)]

    def noise(item: str, look: str) -> Image.Image:
        return Image.fromarray(rng.integers(0, 256, (176, 132, 3), dtype=np.uint8))

    start, used = time.perf_counter(), time.process_time()
    page = to_html(document({"gallery": gallery}, noise))
    took = {"wall_s": time.perf_counter() - start, "cpu_s": time.process_time() - used}
    return {"report": "noise", "finished": True, "items": ITEMS} | took | {"mb": len(page.encode()) / 1e6}


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="JSON to write.")
def main(runs: tuple[Path, ...], out: Path | None) -> None:
    """Print a table, write JSON."""
    from study.show import table

    rows = [of_noise(), *map(of_run, runs)]
    click.echo(table(rows))
    if out is not None:
        out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
