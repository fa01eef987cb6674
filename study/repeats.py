"""A study's comparison again and again: with other seeds, in other periods, with less to learn from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evaluation.offline.one_pass import Ranker
from evaluation.offline.rankers import Excluding
from evaluation.offline.result import OfflineResult
from evaluation.offline.values import ModelKey
from evaluation.splits import Split, rolling, thinned
from recsys.data.dataset import Dataset
from recsys.data.interactions import Interactions
from recsys.errors import ConfigError
from recsys.files import atomic_write, write_json
from study.comparing import compare, floors
from study.learning import dataset_of, log_of, split_of
from study.run import Study
from study.stages.fit import fit_offline

FOLDER = "repeats"
Say = Callable[[str], None]
Row = dict[str, Any]
Names = Collection[str]
"""Of models; none: all. Popularity and biases alone are always there."""


def over_seeds(study: Study, seeds: int, *, say: Say, only: Names = ()) -> list[Row]:
    """Every model fitted with the study's seed and the following ones: what the luck of training does.

    Popularity, ALS on one start and other models without randomness do not change.

    Raises:
        ConfigError: ``seeds`` is below 2.
    """
    if seeds < 2:
        raise ConfigError(f"seeds must be >= 2 to tell luck from merit, got {seeds}")
    parts = _parts(study)
    data = dataset_of(study, parts.known)

    def runs() -> Iterator[tuple[int, OfflineResult]]:
        for seed in range(study.config.seed, study.config.seed + seeds):
            say(f"seed {seed} …")
            models = _fitted(study, parts.train, parts.known, only, seed=seed)
            yield seed, compare(study, models, parts, data, broken_down=False)

    return _kept(study, "seed", runs())


def over_folds(study: Study, folds: int, *, say: Say, only: Names = ()) -> list[Row]:
    """Rolling time folds over what comes after the split's quantile: what the luck of a period does.

    Raises:
        ConfigError: ``folds`` is below 2, or the split is not by time.
    """
    if folds < 2:
        raise ConfigError(f"folds must be >= 2 to tell one period's luck, got {folds}")

    def runs() -> Iterator[tuple[int, OfflineResult]]:
        for number, parts in enumerate(rolling(log_of(study), study.config.split, folds), 1):
            say(f"fold {number} of {folds}: {parts.about['test_first']} to {parts.about['test_last']} …")
            models = _fitted(study, parts.train, parts.known, only)
            yield number, compare(study, models, parts, dataset_of(study, parts.known), broken_down=False)

    return _kept(study, "fold", runs())


def over_fractions(study: Study, fractions: Sequence[float], *, say: Say, only: Names = ()) -> list[Row]:
    """A learning curve: random shares of the train rows, each part of the next larger one.

    Lists leave out what users really had, whether the model was told or not, so all steps rank the same items.

    Raises:
        ConfigError: A fraction is not in (0, 1].
    """
    parts = _parts(study)
    data = dataset_of(study, parts.known)

    def runs() -> Iterator[tuple[float, OfflineResult]]:
        for fraction in sorted(set(fractions)):
            say(f"{fraction:.0%} of the train rows …")
            train = thinned(parts.train, fraction, seed=study.config.seed)
            known = train if parts.known is parts.train else thinned(parts.known, fraction, seed=study.config.seed)
            models = _fitted(study, train, known, only, had=data)
            yield fraction, compare(study, models, parts, data, broken_down=False)

    return _kept(study, "fraction", runs())


def spread(rows: Sequence[Row], over: str) -> list[Row]:
    """Mean, standard deviation, lowest and highest over repeats, a row a model, segment, metric and k.

    ``interval`` is the mean half width of the intervals over users: where the deviation over seeds is as large,
    one training says little.
    """
    keys = ("model", "features", "segment", "metric", "k")
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return [
        dict(zip(keys, key, strict=True))
        | {f"{over}s": len(same), **_moments([row["value"] for row in same])}
        | {"interval": float(np.mean([(row["high"] - row["low"]) / 2 for row in same]))}
        for key, same in found.items()
    ]


def _moments(values: Sequence[float]) -> Row:
    centred = np.asarray(values) - values[0]  # equal values have no deviation, whatever the rounding
    sd = float(centred.std(ddof=1)) if len(values) > 1 else None
    return {"mean": values[0] + float(centred.mean()), "sd": sd, "lowest": min(values), "highest": max(values)}


def _parts(study: Study) -> Split:
    if study.config.split.kind == "none":
        raise ConfigError("split.kind = 'none' leaves nothing to compare by; choose another kind")
    return split_of(study)


def _fitted(
    study: Study,
    train: Interactions,
    known: Interactions,
    only: Names,
    *,
    seed: int | None = None,
    had: Dataset | None = None,
) -> Mapping[ModelKey, Ranker]:
    made: dict[ModelKey, Ranker] = {
        ModelKey(name, features): fitted
        for name, features, fitted in fit_offline(study, train, known, seed=seed, only=only)
    }
    made |= floors(study, dataset_of(study, known), made)
    return made if had is None else {key: Excluding.of(model, had) for key, model in made.items()}


def _kept(study: Study, over: str, runs: Iterator[tuple[Any, OfflineResult]]) -> list[Row]:
    """Rows of all runs, written as they come: a call that is cut off leaves what it found."""
    rows: list[Row] = []
    folder = study.folder / FOLDER
    folder.mkdir(exist_ok=True)
    for value, result in runs:
        rows += [{over: value} | row for row in result.rows() if row["low"] is not None]
        with atomic_write(folder / f"{over}s.csv", "w") as file:
            pd.DataFrame(rows).to_csv(file, index=False)
    write_json(folder / f"{over}s.json", {"rows": rows, "spread": spread(rows, over)})
    return rows
