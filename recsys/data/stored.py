"""Our own tables as Parquet: written whole or not at all, text read back as `str` objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.errors import ArtifactError
from recsys.files import atomic_write


def save_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write Parquet, atomically; object columns hold text."""
    table = pa.table({name: _column(cells) for name, cells in frame.items()})
    with atomic_write(path) as file:
        pq.write_table(table, file)


def load_frame(path: Path, *, needs: tuple[str, ...]) -> pd.DataFrame:
    """Read what `save_frame` wrote.

    Raises:
        ArtifactError: Missing, damaged, or without one of the columns ``needs``.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} does not exist; make it again") from error
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}); it is damaged, make it again") from error
    missing = [c for c in needs if c not in table.column_names]
    if missing:
        raise ArtifactError(f"{path} has no column {missing[0]!r}; it is not what stylerec wrote, make it again")
    return pd.DataFrame({name: _cells(table.column(name)) for name in table.column_names})


def _column(cells: pd.Series) -> pa.Array:
    if cells.dtype == object:
        return pa.array(cells.to_numpy(), type=pa.large_string()).dictionary_encode()
    return pa.Array.from_pandas(cells)


def _cells(column: pa.ChunkedArray) -> pd.Series:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return pd.Series(_texts(column), dtype=object)
    cells: pd.Series = column.to_pandas()
    return cells


def _texts(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Equal cells share one `str`."""
    encoded = column.combine_chunks().dictionary_encode()
    values = encoded.dictionary.to_numpy(zero_copy_only=False).astype(object)
    return np.asarray(values[encoded.indices.to_numpy()], dtype=object)
