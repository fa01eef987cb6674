"""Business rules: caps, exclusions, boosts, freshness, exposure and pins, over any column of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

import numpy as np
import pandas as pd

from recsys.errors import ConfigError, DataError
from recsys.rerank.known import Known
from recsys.rerank.lists import Doubles, Ints, Lists, Mask

SOME = 8
"""Values of a column that a message lists."""


@dataclass(frozen=True)
class Where:
    """Items by a catalogue column: a list of values, or a range of numbers.

    Attributes:
        column: Catalogue column.
        values: Texts or numbers that match; none when a range is given.
        at_least: Numbers from here on match.
        at_most: Numbers up to here match.

    Example:
        >>> from recsys.data.ids import IdMap
        >>> known = Known(IdMap.of(["a", "b"]), catalog=pd.DataFrame({"price": [5.0, 50.0]}))
        >>> Where("price", at_most=10).items(known).tolist()
        [True, False]
    """

    column: str
    values: tuple[str | float | bool, ...] = ()
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        bounded = self.at_least is not None or self.at_most is not None
        if bounded == bool(self.values):
            raise ConfigError(f"where {self.column}: give either values or at_least/at_most, got {self}")
        low, high = self._bounds
        if not low <= high:
            raise ConfigError(f"where {self.column}: at_least must not exceed at_most, got {low} and {high}")

    @property
    def _bounds(self) -> tuple[float, float]:
        return -np.inf if self.at_least is None else self.at_least, np.inf if self.at_most is None else self.at_most

    def in_words(self) -> str:
        """The condition in short.

        Example:
            >>> Where("price", at_most=10).in_words(), Where("category", ("bag", "hat")).in_words()
            ('price<=10', 'category:bag,hat')
        """
        if self.values:
            return f"{self.column}:{','.join(map(str, self.values))}"
        low = "" if self.at_least is None else f"{self.at_least:g}<="
        return f"{low}{self.column}" + ("" if self.at_most is None else f"<={self.at_most:g}")

    def items(self, known: Known) -> Mask:
        """(n_items,) which match; a missing number matches no range.

        Raises:
            ConfigError: There is no such column, or a range is asked of texts.
        """
        cells = known.column(self.column)
        if self.values:
            return self._listed(cells)
        if not pd.api.types.is_numeric_dtype(cells):
            raise ConfigError(f"where {self.column}: at_least and at_most need numbers, the column holds {cells.dtype}")
        return cells.between(*self._bounds).to_numpy(bool)

    def _listed(self, cells: pd.Series) -> Mask:
        """Texts match as texts, and numbers as numbers: a missing cell makes 1 a 1.0."""
        if not pd.api.types.is_numeric_dtype(cells) or pd.api.types.is_bool_dtype(cells):
            wanted = {str(value).lower() if isinstance(value, bool) else str(value) for value in self.values}
            texts = cells.astype(str)
            return (texts.str.lower() if pd.api.types.is_bool_dtype(cells) else texts).isin(wanted).to_numpy(bool)
        try:
            return cells.isin([float(value) for value in self.values]).to_numpy(bool)
        except ValueError as error:
            raise ConfigError(
                f"where {self.column}: the column holds numbers, values are {', '.join(map(repr, self.values))}"
            ) from error

    def absent(self, known: Known) -> str:
        """What no item has, in words for people, with what there is; "" where every value is found."""
        cells = known.column(self.column)
        missing = [str(v) for v in self.values if not Where(self.column, (v,)).items(known).any()]
        if not missing:
            return "" if self.values or self.items(known).any() else f"no item has {self.in_words()}"
        there = sorted(cells.dropna().astype(str).unique())
        more = ", …" if len(there) > SOME else ""
        return f"no item has {self.column} {', '.join(map(repr, missing))}; there is {', '.join(there[:SOME])}{more}"


@dataclass(frozen=True)
class Cap:
    """At most ``limit`` items of a group in a list; further ones leave the candidates, so lists may come short.

    Attributes:
        by: Catalogue column (category, seller, …) or feature block (style); see `Known.groups`. An item without a group
            is not capped.
        limit: At least 1.
    """

    kind: ClassVar[str] = "cap"

    by: str
    limit: int = 1

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ConfigError(f"cap: limit must be >= 1, got {self.limit}; use kind = 'exclude' to show none")

    def __call__(self, lists: Lists, known: Known, k: int) -> Lists:
        """Keep the first ``limit`` of every group, in the present order; no later step can break the cap."""
        group, _ = known.groups(self.by)
        code = np.where(lists.real, group[np.maximum(lists.item, 0)], -1)
        return lists.keep((code < 0) | (_ordinal(code) < self.limit))


@dataclass(frozen=True)
class Exclude:
    """Items that are not shown."""

    kind: ClassVar[str] = "exclude"

    where: Where

    def __call__(self, lists: Lists, known: Known, k: int) -> Lists:
        """Without what matches."""
        return lists.keep(~_of(self.where.items(known), lists))


@dataclass(frozen=True)
class Boost:
    """Items worth more, or less.

    Attributes:
        where: Which.
        by: Added to values, which the model's scores set to 1 (best candidate) down to 0 (last).
    """

    kind: ClassVar[str] = "boost"

    where: Where
    by: float

    def __post_init__(self) -> None:
        _check_weight(self.kind, "by", self.by)

    def __call__(self, lists: Lists, known: Known, k: int) -> Lists:
        """Sorted by the new values."""
        return lists.by_value(lists.value + self.by * _of(self.where.items(known), lists))


@dataclass(frozen=True)
class Fresh:
    """New items are worth more: ``weight`` on their first day, half of it every ``half_life_days`` later.

    Attributes:
        column: Catalogue column of dates; an item without one is not boosted.
        weight: Added to the value (1 … 0) of an item of today.
        half_life_days: Above 0.
        now: Today as ISO date; None is the last date of the column. Later dates count as today.
    """

    kind: ClassVar[str] = "fresh"

    column: str
    weight: float = 0.2
    half_life_days: float = 30.0
    now: str | None = None

    def __post_init__(self) -> None:
        _check_weight(self.kind, "weight", self.weight)
        if not 0 < self.half_life_days < np.inf:
            raise ConfigError(f"fresh: half_life_days must be > 0, got {self.half_life_days}")
        if self.now is not None:
            _day(self.now)

    def __call__(self, lists: Lists, known: Known, k: int) -> Lists:
        """Sorted by the new values."""
        dates = _dates(known.column(self.column), self.column)
        now = dates.max() if self.now is None else _day(self.now)
        age = np.maximum((now - dates).dt.total_seconds().to_numpy(np.float64) / 86_400, 0)
        bonus = np.where(np.isnan(age), 0.0, np.exp2(-np.nan_to_num(age) / self.half_life_days))
        return lists.by_value(lists.value + self.weight * _of(bonus, lists))


@dataclass(frozen=True)
class Exposure:
    """Items rarely shown are worth more: ``weight · (1 - log(1 + shown) / log(1 + most shown))``.

    Attributes:
        column: Catalogue column of counts; None counts how often these very lists show an item in their first k.
        weight: Added to the value (1 … 0) of an item never shown.
    """

    kind: ClassVar[str] = "exposure"

    column: str | None = None
    weight: float = 0.2

    def __post_init__(self) -> None:
        _check_weight(self.kind, "weight", self.weight)

    def __call__(self, lists: Lists, known: Known, k: int) -> Lists:
        """Sorted by the new values."""
        shown = self._shown(lists, known, k)
        most = np.log1p(shown.max(initial=0.0))
        bonus = 1 - np.log1p(shown) / most if most > 0 else np.zeros(len(shown))
        return lists.by_value(lists.value + self.weight * _of(bonus, lists))

    def _shown(self, lists: Lists, known: Known, k: int) -> Doubles:
        if self.column is None:
            first = lists.item[:, :k]
            return np.bincount(first[first >= 0], minlength=len(known.items)).astype(np.float64)
        cells = known.column(self.column)
        counts = pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells)
        if not counts or (cells < 0).any() or np.isinf(cells.to_numpy(np.float64)).any():
            raise ConfigError(f"exposure: column {self.column} must hold finite counts >= 0")
        return cells.fillna(0).to_numpy(np.float64)


@dataclass(frozen=True)
class Pin:
    """The best matching candidates at a fixed place of every list that has one, or as far down as the list goes.

    Attributes:
        where: Which.
        position: 1 is the top.
        count: How many.
    """

    kind: ClassVar[str] = "pin"

    where: Where
    position: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if self.position < 1 or self.count < 1:
            raise ConfigError(f"pin: position and count must be >= 1, got {self.position} and {self.count}")

    def __call__(self, lists: Lists, known: Known, k: int) -> Lists:
        """Pinned items move up or down to their place, the others close ranks."""
        match = _of(self.where.items(known), lists) & lists.real
        pinned = match & (np.cumsum(match, axis=1) <= self.count)
        others = lists.real & ~pinned
        place = np.minimum(self.position, np.maximum(k - pinned.sum(axis=1) + 1, 1))
        before = others & (np.cumsum(others, axis=1) < place[:, None])
        return lists.take(_gaps_last(np.select([before, pinned, others], [0, 1, 2], 3), lists))


def _gaps_last(part: Ints, lists: Lists) -> Ints:
    """Positions ordered by part, gaps as -1."""
    order = np.argsort(part, axis=1, kind="stable")
    return np.where(np.take_along_axis(lists.real, order, axis=1), order, -1)


def _of(per_item: np.ndarray, lists: Lists) -> np.ndarray:
    """(n, width) what is said of items, for candidates."""
    return per_item[np.maximum(lists.item, 0)]


def _ordinal(code: Ints) -> Ints:
    """(n, width) how many of a row's earlier entries have the same code."""
    n, width = code.shape
    flat = (np.arange(n)[:, None] * (code.max(initial=0) + 2) + code + 1).ravel()
    order = np.argsort(flat, kind="stable")
    ordered = flat[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(ordered)]
    place = np.arange(len(ordered))
    out = np.empty(n * width, np.int64)
    out[order] = place - np.maximum.accumulate(np.where(first, place, 0))
    return out.reshape(n, width)


def _dates(cells: pd.Series, name: str) -> pd.Series:
    if pd.api.types.is_numeric_dtype(cells):
        raise DataError(f"fresh: column {name} holds numbers, no dates; use ISO dates, or another column")
    try:
        dates = pd.to_datetime(cells.replace("", None), utc=True, format="ISO8601")
    except (ValueError, TypeError) as error:
        why = str(error).splitlines()[0].partition(". ")[0]
        raise DataError(f"fresh: column {name} holds no dates ({why}); use ISO dates, or another column") from error
    if dates.isna().all():
        raise DataError(f"fresh: column {name} holds no dates; use ISO dates, or another column")
    return dates


def _day(text: str) -> pd.Timestamp:
    try:
        return pd.Timestamp(date.fromisoformat(text), tz="UTC")
    except (ValueError, TypeError) as error:
        raise ConfigError(f"fresh: now must be an ISO date such as 2024-05-31, got {text!r}") from error


def _check_weight(kind: str, name: str, value: float) -> None:
    if not np.isfinite(value):
        raise ConfigError(f"{kind}: {name} must be a number, got {value}")
