"""Tables from anywhere, as they were written: cells stay text until a noun parses them."""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from recsys.errors import DataError, unknown_name
from recsys.extras import require

REJECTED = ("source", "row", "id", "field", "reason", "value")
"""Columns of every table of refused rows; ``row`` counts data rows from 0, -1 where it is not known."""


@dataclass(frozen=True, eq=False)
class RawTable:
    """A table before anything is believed.

    Attributes:
        frame: Its rows; text cells of a CSV are kept as text.
        rejected: Lines that are no rows, see `REJECTED`.
        name: For messages.
    """

    frame: pd.DataFrame
    rejected: pd.DataFrame
    name: str


def read_table(source: str | Path | pd.DataFrame, *, base: Path | None = None, name: str = "table") -> RawTable:
    """Read CSV (gzipped or not), Parquet, a data frame, or ``duckdb:file.db?select …``.

    Args:
        source: Where; relative paths start at ``base``.
        base: A folder; default the working directory.
        name: The ``source`` entry of refused rows.

    Raises:
        DataError: Missing, empty or unreadable.
        MissingExtraError: DuckDB is asked for and not installed.

    Example:
        >>> read_table(pd.DataFrame({"a": ["007"]})).frame["a"].item()
        '007'
    """
    if isinstance(source, pd.DataFrame):
        return RawTable(source.reset_index(drop=True), reject(name), name)
    text = str(source)
    if text.startswith("duckdb:"):
        return RawTable(_read_duckdb(text.removeprefix("duckdb:"), base), reject(name), name)
    path = (base or Path()) / text
    if not path.is_file():
        raise DataError(f"{text} does not exist or is no file (looked for {path}); mend the path")
    if path.suffix in (".parquet", ".pq"):
        return RawTable(_read_parquet(path), reject(name), name)
    return _read_csv(path, name)


def reject(source: str, row: Any = (), id: Any = "", field: str = "", reason: str = "", value: Any = "") -> pd.DataFrame:
    """Refused rows as a table; scalars are repeated over ``row``."""
    rows = np.atleast_1d(np.asarray(row, dtype=np.int64))
    columns = {"source": source, "row": rows, "id": id, "field": field, "reason": reason, "value": value}
    frame = pd.DataFrame(columns, index=range(len(rows)), columns=list(REJECTED))
    frame["value"] = frame["value"].map(_shorten).astype(object)
    return frame.astype({c: object for c in ("source", "id", "field", "reason")})


def summarize_rejected(rejected: pd.DataFrame) -> list[dict[str, Any]]:
    """One entry a (source, reason): how many and an example, commonest first.

    Example:
        >>> summarize_rejected(reject("catalog", [3, 4], ["a", "b"], "item_id", "duplicate id"))
        [{'source': 'catalog', 'reason': 'duplicate id', 'count': 2, 'example': 'row 3, a'}]
    """
    entries = []
    for (source, reason), rows in rejected.groupby(["source", "reason"], sort=False):
        first = rows.iloc[0]
        place = [f"row {first['row']}"] if first["row"] >= 0 else []
        shown = [str(first["id"])] if first["id"] else []
        value = [f"{first['field']} = {first['value']!r}"] if first["value"] and first["value"] != first["id"] else []
        entries.append({"source": source, "reason": reason, "count": len(rows), "example": ", ".join(place + shown + value)})
    return sorted(entries, key=lambda e: (-e["count"], e["source"], e["reason"]))


def rename(frame: pd.DataFrame, columns: Mapping[str, str] | None, *, needs: tuple[str, ...], name: str) -> pd.DataFrame:
    """Give columns our names (``columns``: ours → theirs); other columns keep theirs.

    Raises:
        DataError: A column that is needed or mapped does not exist.
    """
    columns = dict(columns or {})
    for ours, theirs in columns.items():
        if theirs not in frame.columns:
            raise DataError(f"{name}: {ours} is mapped to an {unknown_name('column', theirs, map(str, frame.columns))}")
    taken = set(columns.values())
    clash = [c for c in frame.columns if c in columns and c not in taken]
    frame = frame.drop(columns=clash).rename(columns={theirs: ours for ours, theirs in columns.items()})
    for ours in needs:
        if ours not in frame.columns:
            cure = f'map it with columns = {{ {ours} = "…" }}'
            raise DataError(f"{name} has no column {ours!r}; it has {', '.join(map(str, frame.columns))}; {cure}")
    return frame


def as_text(values: pd.Series) -> npt.NDArray[Any]:
    """Ids as text: whole numbers lose no digits and gain no '.0', missing values become ''.

    Example:
        >>> as_text(pd.Series([7.0, None])).tolist()
        ['7', '']
    """
    if pd.api.types.is_float_dtype(values):
        whole = values.notna() & (values % 1 == 0)
        text = values.astype(object).where(~whole, values.where(whole, 0).astype("int64").astype(object))
        return text.where(values.notna(), "").astype(str).to_numpy(dtype=object)
    filled = values.astype(object).where(values.notna(), "")
    return filled.astype(str).to_numpy(dtype=object)


def _shorten(value: Any, most: int = 80) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pq.read_table(path).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not readable as Parquet ({error}); write it again") from error


def _read_duckdb(text: str, base: Path | None) -> pd.DataFrame:
    database, _, query = text.partition("?")
    if not query:
        raise DataError(f"duckdb:{text} has no query; write duckdb:store.db?select …")
    path = (base or Path()) / database
    if not path.is_file():
        raise DataError(f"DuckDB file {database} does not exist (looked for {path})")
    duckdb = require("duckdb", extra="sql")
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            frame: pd.DataFrame = connection.execute(query).df()
            return frame
    except duckdb.Error as error:
        raise DataError(f"the query on {database} failed: {error}") from error


def _read_csv(path: Path, name: str) -> RawTable:
    data = _plain_bytes(path)
    header = data.split(b"\n", 1)[0].rstrip(b"\r")
    if not header.strip():
        raise DataError(f"{path} is empty; a CSV needs a header line")
    try:
        names = pacsv.read_csv(io.BytesIO(header + b"\n")).column_names
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the header line cannot be read ({error}); save the file as UTF-8 CSV") from error
    bad: list[tuple[int, str]] = []

    def skip(row: Any) -> str:
        bad.append((-1 if row.number is None else row.number - 2, f"{row.actual_columns} fields instead of {row.expected_columns}"))
        return "skip"

    table = _parse(data, names, skip, path)
    rows = reject(name, [r for r, _ in bad], "", "", [reason for _, reason in bad] if bad else "")
    frame = pd.DataFrame({c: table.column(i).to_numpy(zero_copy_only=False) for i, c in enumerate(table.column_names)})
    if bad:
        frame.index = pd.Index(np.setdiff1d(np.arange(len(frame) + len(bad)), [r for r, _ in bad])[: len(frame)])
    return RawTable(frame, rows, name)


def _plain_bytes(path: Path) -> bytes:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is not readable ({error}); it may be truncated") from error
    return data.removeprefix(b"\xef\xbb\xbf")


def _parse(data: bytes, names: list[str], skip: Any, path: Path) -> pa.Table:
    if len(set(names)) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise DataError(f"{path} has the column {twice!r} twice; rename one")
    convert = pacsv.ConvertOptions(column_types={n: pa.string() for n in names}, strings_can_be_null=False)
    parse = pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip)
    read = pacsv.ReadOptions(use_threads=False)  # only a single thread knows line numbers
    try:
        return pacsv.read_csv(io.BytesIO(data), read_options=read, parse_options=parse, convert_options=convert)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as CSV ({error}); save it as UTF-8, comma-separated") from error
