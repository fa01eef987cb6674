"""What was refused, row by row and with a reason: nothing is dropped in silence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data.cells import TextColumn

REJECTED = ("source", "row", "id", "field", "reason", "value")
"""Columns of every table of refused rows; ``row`` counts data rows from 0, -1 where it is not known."""


def reject(
    source: str, row: Any = (), id: Any = "", field: str = "", reason: Any = "", value: Any = ""
) -> pd.DataFrame:
    """Refused rows as a table; scalars are repeated over ``row``.

    Example:
        >>> reject("catalog", [3], ["a"], "price", "not a number", ["cheap"])["value"].item()
        'cheap'
    """
    rows = np.atleast_1d(np.asarray(row, dtype=np.int64))
    texts = {"source": source, "id": id, "field": field, "reason": reason, "value": value}
    columns = {name: pd.Series(_shown(cells, len(rows)), dtype=object) for name, cells in texts.items()}
    return pd.DataFrame({"row": rows, **columns})[list(REJECTED)]


def join_rejected(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Several tables of refused rows as one, in order of row."""
    filled = [part for part in parts if len(part)]
    if not filled:
        return reject("")
    return pd.concat(filled, ignore_index=True).sort_values("row", kind="stable", ignore_index=True)


def summarize_rejected(rejected: pd.DataFrame) -> list[dict[str, Any]]:
    """One entry a (source, reason): how many and an example, commonest first.

    Example:
        >>> summarize_rejected(reject("catalog", [3, 4], ["a", "b"], "item_id", "duplicate id"))
        [{'source': 'catalog', 'reason': 'duplicate id', 'count': 2, 'example': 'row 3, a'}]
    """
    entries = []
    for (source, reason), rows in rejected.groupby(["source", "reason"], sort=False):
        example = _example(rows.iloc[0])
        entries.append({"source": source, "reason": reason, "count": len(rows), "example": example})
    return sorted(entries, key=lambda e: (-e["count"], e["source"], e["reason"]))


@dataclass(eq=False)
class Sieve:
    """Sets rows of a table aside, each with the first reason against it.

    Attributes:
        source: Name of the table.
        written: The table as it was written; its index is the row in the source.
        ids: The column that identifies a row to its reader.
        keep: (n,) bool, rows not refused so far.
        parts: The refused rows and notes.

    Example:
        >>> sieve = Sieve("catalog", pd.DataFrame({"sku": ["a", ""]}), "sku")
        >>> sieve.refuse(np.array([False, True]), "sku", "empty id")
        >>> sieve.keep.tolist(), len(sieve.rejected)
        ([True, False], 1)
    """

    source: str
    written: pd.DataFrame
    ids: str
    keep: npt.NDArray[np.bool_] = field(init=False)
    parts: list[pd.DataFrame] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keep = np.ones(len(self.written), dtype=bool)

    def refuse(self, bad: npt.NDArray[np.bool_], field: str, reason: str) -> None:
        """Set the rows where ``bad`` aside, unless that has happened before."""
        self.note(bad, field, reason)
        self.keep &= ~bad

    def note(self, bad: npt.NDArray[np.bool_], field: str, reason: str) -> None:
        """Say something about kept rows, without setting them aside."""
        at = np.flatnonzero(bad & self.keep)
        if len(at):
            row = self.written.index.to_numpy()[at]
            self.parts.append(
                reject(self.source, row, self._cells(self.ids, at), field, reason, self._cells(field, at))
            )

    def _cells(self, column: str, at: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        if column not in self.written:
            return np.full(len(at), "", dtype=object)
        return TextColumn.of(self.written[column].iloc[at]).array()

    @property
    def rejected(self) -> pd.DataFrame:
        """Everything refused or noted, in order of row."""
        return join_rejected(self.parts)


def _example(row: pd.Series) -> str:
    parts = [f"row {row['row']}"] if row["row"] >= 0 else []
    parts += [str(row["id"])] if row["id"] else []
    if row["value"] and row["value"] != row["id"]:
        parts.append(f"{row['field']} = {row['value']!r}" if row["field"] else repr(row["value"]))
    return ", ".join(parts)


def _shown(cells: Any, size: int) -> list[str]:
    if isinstance(cells, str):
        return [_show(cells)] * size
    return [_show(cell) for cell in cells]


def _show(cell: Any, most: int = 80) -> str:
    """Short, and writable anywhere: a NUL and half a surrogate pair become visible escapes."""
    text = "" if cell is None else str(cell)
    text = text if len(text) <= most else text[: most - 1] + "…"
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
