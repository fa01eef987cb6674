"""Oracles: Python's own str, datetime and float; numpy's calendar."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.cells import TextColumn, has_nul, is_blank, is_broken, parse_numbers, parse_times

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=12)  # NUL, emoji, half surrogate pairs


def objects(*cells: object) -> pd.Series:
    return pd.Series(cells, dtype=object)


@given(st.lists(ANY_TEXT, max_size=30))
def test_text_comes_back_as_it_went_in(texts: list[str]) -> None:
    column = TextColumn.of(pd.Series(texts, dtype=object))
    assert column.array().tolist() == texts
    assert sorted(column.values) == sorted(set(texts))


@given(st.lists(ANY_TEXT, max_size=30))
def test_tests_on_distinct_values_hold_for_rows(texts: list[str]) -> None:
    column = TextColumn.of(pd.Series(texts, dtype=object))
    assert column.where(is_blank).tolist() == [t.strip() == "" for t in texts]
    assert column.where(has_nul).tolist() == ["\0" in t for t in texts]
    assert column.where(is_broken).tolist() == [any(0xD800 <= ord(c) < 0xE000 for c in t) for t in texts]


@given(st.lists(ANY_TEXT, max_size=30))
def test_ranks_sort_as_python_does(texts: list[str]) -> None:
    ranks = TextColumn.of(pd.Series(texts, dtype=object)).ranks()
    assert [texts[i] for i in np.argsort(ranks, kind="stable")] == sorted(texts)


@pytest.mark.parametrize("dtype", [object, "str", "string", "category"])
def test_every_kind_of_text_column_reads_alike(dtype: object) -> None:
    cells = pd.Series(["007", None, "", "007", "NA"], dtype=object).astype(dtype)
    assert TextColumn.of(cells).array().tolist() == ["007", "", "", "007", "NA"]


@given(st.lists(st.integers(-(2**53), 2**53), max_size=20))
def test_whole_numbers_have_no_point_whatever_holds_them(numbers: list[int]) -> None:
    expected = [str(n) for n in numbers]
    for dtype in ("int64", "float64", "Int64", object):
        assert TextColumn.of(pd.Series(numbers, dtype=dtype)).array().tolist() == expected


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (1.5, "1.5"),
        (np.float32(2), "2"),
        (2**63, "9223372036854775808"),
        (True, "true"),
        (b"caf\xc3\xa9", "café"),
        ([1, 2], "[1, 2]"),
        (np.array([1.5, 2]), "[1.5, 2.0]"),
        (dt.date(2020, 1, 2), "2020-01-02"),
        (float("inf"), "inf"),
        (None, ""),
        (float("nan"), ""),
        (pd.NA, ""),
    ],
)
def test_a_cell_as_text(cell: object, text: str) -> None:
    column = pd.Series([cell], dtype=object, index=[7])
    assert TextColumn.of(column).array().tolist() == [text]


def test_one_id_written_as_text_and_as_number_is_one() -> None:
    column = TextColumn.of(objects("1", 1, 1.0, "01"))
    assert column.codes.tolist() == [0, 0, 0, 1]


def test_blank_cells_take_the_default() -> None:
    assert TextColumn.of(objects("a", " ", None)).filled("z").tolist() == ["a", "z", "z"]


@given(st.lists(st.floats(allow_nan=False), max_size=20))
def test_numbers_round_trip_as_numbers_and_as_text(numbers: list[float]) -> None:
    assert parse_numbers(pd.Series(numbers, dtype="float64")).tolist() == numbers
    np.testing.assert_array_equal(parse_numbers(pd.Series([repr(n) for n in numbers], dtype=object)), numbers)


@pytest.mark.parametrize("cell", ["", " ", "x", "1,5", "€ 3", "nan", None, "1 2", "0x"])
def test_what_is_no_number(cell: object) -> None:
    assert np.isnan(parse_numbers(objects(cell, "1"))).tolist() == [True, False]


def test_nullable_numbers_keep_their_gaps() -> None:
    assert parse_numbers(pd.Series([1, None], dtype="Int64")).tolist()[0] == 1.0
    assert np.isnan(parse_numbers(pd.Series([1, None], dtype="Int64"))[1])


def nanoseconds(moment: dt.datetime) -> int:
    """The oracle: whole microseconds since 1970 by datetime's own arithmetic."""
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1) * 1000


