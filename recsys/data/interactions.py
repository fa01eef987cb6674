"""Who did what, when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from recsys.data.catalog import Catalog, has_nul
from recsys.data.source import RawTable, as_text, read_table, reject, rename
from recsys.errors import ArtifactError, DataError
from recsys.files import atomic_write

OPTIONAL = ("position", "presentation", "propensity")
TEXT = ("user_id", "item_id", "event", "presentation")


@dataclass(frozen=True, eq=False)
class Interactions:
    """A log of purchases, clicks or ratings, ordered by time, user and item.

    Attributes:
        frame: user_id, item_id (text), timestamp (datetime64[ns] in UTC, NaT where the log has none), weight
            (float32 >= 0, default 1), event (default ``purchase``); position, presentation and propensity where logged.
        rejected: What was refused and why, row by row.

    Example:
        >>> log = pd.DataFrame({"user_id": ["u", "u"], "item_id": ["a", "b"], "timestamp": ["2024-01-02", "soon"]})
        >>> interactions = Interactions.from_frame(log)
        >>> len(interactions.frame), interactions.rejected["reason"].item()
        (1, 'timestamp cannot be read as a date')
    """

    frame: pd.DataFrame
    rejected: pd.DataFrame

    @classmethod
    def read(
        cls,
        source: str | Path,
        *,
        columns: Mapping[str, str] | None = None,
        base: Path | None = None,
        catalog: Catalog | None = None,
    ) -> Interactions:
        """From CSV, Parquet or DuckDB; see `read_table` and `from_frame`."""
        return cls._of(read_table(source, base=base, name="interactions"), columns, catalog)

    @classmethod
    def from_frame(
        cls, frame: pd.DataFrame, *, columns: Mapping[str, str] | None = None, catalog: Catalog | None = None
    ) -> Interactions:
        """From a data frame.

        Args:
            frame: One row an interaction.
            columns: Our column name → theirs.
            catalog: When given, items it does not have are refused.

        Raises:
            DataError: A column is missing, or no usable row is left.
        """
        return cls._of(read_table(frame, name="interactions"), columns, catalog)

    @classmethod
    def _of(cls, raw: RawTable, columns: Mapping[str, str] | None, catalog: Catalog | None) -> Interactions:
        written = rename(raw.frame, columns, needs=("user_id", "item_id"), name=raw.name)
        frame = _parse(written)
        refused = []
        for field, reason, test in _tests(written, frame, catalog):
            bad = np.asarray(test(frame), dtype=bool)
            rows = frame.index[bad]
            value = as_text(written.loc[rows, field]) if field in written else ""
            refused.append(reject(raw.name, rows, frame["item_id"][bad].to_numpy(), field, reason, value))
            frame = frame[~bad]
        if frame.empty:
            reasons = pd.concat(refused)["reason"].value_counts()
            top = f"; commonest reason: {reasons.index[0]} ({reasons.iloc[0]} rows)" if len(reasons) else ""
            raise DataError(f"{raw.name} has no usable row among {len(raw.frame)}{top}")
        frame = frame.sort_values(["timestamp", "user_id", "item_id"], kind="stable").reset_index(drop=True)
        return cls(frame, pd.concat([raw.rejected, *refused], ignore_index=True))

    def __len__(self) -> int:
        return len(self.frame)

    def save(self, path: Path) -> None:
        """Write the usable rows as Parquet, atomically."""
        with atomic_write(path) as file:
            self.frame.to_parquet(file, index=False)

    @classmethod
    def load(cls, path: Path) -> Interactions:
        """Read what `save` wrote.

        Raises:
            ArtifactError: Missing or damaged.
        """
        try:
            frame = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{path} cannot be read ({error}); make it again") from error
        return cls(frame.astype({c: object for c in TEXT if c in frame}), reject("interactions"))


Test = tuple[str, str, Callable[[pd.DataFrame], "pd.Series | np.ndarray"]]


def _tests(written: pd.DataFrame, parsed: pd.DataFrame, catalog: Catalog | None) -> list[Test]:
    """(field, reason, which rows of the parsed frame are bad), applied in order."""
    tests: list[Test] = []
    for field in ("user_id", "item_id"):
        tests.append((field, f"empty {field}", lambda f, c=field: f[c].str.strip() == ""))
        tests.append((field, f"{field} contains a NUL character", lambda f, c=field: has_nul(f[c])))
    if "timestamp" in written:
        tests.append(("timestamp", "timestamp cannot be read as a date", lambda f: f["timestamp"].isna()))
    tests.append(("weight", "weight is negative or not a number", lambda f: ~(np.isfinite(f["weight"]) & (f["weight"] >= 0))))
    if "propensity" in written:
        tests.append(("propensity", "propensity is outside (0, 1]", lambda f: ~((f["propensity"] > 0) & (f["propensity"] <= 1))))
    if catalog is not None:
        known = pd.Index(catalog.ids, dtype=object)
        tests.append(("item_id", "item is not in the catalogue", lambda f: known.get_indexer(pd.Index(f["item_id"], dtype=object)) < 0))
    tests.append(("item_id", "exact duplicate of an earlier row", lambda f: written.loc[f.index].duplicated()))
    return tests


def _parse(written: pd.DataFrame) -> pd.DataFrame:
    size, index = len(written), written.index
    frame = pd.DataFrame({c: pd.Series(as_text(written[c]), index=index, dtype=object) for c in ("user_id", "item_id")})
    nothing = pd.Series(np.full(size, np.datetime64("NaT", "ns")), index=index)
    frame["timestamp"] = parse_times(written["timestamp"]) if "timestamp" in written else nothing
    frame["weight"] = _numbers(written["weight"]) if "weight" in written else np.ones(size, np.float32)
    frame["event"] = as_text(written["event"]) if "event" in written else "purchase"
    for column in OPTIONAL:
        if column in written:
            frame[column] = as_text(written[column]) if column == "presentation" else _numbers(written[column])
    return frame.astype({c: object for c in TEXT if c in frame})


def _numbers(values: pd.Series) -> pd.Series:
    return pd.to_numeric(values, errors="coerce").astype("float32")


def parse_times(values: pd.Series) -> pd.Series:
    """Dates, times with or without zone, or epoch seconds, as UTC without zone; NaT where unreadable.

    Example:
        >>> parse_times(pd.Series(["2024-01-02T01:00:00+01:00", "86400", "no"])).dt.strftime("%F").tolist()
        ['2024-01-02', '1970-01-02', nan]
    """
    if pd.api.types.is_datetime64_any_dtype(values):
        utc = pd.to_datetime(values, utc=True)
        return utc.dt.tz_localize(None).astype("datetime64[ns]")
    numbers = pd.to_numeric(values, errors="coerce")
    seconds = numbers.between(-62e9, 9.2e9) & ~values.astype(str).str.fullmatch(r"\d{8}|\d{4}")
    epoch = pd.to_datetime(numbers.where(seconds), unit="s", utc=True, errors="coerce")
    text = pd.to_datetime(values.astype(str).where(~seconds), utc=True, errors="coerce", format="ISO8601")
    return text.fillna(epoch).dt.tz_localize(None).astype("datetime64[ns]")


def require_times(interactions: Interactions, what: str) -> None:
    """Refuse a log without times where time matters.

    Raises:
        DataError: A timestamp is missing.
    """
    if interactions.frame["timestamp"].isna().any():
        raise DataError(f"{what} needs timestamps, and this log has none; map the column or choose another kind")
