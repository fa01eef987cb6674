"""Who did what, when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data.catalog import Catalog, refuse_ids, require_usable
from recsys.data.cells import Bools, TextColumn, is_blank, parse_numbers, parse_times
from recsys.data.recommendations import ORIGINAL
from recsys.data.rejected import Sieve, join_rejected, reject
from recsys.data.source import RawTable, read_table, rename, selected
from recsys.data.stored import load_frame, save_frame
from recsys.data.weighting import MOST
from recsys.errors import DataError

COLUMNS = ("user_id", "item_id", "timestamp", "weight", "event")
"""What every log has."""

OPTIONAL = ("position", "presentation", "propensity")
"""What a log of impressions may have as well."""


@dataclass(frozen=True, eq=False)
class Interactions:
    """A log of purchases, clicks or ratings, ordered by time, user and item.

    Attributes:
        frame: user_id, item_id (str), timestamp (datetime64[ns] in UTC, NaT where the log has none), weight
            (float32 >= 0, default 1), event (str, default ``purchase``); where logged: position (int64 >= 0,
            -1 unknown), presentation (str, default ``original``), propensity (float64 in (0, 1], NaN
            unknown).
        rejected: What was refused and why, row by row; see `REJECTED`.
        n_filtered: Rows left out on purpose: by ``where``, or because the catalogue's left out their item.

    Example:
        >>> log = pd.DataFrame({"user_id": "u", "item_id": ["a", "b"], "timestamp": ["2024-01-02", "soon"]})
        >>> interactions = Interactions.from_frame(log)
        >>> len(interactions), interactions.rejected["reason"].item()
        (1, 'timestamp is no ISO 8601 date or epoch number from 1678 to 2261')
    """

    frame: pd.DataFrame
    rejected: pd.DataFrame
    n_filtered: int = 0

    def __post_init__(self) -> None:
        missing = [c for c in COLUMNS if c not in self.frame]
        if missing:
            raise DataError(
                f"interactions need the columns {missing}; Interactions.from_frame adds those with a default"
            )

    @classmethod
    def read(
        cls,
        source: str | Path,
        *,
        columns: Mapping[str, str] | None = None,
        where: Mapping[str, Any] | None = None,
        base: Path | None = None,
        catalog: Catalog | None = None,
    ) -> Interactions:
        """From CSV, Parquet or DuckDB; see `read_table` and `from_frame`."""
        return cls._of(read_table(source, base=base, name="interactions"), columns, where, catalog)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        columns: Mapping[str, str] | None = None,
        where: Mapping[str, Any] | None = None,
        catalog: Catalog | None = None,
        source: str = "interactions",
    ) -> Interactions:
        """From a data frame.

        Refused are rows with an id or time that cannot be one, with a weight, position or propensity out of
        range, and exact duplicates: rows equal to an earlier one in every column of the source. The same
        purchase at another time is no duplicate.

        Args:
            frame: One row an interaction.
            columns: Our column name → theirs; columns we have no name for are not kept.
            where: Their column → the value (or values) of the rows to keep.
            catalog: When given, items it does not have are refused.
            source: What messages and refused rows call the table.

        Raises:
            DataError: A column is missing, or rows are there and none is usable.
        """
        return cls._of(read_table(frame, name=source), columns, where, catalog)

    @classmethod
    def _of(
        cls,
        raw: RawTable,
        columns: Mapping[str, str] | None,
        where: Mapping[str, Any] | None,
        catalog: Catalog | None,
    ) -> Interactions:
        chosen = selected(raw.frame, where, name=raw.name)
        kept = raw.frame if chosen.all() else raw.frame[chosen]
        written = rename(kept, columns, needs=("user_id", "item_id"), name=raw.name)
        if catalog is not None and catalog.filtered_ids:
            of_others = TextColumn.of(written["item_id"]).where(
                lambda texts: np.array([text in catalog.filtered_ids for text in texts], dtype=bool)
            )
            written = written[~of_others]
        sieve = Sieve(raw.name, written, "item_id")
        ids = {c: TextColumn.of(written[c]) for c in ("user_id", "item_id")}
        for field, text in ids.items():
            refuse_ids(sieve, field, text)
        if catalog is not None:
            known = pd.Index(catalog.ids, dtype=object)
            unknown = ids["item_id"].where(lambda texts: known.get_indexer(pd.Index(texts, dtype=object)) < 0)
            sieve.refuse(unknown, "item_id", "item is not in the catalogue")
        times = _times(written, sieve)
        values = _values(written, sieve)
        sieve.refuse(_repeated(written, sieve.keep, ids, times), "", "exact duplicate of an earlier row")
        require_usable(sieve, raw)
        order = _order(np.flatnonzero(sieve.keep), ids, times)
        cells = {c: t.values[t.codes[order]] for c, t in ids.items()} | {"timestamp": times[order]}
        cells |= {c: v[order] for c, v in values.items()}
        frame = pd.DataFrame({c: pd.Series(v, dtype=v.dtype) for c, v in cells.items()})  # text as objects
        return cls(frame, join_rejected([raw.rejected, sieve.rejected]), len(raw.frame) - len(written))

    def __len__(self) -> int:
        return len(self.frame)

    def save(self, path: Path) -> None:
        """Write the usable rows as Parquet, atomically."""
        save_frame(self.frame, path)

    @classmethod
    def load(cls, path: Path) -> Interactions:
        """Read what `save` wrote; what was refused then is not part of it.

        Raises:
            ArtifactError: Missing or damaged.
        """
        return cls(load_frame(path, needs=COLUMNS), reject("interactions"))


def require_times(interactions: Interactions, what: str) -> None:
    """Refuse a log without times where time matters.

    Raises:
        DataError: A timestamp is missing.
    """
    if interactions.frame["timestamp"].isna().any():
        raise DataError(f"{what} needs timestamps, and this log has none; map the column or choose another kind")


def _times(written: pd.DataFrame, sieve: Sieve) -> npt.NDArray[Any]:
    if "timestamp" not in written:
        return np.full(len(written), np.datetime64("NaT", "ns"))
    times = parse_times(written["timestamp"])
    blank = TextColumn.of(written["timestamp"][np.isnat(times)]).where(is_blank)
    empty = np.isnat(times)
    empty[np.isnat(times)] = blank
    sieve.refuse(empty, "timestamp", "timestamp is empty")
    reason = "timestamp is no ISO 8601 date or epoch number from 1678 to 2261"
    sieve.refuse(np.isnat(times), "timestamp", reason)
    return times


def _values(written: pd.DataFrame, sieve: Sieve) -> dict[str, npt.NDArray[Any]]:
    """Weight, event and the optional columns; rows out of range are refused."""
    values = {"weight": _weight(written, sieve), "event": _text(written, "event", "purchase")}
    if "position" in written:
        values["position"] = _position(written["position"], sieve)
    if "presentation" in written:
        values["presentation"] = _text(written, "presentation", ORIGINAL)
    if "propensity" in written:
        values["propensity"] = _propensity(written["propensity"], sieve)
    return values


def _weight(written: pd.DataFrame, sieve: Sieve) -> npt.NDArray[np.float32]:
    if "weight" not in written:
        return np.ones(len(written), dtype=np.float32)
    with np.errstate(over="ignore"):  # 1e39 becomes infinite, and is refused as such
        weight = parse_numbers(written["weight"]).astype(np.float32)
    sieve.refuse(~np.isfinite(weight), "weight", "weight is not a finite number")
    sieve.refuse(weight < 0, "weight", "weight is negative")
    sieve.refuse(weight > MOST, "weight", f"weight is above {MOST:g}")
    return weight


def _position(cells: pd.Series, sieve: Sieve) -> npt.NDArray[np.int64]:
    number, blank = parse_numbers(cells), TextColumn.of(cells).where(is_blank)
    usable = (number >= 0) & (number < 2**53) & (number == np.floor(number))
    sieve.refuse(~usable & ~blank, "position", "position is not a whole number >= 0")
    return np.where(usable, number, -1).astype(np.int64)


def _propensity(cells: pd.Series, sieve: Sieve) -> npt.NDArray[np.float64]:
    number, blank = parse_numbers(cells), TextColumn.of(cells).where(is_blank)
    usable = (number > 0) & (number <= 1)
    sieve.refuse(~usable & ~blank, "propensity", "propensity is not a number in (0, 1]")
    return number


def _text(written: pd.DataFrame, column: str, default: str) -> npt.NDArray[Any]:
    if column not in written:
        return np.full(len(written), default, dtype=object)
    return TextColumn.of(written[column]).filled(default)


def _repeated(written: pd.DataFrame, keep: Bools, ids: Mapping[str, TextColumn], times: npt.NDArray[Any]) -> Bools:
    """Rows equal to an earlier one in every column; compared in full if they agree in user, item and time."""
    at = np.flatnonzero(keep)
    keys = pd.DataFrame({c: t.codes[at] for c, t in ids.items()} | {"timestamp": times[at].astype(np.int64)})
    at = at[keys.duplicated(keep=False).to_numpy()]
    cells = pd.DataFrame({c: TextColumn.of(written[c].iloc[at]).codes for c in written.columns})
    repeated = np.zeros(len(keep), dtype=bool)
    repeated[at[cells.duplicated().to_numpy()]] = True
    return repeated


def _order(
    kept: npt.NDArray[np.int64], ids: Mapping[str, TextColumn], times: npt.NDArray[Any]
) -> npt.NDArray[np.int64]:
    """The kept rows by time (unknown last), user and item; equal ones as in the source."""
    keys = (ids["item_id"].ranks()[kept], ids["user_id"].ranks()[kept], times[kept])
    return kept[np.lexsort(keys)]