ZONES = st.integers(-12 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
MOMENTS = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2260, 1, 1), timezones=ZONES)


@settings(max_examples=60)
@given(st.lists(MOMENTS, max_size=10))
def test_iso_times_of_any_zone_and_precision(moments: list[dt.datetime]) -> None:
    expected = [nanoseconds(m) for m in moments]
    for written in ([m.isoformat() for m in moments], [str(m) for m in moments], moments):
        assert parse_times(pd.Series(written, dtype=object)).astype(np.int64).tolist() == expected


SECONDS = st.integers(0, 9_200_000_000).filter(lambda s: len(str(s)) != 8)  # eight digits may be a date


@settings(max_examples=60)
@given(st.lists(SECONDS, max_size=10))
def test_epoch_seconds(seconds: list[int]) -> None:
    for dtype in ("int64", "float64", "str"):
        cells = pd.Series(seconds, dtype="int64").astype(dtype)
        assert parse_times(cells).astype(np.int64).tolist() == [s * 10**9 for s in seconds]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_epoch_units_by_magnitude(unit: str) -> None:
    moment = np.datetime64("2020-09-22T10:11:12", unit)
    assert parse_times(pd.Series([moment.astype(np.int64)])).tolist() == [moment.astype("datetime64[ns]").tolist()]


@pytest.mark.parametrize(
    ("cell", "time"),
    [
        ("2020-09-22", "2020-09-22"),
        (" 2020-09-22 ", "2020-09-22"),
        ("2020/09/22", "2020-09-22"),
        ("20200922", "2020-09-22"),
        (20200922, "2020-09-22"),
        ("2020-09-22T10:11Z", "2020-09-22T10:11"),
        ("2020-09-22 10:11:12.5+02:00", "2020-09-22T08:11:12.5"),
        ("1600769472.25", "2020-09-22T10:11:12.25"),
        ("1.6e9", "2020-09-13T12:26:40"),
        (dt.date(2020, 9, 22), "2020-09-22"),
        (pd.Timestamp("2020-09-22", tz="Asia/Tokyo"), "2020-09-21T15:00"),
    ],
)
def test_one_time(cell: object, time: str) -> None:
    assert parse_times(objects(cell)).tolist() == [np.datetime64(time, "ns").tolist()]


@pytest.mark.parametrize(
    "cell",
    [
        *("", "now", "today", "yesterday", "22.09.2020", "03/04/2020", "2020-02-30", "2020-09-22 25:00", "9999-12-31"),
        *("0001-01-01", "-5", "inf", "nan", "1e30", "2020-13-01", None, "20201301x"),
    ],
)
def test_what_is_no_time(cell: object) -> None:
    assert np.isnat(parse_times(objects(cell, "2020-01-01"))).tolist() == [True, False]


def test_a_column_of_years_alone_is_not_read_as_seconds_of_1970() -> None:
    assert np.isnat(parse_times(objects("2019", "2020", ""))).all()
    assert np.isnat(parse_times(pd.Series([2019, 2020]))).all()
    assert parse_times(pd.Series([2019, 86_400])).astype(np.int64).tolist() == [2019 * 10**9, 86_400 * 10**9]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_datetime_columns_of_any_unit_become_utc_nanoseconds(unit: str) -> None:
    cells = pd.Series(np.array(["2020-01-01T12:00", "NaT"], dtype=f"datetime64[{unit}]"))
    expected = np.array(["2020-01-01T12:00", "NaT"], dtype="datetime64[ns]")
    np.testing.assert_array_equal(parse_times(cells), expected)
    zoned = cells.dt.tz_localize("Europe/Berlin")  # one hour ahead of UTC in January
    np.testing.assert_array_equal(parse_times(zoned), expected - np.timedelta64(1, "h"))


def test_datetime_columns_beyond_nanoseconds_are_no_times() -> None:
    cells = pd.Series(np.array(["9999-12-31", "2020-01-01"], dtype="datetime64[s]"))
    assert np.isnat(parse_times(cells)).tolist() == [True, False]
