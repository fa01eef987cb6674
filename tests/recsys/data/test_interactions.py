"""Logs as they really are: every row is kept or refused with a reason."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data import Catalog, Interactions
from recsys.data.interactions import require_times
from recsys.errors import ArtifactError, DataError

CATALOG = Catalog.from_frame(pd.DataFrame({"item_id": ["a", "b"]}))

LOG = pd.DataFrame(
    [
        ("u", "a", "2024-01-02", "1", None),
        ("u", "a", "2024-01-02", "1", "exact duplicate of an earlier row"),
        ("u", "a", "2024-01-03", "1", None),  # bought again later
        ("u", "a", "2024-01-02", "2", None),  # the same moment, another row
        ("", "a", "2024-01-03", "1", "empty id"),
        ("u", " ", "2024-01-03", "1", "empty id"),
        ("u", "zzz", "2024-01-03", "1", "item is not in the catalogue"),
        ("u", "b", "yesterday", "1", "timestamp is no ISO 8601 date or epoch number from 1678 to 2261"),
        ("u", "b", "", "1", "timestamp is empty"),
        ("u", "b", "2024-01-04", "-1", "weight is negative"),
        ("u", "b", "2024-01-04", "1e13", "weight is above 1e+12"),
        ("u", "b", "2024-01-04", "inf", "weight is not a finite number"),
        ("u", "b", "2024-01-04", "nan", "weight is not a finite number"),
        ("u", "b", "2024-01-04", "", "weight is not a finite number"),
        ("v\0", "b", "2024-01-04", "1", "id contains a NUL character"),
        ("v", "b", "2024-01-01T01:00:00+02:00", "0", None),
    ],
    columns=["user_id", "item_id", "timestamp", "weight", "reason"],
)
EXPECTED = {i: r for i, r in enumerate(LOG["reason"]) if isinstance(r, str)}
LOG = LOG.drop(columns="reason")


@pytest.mark.parametrize("source", ["frame", "csv", "csv.gz", "parquet"])
def test_each_row_is_kept_or_refused_for_its_own_reason(tmp_path: Path, source: str) -> None:
    path = tmp_path / f"log.{source}"
    if source == "frame":
        log = Interactions.from_frame(LOG, catalog=CATALOG)
    else:
        LOG.to_parquet(path) if source == "parquet" else LOG.to_csv(path, index=False)
        log = Interactions.read(path, catalog=CATALOG)
    assert dict(zip(log.rejected["row"], log.rejected["reason"], strict=True)) == EXPECTED
    rows = log.frame.assign(timestamp=log.frame["timestamp"].astype(str), weight=log.frame["weight"].tolist())
    assert rows.to_numpy().tolist() == [
        ["v", "b", "2023-12-31 23:00:00", 0.0, "purchase"],
        ["u", "a", "2024-01-02 00:00:00", 1.0, "purchase"],
        ["u", "a", "2024-01-02 00:00:00", 2.0, "purchase"],
        ["u", "a", "2024-01-03 00:00:00", 1.0, "purchase"],
    ]


IDS = st.sampled_from(["a", "b", "B", "aa", "é", "", "👗"])
TIMES = st.sampled_from(["2020-01-01", "2020-01-02", "1577836800", "x"])


@settings(max_examples=40)
@given(st.lists(st.tuples(IDS, IDS, TIMES, st.sampled_from(["1", "2", "-1"])), min_size=1, max_size=40))
def test_order_and_duplicates_as_plain_python_says(rows: list[tuple[str, str, str, str]]) -> None:
    day = {"2020-01-01": 0, "1577836800": 0, "2020-01-02": 1}
    rows = [*rows, ("u", "i", "2020-01-01", "3")]
    usable = [r for r in dict.fromkeys(rows) if r[0] and r[1] and r[2] in day and r[3] != "-1"]
    expected = sorted(usable, key=lambda r: (day[r[2]], r[0], r[1]))  # stable, as the source orders the rest
    names = ["user_id", "item_id", "timestamp", "weight"]
    log = Interactions.from_frame(pd.DataFrame(rows, columns=names, dtype=object))
    found = log.frame[["user_id", "item_id", "weight"]].to_numpy().tolist()
    assert found == [[u, i, float(w)] for u, i, _, w in expected]
    assert len(log) + len(log.rejected) == len(rows)


def test_rows_that_differ_in_any_column_of_the_source_are_no_duplicates() -> None:
    log = pd.DataFrame({"user_id": "u", "item_id": "a", "order": [1, 2, 2], "lines": [[1], [1], [1]]})
    kept = Interactions.from_frame(log)
    assert len(kept) == 2
    assert kept.rejected["row"].tolist() == [2]


def test_impressions_keep_place_look_and_propensity() -> None:
    log = pd.DataFrame(
        {
            "user_id": list("stuvwxyz"),
            "item_id": "a",
            "position": ["0", "", "1.5", "-1", "x", "2", "3", "4"],
            "presentation": ["retro", "", None, "retro", "retro", "retro", "retro", "retro"],
            "propensity": ["1", "", "1", "1", "1", "0", "1.0001", "0.25"],
        }
    )
    kept = Interactions.from_frame(log)
    assert kept.frame[["user_id", "position", "presentation"]].to_numpy().tolist() == [
        ["s", 0, "retro"],
        ["t", -1, "original"],
        ["z", 4, "retro"],
    ]
    np.testing.assert_array_equal(kept.frame["propensity"], [1, np.nan, 0.25])
    place, share = "position is not a whole number >= 0", "propensity is not a number in (0, 1]"
    assert kept.rejected["reason"].tolist() == [place, place, place, share, share]


def test_types_are_as_promised_and_survive_the_file(tmp_path: Path) -> None:
    log = Interactions.from_frame(LOG.assign(position=3, propensity=0.5, presentation="retro"), catalog=CATALOG)
    assert log.frame.dtypes.astype(str).to_dict() == {
        "user_id": "object",
        "item_id": "object",
        "timestamp": "datetime64[ns]",
        "weight": "float32",
        "event": "object",
        "position": "int64",
        "presentation": "object",
        "propensity": "float64",
    }
    log.save(tmp_path / "log.parquet")
    again = Interactions.load(tmp_path / "log.parquet")
    pd.testing.assert_frame_equal(again.frame, log.frame)
    assert len(again.rejected) == 0


def test_an_empty_log_survives_the_file(tmp_path: Path) -> None:
    log = Interactions.from_frame(LOG)
    empty = Interactions(log.frame[:0], log.rejected)
    empty.save(tmp_path / "log.parquet")
    pd.testing.assert_frame_equal(Interactions.load(tmp_path / "log.parquet").frame, empty.frame)


def test_a_log_without_times_is_one_until_times_matter() -> None:
    log = Interactions.from_frame(LOG[["user_id", "item_id"]], catalog=CATALOG)
    assert log.frame["timestamp"].isna().all()
    with pytest.raises(DataError, match="a time split needs timestamps"):
        require_times(log, "a time split")
    require_times(Interactions.from_frame(LOG, catalog=CATALOG), "a time split")


def test_where_chooses_rows_and_counts_the_others() -> None:
    log = pd.DataFrame({"user_id": list("uvw"), "item_id": "a", "kind": ["view", "buy", "buy"]})
    kept = Interactions.from_frame(log, columns={"event": "kind"}, where={"kind": "buy"})
    assert (kept.frame["event"].tolist(), kept.n_filtered, len(kept.rejected)) == (["buy", "buy"], 1, 0)


def test_nothing_usable_is_an_error_that_names_the_commonest_reason() -> None:
    with pytest.raises(DataError, match=r"among 16; commonest reason: timestamp is no ISO 8601 .* \(13 rows\)"):
        Interactions.from_frame(LOG.assign(timestamp="?"))


def test_a_table_that_is_no_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unknown column 'user_id'; .*Known: .*map it"):
        Interactions.from_frame(pd.DataFrame({"item_id": ["a"]}))
    with pytest.raises(DataError, match="need the columns"):
        Interactions(pd.DataFrame({"user_id": ["a"]}), pd.DataFrame())
    CATALOG.save(tmp_path / "log.parquet")
    with pytest.raises(ArtifactError, match="no column 'user_id'"):
        Interactions.load(tmp_path / "log.parquet")


def test_sources_are_left_as_they_were() -> None:
    before = LOG.copy(deep=True)
    Interactions.from_frame(LOG, catalog=CATALOG)
    pd.testing.assert_frame_equal(LOG, before)


def test_purchases_of_items_left_out_on_purpose_are_left_out_on_purpose():
    shop = pd.DataFrame({"item_id": ["a", "b", "c"], "kind": ["vase", "lamp", "vase"]})
    catalog = Catalog.from_frame(shop, where={"kind": "vase"})
    log = pd.DataFrame({"user_id": "u", "item_id": ["a", "b", "nothing", "c", "b"], "timestamp": "2024-01-02"})
    found = Interactions.from_frame(log, catalog=catalog)
    assert found.frame["item_id"].tolist() == ["a", "c"]
    assert found.n_filtered == 2
    assert found.rejected[["row", "id", "reason"]].values.tolist() == [[2, "nothing", "item is not in the catalogue"]]
