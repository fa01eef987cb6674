"""What was logged is what `analyze`, `ope` and `partial_fit` read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.experiment.decision import analyze_log
from evaluation.experiment.plan import read_plan
from evaluation.ope import LogColumns, read_log
from recsys.data import Catalog, Dataset, Interactions
from recsys.errors import DataError
from recsys.models.popularity import Popularity
from shop.compaction import compact, impressions_of, read_events, write_tables
from shop.event_log import EventLog, segments
from shop.events import Record
from shop.plan import shop_plan
from shop.tally import Tally


def record(event: str, user: str = "u", item: str = "a", second: int = 0, **more: object) -> Record:
    moment = f"2026-03-01T10:00:{second:02d}.000001Z"
    return Record(event=event, user_id=user, item_id=item, presentation="retro", timestamp=moment, **more)


def write(folder: Path, records: list[Record], segment_bytes: int = 10**6) -> None:
    with EventLog(folder, segment_bytes=segment_bytes) as log:
        for one in records:
            log.append([one.to_bytes()]).result(10)


def drawn(n_users: int = 400, lift: float = 0.0) -> list[Record]:
    """A test of ten impressions a customer; treatment clicks more often by ``lift``."""
    rng = np.random.default_rng(1)
    found = []
    for i in range(n_users):
        arm = ("control", "treatment")[i % 2]
        common = {"arm": arm, "experiment": "spring", "page_id": f"p{i}", "propensity": 0.5}
        found.append(record("exposure", f"u{i}", "", 0, arm=arm, experiment="spring"))
        for place in range(10):
            found.append(record("impression", f"u{i}", f"i{place}", 1, position=place, **common))
            if rng.random() < 0.2 + lift * (i % 2):
                found.append(record("click", f"u{i}", f"i{place}", 2, position=place, **common))
    return found


class TestTables:
    def test_an_outcome_belongs_to_the_impression_of_its_page(self) -> None:
        events = pd.DataFrame(
            [
                ("impression", "u", "a", "p1", 0),
                ("impression", "u", "a", "p2", 1),
                ("click", "u", "a", "p1", 2),  # of the first page, although the second was shown later
                ("purchase", "u", "a", None, 3),  # of no page: the latest impression
                ("click", "u", "b", None, 3),  # never shown
                ("click", "v", "a", "p1", 3),  # another customer's page
            ],
            columns=["event", "user_id", "item_id", "page_id", "timestamp"],
        ).assign(timestamp=lambda f: pd.to_datetime(f["timestamp"], unit="s"))
        shown, lost = impressions_of(events)
        assert shown[["page_id", "click", "cart", "purchase"]].values.tolist() == [["p1", 1, 0, 0], ["p2", 0, 0, 1]]
        assert lost == 2

    def test_repeats_count_once_and_torn_lines_are_told(self, tmp_path: Path) -> None:
        write(tmp_path, [record("click", event_id="x"), record("click", event_id="x"), record("click")])
        with segments(tmp_path)[0].open("ab") as file:
            file.write(b'deadbeef 12 {"event": "cli')
        for _ in range(2):  # from the segment, then from its Parquet
            frame, repeated, torn = read_events(tmp_path)
            assert (len(frame), repeated, torn) == (2, 1, 1)
            compact(tmp_path)
        assert not segments(tmp_path)

    def test_compaction_leaves_the_segment_that_is_written_to(self, tmp_path: Path) -> None:
        with EventLog(tmp_path, segment_bytes=100) as log:
            for second in range(9):
                log.append([record("click", second=second).to_bytes()]).result(10)
            before = len(segments(tmp_path))
            assert compact(tmp_path) == before - 1 >= 2
            log.append([record("click", second=9).to_bytes()]).result(10)
            assert len(read_events(tmp_path)[0]) == 10
        write(tmp_path, [record("click", second=10)])
        compact(tmp_path)
        seconds = read_events(tmp_path)[0]["timestamp"].dt.second
        assert list(seconds) == list(range(11))

    def test_cut_off_between_parquet_and_removal_nothing_counts_twice(self, tmp_path: Path) -> None:
        write(tmp_path, [record("click", second=s) for s in range(5)])
        path, kept = segments(tmp_path)[0], segments(tmp_path)[0].read_bytes()
        compact(tmp_path)
        path.write_bytes(kept)  # as if killed before the segment was taken away
        assert len(read_events(tmp_path)[0]) == 5
        assert compact(tmp_path) == 0
        assert len(read_events(tmp_path)[0]) == 5
        assert not segments(tmp_path)

    def test_an_empty_log_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="holds no events"):
            write_tables(tmp_path, tmp_path / "out")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of a test in which treatment clicks more often, and of a customer of an earlier one."""
    folder = tmp_path_factory.mktemp("log")
    records = [*drawn(lift=0.15), record("click", "early", arm="control", experiment="winter")]
    with EventLog(folder / "events") as log:
        log.append([one.to_bytes() for one in records]).result(10)
    write_tables(folder / "events", folder / "out", experiment="spring")
    return folder / "out"


