"""The service against the library it serves: the same lists, the same looks, and clear refusals."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from shop_study import TestClient, publish, until

from shop.app import create_app
from shop.compaction import read_events
from shop.policy import PolicyConfig
from shop.settings import ShopConfig
from shop.snapshot import Snapshot, open_snapshot
from study.serving import open_model, recommend_from, similar_from


@pytest.fixture(scope="module")
def client(shop_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with over(shop_study, tmp_path_factory.mktemp("events")) as made:
        yield made


EVENT = {"event": "click", "user_id": "u01", "item_id": "i01", "presentation": "retro", "propensity": 0.5}


def opened(run: Path, **options: object) -> TestClient:
    """Over a run that may change."""
    return TestClient(create_app(ShopConfig(run, **options)))  # type: ignore[arg-type]


@cache
def _loaded(run: Path, model: str) -> Snapshot:
    return open_snapshot(run, model)


def over(run: Path, events: Path, **options: object) -> TestClient:
    """Over the shared run, loaded once, with a log of its own."""
    return TestClient(create_app(ShopConfig(run, events=events, **options), opener=_loaded))  # type: ignore[arg-type]


class TestLists:
    def test_lists_and_looks_are_those_of_the_library(self, client: TestClient, shop_study: Path) -> None:
        told = recommend_from(shop_study, "hybrid", None, k=7, look="best", say=lambda line: None)
        for user, rows in told.groupby("user_id"):
            found = client.get("/v1/recommendations", params={"user": user, "k": 7}).json()["items"]
            assert [i["item_id"] for i in found] == list(rows["item_id"])
            assert [i["presentation"] for i in found] == list(rows["presentation"])
            assert [i["score"] for i in found] == pytest.approx(list(rows["score"]), rel=1e-5)
        assert told["presentation"].nunique() > 1

    @pytest.mark.parametrize("model", ["als", "popularity"])
    def test_models_that_see_no_pictures_show_the_look_of_the_history(
        self, shop_study: Path, model: str, tmp_path: Path
    ) -> None:
        told = recommend_from(shop_study, model, None, k=5, look="best", say=lambda line: None)
        with over(shop_study, tmp_path, model=model) as client:
            for user, rows in told.groupby("user_id"):
                found = client.get("/v1/recommendations", params={"user": user, "k": 5}).json()["items"]
                assert [i["item_id"] for i in found] == list(rows["item_id"])
                assert [i["presentation"] for i in found] == list(rows["presentation"])
                assert [i["reason"] for i in found] == list(rows["reason"])

    def test_filters(self, client: TestClient, shop_study: Path) -> None:
        model = open_model(shop_study, "hybrid")
        allowed = list(model.items.ids[:20])
        expected = model.recommend(["u01"], k=9, exclude_seen=False, allow=allowed, deny=["i09"]).item_id
        params = {"user": "u01", "k": 9, "exclude_seen": False, "allow": allowed, "deny": ["i09"]}
        found = client.get("/v1/recommendations", params=params).json()["items"]
        assert [i["item_id"] for i in found] == list(expected)
        looked = client.get("/v1/recommendations", params={"user": "u01", "look": "retro"}).json()
        assert {i["presentation"] for i in looked["items"]} == {"retro"}
        assert {i["propensity"] for i in looked["items"]} == {None}

    def test_strangers_by_history_and_by_features(self, client: TestClient, shop_study: Path) -> None:
        model = open_model(shop_study, "hybrid")
        asked = {
            "users": [{"history": ["i10", "i13"]}, {"features": {"category": ["lamp"]}}, {"user_id": "u05"}],
            "k": 6,
        }
        found = client.post("/v1/recommendations", json=asked).json()["users"]
        expected = model.recommend_for({"x": ["i10", "i13"]}, k=6).item_id
        assert [i["item_id"] for i in found[0]["items"]] == list(expected)
        single = client.get("/v1/recommendations", params={"user": "u05", "k": 6}).json()
        assert [i["item_id"] for i in found[2]["items"]] == [i["item_id"] for i in single["items"]]
        lamps = sum(i["category"] == "lamp" for i in found[1]["items"])
        assert lamps >= sum(i["category"] == "lamp" for i in found[0]["items"])

    def test_requests_at_once_get_the_lists_they_get_alone(self, client: TestClient) -> None:
        alone = {f"u{i:02d}": client.get(f"/v1/recommendations?user=u{i:02d}&k=8").json()["items"] for i in range(30)}
        many = {"users": [{"user_id": user} for user in alone], "k": 8}
        for found in client.post("/v1/recommendations", json=many).json()["users"]:
            ids = [(i["item_id"], i["presentation"]) for i in found["items"]]
            assert ids == [(i["item_id"], i["presentation"]) for i in alone[found["user_id"]]]

    def test_neighbours_looks_styles_and_reasons(self, client: TestClient, shop_study: Path) -> None:
        told = similar_from(shop_study, "hybrid", ["a/b"], k=4)
        assert [i["item_id"] for i in client.get("/v1/similar/a%2Fb?k=4").json()["items"]] == list(told["item_id"])
        looks = client.get("/v1/presentations/i10").json()["presentations"]
        assert [(one["presentation"], one["accepted"]) for one in looks] == [
            ("original", True), ("retro", False), ("minimalist", True)
        ]  # fmt: skip
        style = client.get("/v1/users/u03/style").json()
        assert style["segment"] == max(style["lean"], key=style["lean"].__getitem__)
        why = client.get("/v1/explanations", params={"user": "u03", "item": "i12"}).json()
        assert sum(p["value"] for p in why["parts"]) == pytest.approx(why["score"], abs=1e-4)


class TestRefusals:
    @pytest.mark.parametrize(
        ("path", "status", "words"),
        [
            ("/v1/recommendations?user=nobody", 404, "ids are unknown"),
            ("/v1/recommendations?user=u01&k=0", 422, "greater than or equal to 1"),
            ("/v1/recommendations?user=u01&k=100000", 422, "less than or equal to 200"),
            ("/v1/recommendations?user=u01&allow=nothing", 404, "first 'nothing'"),
            ("/v1/recommendations?user=u01&look=retor", 422, "did you mean 'retro'"),
            ("/v1/recommendations", 422, "Field required"),
            ("/v1/similar/nothing", 404, "unknown"),
            ("/v1/presentations/..%2f..%2fetc%2fshadow", 404, "unknown"),
            ("/v1/users/nobody/style", 404, "unknown"),
            ("/images/retro/nothing", 404, "unknown"),
            ("/images/..%2f..%2f/i01", 404, "unknown look"),
            ("/images/retro/..%2f..%2fstudy.toml", 404, "unknown"),
            ("/static/..%2f..%2fapp.py", 404, "there is no such page"),
            ("/static/app.py", 404, "no file"),
            ("/nowhere", 404, "no such page"),
        ],
    )
    def test_words(self, client: TestClient, path: str, status: int, words: str) -> None:
        answer = client.get(path)
        assert answer.status_code == status
        assert words in answer.json()["detail"]

    def test_a_picture_outside_the_run_is_not_sent(self, shop_run: Path) -> None:
        import pandas as pd

        (shop_run.parent / "secret.jpg").write_bytes((shop_run / "images/retro/1.jpg").read_bytes())
        frame = pd.read_parquet(shop_run / "presentations.parquet")
        for item, path in (("i11", "images/../../secret.jpg"), ("i12", str(shop_run.parent / "secret.jpg"))):
            frame.loc[(frame["item_id"] == item) & (frame["look"] == "retro"), "image"] = path
        (shop_run / "images/retro/13.jpg").unlink()
        (shop_run / "images/retro/13.jpg").symlink_to(shop_run.parent / "secret.jpg")
        (shop_run / "images/retro/14.jpg").write_text("<script>")
        frame.to_parquet(shop_run / "presentations.parquet")
        with opened(shop_run) as client:
            for item in ("i11", "i12", "i13", "i14"):
                assert client.get(f"/images/retro/{item}").status_code == 404, item
            assert client.get("/images/minimalist/i13").headers["content-type"] == "image/jpeg"

    def test_pictures_may_be_kept(self, client: TestClient) -> None:
        address = next(i for i in client.get("/v1/recommendations?user=u01").json()["items"] if i["image"])["image"]
        first = client.get(address)
        assert "immutable" in first.headers["cache-control"]
        again = client.get(address, headers={"if-none-match": f'"x", W/{first.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")

    def test_large_bodies_and_heads(self, shop_study: Path, tmp_path: Path) -> None:
        with over(shop_study, tmp_path, most_bytes=1000) as client:
            assert client.post("/v1/events", content=b" " * 1001).status_code == 413

            def pieces() -> Iterator[bytes]:
                for _ in range(50):
                    yield b" " * 100

            assert client.post("/v1/events", content=pieces()).status_code == 413
            assert client.get("/v1/recommendations", params={"user": "u" * 20_000}).status_code == 431

    @pytest.mark.parametrize(
        "body",
        [
            b"", b"{", b"[]", b"null", b'{"events": []}', b'{"events": [{}]}', b"\xff\xfe", b"[" * 100_000,
            b'{"events": [{"event": "click", "user_id": "\\ud800", "item_id": "a"}]}',
            b'{"events": [{"event": "click", "user_id": "a\\u0000", "item_id": "a"}]}',
            b'{"events": [{"event": "click", "user_id": "u", "item_id": "a", "propensity": NaN}]}',
            b'{"events": [{"event": "click", "user_id": "u", "item_id": "a", "propensity": 0}]}',
            b'{"events": [{"event": "click", "user_id": "u", "item_id": "a", "position": 1e400}]}',
            b'{"events": [{"event": "exposure", "user_id": "u", "item_id": "a"}]}',
            b'{"events": [{"event": "click", "user_id": "u", "item_id": "a", "arm": "control"}]}',
        ],
    )  # fmt: skip
    def test_bodies_that_are_none(self, client: TestClient, body: bytes) -> None:
        answer = client.post("/v1/events", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422), answer.text
        assert isinstance(answer.json()["detail"], str)

    def test_token_and_name(self, shop_study: Path, tmp_path: Path) -> None:
        with over(shop_study, tmp_path, token="geheim", hosts=("localhost",)) as client:
            client.base_url = "http://localhost"  # type: ignore[assignment]
            assert client.get("/v1/users/u01/style").status_code == 401
            assert client.get("/").status_code == 401
            assert client.get("/metrics", headers={"authorization": "Bearer gehei"}).status_code == 401
            assert client.get("/metrics", headers={"authorization": "Bearer geheim"}).status_code == 200
            assert client.get("/healthz").status_code == 200
            # A name that was rebound to this machine by somebody else's DNS is not ours.
            assert client.get("/healthz", headers={"host": "evil.example"}).status_code == 421

    def test_too_many_are_shed_and_the_rest_is_served(self, shop_study: Path, tmp_path: Path) -> None:
        with over(shop_study, tmp_path, most_waiting=3) as client:
            service = client.app.state.service  # type: ignore[attr-defined]
            gate, work = threading.Event(), service.batcher._work
            service.batcher._work = lambda asked: (gate.wait(20), work(asked))[1]
            answers: list[int] = []

            def ask() -> None:
                answers.append(client.get("/v1/recommendations?user=u01").status_code)

            threads = [threading.Thread(target=ask) for _ in range(12)]
            for one in threads:
                one.start()
            # At most three are in work and three wait; all others are told at once.
            until(lambda: answers.count(503) >= 6)
            gate.set()
            for one in threads:
                one.join()
            shed = answers.count(503)
            assert (answers.count(200) + shed, answers.count(200) > 0) == (12, True)
            assert client.get("/v1/recommendations?user=u01").status_code == 200
            assert f"stylerec_shed_total {float(shed)}" in client.get("/metrics").text

    def test_what_takes_too_long_is_told(self, shop_study: Path, tmp_path: Path) -> None:
        with over(shop_study, tmp_path, timeout_seconds=0.2) as client:
            service = client.app.state.service  # type: ignore[attr-defined]
            gate, work = threading.Event(), service.batcher._work
            service.batcher._work = lambda asked: (gate.wait(5), work(asked))[1]
            answer = client.get("/v1/recommendations?user=u01")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            gate.set()
            service.batcher._work = work
            assert client.get("/v1/recommendations?user=u02").status_code == 200


class TestEvents:
    def test_what_is_acknowledged_lies_in_the_log_with_its_arm(self, shop_study: Path, tmp_path: Path) -> None:
        with over(shop_study, tmp_path, experiment="spring") as client:
            listed = client.get("/v1/recommendations?user=u01").json()
            answer = client.post("/v1/events", json={"events": [EVENT, EVENT | {"event": "purchase"}]})
            assert (answer.status_code, answer.json()) == (201, {"stored": 2})
            frame, _, _ = read_events(tmp_path)
            assert list(frame["event"]) == ["exposure", "click", "purchase"]
            assert set(frame["arm"]) == {listed["arm"]}
            assert set(frame["experiment"]) == {"spring"}

    def test_a_restart_knows_what_was_logged(self, shop_study: Path, tmp_path: Path) -> None:
        with over(shop_study, tmp_path, experiment="spring", policy=PolicyConfig("thompson")) as client:
            for i in range(10):
                client.get(f"/v1/recommendations?user=u{i:02d}")
                shown = EVENT | {"event": "impression", "user_id": f"u{i:02d}"}
                client.post("/v1/events", json={"events": [shown, shown | {"event": "click"}]})
            before = client.app.state.service.tally  # type: ignore[attr-defined]
        with over(shop_study, tmp_path, experiment="spring", policy=PolicyConfig("thompson")) as client:
            client.get("/v1/recommendations?user=u01")  # exposed already
            after = client.app.state.service.tally  # type: ignore[attr-defined]
        assert (after.shown, after.clicked, after.totals) == (before.shown, before.clicked, before.totals)
        assert after.now == before.now

    def test_two_services_do_not_share_a_log(self, shop_study: Path, tmp_path: Path) -> None:
        from recsys.errors import ConfigError

        with over(shop_study, tmp_path), pytest.raises(ConfigError, match="another process writes"):
            over(shop_study, tmp_path)

    def test_events_that_cannot_be_written_are_not_acknowledged(
        self, shop_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import os

        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        with over(shop_study, tmp_path) as client:
            with monkeypatch.context() as patched:
                patched.setattr(os, "write", full)
                refused = client.post("/v1/events", json={"events": [EVENT]})
            assert refused.status_code == 503
            assert client.post("/v1/events", json={"events": [EVENT]}).status_code == 201
        assert len(read_events(tmp_path)[0]) == 1


class TestReload:
    def test_a_new_run_is_taken_up_and_no_request_is_dropped(self, shop_run: Path) -> None:
        with opened(shop_run, reload_seconds=0.1) as client:
            service = client.app.state.service  # type: ignore[attr-defined]
            first, stop, seen = service.published.snapshot.version, threading.Event(), []

            def ask() -> None:
                while not stop.is_set():
                    answer = client.get("/v1/recommendations?user=u01&k=3")
                    seen.append((answer.status_code, answer.json().get("version")))

            asking = threading.Thread(target=ask)
            asking.start()
            publish(shop_run, seed=1)
            until(lambda: bool(seen) and seen[-1][1] != first)
            stop.set()
            asking.join()
            assert {status for status, _ in seen} == {200}
            versions = [version for _, version in seen]
            assert versions[0] == first != versions[-1] == client.get("/readyz").json()["version"]
            told = recommend_from(shop_run, "hybrid", ["u01"], k=3, look="original", say=lambda line: None)
            found = client.get("/v1/recommendations?user=u01&k=3").json()["items"]
            assert [i["item_id"] for i in found] == list(told["item_id"])

    def test_a_damaged_run_leaves_the_old_one_in_service(self, shop_run: Path) -> None:
        with opened(shop_run, reload_seconds=0.05) as client:
            service = client.app.state.service  # type: ignore[attr-defined]
            first = service.published.snapshot.version
            (shop_run / "models" / "hybrid" / "model.json").write_text("{")
            ledger = json.loads((shop_run / "stages.json").read_text())
            ledger["stages"]["fit"]["key"] = "another"
            (shop_run / "stages.json").write_text(json.dumps(ledger))
            until(lambda: bool(service.reload_error))
            assert "ArtifactError" in client.get("/readyz").json()["reload_error"]
            assert client.get("/v1/recommendations?user=u01").json()["version"] == first

    def test_a_link_to_another_run_is_followed(self, shop_run: Path, tmp_path: Path) -> None:
        import shutil

        other = tmp_path / "other"
        shutil.copytree(shop_run, other)
        publish(other, seed=2)
        link = tmp_path / "current"
        link.symlink_to(shop_run)
        with opened(link, events=tmp_path / "log", reload_seconds=60) as client:
            service = client.app.state.service  # type: ignore[attr-defined]
            first = service.published.snapshot.version
            assert not service.reload()
            link.unlink()
            link.symlink_to(other)
            assert service.reload()
            assert client.get("/readyz").json()["version"] != first
