"""Oracles: the standard library's csv writer, and files written by other libraries."""

import bz2
import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.data.source import read_table, rename, selected
from recsys.errors import DataError


@pytest.fixture
def table(tmp_path: Path):
    """Write bytes, read them as a table."""

    def read(content: bytes, name: str = "table.csv"):
        (tmp_path / name).write_bytes(content)
        return read_table(name, base=tmp_path)

    return read


CELL = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r"), max_size=8)
ROWS = st.lists(st.tuples(CELL, CELL), min_size=1, max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(rows=ROWS, delimiter=st.sampled_from(",\t;|"))
def test_whatever_csv_writes_is_read_back(table, rows: list[tuple[str, str]], delimiter: str) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("id", "text"), *rows])
    raw = table(text.getvalue().encode())
    assert list(raw.frame.itertuples(index=False, name=None)) == rows
    assert len(raw.rejected) == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(rows=st.lists(st.integers(1, 4), min_size=1, max_size=30))
def test_every_line_is_a_row_or_refused_with_its_number(table, rows: list[int]) -> None:
    """Lines of one to four fields under a header of two."""
    raw = table(("a,b\n" + "".join(",".join(["x"] * n) + "\n" for n in rows)).encode())
    assert raw.frame.index.tolist() == [i for i, n in enumerate(rows) if n == 2]
    assert raw.rejected["row"].tolist() == [i for i, n in enumerate(rows) if n != 2]
    assert raw.rejected["reason"].tolist() == [f"line has {n} fields instead of 2" for n in rows if n != 2]
    assert raw.rejected["value"].tolist() == [",".join(["x"] * n) for n in rows if n != 2]


