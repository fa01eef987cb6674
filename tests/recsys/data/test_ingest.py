"""Catalogues and logs as shops really export them: nothing lost in silence."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import Catalog, Interactions
from recsys.data.interactions import parse_times
from recsys.data.source import as_text, read_table, summarize_rejected
from recsys.errors import ArtifactError, DataError
from recsys.files import safe_name

ITEMS = pd.DataFrame({"item_id": ["007", "8", "👗"], "price": ["1.5", "", "cheap"]})


def reasons(frame: pd.DataFrame) -> dict[str, int]:
    return {str(k): int(v) for k, v in frame["reason"].value_counts().items()}


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_leading_zeros_and_emoji_survive_every_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"items.{suffix}"
    ITEMS.to_parquet(path) if suffix == "parquet" else ITEMS.to_csv(path, index=False)
    catalog = Catalog.read(path)
    assert list(catalog.ids) == ["007", "8", "👗"]
    assert catalog.frame["price"].tolist()[0] == 1.5
    assert np.isnan(catalog.frame["price"].tolist()[1:]).all()
    assert reasons(catalog.rejected) == {"price is not a number; kept without price": 1}


def test_bad_item_rows_are_refused_with_place_and_reason() -> None:
    catalog = Catalog.from_frame(pd.DataFrame({"item_id": ["a", "", "b\0", "a", "../../x", " "]}))
    assert list(catalog.ids) == ["a", "../../x"]
    found = catalog.rejected.set_index("row")["reason"]
    assert "empty" in found[1]
    assert "empty" in found[5]
    assert "NUL" in found[2]
    assert "more than once" in found[3]


def test_where_leaves_out_on_purpose_and_counts() -> None:
    frame = pd.DataFrame({"sku": ["1", "2", "3"], "sold": [1, 0, 1]})
    catalog = Catalog.from_frame(frame, columns={"item_id": "sku"}, where={"sold": 1})
    assert list(catalog.ids) == ["1", "3"]
    assert catalog.n_filtered == 1
    assert len(catalog.rejected) == 0


@pytest.mark.parametrize(
    ("columns", "message"),
    [({"item_id": "artcle"}, "did you mean 'article'"), ({}, "no column 'item_id'")],
)
def test_missing_columns_list_what_exists(columns: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Catalog.from_frame(pd.DataFrame({"article": ["1"]}), columns=columns)


LOG = pd.DataFrame(
    [
        ("u", "a", "2024-01-02", "1"),
        ("u", "a", "2024-01-02", "1"),  # exact duplicate
        ("u", "a", "2024-01-03", "1"),  # bought again: kept
        ("", "a", "2024-01-03", "1"),
        ("u", "zzz", "2024-01-03", "1"),
        ("u", "b", "yesterday", "1"),
        ("u", "b", "2024-01-04", "-1"),
        ("u", "b", "2024-01-04", "inf"),
        ("v\0", "b", "2024-01-04", "1"),
        ("v", "b", "2024-01-01", "2"),
    ],
    columns=["user_id", "item_id", "timestamp", "weight"],
)


def test_every_row_is_kept_or_refused_with_a_reason() -> None:
    catalog = Catalog.from_frame(pd.DataFrame({"item_id": ["a", "b"]}))
    log = Interactions.from_frame(LOG, catalog=catalog)
    assert log.frame[["user_id", "item_id"]].to_numpy().tolist() == [["v", "b"], ["u", "a"], ["u", "a"]]  # by time
    assert len(log.frame) + len(log.rejected) == len(LOG)
    assert reasons(log.rejected) == {
        "weight is negative or not a number": 2,
        "exact duplicate of an earlier row": 1,
        "empty user_id": 1,
        "item is not in the catalogue": 1,
        "timestamp cannot be read as a date": 1,
        "user_id contains a NUL character": 1,
    }
    assert sum(entry["count"] for entry in summarize_rejected(log.rejected)) == 7


def test_nothing_usable_is_an_error_that_names_the_commonest_reason() -> None:
    with pytest.raises(DataError, match="cannot be read as a date"):
        Interactions.from_frame(LOG.assign(timestamp="?"))


def test_propensities_outside_their_range_are_refused() -> None:
    log = pd.DataFrame({"user_id": list("uvwx"), "item_id": "a", "propensity": [0.5, 0, 1.2, None]})
    assert reasons(Interactions.from_frame(log).rejected) == {"propensity is outside (0, 1]": 3}


def test_malformed_lines_are_refused_not_fatal(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text('user_id,item_id\nu,a\nu,b,extra\nu\n"v, w",a\n')
    log = Interactions.read(path)
    assert log.frame["user_id"].tolist() == ["u", "v, w"]
    assert log.rejected["row"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"item_id,item_id\n1,2\n", "twice"),
        ("item_id\ncaf\xe9\n".encode("latin-1"), "UTF-8"),
    ],
)
def test_unreadable_csv_names_the_cure(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        Catalog.read(path)


def test_truncated_gzip_and_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "items.csv.gz"
    path.write_bytes(gzip.compress(b"item_id\n1\n" * 100)[:20])
    with pytest.raises(DataError, match="truncated"):
        Catalog.read(path)
    with pytest.raises(DataError, match="does not exist"):
        Catalog.read(tmp_path / "none.csv")


def test_byte_order_mark_and_blank_cells(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes(b"\xef\xbb\xbfitem_id,title\n1,NA\n")
    assert Catalog.read(path).frame["title"].tolist() == ["NA"]


def test_duckdb_query_reads_only(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect(str(tmp_path / "shop.db")) as connection:
        connection.execute("create table items as select '007' as item_id, 3 as price")
    catalog = Catalog.read("duckdb:shop.db?select * from items", base=tmp_path)
    assert list(catalog.ids) == ["007"]
    with pytest.raises(DataError, match="failed"):
        read_table("duckdb:shop.db?drop table items", base=tmp_path)
    with pytest.raises(DataError, match="no query"):
        read_table("duckdb:shop.db", base=tmp_path)


def test_times_with_zones_and_epochs_agree() -> None:
    written = pd.Series(["2024-01-02T01:30:00+01:00", "2024-01-02 00:30:00", "1704155400"])
    assert parse_times(written).nunique() == 1


@given(st.lists(st.text(min_size=1), unique=True, min_size=1, max_size=20))
def test_safe_names_are_distinct_and_stay_in_their_folder(ids: list[str]) -> None:
    names = [safe_name(i) for i in ids]
    assert len({n.lower() for n in names}) == len(ids)
    assert all(Path("folder", n).resolve().parent == Path("folder").resolve() for n in names)


@given(st.lists(st.integers(0, 2**53)))
def test_whole_numbers_stay_whole_as_text(values: list[int]) -> None:
    assert as_text(pd.Series(values, dtype=float)).tolist() == [str(v) for v in values]


def test_round_trip_and_damaged_files(tmp_path: Path) -> None:
    log = Interactions.from_frame(LOG.head(1))
    log.save(tmp_path / "log.parquet")
    pd.testing.assert_frame_equal(Interactions.load(tmp_path / "log.parquet").frame, log.frame)
    (tmp_path / "log.parquet").write_bytes(b"PAR1")
    with pytest.raises(ArtifactError, match="make it again"):
        Interactions.load(tmp_path / "log.parquet")


@pytest.mark.realdata
def test_real_purchases(data_dir: Path) -> None:
    folder = data_dir / "hm_fashion"
    catalog = Catalog.read(folder / "items.csv.gz", columns={"item_id": "article_id"}, where={"in_transactions": 1})
    columns = {"user_id": "user", "item_id": "article_id", "timestamp": "t_dat"}
    log = Interactions.read(folder / "transactions.csv.gz", columns=columns, catalog=catalog)
    assert len(catalog) == 17033  # stated by the data's own description
    assert set(map(len, catalog.ids)) == {10}
    assert catalog.ids[0] == "0108775015"
    assert len(log.frame) + len(log.rejected) == 31662
    assert reasons(log.rejected) == {"exact duplicate of an earlier row": 2894}
