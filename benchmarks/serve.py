"""`stylerec serve` under load: recommendations a second and their latency, shedding, events a second, and kill -9.

    python benchmarks/serve.py [--items 100000] [--factors 64] [--users 20000] [--seconds 10] [--kills 20]

The shop is drawn: normal vectors, 20 seen items a customer, two looks of which a random half is accepted; one worker
serves it. The client is a second process on the same machine (`serve_client.py`). Recommendations, k = 20, of uniformly
drawn customers: nothing is remembered between requests. Events: in batches of 20, a page's, and one by one. Then the
service of a small shop is killed (SIGKILL) while events pour in, again and again: every event that was acknowledged
must be read back, and no torn one. Timings on a busy machine say little; the load average stands beside them, and the
seconds of processor time a request costs the server.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from recsys.data.catalog import Catalog
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.data.presentation import Presentations
from recsys.files import write_bytes, write_json
from recsys.models.als import ALS, FittedALS
from shop.compaction import read_events
from study.show import table

HERE = Path(__file__).resolve().parent
GOAL_RATE, GOAL_P99_MS, GOAL_EVENTS = 800, 25.0, 3000
LOOKS = ("retro", "minimalist")
STUDY = """[catalog]
path = "items.csv"
[interactions]
path = "log.csv"
[looks.retro]
[looks.minimalist]
[features]
blocks = ["category"]
"""
Process = subprocess.Popen[bytes]


def draw_run(folder: Path, items: int, users: int, factors: int) -> Path:
    """A study folder as a run leaves it, with ALS vectors that were drawn rather than fitted."""
    rng = np.random.default_rng(0)
    ids, who = [f"i{n}" for n in range(items)], [f"u{n}" for n in range(users)]
    frame = pd.DataFrame({"item_id": ids, "title": [f"Thing {n}" for n in range(items)], "category": "thing"})
    Catalog.from_frame(frame).save(folder / "catalog.parquet")
    row, column = np.repeat(np.arange(users), 20), rng.integers(0, items, 20 * users)
    log = pd.DataFrame({"user_id": np.array(who)[row], "item_id": np.array(ids)[column]}).drop_duplicates()
    Interactions.from_frame(log).save(folder / "interactions.parquet")
    pd.DataFrame({"item_id": ids, "image": [f"{i}.jpg" for i in ids], "status": "ok", "reason": ""}).to_parquet(
        folder / "images.parquet"
    )
    _draw_looks(ids, rng).save(folder / "presentations.parquet")
    seen = sp.csr_array((np.ones(len(row), np.float32), (row, column)), shape=(users, items))
    seen.sum_duplicates()
    seen.data[:] = 1
    vectors = [rng.standard_normal((n, factors)).astype(np.float32) for n in (users, items)]
    fitted = FittedALS(ALS(factors=factors), IdMap.of(who), IdMap.of(ids), seen, *vectors, seen.data)
    fitted.save(folder / "models" / "als")
    write_bytes(folder / "study.toml", STUDY.encode())
    stages = {name: {"key": name, "finished": "drawn"} for name in ("ingest", "looks", "features", "fit")}
    write_json(folder / "stages.json", {"origin": str(folder), "stages": stages})
    return folder


def _draw_looks(ids: Sequence[str], rng: np.random.Generator) -> Presentations:
    parts = [
        pd.DataFrame({"item_id": ids, "look": look, "image": [f"images/{look}/{i}.jpg" for i in ids]}).assign(
            accepted=rng.random(len(ids)) < 0.5, reason="", score_ssim=0.9
        )
        for look in LOOKS
    ]
    return Presentations(pd.concat(parts, ignore_index=True))


def serve(run: Path, *options: str) -> tuple[int, Process]:
    """The service, once it answers; its port and process."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    command = [sys.executable, "-m", "cli", "serve", str(run), "--model", "als", "--port", str(port), *options]
    process = subprocess.Popen(command, cwd=HERE.parent, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2):
                return port, process
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"the service ended: {' '.join(command)}")


