"""The items of a shop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data.source import RawTable, as_text, read_table, reject, rename
from recsys.errors import ArtifactError, DataError, unknown_name
from recsys.files import atomic_write


@dataclass(frozen=True, eq=False)
class Catalog:
    """Items in a fixed order.

    Attributes:
        frame: item_id (text, distinct), title, category, price (NaN unknown), image (file name), further columns.
        rejected: What was refused and why, row by row.
        n_filtered: Rows left out on purpose by ``where``.

    Example:
        >>> catalog = Catalog.from_frame(pd.DataFrame({"sku": ["007", "008"]}), columns={"item_id": "sku"})
        >>> list(catalog.ids), list(catalog.frame["image"])
        (['007', '008'], ['007.jpg', '008.jpg'])
    """

    frame: pd.DataFrame
    rejected: pd.DataFrame
    n_filtered: int = 0

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
        cls, frame: pd.DataFrame, *, columns: Mapping[str, str] | None = None, where: Mapping[str, Any] | None = None
    ) -> Catalog:
        """From a data frame.

        Args:
            frame: One row an item.
            columns: Our column name → theirs.
            where: Their column → the value (or values) of the rows to keep.

        Raises:
            DataError: A column is missing, or no usable item is left.
        """
        return cls._of(read_table(frame, name="catalog"), columns, where)

    @classmethod
    def _of(cls, raw: RawTable, columns: Mapping[str, str] | None, where: Mapping[str, Any] | None) -> Catalog:
        kept = _keep(raw.frame, where or {})
        frame = rename(kept, columns, needs=("item_id",), name=raw.name)
        frame = frame.assign(item_id=as_text(frame["item_id"])).astype({"item_id": object})
        frame, refused = _refuse_ids(frame, raw.name)
        if frame.empty:
            raise DataError(f"{raw.name} has no usable item among {len(raw.frame)} rows; see the reasons in rejected")
        frame, notes = _complete(frame, raw.name)
        rejected = pd.concat([raw.rejected, *refused, notes], ignore_index=True)
        return cls(frame.reset_index(drop=True), rejected, len(raw.frame) - len(kept))

    @property
    def ids(self) -> npt.NDArray[Any]:
        """(n,) item ids in order."""
        return self.frame["item_id"].to_numpy(dtype=object)

    def __len__(self) -> int:
        return len(self.frame)

    def save(self, path: Path) -> None:
        """Write the usable items as Parquet, atomically."""
        with atomic_write(path) as file:
            self.frame.to_parquet(file, index=False)

    @classmethod
    def load(cls, path: Path) -> Catalog:
        """Read what `save` wrote.

        Raises:
            ArtifactError: Missing or damaged.
        """
        try:
            frame = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{path} cannot be read ({error}); make it again") from error
        return cls(frame.astype({"item_id": object}), reject("catalog"))


def _keep(frame: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    for column, wanted in where.items():
        if column not in frame.columns:
            raise DataError(f"catalog.where: {unknown_name('column', column, map(str, frame.columns))}")
        values = {str(v) for v in (wanted if isinstance(wanted, list | tuple) else [wanted])}
        frame = frame[np.isin(as_text(frame[column]), list(values))]
    return frame


def _refuse_ids(frame: pd.DataFrame, name: str) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    refused = []
    for reason, test in ID_TESTS.items():
        bad = test(frame["item_id"])
        refused.append(reject(name, frame.index[bad], frame["item_id"][bad].to_numpy(), "item_id", reason))
        frame = frame[~bad]
    return frame, refused


def has_nul(ids: pd.Series) -> pd.Series:
    """Which ids hold a NUL character."""
    return ids.str.contains("\0", regex=False).astype(bool)


ID_TESTS = {
    "empty item id": lambda ids: ids.str.strip() == "",
    "item id contains a NUL character": has_nul,
    "item id appears more than once; the first row is used": lambda ids: ids.duplicated(),
}


def _complete(frame: pd.DataFrame, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fill the columns every catalogue has; prices that are no numbers are noted."""
    for column in ("title", "category"):
        text = as_text(frame[column]) if column in frame else np.full(len(frame), "", dtype=object)
        frame = frame.assign(**{column: text})
    image = as_text(frame["image"]) if "image" in frame else np.full(len(frame), "", dtype=object)
    default = (frame["item_id"] + ".jpg").to_numpy(dtype=object)
    written = as_text(frame["price"]) if "price" in frame else np.full(len(frame), "", dtype=object)
    price = pd.to_numeric(pd.Series(written, index=frame.index), errors="coerce").astype("float32")
    bad = (price.isna() | ~np.isfinite(price)) & (written != "")
    frame = frame.assign(image=np.where(image == "", default, image), price=price.where(~bad))
    reason = "price is not a number; kept without price"
    notes = reject(name, frame.index[bad], frame["item_id"][bad].to_numpy(), "price", reason, written[bad.to_numpy()])
    first = ["item_id", "title", "category", "price", "image"]
    return frame[[*first, *(c for c in frame.columns if c not in first)]], notes
