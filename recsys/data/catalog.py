"""The items of a shop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data.cells import TextColumn, has_nul, is_blank, is_broken, parse_numbers
from recsys.data.rejected import Sieve, join_rejected, reject
from recsys.data.source import RawTable, read_table, rename, selected
from recsys.data.stored import load_frame, save_frame
from recsys.errors import DataError

COLUMNS = ("item_id", "title", "category", "price", "image")
"""What every catalogue has; further columns follow."""

ID_TESTS = {
    "empty id": is_blank,
    "id contains a NUL character": has_nul,
    "id is not valid Unicode": is_broken,
}
"""Why a text is no id → which texts those are."""


@dataclass(frozen=True, eq=False)
class Catalog:
    """Items in a fixed order.

    Attributes:
        frame: item_id (str, distinct), title, category (str, "" unknown), price (float32, NaN unknown), image
            (file name), then every further column: numbers, booleans and times as they are, the rest as text.
        rejected: What was refused or noted and why, row by row; see `REJECTED`.
        n_filtered: Rows left out on purpose by ``where``.
        filtered_ids: Their ids; a log's rows about them are left out on purpose, too. Not stored.

    Example:
        >>> catalog = Catalog.from_frame(pd.DataFrame({"sku": ["007", "008"]}), columns={"item_id": "sku"})
        >>> list(catalog.ids), list(catalog.frame["image"])
        (['007', '008'], ['007.jpg', '008.jpg'])
    """

    frame: pd.DataFrame
    rejected: pd.DataFrame
    n_filtered: int = 0
    filtered_ids: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if "item_id" not in self.frame:
            raise DataError(f"a catalogue needs the column item_id, got {list(self.frame.columns)}")

    @classmethod
    def read(
        cls,
        source: str | Path,
        *,
        columns: Mapping[str, str] | None = None,
        where: Mapping[str, Any] | None = None,
        base: Path | None = None,
    ) -> Catalog:
        """From CSV, Parquet or DuckDB; see `read_table` and `from_frame`."""
        return cls._of(read_table(source, base=base, name="catalog"), columns, where)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        columns: Mapping[str, str] | None = None,
        where: Mapping[str, Any] | None = None,
        source: str = "catalog",
    ) -> Catalog:
        """From a data frame.

        Rows without a usable id are refused, of several rows with one id all but the first. A price that is
        no number is noted and the row kept without it. An item without an image name gets ``<item_id>.jpg``.

        Args:
            frame: One row an item.
            columns: Our column name → theirs.
            where: Their column → the value (or values) of the rows to keep.
            source: What messages and refused rows call the table.

        Raises:
            DataError: A column is missing, or rows are there and none is usable.
        """
        return cls._of(read_table(frame, name=source), columns, where)

    @classmethod
    def _of(cls, raw: RawTable, columns: Mapping[str, str] | None, where: Mapping[str, Any] | None) -> Catalog:
        chosen = selected(raw.frame, where, name=raw.name)
        written = rename(raw.frame[chosen], columns, needs=("item_id",), name=raw.name)
        sieve = Sieve(raw.name, written, "item_id")
        ids = TextColumn.of(written["item_id"])
        refuse_ids(sieve, "item_id", ids)
        refuse_repeats(sieve, ids)
        require_usable(sieve, raw)
        frame = _complete(written, ids, sieve)[sieve.keep].reset_index(drop=True)
        others = rename(raw.frame[~chosen], columns, needs=("item_id",), name=raw.name)["item_id"]
        left_out = frozenset(TextColumn.of(others).array()) - frozenset(frame["item_id"])
        return cls(frame, join_rejected([raw.rejected, sieve.rejected]), int((~chosen).sum()), left_out)

    @property
    def ids(self) -> npt.NDArray[Any]:
        """(n,) item ids in order."""
        return self.frame["item_id"].to_numpy(dtype=object)

    def __len__(self) -> int:
        return len(self.frame)

    def save(self, path: Path) -> None:
        """Write the usable items as Parquet, atomically."""
        save_frame(self.frame, path)

    @classmethod
    def load(cls, path: Path) -> Catalog:
        """Read what `save` wrote; what was refused then is not part of it.

        Raises:
            ArtifactError: Missing or damaged.
        """
        return cls(load_frame(path, needs=COLUMNS), reject("catalog"))


def refuse_ids(sieve: Sieve, field: str, ids: TextColumn) -> None:
    """Refuse the rows whose id cannot be one; ``../../x`` and emoji can."""
    for reason, test in ID_TESTS.items():
        sieve.refuse(ids.where(test), field, reason)


def refuse_repeats(sieve: Sieve, ids: TextColumn) -> None:
    """Of the kept rows with one id, keep the first."""
    kept = np.flatnonzero(sieve.keep)
    repeated = np.zeros(len(sieve.keep), dtype=bool)
    repeated[kept[pd.Series(ids.codes[kept]).duplicated().to_numpy()]] = True
    sieve.refuse(repeated, "item_id", "id appeared before; the first row is used")


def require_usable(sieve: Sieve, raw: RawTable) -> None:
    """Fail when there were rows and all of them are refused.

    Raises:
        DataError: With the commonest reason.
    """
    total = len(sieve.keep) + len(raw.rejected)
    if not total or sieve.keep.any():
        return
    reasons = join_rejected([raw.rejected, sieve.rejected])["reason"].value_counts()
    commonest = f"{reasons.index[0]} ({reasons.iloc[0]} rows); mend the column or its mapping"
    raise DataError(f"{raw.name} has no usable row among {total}; commonest reason: {commonest}")


def _complete(written: pd.DataFrame, ids: TextColumn, sieve: Sieve) -> pd.DataFrame:
    """The columns every catalogue has, then the others."""
    names = ids.array()
    parts: dict[str, Any] = {"item_id": names}
    parts |= {column: _text(written, column, sieve) for column in ("title", "category")}
    parts["price"] = _price(written, sieve)
    image = _text(written, "image", sieve)
    parts["image"] = np.where(is_blank(image), names + ".jpg", image) if len(image) else image
    for column in written.columns:
        if column not in parts:
            plain = _plain(written[column])
            parts[column] = _text(written, column, sieve) if plain is None else plain
    as_object = {c: pd.Series(v, index=written.index, dtype=object) for c, v in parts.items() if _is_text(v)}
    return pd.DataFrame(parts | as_object, index=written.index)


def _price(written: pd.DataFrame, sieve: Sieve) -> npt.NDArray[np.float32]:
    if "price" not in written:
        return np.full(len(written), np.nan, dtype=np.float32)
    with np.errstate(over="ignore"):  # 1e39 becomes infinite, and is noted as such
        price = parse_numbers(written["price"]).astype(np.float32)
    blank = TextColumn.of(written["price"]).where(is_blank)
    sieve.note(~blank & ~np.isfinite(price), "price", "price is not a number; kept without price")
    sieve.note(price < 0, "price", "price is negative; kept without price")
    return np.where(np.isfinite(price) & (price >= 0), price, np.float32(np.nan)).astype(np.float32)


def _text(written: pd.DataFrame, column: str, sieve: Sieve) -> npt.NDArray[Any]:
    if column not in written:
        return np.full(len(written), "", dtype=object)
    text = TextColumn.of(written[column])
    broken = is_broken(text.values)
    if not broken.any():
        return text.array()
    sieve.note(broken[text.codes], column, "text is not valid Unicode; kept with marks in place of what is broken")
    mended = [v.encode("utf-8", "replace").decode() for v in text.values]
    return np.array(mended, dtype=object)[text.codes]


def _plain(cells: pd.Series) -> pd.Series | npt.NDArray[Any] | None:
    """Numbers, booleans and times as numpy has them (missing whole numbers make floats); None for anything else."""
    if isinstance(cells.dtype, np.dtype | pd.DatetimeTZDtype):
        return None if cells.dtype == object else cells
    if pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells):
        missing = cells.isna().any()
        return cells.to_numpy(np.float64, na_value=np.nan) if missing else cells.to_numpy()
    return None


def _is_text(values: Any) -> bool:
    return isinstance(values, np.ndarray) and values.dtype == object
