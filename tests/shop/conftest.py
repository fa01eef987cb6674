"""A small finished study, once for all tests that only read it, and a copy for those that write."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from shop_study import make_study


@pytest.fixture(scope="session")
def shop_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run; nobody may write to it."""
    return make_study(tmp_path_factory.mktemp("shop") / "study")


@pytest.fixture
def shop_run(shop_study: Path, tmp_path: Path) -> Path:
    """A copy of the run of one's own."""
    shutil.copytree(shop_study.parent, tmp_path / "study")
    run = tmp_path / "study" / "run"
    ledger = (run / "stages.json").read_text().replace(str(shop_study.parent), str(run.parent))
    (run / "stages.json").write_text(ledger)
    return run
