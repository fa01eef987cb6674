"""Which item is of which style: one class each or several, as text at the door and as a matrix inside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data.ids import IdMap
from recsys.errors import DataError, UnknownIdError, unknown_name
from style.classify.logistic import Link, Rows

Codes = npt.NDArray[np.int64]
BETWEEN = "|"
"""Stands between the classes of an item that has several."""


@dataclass(frozen=True, eq=False)
class Labels:
    """What is known of the classes of some items, one row an item.

    Attributes:
        ids: The items.
        classes: k names.
        targets: (n, k) in 0 … 1. With ``softmax`` the rows of known items sum to 1.
        known: (n,) whether anything is known; the other rows of ``targets`` are 0.
        link: ``softmax``: one class an item; ``sigmoid``: any number of them.

    Example:
        >>> labels = Labels.of(["a", "b", "c"], ["retro", "", "plain"])
        >>> labels.classes, labels.codes.tolist()
        (('plain', 'retro'), [1, -1, 0])
    """

    ids: IdMap
    classes: tuple[str, ...]
    targets: Rows
    known: npt.NDArray[np.bool_]
    link: Link = "softmax"

    def __post_init__(self) -> None:
        if self.targets.shape != (len(self.ids), len(self.classes)) or self.known.shape != (len(self.ids),):
            raise DataError(
                f"labels of {len(self.ids)} items and {len(self.classes)} classes need targets of that shape, "
                f"got {self.targets.shape} and known {self.known.shape}"
            )

    @classmethod
    def of(
        cls, ids: Sequence[str] | IdMap, values: Iterable[Any], *, classes: Sequence[str] = (), several: bool = False
    ) -> Labels:
        """From one text an item; blank or missing is unlabelled.

        Args:
            ids: The items.
            values: As many texts; with ``several``, names with ``|`` between them.
            classes: The names to expect; none: those that occur, in alphabetical order.
            several: Whether an item may be of several classes.

        Raises:
            DataError: Another number of texts than of items, a class that was not expected, or no label at all.

        Example:
            >>> Labels.of(["a", "b"], ["retro|plain", "plain"], several=True).targets.tolist()
            [[1.0, 1.0], [1.0, 0.0]]
        """
        items = ids if isinstance(ids, IdMap) else IdMap.of(ids)
        texts = pd.Series(list(values), dtype=object).fillna("").astype(str).str.strip()
        if len(texts) != len(items):
            raise DataError(f"{len(items)} items need as many labels, got {len(texts)}")
        parts = (texts.str.split(BETWEEN) if several else texts.map(lambda text: [text])).explode().str.strip()
        parts = parts[parts != ""]
        names = tuple(classes) or tuple(sorted(set(parts)))
        column = pd.Index(names, dtype=object).get_indexer(pd.Index(parts, dtype=object))
        if (column < 0).any():
            at = int(np.argmin(column))
            item = items.ids[int(parts.index[at])]
            raise DataError(f"item {item!r}: {unknown_name('class', parts.iloc[at], names)}")
        if not len(parts):
            raise DataError("no item has a label; name the column that holds them")
        targets = np.zeros((len(items), len(names)), np.float32)
        targets[parts.index.to_numpy(np.int64), column] = 1
        return cls(items, names, targets, (texts != "").to_numpy(), "sigmoid" if several else "softmax")

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, ids: IdMap, *, item: str, column: str, several: bool = False) -> Labels:
        """From a table of labels: rows of unknown items raise, items without a row are unlabelled.

        Raises:
            DataError: A column is missing, or an item has two different labels.
            UnknownIdError: A row is about an item that ``ids`` lacks.
        """
        for name in (item, column):
            if name not in frame:
                raise DataError(unknown_name("column of the labels", name, map(str, frame.columns)))
        given = frame[[item, column]].astype(object).fillna("").astype(str)
        given = given[given[column].str.strip() != ""].drop_duplicates()
        twice = given.loc[given[item].duplicated(), item]
        if len(twice):
            both = given.loc[given[item] == twice.iloc[0], column].tolist()
            raise DataError(f"item {twice.iloc[0]!r} is labelled {both[0]!r} and {both[1]!r}; keep one of the two")
        try:
            rows = ids.encode(given[item].tolist())
        except UnknownIdError as error:
            raise UnknownIdError(f"labels name items that are not there: {error}") from error
        values = np.full(len(ids), "", dtype=object)
        values[rows] = given[column].to_numpy(dtype=object)
        return cls.of(ids, values, several=several)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def codes(self) -> Codes:
        """(n,) the class of each item (of soft ones the largest, the first of equals), -1 where unknown."""
        return np.where(self.known, self.targets.argmax(axis=1), -1)

    @property
    def counts(self) -> npt.NDArray[np.float64]:
        """(k,) labelled items a class."""
        found: npt.NDArray[np.float64] = self.targets[self.known].sum(axis=0, dtype=np.float64)
        return found

    def rows(self, index: npt.ArrayLike) -> Labels:
        """The labels of other rows."""
        at = np.asarray(index)
        at = np.flatnonzero(at) if at.dtype == bool else at
        return replace(self, ids=IdMap.of(self.ids.decode(at)), targets=self.targets[at], known=self.known[at])

    def only(self, kept: npt.ArrayLike) -> Labels:
        """The same items, of which only the (n,) ``kept`` stay labelled."""
        known = self.known & np.asarray(kept, bool)
        return replace(self, targets=self.targets * known[:, None], known=known)

    def require(self, least: int) -> None:
        """Refuse what cannot be learned from.

        Raises:
            DataError: One class only, or a class with fewer than ``least`` examples; it is named, with an item.
        """
        if len(self.classes) < 2 and self.link == "softmax":
            raise DataError(f"all labels are {self.classes[0]!r}: there is nothing to tell apart; label a second class")
        for name, count, column in zip(self.classes, self.counts, self.targets.T, strict=True):
            if count < least:
                who = f" (item {self.ids.ids[int(column.argmax())]!r})" if count else ""
                found = f"{count:g} example{'' if count == 1 else 's'}{who}"
                cure = "label more or leave the class out"
                raise DataError(f"class {name!r} has {found}, at least {least} are needed; {cure}")
            if self.link == "sigmoid" and count > self.known.sum() - least:
                rest = f"{self.known.sum() - count:g}"
                raise DataError(f"class {name!r} is on all labelled items but {rest}; label some without it")
