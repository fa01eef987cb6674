import pytest
from invented_study import drawn_image, study

from evaluation.report import render


@pytest.fixture(scope="session")
def page() -> str:
    """The report of the whole invented study."""
    return render(study(), drawn_image)
