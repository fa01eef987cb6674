"""Whatever the OpenAPI description allows, and much that it does not, is answered without a server error."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from shop_study import TestClient

from shop.app import create_app
from shop.settings import ShopConfig

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_no_server_error(shop_study: Path, tmp_path: Path, mode: object) -> None:
    """Of what the description allows, and of what it forbids."""
    app = create_app(ShopConfig(shop_study, events=tmp_path, experiment="spring"))
    seen: Counter[int] = Counter()
    with TestClient(app):
        described = schemathesis.openapi.from_asgi("/openapi.json", app)
        for found in described.get_all_operations():
            operation = found.ok()

            @settings(max_examples=6, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            @given(case=operation.as_strategy(generation_mode=mode))
            def check(case: schemathesis.Case) -> None:
                answer = case.call()
                seen[answer.status_code] += 1
                assert answer.status_code < 500, answer.text

            try:
                check()
            except Unsatisfiable:  # nothing is forbidden to a route without parameters
                assert mode == schemathesis.GenerationMode.NEGATIVE
    assert seen[200] or mode == schemathesis.GenerationMode.NEGATIVE
    assert seen[422]


def test_every_route_of_the_description_has_words_and_an_example(shop_study: Path, tmp_path: Path) -> None:
    app = create_app(ShopConfig(shop_study, events=tmp_path))
    with TestClient(app) as client:
        told = client.get("/openapi.json").json()
    assert {"/v1/recommendations", "/v1/similar/{item}", "/v1/presentations/{item}", "/v1/users/{user}/style"} <= set(
        told["paths"]
    )
    for path in told["paths"].values():
        assert all(method["description"] for method in path.values())
    for name in ("RecommendationList", "BatchRequest", "Event"):
        assert told["components"]["schemas"][name]["examples"]