class TestReaders:
    def test_analyze_reads_the_events_and_agrees_with_the_page(self, out: Path) -> None:
        found = analyze_log(out / "events.parquet", read_plan(out / "plan.toml"))
        assert found.decision.verdict == "ship"
        assert found.analysis.counts == (200, 200)  # the winter test's customer is not among them
        tally = Tally("spring", shop_plan(0.5))
        tally.add(drawn(lift=0.15), ["all"] * len(drawn(lift=0.15)))
        live = tally.experiment_now()
        assert live is not None
        goal, other = (f.analysis.deciding("goal")[0].estimate for f in (found, live))
        assert (goal.control, goal.treatment) == pytest.approx((other.control, other.treatment))
        now = tally.now
        assert now is not None
        reading = live.analysis.deciding("goal")[0].anytime
        # The page's sums and the analysis of the table are one delta method.
        assert (now.relative, now.low, now.high) == pytest.approx((other.relative, reading.low, reading.high))

    def test_ope_reads_the_impressions(self, out: Path) -> None:
        columns = LogColumns(action="presentation", reward="click", position="position", unit="user_id")
        log = read_log(out / "impressions.parquet", columns)
        clicks = sum(r.event == "click" for r in drawn(lift=0.15))
        assert (len(log), log.reward.sum(), log.n_refused) == (4000, clicks, 0)
        assert log.n_units == 400

    def test_models_take_up_the_clicks(self, out: Path) -> None:
        catalog = Catalog.from_frame(pd.DataFrame({"item_id": [f"i{n}" for n in range(10)] + ["a"]}))
        old = Interactions.from_frame(pd.DataFrame({"user_id": ["u0"], "item_id": ["a"]}))
        fitted = Popularity().fit(Dataset.of(old, catalog))
        new = Interactions.read(out / "events.parquet", where={"event": ["click", "cart", "purchase"]}, catalog=catalog)
        assert not len(new.rejected)
        later = fitted.partial_fit(Dataset.of(new, catalog))
        assert "u7" in later.users
        assert not set(later.recommend(["u7"], k=20).item_id) & set(new.frame.query("user_id == 'u7'")["item_id"])


class TestTally:
    def test_running_sums_are_those_of_the_whole(self) -> None:
        """In any order of events the page's effect is that of the final table."""
        records = drawn(n_users=60, lift=0.1)
        order = np.random.default_rng(3).permutation(len(records))
        tallies = [Tally("spring", shop_plan(0.5)) for _ in range(2)]
        tallies[0].add(records, ["all"] * len(records))
        tallies[1].add([records[i] for i in order], ["all"] * len(records))
        assert tallies[0].now == tallies[1].now
        assert tallies[0].shown == tallies[1].shown == {("all", "retro"): 600}

    def test_the_confidence_sequence_holds_at_all_looks(self) -> None:
        """Under no effect, at most 5 % of tests ever exclude 0; 13 of 100 is the 99.9 % quantile of 5 %."""
        rng, wrong = np.random.default_rng(0), 0
        for _ in range(100):
            tally = Tally("spring", shop_plan(0.5))
            for i in range(120):
                arm = ("control", "treatment")[i % 2]
                clicks = rng.random(5) < 0.3
                events = [record("impression", f"u{i}", arm=arm, experiment="spring")] * 5
                events += [record("click", f"u{i}", arm=arm, experiment="spring")] * int(clicks.sum())
                tally.add(events, ["all"] * len(events))
            assert len(tally.points) > 10
            wrong += any(p.low > 0 or p.high < 0 for p in tally.points)
        assert wrong <= 13
