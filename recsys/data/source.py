"""Tables from anywhere, as they were written: cells stay text until a noun parses them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.data.cells import Bools, TextColumn, parse_numbers
from recsys.data.delimited import read_delimited
from recsys.data.rejected import REJECTED, reject, summarize_rejected
from recsys.errors import DataError, unknown_name
from recsys.extras import require

__all__ = ["REJECTED", "RawTable", "read_table", "reject", "rename", "selected", "summarize_rejected"]

_NULLABLE = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}
"""Whole numbers beside missing ones, which numpy has not."""

_INDEX_COLUMN = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True, eq=False)
class RawTable:
    """A table before anything is believed.

    Attributes:
        frame: Its rows, text cells of a CSV as text; the index is the row in the source, counted from 0.
        rejected: Lines that are no rows, see `REJECTED`.
        name: For messages and the ``source`` of refused rows.
    """

    frame: pd.DataFrame
    rejected: pd.DataFrame
    name: str

    def __post_init__(self) -> None:
        names = [str(c) for c in self.frame.columns]
        if len(set(names)) != len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise DataError(f"{self.name} has the column {twice!r} twice; rename one")


def read_table(source: str | Path | pd.DataFrame, *, base: Path | None = None, name: str = "table") -> RawTable:
    """Read CSV, Parquet, a data frame, or ``duckdb:file.db?select …``.

    What a file is shows in its content, not in its name: Parquet, or text with commas (tabs, semicolons or
    bars where the header has no comma), plain or compressed with gzip, bzip2 or Zstandard.

    Args:
        source: Where; relative paths start at ``base``. The index of a data frame is not read.
        base: A folder; default the working directory.
        name: What messages and refused rows call the table.

    Raises:
        DataError: Missing, empty or unreadable.
        MissingExtraError: DuckDB is asked for and not installed.

    Example:
        >>> read_table(pd.DataFrame({"a": ["007"]})).frame["a"].item()
        '007'
    """
    if isinstance(source, pd.DataFrame):
        frame = source.set_axis([str(c) for c in source.columns], axis=1).reset_index(drop=True)
        return RawTable(frame, reject(name), name)
    text = str(source)
    if text.startswith("duckdb:"):
        raw = RawTable(_plain(_query(text.removeprefix("duckdb:"), base)), reject(name), name)
    else:
        raw = _read_file(text, (base or Path()) / text, name)
    if raw.frame.empty and raw.rejected.empty:
        raise DataError(f"{name}: {text} has no rows; its columns are {', '.join(raw.frame.columns)}")
    return raw


def rename(
    frame: pd.DataFrame, columns: Mapping[str, str] | None, *, needs: tuple[str, ...], name: str
) -> pd.DataFrame:
    """Give columns our names (``columns``: ours → theirs); other columns keep theirs and come last.

    One column of theirs may serve several of ours. One that bears our name without being meant is kept as
    ``<name>_source``.

    Raises:
        DataError: A column that is needed or mapped does not exist.
    """
    columns = dict(columns or {})
    for ours, theirs in columns.items():
        if theirs not in frame.columns:
            raise DataError(f"{name}: {ours} is mapped to an {unknown_name('column', theirs, frame.columns)}")
    taken = set(columns.values())
    picked = {ours: frame[theirs] for ours, theirs in columns.items()}
    picked |= {f"{c}_source" if c in columns else c: frame[c] for c in frame.columns if c not in taken}
    for ours in needs:
        if ours not in picked:
            cure = f'map it with columns = {{ {ours} = "…" }}'
            raise DataError(f"{name}: {unknown_name('column', ours, frame.columns)}; {cure}")
    return pd.DataFrame(picked, index=frame.index)


def selected(frame: pd.DataFrame, where: Mapping[str, Any] | None, *, name: str) -> Bools:
    """Which rows have, in every column of ``where``, its value or one of its values.

    Numbers are compared as numbers (``1`` finds ``1.0``), true and false also find 1 and 0, text as it is.

    Raises:
        DataError: A column does not exist, or no row is left.
    """
    keep = np.ones(len(frame), dtype=bool)
    for column, wanted in (where or {}).items():
        if column not in frame.columns:
            raise DataError(f"{name}.where: {unknown_name('column', column, frame.columns)}")
        values = list(wanted) if isinstance(wanted, list | tuple | set) else [wanted]
        keep &= np.logical_or.reduce([_equals(frame[column], v) for v in values] or [np.zeros(len(frame), dtype=bool)])
        if len(frame) and not keep.any():
            seen = TextColumn.of(frame[column]).values[:5].tolist()
            raise DataError(f"{name}.where: no row has {column} = {wanted!r}; the column has {seen} …")
    return keep


def _equals(cells: pd.Series, value: Any) -> Bools:
    if isinstance(value, bool):
        spellings = ("true", "1") if value else ("false", "0")
        return TextColumn.of(cells).where(lambda texts: [t.strip().lower() in spellings for t in texts])
    if isinstance(value, int | float):
        return np.asarray(parse_numbers(cells) == value, dtype=bool)
    return TextColumn.of(cells).where(lambda texts: texts == str(value))


def _read_file(text: str, path: Path, name: str) -> RawTable:
    if not path.exists():
        raise DataError(f"{name}: {text} does not exist (looked for {path}); mend the path")
    if path.is_dir():
        return RawTable(_read_parquet(path), reject(name), name)
    with path.open("rb") as file:
        if file.read(4) == b"PAR1":
            return RawTable(_read_parquet(path), reject(name), name)
    frame, rejected = read_delimited(path, name)
    return RawTable(frame, rejected, name)


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return _plain(pq.read_table(path))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not readable as Parquet ({error}); write it again") from error


def _plain(table: pa.Table) -> pd.DataFrame:
    """As a data frame; whole numbers stay whole beside missing ones, index columns of pandas are left out."""
    table = table.drop_columns([c for c in table.column_names if _INDEX_COLUMN.fullmatch(c)])
    nullable = _NULLABLE if any(c.null_count for c in table.columns) else {}
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True, types_mapper=nullable.get, date_as_object=False)
    return frame


def _query(text: str, base: Path | None) -> pa.Table:
    database, _, query = text.partition("?")
    if not query.strip():
        raise DataError(f"duckdb:{text} has no query; write duckdb:store.db?select …")
    path = (base or Path()) / database
    if not path.is_file():
        raise DataError(f"DuckDB file {database} does not exist (looked for {path})")
    with path.open("rb") as file:
        if file.read(12)[8:] != b"DUCK":
            raise DataError(f"{database} is no DuckDB database; name a CSV or Parquet file without duckdb:")
    duckdb = require("duckdb", extra="sql")
    try:
        # A study file may come from others: its query reads this database and touches nothing else.
        with duckdb.connect(str(path), read_only=True, config={"enable_external_access": False}) as connection:
            relation = connection.sql(query)
            if relation is None:
                raise DataError(f"the query on {database} answers no table: {query}; write a select")
            table: pa.Table = relation.to_arrow_table()
            return table
    except duckdb.Error as error:
        raise DataError(f"the query on {database} failed: {error}") from error
