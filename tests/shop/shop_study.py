"""A small finished study, made by hand in a second, and `stylerec serve` over it as a process of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd

from recsys.data.features import FeatureBlock
from recsys.data.presentation import Presentation, Presentations
from recsys.data.recommendations import ORIGINAL
from recsys.files import write_bytes
from study.learning import dataset_of
from study.run import Study, run_stages
from study.stages.features import table_for
from study.stages.ingest import INGEST
from style.images import encode_jpeg

with warnings.catch_warnings():
    # Starlette imports a name of anyio that is deprecated since.
    warnings.simplefilter("ignore", DeprecationWarning)
    from starlette.testclient import TestClient as TestClient

ROOT = Path(__file__).resolve().parents[2]
ITEMS, USERS = 40, 30
LOOKS = ("retro", "minimalist")
HOSTILE = {
    0: "<script>alert(1)</script>",
    1: "حقيبة يد",
    2: "🧥 coat & \"quotes\" 'n' </title>",
    3: "{{ 7 * 7 }}",
}
TOML = """
[catalog]
path = "items.csv"
images = "photos"
[interactions]
path = "log.csv"
[looks.retro]
[looks.minimalist]
[features]
blocks = ["gram", "category"]
[models.als]
factors = 4
[models.content]
enabled = false
[models.hybrid]
factors = 4
epochs = 4
"""


def item_id(i: int) -> str:
    """Plain ids, and some that no path or page may stumble over."""
    return {5: "../../etc/passwd", 6: "a/b", 7: "x y?&#<b>", 8: "ünï"}.get(i, f"i{i:02d}")


def make_study(folder: Path, seed: int = 0) -> Path:
    """A study whose looks move the features, and in which every fifth item refuses retro; answers its run."""
    rng = np.random.default_rng(seed)
    ids = [item_id(i) for i in range(ITEMS)]
    kinds = [("bag", "shoe", "lamp")[i % 3] for i in range(ITEMS)]
    (folder / "photos").mkdir(parents=True)
    for i in range(ITEMS - 1):  # the last has no photo
        (folder / "photos" / f"p{i}.jpg").write_bytes(encode_jpeg(_picture(rng)))
    frame = pd.DataFrame({"item_id": ids, "title": [HOSTILE.get(i, f"Thing {i}") for i in range(ITEMS)]})
    frame = frame.assign(category=kinds, price=np.arange(ITEMS) * 1.5, image=[f"p{i}.jpg" for i in range(ITEMS)])
    frame.to_csv(folder / "items.csv", index=False)
    users = [f"u{i % USERS:02d}" for i in range(300)]
    log = pd.DataFrame({"user_id": users, "item_id": [ids[i] for i in rng.integers(0, ITEMS, 300)]})
    log["timestamp"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(300), "h")
    log.to_csv(folder / "log.csv", index=False)
    (folder / "study.toml").write_text(TOML)
    study = Study.create(folder / "study.toml", folder / "run")
    run_stages(study, (INGEST,), say=lambda line: None)
    _add_looks(study, ids, rng)
    publish(study.folder.path)
    return study.folder.path


def _picture(rng: np.random.Generator) -> np.ndarray[Any, Any]:
    return np.full((64, 48, 3), rng.integers(40, 220, 3), np.uint8)


def _add_looks(study: Study, ids: list[str], rng: np.random.Generator) -> None:
    rows, base = [], rng.standard_normal((ITEMS, 6)).astype(np.float32)
    FeatureBlock("gram", base).save(study.folder / "features")
    for place, look in enumerate(LOOKS):
        direction = np.eye(6, dtype=np.float32)[place]
        FeatureBlock(f"gram@{look}", base + 2 * direction).save(study.folder / "features")
        for i, name in enumerate(ids):
            path, ok = f"images/{look}/{i}.jpg", not (look == "retro" and i % 5 == 0) and i < ITEMS - 1
            write_bytes(study.folder / path, encode_jpeg(_picture(rng)))
            rows.append(Presentation(name, look, path if ok else "", {"ssim": 0.9}, ok, "" if ok else "too far"))
    Presentations.of(rows).save(study.folder / "presentations.parquet")
    kinds = FeatureBlock.one_hot("category", pd.Series([("bag", "shoe", "lamp")[i % 3] for i in range(ITEMS)]))
    kinds.save(study.folder / "features")


def publish(run: Path, seed: int = 0) -> None:
    """Fit the models anew and note it in the ledger, as `stylerec fit` does."""
    study = Study.open(run)
    data = dataset_of(study)
    for name, model in study.config.make_models().items():
        if name == "hybrid":
            model = type(model)(factors=4, epochs=4, seed=seed)  # type: ignore[call-arg]
        table = data.with_item_features(table_for(study, ORIGINAL)) if model.uses_features != "no" else data
        model.fit(table).save(run / "models" / name)
    study.folder.record("fit", {"key": f"fit-{seed}", "finished": str(seed)})


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def served(
    run: Path, *options: str, env: dict[str, str] | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """`stylerec serve` as a process of its own; its address and the process."""
    port = free_port()
    command = [sys.executable, "-m", "cli", "serve", str(run), "--port", str(port), *options]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **(env or {})}, stderr=subprocess.PIPE)
    try:
        until(lambda: process.poll() is not None or _answers(port), 120)
        if process.poll() is not None:
            raise AssertionError((process.stderr.read() if process.stderr else b"").decode())
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        process.wait(30)
        if process.stderr:
            process.stderr.close()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    except httpx.HTTPError:
        return False


def until(happened: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something that another thread or process does."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.05)
