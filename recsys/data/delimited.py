"""CSV and its kin: every cell stays text, every malformed line is reported with its row."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
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
    if b"\0" in head.split(b"\n", 1)[0]:
        raise DataError(f"{name}: {path} has NUL bytes in its header; it is no text, or UTF-16: save it as UTF-8 CSV")
    closed = _check_text(path, compression, name)
    malformed = _Malformed()
    try:
        table = _parse(path, compression, _delimiter(head), malformed)
    except pa.ArrowInvalid as error:
        raise DataError(f"{name}: {path} cannot be read as CSV: {_explain(str(error))}") from error
    if not closed:
        _refuse_open_quote(path, table, malformed, name)
    is_row = np.ones(len(table) + len(malformed.rows), dtype=bool)
    is_row[malformed.rows] = False
    frame: pd.DataFrame = table.to_pandas()
    return frame.set_axis(np.flatnonzero(is_row), axis=0), _rejected(malformed, name)


def _check_text(path: Path, compression: str | None, name: str) -> bool:
    """Refuse what is not UTF-8, naming the line; answer whether the quotation marks come in pairs.

    One pass ahead of the parser, whose own messages name no line, and which takes an open quotation mark for the
    beginning of a cell that reaches to the end of the file.
    """
    decoder, line, quotes = codecs.getincrementaldecoder("utf-8")(), 1, 0
    for chunk in chain(_chunks(path, compression), [b""]):
        try:
            decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            line += chunk[: error.start].count(b"\n")
            bad = error.object[max(error.start - 10, 0) : error.start + 10]
            cure = f"save it as UTF-8, for instance: iconv -f WINDOWS-1252 -t UTF-8 {path.name} > utf8.csv"
            raise DataError(f"{name}: line {line} of {path} is not UTF-8 (at {bad!r}); {cure}") from error
        line += chunk.count(b"\n")
        quotes += chunk.count(b'"')
    return quotes % 2 == 0


def _parse(path: Path, compression: str | None, delimiter: str, malformed: _Malformed) -> pa.Table:
    # Only a single thread knows row numbers.
    read = pacsv.ReadOptions(use_threads=False, block_size=_BLOCK)
    with pa.input_stream(path, compression=compression) as stream:
        quiet = pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=lambda _: "skip")
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


def _refuse_open_quote(path: Path, table: pa.Table, malformed: _Malformed, name: str) -> None:
    last = len(table) + len(malformed.rows) - 1
    is_malformed = bool(malformed.rows) and malformed.rows[-1] == last
    cells = malformed.texts[-1:] if is_malformed else [c[-1].as_py() for c in table.columns if len(table)]
    lines = sum(cell.count("\n") for cell in cells)
    if lines:
        cure = 'close it, or write it twice ("") where it belongs to the text'
        where = f"{path} opens a quotation mark in row {last} and never closes it ({lines} lines)"
        raise DataError(f"{name}: {where}; {cure}")


def _explain(message: str) -> str:
    if "straddling" in message:
        return f"a row is longer than {_BLOCK >> 20} MB; a quotation mark may never be closed"
    return f"{message}; save it as UTF-8, comma-separated"
