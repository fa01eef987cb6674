"""Cells of any type become text, numbers and times: each distinct value is looked at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Bools = npt.NDArray[np.bool_]
Texts = npt.NDArray[Any]

_DATES = {re.compile(r"[0-9]{4}.*[-/:T]"): "ISO8601", re.compile(r"[0-9]{8}\Z"): "%Y%m%d"}
"""What looks like a date → how it is read; not all that pandas would: it takes "now" and "2020.5", too."""

_YEAR = re.compile(r"(19|20)[0-9]{2}")

_SECOND_IN = {1: 9.2e9, 10**3: 9.2e12, 10**6: 9.2e15, 10**9: 9.2e18}
"""Units in a second → the largest epoch number read so; 9.2e9 s is in 2261, datetime64[ns] ends in 2262."""


@dataclass(frozen=True, eq=False)
class TextColumn:
    """A column of text as distinct values and, for each row, which of them.

    Attributes:
        codes: (n,) int64, positions in ``values``.
        values: (m,) distinct str, in order of appearance; a missing cell is "".

    Example:
        >>> TextColumn.of(pd.Series([7.0, None, 7.0])).array().tolist()
        ['7', '', '7']
    """

    codes: npt.NDArray[np.int64]
    values: Texts

    @classmethod
    def of(cls, cells: pd.Series) -> TextColumn:
        """From cells of any type: whole numbers get no ``.0``, booleans are ``true`` and ``false``."""
        uniques: Any
        try:
            codes, uniques = pd.factorize(cells)
        except TypeError:  # lists and arrays cannot be hashed, their texts can
            cells = cells.astype(object).where(cells.notna(), "")
            codes, uniques = pd.factorize(np.array([_text(v) for v in cells], dtype=object))
        gap = bool((codes < 0).any())
        texts = np.empty(len(uniques) + gap, dtype=object)
        texts[: len(uniques)] = _texts(uniques)
        texts[len(uniques) :] = ""  # where code -1, a missing cell, points
        if isinstance(cells.dtype, pd.StringDtype) and not gap:
            return cls(np.asarray(codes, dtype=np.int64), texts)
        again, values = pd.factorize(texts)  # 1 and "1" are one id; so are a blank and a missing cell
        return cls(again[np.asarray(codes, dtype=np.int64)], np.asarray(values, dtype=object))

    def array(self) -> Texts:
        """(n,) str objects; equal cells share one object."""
        return np.asarray(self.values[self.codes], dtype=object)

    def where(self, test: Callable[[Texts], Any]) -> Bools:
        """(n,) whether ``test``, applied to all distinct values at once, holds."""
        return np.asarray(test(self.values), dtype=bool)[self.codes]

    def ranks(self) -> npt.NDArray[np.int64]:
        """(n,) numbers that sort as the texts do, by code point."""
        rank = np.empty(len(self.values), dtype=np.int64)
        rank[np.argsort(self.values, kind="stable")] = np.arange(len(self.values))
        return rank[self.codes]

    def filled(self, default: str) -> Texts:
        """`array` with ``default`` in the blank cells."""
        values = self.values.copy()
        values[is_blank(values)] = default
        return np.asarray(values[self.codes], dtype=object)


def is_blank(texts: Texts) -> Bools:
    """Which texts are empty or white space only."""
    return np.fromiter((not t.strip() for t in texts), dtype=bool, count=len(texts))


def has_nul(texts: Texts) -> Bools:
    """Which texts hold a NUL character."""
    return np.fromiter(("\0" in t for t in texts), dtype=bool, count=len(texts))


def is_broken(texts: Texts) -> Bools:
    """Which texts no file can hold: they have half of a surrogate pair."""
    return np.fromiter((not _encodes(t) for t in texts), dtype=bool, count=len(texts))


def parse_numbers(cells: pd.Series) -> npt.NDArray[np.float64]:
    """(n,) float64, NaN where a cell is blank or no number; a decimal comma makes no number.

    Example:
        >>> parse_numbers(pd.Series(["1.5", "1,5", "", "1e3"])).tolist()
        [1.5, nan, nan, 1000.0]
    """
    if pd.api.types.is_numeric_dtype(cells):
        return cells.to_numpy(dtype=np.float64, na_value=np.nan)
    text = TextColumn.of(cells)
    return _numbers(text.values)[text.codes]


def parse_times(cells: pd.Series) -> npt.NDArray[Any]:
    """(n,) datetime64[ns] in UTC without a zone; NaT where a cell is no time or lies outside 1678–2262.

    Read are datetimes, ISO 8601 text (also with ``/``; without a zone it is taken as UTC), dates as eight
    digits (``20200922``), and numbers from 0 as seconds since 1970, or milli-, micro- or nanoseconds where
    seconds would lie beyond 2262. Anything that needs a guess (``03/04/2020``) is not read, nor is a column that
    holds nothing but years: as seconds they would all lie in the first hour of 1970.

    Example:
        >>> times = parse_times(pd.Series(["2024-01-02T01:00:00+01:00", "86400", "soon"]))
        >>> times.astype("datetime64[D]").astype(str).tolist()
        ['2024-01-02', '1970-01-02', 'NaT']
    """
    if pd.api.types.is_datetime64_any_dtype(cells):
        return _nanoseconds(
            pd.Series(cells.to_numpy() if cells.dt.tz is None else cells.dt.tz_convert(None).to_numpy())
        )
    text = TextColumn.of(cells)
    values = np.array([v.strip() for v in text.values], dtype=object)
    times = np.full(len(values), np.datetime64("NaT", "ns"))
    for shape, style in _DATES.items():
        rows = np.fromiter((shape.match(v) is not None for v in values), dtype=bool, count=len(values))
        parsed = pd.to_datetime(pd.Series(values[rows], dtype=object), errors="coerce", utc=True, format=style)
        times[rows] = _nanoseconds(parsed.dt.tz_convert(None))
    rows = np.isnat(times)
    if not all(_YEAR.fullmatch(v) or not v for v in values):
        times[rows] = _from_epoch(_numbers(values[rows]))
    return times[text.codes]


def _from_epoch(numbers: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    times = np.full(len(numbers), np.datetime64("NaT", "ns"))
    below = 0.0
    for per_second, most in _SECOND_IN.items():
        rows = (numbers >= below) & (numbers <= most)
        # Whole units first: a float64 holds 1.6e18 only to 256 ns.
        whole = np.floor(numbers[rows])
        part = np.round((numbers[rows] - whole) * (10**9 // per_second))
        times[rows] = (whole.astype(np.int64) * (10**9 // per_second) + part.astype(np.int64)).astype("datetime64[ns]")
        below = np.nextafter(most, np.inf)
    return times


def _nanoseconds(times: pd.Series) -> npt.NDArray[Any]:
    inside = times.isna() | times.between(pd.Timestamp.min.ceil("s"), pd.Timestamp.max.floor("s"))
    return times.where(inside).to_numpy().astype("datetime64[ns]")


def _numbers(values: Texts) -> npt.NDArray[np.float64]:
    return pd.to_numeric(pd.Series(values, dtype=object), errors="coerce").to_numpy(dtype=np.float64)


def _texts(uniques: Any) -> list[str]:
    if pd.api.types.is_integer_dtype(uniques.dtype):
        return [str(v) for v in uniques.tolist()]
    if isinstance(uniques.dtype, pd.StringDtype):
        return list(uniques.to_numpy(dtype=object))
    return [_text(v) for v in uniques]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, np.ndarray):
        return str(value.tolist())
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _encodes(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)