def test_row_numbers_hold_beyond_one_block(table) -> None:
    size = 200_000  # of 100 bytes: more than the 16 MB read at once
    bad = {5, size // 2, size - 1}
    lines = (b"only one" if i in bad else b"%d,%s" % (i, b"x" * 92) for i in range(size))
    raw = table(b"n,text\n" + b"\n".join(lines))
    assert set(raw.rejected["row"]) == bad
    assert (raw.frame["n"].astype(int) == raw.frame.index).all()


def test_cells_stay_as_written(table) -> None:
    raw = table(b"\xef\xbb\xbfid,title\r\n007,NA\r\n1e5,\r\n\r\n 8 ,null\r\n")  # byte order mark, a blank line
    assert raw.frame.to_numpy().tolist() == [["007", "NA"], ["1e5", ""], [" 8 ", "null"]]
    assert raw.frame.index.tolist() == [0, 1, 2]


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress], ids=["gzip", "bzip2"])
def test_compression_is_seen_in_the_content(table, compress) -> None:
    assert table(compress(b"id\n007\n"), "no_suffix").frame["id"].tolist() == ["007"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty; a CSV needs a header line"),
        (b" \n\n", "empty"),
        (b"id,title\n", "has no rows; its columns are id, title"),
        (b"id,title,id\n1,2,3\n", "column 'id' twice"),
        ("id\ncaf\xe9\n".encode("latin-1"), r"line 2 of .* not UTF-8 .*iconv -f WINDOWS-1252"),
        ("caf\xe9\n1\n".encode("latin-1"), "line 1 of .* not UTF-8"),
        ("id\n1,2,\xe9\n".encode("latin-1"), "line 2 of .* not UTF-8"),
        (b"id\n" + b"x\n" * 700_000 + b"\xff\n", "line 700002 of .* not UTF-8"),
        ("id\n1\n".encode("utf-16"), "UTF-16 text; save it as UTF-8"),
        ("id\n1\n".encode("utf-16-le"), "NUL bytes in its header"),
        (b'id,t\n1,a\n2,"b\n3,c\n', r"quotation mark in row 1 and never closes it \(2 lines\)"),
        (b'id,t\n1,a\n"2,b\n3,c\n', "quotation mark in row 1"),
        (b"PK\x03\x04rest", "Excel workbook"),
        (b"SQLite format 3\0", "SQLite"),
        (b"PAR1 and no more", "not readable as Parquet"),
        (gzip.compress(b"id\n" + b"1\n" * 999, mtime=0)[:25], "may be truncated"),
    ],
)
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_unreadable_files_name_place_and_cure(table, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        table(content)


def test_a_row_longer_than_a_block_is_named_as_such(table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys.data.delimited._BLOCK", 1 << 20)
    with pytest.raises(DataError, match="longer than 1 MB; a quotation mark may never be closed"):
        table(b'id,t\n1,"' + b"x" * (3 << 20) + b'"\n')


@pytest.mark.parametrize("text", ['5" pipe', 'two "" marks', "a\nb"])
def test_quotation_marks_within_text_are_text(table, text: str) -> None:
    cell = '"' + text.replace('"', '""') + '"'
    assert table(f"id,t\n1,{cell}\n".encode()).frame["t"].item() == text
    assert table(b'id,t\n1,5" pipe\n2,b\n').frame["t"].tolist() == ['5" pipe', "b"]  # unquoted, and not in pairs


def test_a_missing_file_is_named_with_where_it_was_sought(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv does not exist \(looked for .*none\.csv\)"):
        read_table("none.csv", base=tmp_path)


def test_parquet_keeps_whole_numbers_beside_gaps(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": pd.array([2**60 + 1, None], dtype="Int64"), "x": [0.5, 1]}, index=[3, 9])
    frame.to_parquet(tmp_path / "t.parquet")
    raw = read_table("t.parquet", base=tmp_path)
    assert raw.frame["n"].tolist()[0] == 2**60 + 1  # a float64 would lose the 1
    assert list(raw.frame.columns) == ["n", "x"]  # pandas' own index column is no data
    assert raw.frame.index.tolist() == [0, 1]


def test_parquet_with_a_named_index_keeps_it_as_a_column(tmp_path: Path) -> None:
    pd.DataFrame({"sku": ["007"], "x": [1]}).set_index("sku").to_parquet(tmp_path / "t.pq")
    assert set(read_table(tmp_path / "t.pq").frame.columns) == {"sku", "x"}


def test_frames_are_not_changed_and_their_index_is_not_read() -> None:
    frame = pd.DataFrame({0: [1, 2]}, index=[5, 5])
    raw = read_table(frame)
    assert raw.frame.index.tolist() == [0, 1]
    assert (raw.frame.columns.tolist(), frame.columns.tolist(), frame.index.tolist()) == (["0"], [0], [5, 5])
    with pytest.raises(DataError, match="'1' twice"):
        read_table(pd.DataFrame([[1, 2]], columns=[1, "1"]))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    duckdb = pytest.importorskip("duckdb")
    (tmp_path / "other.csv").write_text("id\n1\n")
    with duckdb.connect(str(tmp_path / "shop.db")) as connection:
        connection.execute("create table items as select '007' as id, 3.5::decimal(9, 2) as price, '?' as mark")
    return tmp_path


def test_duckdb_answers_a_query(shop: Path) -> None:
    frame = read_table("duckdb:shop.db?select id, price from items where mark = '?'", base=shop).frame
    assert frame["id"].tolist() == ["007"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("shop.db?drop table items", "failed.*read-only"),
        ("shop.db?copy items to '{shop}/stolen.csv'", "failed.*disabled"),
        ("shop.db?attach '{shop}/new.db' as n", "failed.*disabled"),
        ("shop.db?select * from '{shop}/other.csv'", "failed.*disabled"),
        ("shop.db?select * from item", "failed"),
        ("shop.db?select * from items where false", "no rows"),
        ("shop.db", "no query; write duckdb:"),
        ("none.db?select 1", "does not exist"),
        ("other.csv?select 1", "no DuckDB database"),
    ],
)
def test_duckdb_reads_this_database_and_touches_nothing(shop: Path, query: str, message: str) -> None:
    before = {p.name: p.read_bytes() for p in shop.iterdir()}
    with pytest.raises(DataError, match=message):
        read_table("duckdb:" + query.format(shop=shop), base=shop)
    assert {p.name: p.read_bytes() for p in shop.iterdir()} == before


def test_columns_get_our_names_and_none_is_lost() -> None:
    frame = pd.DataFrame({"sku": ["a"], "name": ["n"], "item_id": [7], "x": [1]})
    ours = rename(frame, {"item_id": "sku", "title": "name", "category": "name"}, needs=("item_id",), name="catalog")
    assert ours.iloc[0].to_dict() == {"item_id": "a", "title": "n", "category": "n", "item_id_source": 7, "x": 1}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item_id": "articleid"}, "unknown column 'articleid'; did you mean 'article_id'. Known: article_id, "),
        ({}, r"unknown column 'item_id'.* Known: article_id, .*; map it with columns = \{ item_id ="),
    ],
)
def test_missing_columns_list_what_exists_closest_first(columns: dict[str, str], message: str) -> None:
    frame = pd.DataFrame(columns=["price", "article_id", "zzz"])
    with pytest.raises(DataError, match=message):
        rename(frame, columns, needs=("item_id",), name="catalog")


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [(1, [0, 1]), ("1", [0]), (True, [0, 3]), (False, [2]), ([0, "true"], [2, 3]), ((1.0,), [0, 1])],
)
def test_where_compares_as_what_was_written(wanted: object, rows: list[int]) -> None:
    frame = pd.DataFrame({"f": ["1", "1.0", "0", "true"]})
    assert np.flatnonzero(selected(frame, {"f": wanted}, name="catalog")).tolist() == rows


def test_where_conditions_hold_together_and_must_be_met() -> None:
    frame = pd.DataFrame({"f": [1, 1, 0], "g": ["x", "y", "x"]})
    assert selected(frame, {"f": 1, "g": "x"}, name="catalog").tolist() == [True, False, False]
    with pytest.raises(DataError, match=r"no row has f = 2; the column has \['1', '0'\]"):
        selected(frame, {"f": 2}, name="catalog")
    with pytest.raises(DataError, match="unknown column 'h'"):
        selected(frame, {"h": 2}, name="catalog")
