"""Where the real data lies, and one finished study on the sample store that many tests look at."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A first example may import half of a library, on a machine that does other work beside.
settings.register_profile("stylerec", deadline=None)
settings.load_profile("stylerec")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data: ``STYLEREC_DATA``, or the one beside the repository; skips where it is absent."""
    folder = Path(os.environ.get("STYLEREC_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set STYLEREC_DATA")
    return folder
