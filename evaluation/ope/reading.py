"""Logs from files: a table of impressions with propensities, as CSV, Parquet, a data frame or a query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.ope.log import BanditLog, Features, Floats, Ints
from recsys.data.cells import TextColumn, is_blank, parse_numbers
from recsys.data.ids import IdMap
from recsys.data.rejected import Sieve, join_rejected
from recsys.data.source import RawTable, read_table
from recsys.errors import ConfigError, DataError, unknown_name

MOST_LEVELS = 100
"""Distinct texts that a column of features may have: each becomes one 0/1 feature."""


@dataclass(frozen=True)
class LogColumns:
    """Which column is what.

    Attributes:
        action: What was chosen: ``item_id`` for products, ``presentation`` for looks.
        reward: What came of it: a click (0/1), revenue, any number.
        propensity: Probability with which the action was drawn, in (0, 1].
        position: Place on the page, any whole numbers; "" where there is one.
        context: What a policy may look at: user_id and the like.
        features: What a reward model may look at: numbers, or texts with at most 100 levels.
        unit: Rounds with one value are dependent: user_id; "": all are independent.
        page: Rounds with one value stand on one page, for `evaluation.ope.slates`; "": not known.
    """

    action: str = "item_id"
    reward: str = "click"
    propensity: str = "propensity"
    position: str = ""
    context: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    unit: str = ""
    page: str = ""

    @property
    def named(self) -> tuple[str, ...]:
        """Every column that is read."""
        one = (self.action, self.reward, self.propensity, self.position, self.unit, self.page)
        return tuple(dict.fromkeys(c for c in (*one, *self.context, *self.features) if c))


def read_log(
    source: str | Path | pd.DataFrame,
    columns: LogColumns | None = None,
    *,
    actions: Iterable[str] = (),
    base: Path | None = None,
) -> BanditLog:
    """A log from a table with one row an impression.

    Refused, each with its reason in ``rejected``, are rows without an action, with a reward that is no finite number,
    with a propensity that is not in (0, 1], and with a place that is no whole number.

    Args:
        source: CSV, Parquet, ``duckdb:…`` or a data frame; see `recsys.data.source.read_table`.
        columns: Which is what.
        actions: Actions that could have been drawn; they come first, in this order. Those of the log that are
            not among them follow in order of text.
        base: Folder of relative paths.

    Raises:
        DataError: A column is missing, or no row is usable.
        ConfigError: A column of features has too many levels.

    Example:
        >>> frame = pd.DataFrame({"item_id": ["a", "b"], "click": [0, 1], "propensity": [0.5, 0]})
        >>> log = read_log(frame)
        >>> len(log), log.rejected["reason"].item()
        (1, 'propensity is not in (0, 1]')
    """
    columns = LogColumns() if columns is None else columns
    raw = read_table(source, base=base, name="log")
    for name in columns.named:
        if name not in raw.frame.columns:
            raise DataError(f"log: {unknown_name('column', name, map(str, raw.frame.columns))}")
    sieve = Sieve(raw.name, raw.frame, columns.action)
    chosen, reward, propensity, place = _values(raw, columns, sieve)
    if not sieve.keep.any():
        raise DataError(f"log: none of {len(raw.frame)} rows is usable: {sieve.rejected['reason'].iloc[0]}")
    at = np.flatnonzero(sieve.keep)
    names = _actions(chosen, at, actions)
    context, contexts, features = _contexts(raw.frame.iloc[at], columns)
    positions, position = np.unique(place[at], return_inverse=True)
    return BanditLog(
        actions=names,
        action=names.positions(chosen.values)[chosen.codes[at]],
        reward=reward[at],
        propensity=propensity[at],
        position=position.astype(np.int64),
        context=context,
        contexts=contexts,
        features=features,
        n_positions=len(positions),
        unit=_codes(raw.frame, columns.unit, at),
        page=_codes(raw.frame, columns.page, at),
        rejected=join_rejected([raw.rejected, sieve.rejected]),
    )


def _values(raw: RawTable, columns: LogColumns, sieve: Sieve) -> tuple[TextColumn, Floats, Floats, Floats]:
    """Action, reward, propensity and place of every row; rows with an impossible one are refused."""
    chosen = TextColumn.of(raw.frame[columns.action])
    sieve.refuse(chosen.where(is_blank), columns.action, "action is empty")
    reward, propensity = (parse_numbers(raw.frame[c]) for c in (columns.reward, columns.propensity))
    sieve.refuse(~np.isfinite(reward), columns.reward, "reward is not a finite number")
    sieve.refuse(~((propensity > 0) & (propensity <= 1)), columns.propensity, "propensity is not in (0, 1]")
    place = np.zeros(len(reward))
    if columns.position:
        place = parse_numbers(raw.frame[columns.position])
        sieve.refuse(
            ~(np.isfinite(place) & (place == np.floor(place))), columns.position, "position is not a whole number"
        )
    return chosen, reward, propensity, place


def _actions(chosen: TextColumn, at: Ints, first: Iterable[str]) -> IdMap:
    given = list(dict.fromkeys(first))
    logged = set(chosen.values[np.unique(chosen.codes[at])])
    return IdMap.of([*given, *sorted(logged - set(given))])


def _codes(frame: pd.DataFrame, column: str, at: Ints) -> Ints | None:
    return TextColumn.of(frame[column].iloc[at]).codes if column else None


def _contexts(frame: pd.DataFrame, columns: LogColumns) -> tuple[Ints, pd.DataFrame, Features]:
    """Row of each round, the keys of every distinct context, and their features."""
    named = list(dict.fromkeys((*columns.context, *columns.features)))
    key = np.zeros(len(frame), np.int64)
    texts = {name: TextColumn.of(frame[name]) for name in named}
    for text in texts.values():
        key = pd.factorize(key * len(text.values) + text.codes)[0].astype(np.int64)
    _, first = np.unique(key, return_index=True)
    contexts = pd.DataFrame(
        {c: texts[c].values[texts[c].codes[first]] for c in columns.context}, index=range(len(first))
    )
    blocks = [_features(name, frame[name].iloc[first]) for name in columns.features]
    width = np.zeros((len(first), 0), np.float32)
    return key, contexts, np.concatenate([width, *blocks], axis=1)


def _features(name: str, cells: pd.Series) -> Features:
    """(n_contexts, ·) standardised numbers, or one 0/1 column for each text but the first."""
    numbers = parse_numbers(cells)
    if np.isfinite(numbers).all():
        spread = float(numbers.std())
        return np.asarray((numbers - numbers.mean())[:, None] / (spread if spread > 0 else 1.0), np.float32)
    text = TextColumn.of(cells)
    if len(text.values) > MOST_LEVELS:
        raise ConfigError(
            f"features: column {name!r} has {len(text.values)} distinct texts, at most {MOST_LEVELS} are allowed; "
            "name it as context instead"
        )
    return np.asarray(text.codes[:, None] == np.arange(1, len(text.values)), np.float32)


def encode_contexts(log: BanditLog, keys: Sequence[str], table: pd.DataFrame) -> Ints:
    """(n_contexts,) the row of ``table``, keys as text, with the same keys; -1 where there is none.

    Raises:
        DataError: The log has no such key, or two rows of the table have the same keys.
    """
    for name in keys:
        if name not in log.contexts.columns:
            raise DataError(
                f"the policy looks at {name!r}, which is no context of the log "
                f"({', '.join(log.contexts.columns) or 'it has none'}); name it as context when reading the log"
            )
    if not keys:
        return np.zeros(len(log.contexts), np.int64)
    both = pd.MultiIndex.from_frame(table[list(keys)])
    if not both.is_unique:
        raise DataError(f"the policy has {tuple(both[both.duplicated()][0])} twice; leave one row")
    return np.asarray(both.get_indexer(pd.MultiIndex.from_frame(log.contexts[list(keys)])), np.int64)
