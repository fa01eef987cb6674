"""A log of impressions as pages: which item stood where, and what was clicked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data.cells import TextColumn, is_blank, parse_numbers
from recsys.data.rejected import Sieve, join_rejected, reject
from recsys.data.source import read_table
from recsys.errors import DataError, unknown_name

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Impressions:
    """Impressions, one after the other; those of one page saw each other.

    Attributes:
        names: Items; position = index.
        item: (m,) indices.
        rank: (m,) place from 0, in [0, n_ranks).
        click: (m,).
        page: (m,) from 0, ascending; each impression is a page of its own where the log does not know pages.
        n_ranks: Places.
        paged: Whether pages are known.
        rejected: Rows of the source that were refused, and why.
    """

    names: tuple[str, ...]
    item: Ints
    rank: Ints
    click: Bools
    page: Ints
    n_ranks: int
    paged: bool
    rejected: pd.DataFrame = field(default_factory=lambda: reject("log"))

    def __len__(self) -> int:
        return len(self.item)

    @property
    def n_pages(self) -> int:
        """Pages."""
        return int(self.page.max(initial=-1)) + 1

    @property
    def n_items(self) -> int:
        """Items of the log, clicked or not."""
        return len(self.names)

    @classmethod
    def of(cls, items: npt.ArrayLike, clicks: npt.ArrayLike, *, names: Sequence[str] | None = None) -> Impressions:
        """From (n, K) pages: item indices, -1 empty, and clicks.

        Example:
            >>> log = Impressions.of([[0, 1], [1, -1]], [[1, 0], [0, 0]])
            >>> len(log), log.n_pages, log.n_ranks
            (3, 2, 2)
        """
        wide = np.asarray(items, np.int64)
        page, rank = np.nonzero(wide >= 0)
        item = wide[page, rank]
        count = int(item.max(initial=-1)) + 1
        known = tuple(names) if names is not None else tuple(str(i) for i in range(count))
        return cls(known, item, rank, np.asarray(clicks, bool)[page, rank], page, wide.shape[1], True)

    def pages(self) -> tuple[Ints, Bools]:
        """(n_pages, n_ranks) items, -1 empty, and clicks."""
        item, click = np.full((self.n_pages, self.n_ranks), -1), np.zeros((self.n_pages, self.n_ranks), bool)
        item[self.page, self.rank] = self.item
        click[self.page, self.rank] = self.click
        return item, click

    def part(self, pages: Bools) -> Impressions:
        """Some of the pages, items and places kept."""
        rows = pages[self.page]
        page = (np.cumsum(pages) - 1)[self.page[rows]]
        columns = (self.item[rows], self.rank[rows], self.click[rows], page)
        return Impressions(self.names, *columns, n_ranks=self.n_ranks, paged=self.paged)


@dataclass(frozen=True)
class ImpressionColumns:
    """Which column is what.

    Attributes:
        item: What was shown.
        click: 1 clicked, 0 not.
        position: Place on the page, whole numbers; their order counts.
        page: Rows with the same values here stood on one page; (): not known, and only the position-based model
            can be fitted.
    """

    item: str = "item_id"
    click: str = "click"
    position: str = "position"
    page: tuple[str, ...] = ()


def read_impressions(
    source: str | Path | pd.DataFrame, columns: ImpressionColumns | None = None, *, base: Path | None = None
) -> Impressions:
    """A log with one row an impression, from CSV, Parquet, ``duckdb:…`` or a data frame.

    Refused, each with its reason in ``rejected``, are rows without an item, with a click that is not 0 or 1, with a
    place that is no whole number, and with a place that an earlier row of the page has.

    Raises:
        DataError: A column is missing, or no row is usable.

    Example:
        >>> frame = pd.DataFrame({"item_id": ["a", "b"], "click": [0, 1], "position": [1, 2]})
        >>> log = read_impressions(frame)
        >>> len(log), log.n_ranks, log.paged
        (2, 2, False)
    """
    columns = ImpressionColumns() if columns is None else columns
    raw = read_table(source, base=base, name="log")
    for name in (columns.item, columns.click, columns.position, *columns.page):
        if name not in raw.frame.columns:
            raise DataError(f"log: {unknown_name('column', name, map(str, raw.frame.columns))}")
    sieve = Sieve(raw.name, raw.frame, columns.item)
    item = TextColumn.of(raw.frame[columns.item])
    sieve.refuse(item.where(is_blank), columns.item, "item is empty")
    click, place = parse_numbers(raw.frame[columns.click]), parse_numbers(raw.frame[columns.position])
    sieve.refuse(~((click == 0) | (click == 1)), columns.click, "click is not 0 or 1")
    sieve.refuse(~(np.isfinite(place) & (place == np.floor(place))), columns.position, "position is not a whole number")
    page = _pages(raw.frame, columns.page)
    again = pd.DataFrame({"page": page, "place": place}).duplicated().to_numpy()
    sieve.refuse(again, columns.position, "an earlier row of the page has this position")
    if not sieve.keep.any():
        raise DataError(f"log: none of {len(raw.frame)} rows is usable: {sieve.rejected['reason'].iloc[0]}")
    at = np.flatnonzero(sieve.keep)
    at = at[np.argsort(page[at], kind="stable")]
    used, index = np.unique(item.codes[at], return_inverse=True)
    ranks, rank = np.unique(place[at], return_inverse=True)
    return Impressions(
        tuple(map(str, item.values[used])),
        index.astype(np.int64),
        rank.astype(np.int64),
        click[at] == 1,
        np.unique(page[at], return_inverse=True)[1].astype(np.int64),
        len(ranks),
        bool(columns.page),
        join_rejected([raw.rejected, sieve.rejected]),
    )


def _pages(frame: pd.DataFrame, columns: tuple[str, ...]) -> npt.NDArray[Any]:
    """(m,) number of each row's page."""
    key = np.zeros(len(frame), np.int64) if columns else np.arange(len(frame))
    for name in columns:
        text = TextColumn.of(frame[name])
        key = pd.factorize(key * len(text.values) + text.codes)[0].astype(np.int64)
    return key
