"""CSV and its kin: every cell stays text, every malformed line is reported with its row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv

from recsys.data.rejected import reject
from recsys.errors import DataError

_BLOCK = 16 << 20
"""Bytes read at once, and the longest row there may be."""

_COMPRESSION = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd"}

_FOREIGN = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it or save it as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save it as CSV",
    b"SQLite format 3": "an SQLite database; export the table as CSV",
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
    b"ORC": "ORC; save it as Parquet",
}


@dataclass
class _Malformed:
    """Collects what the parser cannot make a row of."""

    rows: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def __call__(self, row: Any) -> str:
        self.rows.append(row.number - 2)  # the parser counts from 1, the header included
        self.reasons.append(f"line has {row.actual_columns} fields instead of {row.expected_columns}")
        self.texts.append(row.text)
        return "skip"


def read_delimited(path: Path, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of a text table (its index counts the source's rows from 0) and the malformed lines.

    The separator is the comma, or where the header has none the tab, semicolon or bar. Blank lines are
    no rows.

    Raises:
        DataError: Empty, not UTF-8, no text table at all, or a quotation mark is never closed.
    """
    compression, head = _look_at(path)
    if not head.strip():
        raise DataError(f"{name}: {path} is empty; a CSV needs a header line")
    malformed = _Malformed()
    try:
        table = _parse(path, compression, _delimiter(head), malformed)
    except UnicodeDecodeError as error:
        raise DataError(_not_utf8(path, compression, name)) from error
    except pa.ArrowInvalid as error:
        raise DataError(_explain(str(error), path, compression, name)) from error
    except OSError as error:
        raise DataError(f"{name}: {path} cannot be read ({error}); it may be truncated") from error
    is_row = np.ones(len(table) + len(malformed.rows), dtype=bool)
    is_row[malformed.rows] = False
    _refuse_open_quote(path, compression, table, malformed, name)
    frame: pd.DataFrame = table.to_pandas()
    return frame.set_axis(np.flatnonzero(is_row), axis=0), _rejected(malformed, name)


def _parse(path: Path, compression: str | None, delimiter: str, malformed: _Malformed) -> pa.Table:
    # Only a single thread knows row numbers.
    read = pacsv.ReadOptions(use_threads=False, block_size=_BLOCK)
    with pa.input_stream(path, compression=compression) as stream:
        quiet = pacsv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=lambda _: "skip"
        )
        with pacsv.open_csv(stream, read_options=read, parse_options=quiet) as reader:
            names = reader.schema.names
    if len(set(names)) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise DataError(f"{path} has the column {twice!r} twice; rename one")
    convert = pacsv.ConvertOptions(column_types={n: pa.string() for n in names}, strings_can_be_null=False)
    parse = pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=malformed)
    with pa.input_stream(path, compression=compression) as stream:
        return pacsv.read_csv(stream, read_options=read, parse_options=parse, convert_options=convert)


def _look_at(path: Path) -> tuple[str | None, bytes]:
    """How the file is compressed, and its beginning."""
    with path.open("rb") as file:
        start = file.read(16)
    compression = next((kind for magic, kind in _COMPRESSION.items() if start.startswith(magic)), None)
    head = next(_chunks(path, compression, 1 << 16), b"")
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise DataError(f"{path} is {what}")
    return compression, head


def _delimiter(head: bytes) -> str:
    line = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n").split(b"\n", 1)[0]
    return next((d for d in (",", "\t", ";", "|") if d.encode() in line), ",")


def _chunks(path: Path, compression: str | None, size: int = 1 << 20) -> Iterator[bytes]:
    try:
        with pa.input_stream(path, compression=compression) as stream:
            while chunk := stream.read(size):
                yield chunk
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); it may be truncated") from error


def _rejected(malformed: _Malformed, name: str) -> pd.DataFrame:
    if not malformed.rows:
        return reject(name)
    return reject(name, malformed.rows, "", "", malformed.reasons, malformed.texts)


def _refuse_open_quote(
    path: Path, compression: str | None, table: pa.Table, malformed: _Malformed, name: str
) -> None:
    """An opening quotation mark without its fellow swallows the rest of the file without any error."""
    last = len(table) + len(malformed.rows) - 1
    if malformed.rows and malformed.rows[-1] == last:
        texts = malformed.texts[-1:]
    else:
        texts = [column[-1].as_py() for column in table.columns if len(table)]
    if any("\n" in text for text in texts) and sum(c.count(b'"') for c in _chunks(path, compression)) % 2:
        lines = sum(text.count("\n") for text in texts)
        cure = 'close it, or write it twice ("") where it belongs to the text'
        raise DataError(
            f"{name}: {path} opens a quotation mark in row {last} and never closes it ({lines} lines); {cure}"
        )


def _explain(message: str, path: Path, compression: str | None, name: str) -> str:
    if "UTF8" in message:
        return _not_utf8(path, compression, name)
    if "straddling" in message:
        return (
            f"{name}: a row of {path} is longer than {_BLOCK >> 20} MB; a quotation mark may never be closed"
        )
    return f"{name}: {path} cannot be read as CSV ({message}); save it as UTF-8, comma-separated"


def _not_utf8(path: Path, compression: str | None, name: str) -> str:
    """Name the first line that is not UTF-8, and the cure."""
    cure = f"save it as UTF-8, for instance: iconv -f WINDOWS-1252 -t UTF-8 {path.name} > utf8.csv"
    number, rest = 0, b""
    for chunk in _chunks(path, compression):
        *lines, rest = (rest + chunk).split(b"\n")
        for number, line in enumerate(lines, start=number + 1):  # noqa: B020 -- counts on over chunks
            if (bad := _bad_bytes(line)) is not None:
                return f"{name}: line {number} of {path} is not UTF-8 ({bad!r}); {cure}"
    return f"{name}: line {number + 1} of {path} is not UTF-8 ({_bad_bytes(rest)!r}); {cure}"


def _bad_bytes(line: bytes) -> bytes | None:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return line[max(error.start - 10, 0) : error.start + 10]
    return None
