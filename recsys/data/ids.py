"""Ids cross to integers here, once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.errors import DataError, UnknownIdError

OnUnknown = Literal["raise", "skip"]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class IdMap:
    """Distinct string ids in a fixed order; position = index.

    Example:
        >>> users = IdMap.of(["u7", "u3"])
        >>> users.encode(["u3", "u7", "u3"])
        array([1, 0, 1])
        >>> list(users.decode([0]))
        ['u7']
        >>> users.encode(["u9"])
        Traceback (most recent call last):
        recsys.errors.UnknownIdError: 1 of 1 ids are unknown, first 'u9'; 2 ids are known
    """

    ids: npt.NDArray[Any]

    def __post_init__(self) -> None:
        if len(self.ids) and pd.api.types.infer_dtype(self.ids, skipna=False) != "string":
            other = next(i for i in self.ids if not isinstance(i, str))
            raise DataError(f"ids must be text, got {other!r} ({type(other).__name__}); write map(str, ids)")
        if len(self._index) and not self._index.is_unique:
            twice = self._index[self._index.duplicated()][0]
            raise DataError(f"ids must be distinct, got {twice!r} more than once; drop the duplicates")

    @classmethod
    def of(cls, ids: Iterable[str]) -> IdMap:
        """From any iterable of strings, order kept."""
        array = np.empty(len(values := list(ids)), dtype=object)
        array[:] = values
        return cls(array)

    @cached_property
    def _index(self) -> pd.Index:
        index: pd.Index = pd.Index(self.ids, dtype=object)
        return index

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __contains__(self, item: object) -> bool:
        return item in self._index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdMap) and np.array_equal(self.ids, other.ids)

    def positions(self, ids: Iterable[str]) -> Ints:
        """Index of each id, -1 where unknown."""
        wanted = pd.Index(np.asarray(ids if isinstance(ids, np.ndarray) else list(ids), dtype=object), dtype=object)
        return np.asarray(self._index.get_indexer(wanted), dtype=np.int64)

    def encode(self, ids: Iterable[str], *, on_unknown: OnUnknown = "raise") -> Ints:
        """Index of each id; unknown ones raise or are left out.

        Raises:
            UnknownIdError: An id is unknown and ``on_unknown`` is ``"raise"``.
        """
        ids = ids if isinstance(ids, np.ndarray) else list(ids)
        found = self.positions(ids)
        unknown = found < 0
        if unknown.any() and on_unknown == "raise":
            missing = ids[int(np.argmax(unknown))]
            first = f"first {missing!r}; {len(self)} ids are known{self._cure(missing)}"
            raise UnknownIdError(f"{int(unknown.sum())} of {len(found)} ids are unknown, {first}")
        return found[~unknown]

    def _cure(self, missing: Any) -> str:
        """What an unknown id was probably meant to be: text instead of a number, or with its zeros in front."""
        bare = str(missing).lstrip("0")
        meant = next((i for i in self.ids if bare and i.lstrip("0") == bare), None)
        hint = "" if meant is None else f"; did you mean {meant!r}?"
        return hint if isinstance(missing, str) else f", and all are text, not {type(missing).__name__}{hint}"

    def decode(self, index: npt.ArrayLike) -> npt.NDArray[Any]:
        """The ids at these positions."""
        return np.asarray(self.ids[np.asarray(index, dtype=np.int64)])
