"""`stylerec serve` and `stylerec events`, and the rules of the study in what is served."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from shop_study import TestClient, served

from cli import main
from shop.app import create_app
from shop.event_log import EventLog, read_segment, segments
from shop.settings import ShopConfig
from study.serving import recommend_from


def test_check_says_what_would_be_served_and_ends(shop_study: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["serve", str(shop_study), "--events", str(tmp_path), "--check"])
    assert done.exit_code == 0, done.output
    assert "serving 40 items to 30 customers by hybrid" in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--policy", "bandit"], "unknown policy 'bandit'"),
        (["--model", "hybird"], "did you mean 'hybrid'"),
        (["--allocation", "1"], "allocation must be between 0 and 1"),
        (["--experiment", "a\x00b"], "printable"),
    ],
)
def test_refusals_are_one_line(shop_study: Path, tmp_path: Path, options: list[str], words: str) -> None:
    done = CliRunner().invoke(main, ["serve", str(shop_study), "--events", str(tmp_path), "--check", *options])
    assert done.exit_code == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_events_of_a_running_and_of_an_ended_service(shop_study: Path, tmp_path: Path) -> None:
    import httpx

    log, out = tmp_path / "log", tmp_path / "out"
    command = ["events", str(log), "--out", str(out), "--json"]
    event = {"event": "impression", "user_id": "u01", "item_id": "i10", "event_id": "once"}
    with served(shop_study, "--events", str(log), "--experiment", "spring") as (address, _):
        for _ in range(2):
            assert httpx.post(f"{address}/v1/events", json={"events": [event]}).status_code == 201
        running = json.loads(CliRunner().invoke(main, command).stdout)
    ended = json.loads(CliRunner().invoke(main, command).stdout)
    expected = {"events": 1, "impressions": 1, "repeated": 1, "torn": 0, "unmatched": 0, "experiment": "spring"}
    assert running == ended == expected
    assert not segments(log)
    refused = CliRunner().invoke(main, ["events", str(tmp_path / "none"), "--out", str(out)])
    assert refused.exit_code == 2
    assert "is no folder" in refused.stderr


def test_a_line_that_is_being_written_is_not_torn(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        log.append([b"a"]).result(10)
        with segments(tmp_path)[0].open("ab") as file:
            file.write(b"deadbeef 5 ab")
        found = [read_segment(segments(tmp_path)[0], live=live) for live in (True, False)]
    assert [(f.records, f.torn) for f in found] == [((b"a",), 0), ((b"a",), 1)]


def test_the_rules_of_the_study_hold(shop_run: Path, tmp_path: Path) -> None:
    rules = """
[[rerank]]
kind = "exclude"
where = { column = "category", values = ["lamp"] }
[[rerank]]
kind = "cap"
by = "category"
limit = 3
"""
    with (shop_run / "study.toml").open("a") as file:
        file.write(rules)
    told = recommend_from(shop_run, "hybrid", None, k=5, look="best", say=lambda line: None)
    with TestClient(create_app(ShopConfig(shop_run, events=tmp_path / "log"))) as client:
        for user, rows in told.groupby("user_id"):
            found = client.get("/v1/recommendations", params={"user": user, "k": 5}).json()["items"]
            assert [i["item_id"] for i in found] == list(rows["item_id"])
            assert [i["presentation"] for i in found] == list(rows["presentation"])
        many = {"users": [{"history": ["i10"]}, {"history": []}], "k": 5}
        for found in client.post("/v1/recommendations", json=many).json()["users"]:
            kinds = [i["category"] for i in found["items"]]
            assert "lamp" not in kinds
            assert max(map(kinds.count, kinds)) <= 3


def test_forms_of_other_sites_store_nothing(shop_study: Path, tmp_path: Path) -> None:
    """A page elsewhere can make a browser post text without asking; only JSON is taken, for which it must ask."""
    body = json.dumps({"events": [{"event": "click", "user_id": "u", "item_id": "i"}]})
    with TestClient(create_app(ShopConfig(shop_study, events=tmp_path))) as client:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            answer = client.post("/v1/events", content=body, headers={"content-type": kind})
            assert answer.status_code == 422, kind
        assert client.post("/v1/events", content=body).status_code == 422
        assert client.options("/v1/events", headers={"origin": "http://evil.example"}).status_code == 405
    assert not segments(tmp_path)
