"""The embedded sample store and the study file that runs on it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from evaluation.sample import write_store
from recsys.files import write_bytes


def write_demo(out: Path, *, items: int, users: int, seed: int) -> Path:
    """Draw the sample store into ``out/store`` and put its study file beside it; answers the study file's path."""
    write_store(out / "store", items=items, users=users, seed=seed)
    path = out / "study.toml"
    write_bytes(path, files("study").joinpath("sample.toml").read_bytes())
    return path
