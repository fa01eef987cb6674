"""Fixtures of the stylizers' tests."""

from collections.abc import Iterator

import pytest
from misbehaving_server import KEY, VARIABLE, Server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv(VARIABLE, KEY)
    with Server() as made:
        yield made
        made.shutdown()
