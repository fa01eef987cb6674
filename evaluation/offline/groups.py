"""Groups of users or items by which a comparison is broken down: who, and what, a model serves well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

from recsys.errors import ConfigError, DataError

Ints = npt.NDArray[np.int64]

REST = "the rest"
"""What is too rare for a group of its own."""
NAMES = ("history", "popularity", "price", "category", "style")
"""Those that a study can name; of a catalogue, further columns."""


@dataclass(frozen=True, eq=False)
class Groups:
    """A partition of users or of items.

    Attributes:
        name: Such as ``price``.
        of: What is partitioned.
        codes: (n_users,) or (n_items,) index into ``labels``, -1 in none.
        labels: Names, in the order they are shown.

    Example:
        >>> Groups.of_values("category", "items", ["hat", "coat", None]).labels
        ('coat', 'hat')
    """

    name: str
    of: Literal["users", "items"]
    codes: Ints
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.codes) and (self.codes.min() < -1 or self.codes.max() >= len(self.labels)):
            raise DataError(f"codes of groups {self.name!r} must lie in [-1, {len(self.labels)})")

    @classmethod
    def of_values(cls, name: str, of: Literal["users", "items"], values: Iterable[Any], *, most: int = 12) -> Groups:
        """One group a value, the largest ``most`` by size and name, the rest together; blank ones in none."""
        column = pd.Series(list(values), dtype=object)
        text = column.where(column.notna(), "").astype(str).str.strip()
        sizes = text[text != ""].value_counts()
        order = sorted(sizes.index, key=lambda label: (-sizes[label], label))
        kept = tuple(order if len(order) <= most else order[: most - 1])
        labels = kept if len(kept) == len(order) else (*kept, REST)
        codes = text.map({label: i for i, label in enumerate(kept)}).fillna(len(kept)).to_numpy(np.int64)
        return cls(name, of, np.where(text == "", -1, np.minimum(codes, len(labels) - 1)), labels)

    @classmethod
    def of_bands(
        cls, name: str, of: Literal["users", "items"], values: npt.ArrayLike, *, bands: int, unit: str = ""
    ) -> Groups:
        """Bands of a number with equally many members each, as far as equal numbers allow; NaN is in none.

        Raises:
            ConfigError: ``bands`` is below 1.
        """
        if bands < 1:
            raise ConfigError(f"bands must be >= 1, got {bands}")
        number = np.asarray(values, dtype=np.float64)
        known = np.isfinite(number)
        if not known.any():
            return cls(name, of, np.full(len(number), -1, np.int64), ())
        place = (rankdata(number[known]) - 0.5) / known.sum()  # equal numbers share their mean rank
        _, codes = np.unique(np.floor(place * bands), return_inverse=True)
        within = [number[known][codes == i] for i in range(codes.max() + 1)]
        every = np.full(len(number), -1, np.int64)
        every[known] = codes
        return cls(name, of, every, tuple(_band(part.min(), part.max(), unit) for part in within))

    @classmethod
    def of_cuts(cls, name: str, of: Literal["users", "items"], values: npt.ArrayLike, cuts: Sequence[float]) -> Groups:
        """Bands of whole numbers between given cuts, each the lowest number of its band.

        Example:
            >>> Groups.of_cuts("history", "users", [1, 4, 5, 30], [5, 20]).labels
            ('1 to 4', '5 to 19', '20 and more')
        """
        number = np.asarray(values, dtype=np.float64)
        codes = np.searchsorted(np.asarray(cuts, dtype=np.float64), number, side="right")
        low = number.min() if len(number) else 0
        starts = [min(low, cuts[0]), *cuts]
        labels = [_band(a, b - 1, "") for a, b in pairwise(starts)]
        return cls(name, of, codes.astype(np.int64), (*labels, f"{starts[-1]:g} and more"))


def _band(low: float, high: float, unit: str) -> str:
    suffix = f" {unit}" if unit else ""
    return f"{low:.4g}{suffix}" if low == high else f"{low:.4g} to {high:.4g}{suffix}"


def popularity_groups(counts: npt.ArrayLike, *, bands: int = 10) -> Groups:
    """Items by how often they were chosen before: cold ones, then tenths of the warm ones.

    Args:
        counts: (n_items,) interactions before the split.
        bands: How many of warm items.

    Example:
        >>> popularity_groups([0, 1, 2, 3, 9], bands=2).labels
        ('0', '1 to 2', '3 to 9')
    """
    number = np.asarray(counts, dtype=np.float64)
    warm = Groups.of_bands("popularity", "items", np.where(number > 0, number, np.nan), bands=bands)
    if not (number == 0).any():
        return warm
    return Groups("popularity", "items", np.where(number > 0, warm.codes + 1, 0), ("0", *warm.labels))


def history_groups(counts: npt.ArrayLike) -> Groups:
    """Users by how many items they had before: new ones and old ones.

    Args:
        counts: (n_users,) distinct items before the split.
    """
    return Groups.of_cuts("history", "users", counts, (5, 20))