def stop(process: Process) -> None:
    process.terminate()
    process.wait(30)


def load(port: int, *what: object) -> dict[str, Any]:
    """Run the client."""
    command = [sys.executable, str(HERE / "serve_client.py"), str(port), *map(str, what)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return dict(json.loads(done.stdout))


def seconds_of(process: Process) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(port: int, process: Process, name: str, *what: object) -> dict[str, Any]:
    before = seconds_of(process)
    found = load(port, *what)
    spent = seconds_of(process) - before
    done = found.get("acknowledged") or sum(found.get("status", {}).values()) or 1
    about = {"server_cpu_ms_each": round(1000 * spent / done, 3), "load_average": round(os.getloadavg()[0], 1)}
    return {"what": name} | {k: (json.dumps(v) if isinstance(v, dict) else v) for k, v in found.items()} | about


def recommendations(options: argparse.Namespace, run: Path) -> list[dict[str, Any]]:
    rows = []
    for name, more in (("best", ()), ("thompson, in a test", ("--policy", "thompson", "--experiment", "spring"))):
        port, process = serve(run, *more)
        try:
            load(port, "rate", 100, 2, options.users)  # warm
            ask = ("rate", GOAL_RATE, options.seconds, options.users)
            rows.append(measured(port, process, f"{name}: {GOAL_RATE}/s", *ask))
            if not more:
                rows += overload(port, process, options)
        finally:
            stop(process)
    return rows


def overload(port: int, process: Process, options: argparse.Namespace) -> list[dict[str, Any]]:
    """What it answers when asked for far more than it can; then twice that, and after it."""
    most = measured(port, process, "saturation", "rate", 4000, options.seconds, options.users)
    twice = 2 * float(most["answered_per_s"])
    shed = measured(port, process, "2 x saturation", "rate", twice, options.seconds, options.users)
    after = measured(port, process, "and after it", "rate", GOAL_RATE / 2, options.seconds, options.users)
    return [most, shed, after]


def acknowledged(options: argparse.Namespace, run: Path) -> list[dict[str, Any]]:
    port, process = serve(run, "--experiment", "spring")
    try:
        return [
            measured(port, process, "events, 20 a request", "events", 16, options.seconds, 20),
            measured(port, process, "events, 1 a request", "events", 128, options.seconds, 1),
        ]
    finally:
        stop(process)


def killed(run: Path, times: int) -> dict[str, Any]:
    """Kill the service under load, ``times`` times; what was acknowledged must be there."""
    told: set[str] = set()
    for n in range(times):
        port, process = serve(run)
        command = [sys.executable, str(HERE / "serve_client.py"), str(port), "events", "24", "30", "5"]
        client = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(0.8 + 0.05 * n)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        told |= set((client.communicate()[1] or "").split())
    frame, repeated, torn = read_events(run / "events")
    stored = set(frame["event_id"])
    return {
        "kills": times,
        "acknowledged": len(told),
        "acknowledged_and_lost": len(told - stored),
        "stored": len(frame),
        "torn_lines_left_out": torn,
        "repeated": repeated,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--kills", type=int, default=20)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        run = draw_run(folder / "large", options.items, options.users, options.factors)
        rows = [*recommendations(options, run), *acknowledged(options, run)]
        lost = killed(draw_run(folder / "small", 200, 100, 8), options.kills)
    finally:
        shutil.rmtree(folder)
    keys = list(dict.fromkeys(key for row in rows for key in row))
    print(table([{key: row.get(key) for key in keys} for row in rows]))
    print(f"asked: {GOAL_RATE}/s with p99 < {GOAL_P99_MS:g} ms; {GOAL_EVENTS} events/s; none acknowledged lost")
    print(table([lost]))
    write_json(HERE / "results" / "serve.json", {"options": vars(options), "rows": rows, "kills": lost})


if __name__ == "__main__":
    main()
